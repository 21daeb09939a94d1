"""Run codecs over clips: one ``AudioMeasurement`` per clip, codec and setting; those of other codecs are cached."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from vqcodec.benchmarks import files
from vqcodec.benchmarks.audio import metrics as audio_metrics
from vqcodec.benchmarks.audio.codecs import AudioCodec, codec_version, decode, encode, is_ours, payload_size
from vqcodec.errors import InputError
from vqcodec.sources import write_atomic
from vqcodec.workers import in_processes

__all__ = [
    "KINDS",
    "PACKAGES",
    "VISQOL_PACKAGES",
    "AudioMeasurement",
    "AudioWork",
    "Clip",
    "find_clips",
    "load_clip",
    "measure_all",
]

Samples = NDArray[np.float32]
KINDS = ("speech", "music", "other")
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"}
PACKAGES = ("pesq", "pystoi", "zimtohrli", "speechmos")
VISQOL_PACKAGES = ("visqol-python", "ai-edge-litert", "numba")
CACHE_VERSION = 2  # raise it when a metric or the meaning of a field changes


@dataclass(frozen=True)
class Clip:
    """One sound of the folder and its class, one of ``KINDS``."""

    path: Path
    kind: str


@dataclass(frozen=True)
class AudioMeasurement:
    """One clip through one codec at one setting.

    Attributes:
        setting: what the encoder was asked for.
        seconds: length of the clip.
        size, payload: bytes of the whole file, and of coded sound alone.
        metrics: value per metric, None where it could not be measured.
        encode_seconds, decode_seconds: processor time on one thread, entropy coding included.
    """

    clip: str
    kind: str
    codec: str
    setting: float
    seconds: float
    size: int
    payload: int
    metrics: dict[str, float | None]
    encode_seconds: float
    decode_seconds: float

    @property
    def file_kbps(self) -> float:
        """Rate of the whole file in kbit/s."""
        return 8 * self.size / self.seconds / 1000

    @property
    def payload_kbps(self) -> float:
        """Rate of the coded sound alone in kbit/s."""
        return 8 * self.payload / self.seconds / 1000


@dataclass(frozen=True)
class AudioWork:
    """All settings of one codec on one clip: what one process does at a time."""

    codec: AudioCodec
    clip: Clip
    cache: Path
    with_visqol: bool


def find_clips(folder: Path, kinds: Sequence[str] = (), count: int | None = None) -> list[Clip]:
    """Sounds of a folder by class, then name; of each class ``count``, spread evenly.

    The class is in column "kind" of manifest.csv (columns "file", "kind"), or before the first "_" of the file's name.

    Raises:
        InputError: the folder is missing, holds no sound, or none of these classes.
    """
    named = _manifest(folder / "manifest.csv")
    clips = []
    for path in files.find_files(folder, SUFFIXES, "sounds"):
        kind = named.get(path.name, path.stem.split("_")[0])
        clips.append(Clip(path, kind if kind in KINDS else "other"))
    wanted = [kind for kind in KINDS if kind in kinds or not kinds]
    chosen = [clip for kind in wanted for clip in files.spread([c for c in clips if c.kind == kind], count)]
    if not chosen:
        raise InputError(f"{folder}: no sounds of class {', '.join(kinds)} in it; name others in --kinds")
    return chosen


def _manifest(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["kind"] for row in csv.DictReader(file) if row.get("file") and row.get("kind")}


def load_clip(clip: Clip) -> tuple[Samples, int]:
    """Samples float32 [T, C] and their rate.

    Raises:
        InputError: it cannot be read or is empty.
    """
    try:
        samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{clip.path}: cannot be read as a sound ({error}); remove it from the folder") from error
    if not len(samples):
        raise InputError(f"{clip.path}: has no samples; remove it from the folder")
    return samples, int(rate)


def compare(reference: Samples, decoded: Samples, rate: int, kind: str, with_visqol: bool) -> dict[str, float | None]:
    """The metrics of a class: speech has its own, for the others there is ViSQOL's audio mode."""
    one = audio_metrics.mono(reference), audio_metrics.mono(decoded)
    values: dict[str, float | None] = {}
    if kind == "speech":
        values["pesq"] = audio_metrics.pesq_wb(*one, rate)
        values["stoi"] = audio_metrics.stoi(*one, rate)
        values["estoi"] = audio_metrics.estoi(*one, rate)
        values["dnsmos"] = audio_metrics.dnsmos(one[1], rate)
    values["visqol"] = audio_metrics.visqol(*one, rate, speech=kind == "speech") if with_visqol else None
    values["zimtohrli"] = audio_metrics.zimtohrli(*one, rate)
    values["mel"] = audio_metrics.mel_distance(*one, rate)
    return values


def _measure_once(work: AudioWork, samples: Samples, rate: int, setting: float) -> AudioMeasurement:
    data, encode_seconds = encode(work.codec, samples, rate, setting)
    decoded, decode_seconds = decode(work.codec, data, samples, rate)
    return AudioMeasurement(
        clip=work.clip.path.stem,
        kind=work.clip.kind,
        codec=work.codec.name,
        setting=setting,
        seconds=len(samples) / rate,
        size=len(data),
        payload=payload_size(work.codec, data),
        metrics=compare(samples, decoded, rate, work.clip.kind, work.with_visqol),
        encode_seconds=encode_seconds,
        decode_seconds=decode_seconds,
    )


def _cached(path: Path, work: AudioWork) -> AudioMeasurement | None:
    try:
        found = AudioMeasurement(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    # The key is made of samples, so the same sound may come back under another name.
    found = AudioMeasurement(**{**asdict(found), "clip": work.clip.path.stem})
    return None if work.with_visqol and found.metrics.get("visqol") is None else found


def _versions() -> list[str]:
    """Of what makes the figures; some packages may be missing where ViSQOL is not wanted."""
    found = []
    for name in (*PACKAGES, *VISQOL_PACKAGES):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return found


def measure_work(work: AudioWork) -> list[AudioMeasurement]:
    """Every setting of one codec on one clip, on one thread."""
    samples, rate = load_clip(work.clip)
    facts = [CACHE_VERSION, work.codec.family, work.codec.options, work.codec.downmix, codec_version(work.codec)]
    facts += [*_versions(), work.clip.kind, rate]
    results = []
    for index, setting in enumerate(work.codec.settings):
        path = files.cache_path(work.cache, work.codec.name, [*facts, setting], samples, ".json")
        result = None if is_ours(work.codec) else _cached(path, work)
        if result is None:
            if index == 0 and is_ours(work.codec):  # loading weights and filling caches is not part of coding
                decode(work.codec, encode(work.codec, samples, rate, setting)[0], samples, rate)
            result = _measure_once(work, samples, rate, setting)
            if not is_ours(work.codec):
                write_atomic(path, json.dumps(asdict(result)).encode(), force=True, parents=True)
        results.append(result)
    return results


def measure_all(work: Sequence[AudioWork], jobs: int, progress: Callable[[int, int], None]) -> list[AudioMeasurement]:
    """Do all work in ``jobs`` processes; ``progress(done, total)`` after each item. Results sorted by name."""
    done: list[AudioMeasurement] = []
    for count, results in enumerate(in_processes(measure_work, work, jobs, threads=1), start=1):
        done += results
        progress(count, len(work))
    return sorted(done, key=lambda item: (item.codec, item.setting, item.clip))
