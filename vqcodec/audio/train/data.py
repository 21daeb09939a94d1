"""Training sound: folders of files as 16-bit mono at 48 kHz on disk, random stretches of it at the model's level."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor

from vqcodec.audio.mdct import HOP
from vqcodec.audio.train.signals import made_up
from vqcodec.audio.transform import LOUD
from vqcodec.bitstream.arrays import F32
from vqcodec.errors import InputError, UsageError
from vqcodec.sources import write_atomic

__all__ = ["AudioSource", "Folder", "find_folder", "parse_folder"]

RATE = 48000
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
SURROUNDING = 200 * HOP  # a stretch has the level of the four seconds around it, as a chunk has in use
LEVEL_JITTER = 2.5  # standard deviation of a random change of level in decibels
MADE_UP = 0.2  # share of stretches that are made up (see audio.train.signals)
# Speech is mostly recorded at 16 kHz. This share of it is played up to three times as fast, so that there are sounds in
# every band; else a model learns that there is nothing above 8 kHz. With 0.4 speech took 8 % more bits at equal PESQ.
SPED, FASTEST = 0.1, 3.0
NARROW = 3e-4  # of a recording's power above 10 kHz, below which it can be played so fast without aliases
PAUSE = 0.04  # share of stretches that are silent from some point on, so that silence is learned to cost nothing
QUIET = 30.0  # root mean square of loud frames below which a stretch is passed over
TRIES = 1_000  # stretches in a row that may be so


@dataclass(frozen=True)
class Folder:
    """A folder of sounds and its share of what is drawn."""

    path: Path
    share: float


def parse_folder(text: str) -> Folder:
    """``DIR`` or ``DIR:SHARE``.

    Raises:
        UsageError: the share is not above 0.
    """
    path, _, share = text.rpartition(":")
    try:
        folder = Folder(Path(path), float(share)) if path else Folder(Path(text), 1.0)
    except ValueError:
        return Folder(Path(text), 1.0)
    if not 0 < folder.share < np.inf:
        raise UsageError(f"{text}: a share of {share} is none; give a number above 0, or leave the folder out")
    return folder


def find_folder(text: str) -> Folder:
    """As :func:`parse_folder`, of a folder that is there.

    Raises:
        InputError: it is not.
        UsageError: the share is not above 0.
    """
    folder = parse_folder(text)
    if not folder.path.is_dir():
        raise InputError(f"{folder.path}: no such folder; give DIR or DIR:SHARE, a share such as 0.5")
    return folder


def _samples(folder: Path, cache: Path) -> npt.NDArray[np.int16]:
    """All sounds of a folder one after the other, converted once for a list of files, then mapped from the cache."""
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
    listing = [f"{f.relative_to(folder)} {f.stat().st_size}" for f in files]
    kept = cache / f"{hashlib.sha256(chr(10).join(listing).encode()).hexdigest()[:16]}.npy"
    if not kept.exists():
        parts = []
        for file in files:
            try:
                samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, OSError) as e:
                raise InputError(f"{file}: cannot be read ({e}); take it out of the training sounds") from e
            mono = soxr.resample(samples.mean(1), rate, RATE)
            parts.append(np.clip(np.round(mono * 32767), -32768, 32767).astype(np.int16))
        if sum(map(len, parts)) < 4 * SURROUNDING:
            raise InputError(f"{folder}: less than 16 s of sound in files ending in {', '.join(sorted(SUFFIXES))}")
        samples = np.concatenate(parts)
        write_atomic(kept, lambda file: np.save(file, samples), force=True, parents=True)
    out: npt.NDArray[np.int16] = np.load(kept, mmap_mode="r")
    return out


def _share_above(sound: npt.NDArray[np.int16], hertz: float) -> float:
    """Share of the power of some stretches that lies above a frequency."""
    starts = np.linspace(0, len(sound) - HOP, 400).astype(int)
    frames = np.stack([sound[at : at + HOP] for at in starts]) * np.hanning(HOP)
    power = np.square(np.abs(np.fft.rfft(frames))).sum(0)
    return float(power[int(hertz * HOP / RATE) :].sum() / max(power.sum(), 1e-9))


class AudioSource:
    """Random stretches of folders of sound.

    Args:
        folders: with their shares; of each, the last ``held_out`` is kept for figures, at least what one stretch needs.
        cache: where converted sounds are kept.
        part: which part to draw from, ``train`` or ``test``.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        cache: Path,
        seed: int | Sequence[int],
        *,
        part: str = "train",
        held_out: float = 0.04,
    ) -> None:
        whole = [_samples(f.path, cache) for f in folders]
        edges = [min(int(len(x) * (1 - held_out)), len(x) - SURROUNDING) for x in whole]
        self._sounds = [x[:e] if part == "train" else x[e:] for x, e in zip(whole, edges, strict=True)]
        self._narrow = [_share_above(x, 10_000) < NARROW for x in self._sounds]
        shares = np.array([f.share for f in folders])
        self._shares = shares / shares.sum()
        self.rng = np.random.default_rng(seed)

    def batch(self, count: int, frames: int, *, jitter: float = LEVEL_JITTER) -> Tensor:
        """Stretches [count, frames * HOP] (at most 200 frames) in 16-bit units, loud frames at LOUD give or take."""
        return torch.from_numpy(np.stack([self._one(frames * HOP, jitter) for _ in range(count)]))

    def _surrounding(self, sound: npt.NDArray[np.int16], speed: float) -> F32:
        """Four seconds from anywhere, played at a speed."""
        taken = min(int(SURROUNDING * speed), len(sound))
        at = self.rng.integers(0, len(sound) - taken + 1)
        samples = sound[at : at + taken].astype(np.float32)
        if taken == SURROUNDING:
            return samples
        places = np.arange(SURROUNDING) * ((taken - 1) / SURROUNDING)
        out: F32 = np.interp(places, np.arange(taken), samples).astype(np.float32)
        return out

    def _one(self, length: int, jitter: float) -> F32:
        if self.rng.random() < MADE_UP:
            gain = LOUD * 10 ** (self.rng.normal() * jitter / 20)
            return made_up(self.rng, length) * np.float32(gain)
        for _ in range(TRIES):
            which = self.rng.choice(len(self._sounds), p=self._shares)
            fast = self._narrow[which] and self.rng.random() < SPED
            around = self._surrounding(self._sounds[which], self.rng.uniform(1, FASTEST) if fast else 1.0)
            loud = np.sqrt(np.percentile(np.square(around.reshape(-1, HOP)).mean(1), 90))
            if loud > QUIET:
                break
        else:
            raise InputError("the training sound is nearly all silence; give louder recordings")
        at = self.rng.integers(0, SURROUNDING - length + 1)
        sign = 1 if self.rng.random() < 0.5 else -1
        gain = sign * LOUD / loud * 10 ** (self.rng.normal() * jitter / 20)
        out: F32 = (around[at : at + length] * gain).astype(np.float32)
        if self.rng.random() < PAUSE:
            out[self.rng.integers(0, length) :] = 0
        return out
