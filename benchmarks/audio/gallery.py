"""Sounds for the report: a clip through several codecs at about the same file sizes, with pictures of their spectra."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from vqcodec.benchmarks import files
from vqcodec.benchmarks.audio.codecs import AudioCodec, decode, encode, is_ours
from vqcodec.benchmarks.audio.measure import Clip, compare, load_clip
from vqcodec.benchmarks.audio.metrics import mono, resample

__all__ = ["PlayerWork", "show_clip"]

Samples = NDArray[np.float32]

PLAYED_RATE = 48000  # Hz; what every browser's Opus decoder gives out
HIGHEST = 24000  # Hz shown: the width of our codec
WINDOW = 2048  # samples at twice HIGHEST
DEPTH = 90  # dB below the loudest that is still drawn
PICTURE = (560, 150)  # pixels


@dataclass(frozen=True)
class PlayerWork:
    """One clip for the report, at these targets in kbit/s of whole files."""

    clip: Clip
    codecs: tuple[AudioCodec, ...]
    targets: tuple[float, ...]


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _playable(samples: Samples, rate: int) -> str:
    """Samples for the browser: Ogg Opus as libsndfile makes it, at some ten times the rates compared here."""
    buffer = io.BytesIO()
    sound = np.clip(resample(samples, rate, PLAYED_RATE), -1, 1)
    soundfile.write(buffer, sound, PLAYED_RATE, format="OGG", subtype="OPUS")
    return _uri(buffer.getvalue(), "audio/ogg")


def _spectrum(samples: Samples, rate: int) -> str:
    """Levels over time and frequency, 0 to 24 kHz, dark to bright; 0 dB is a full-scale sine."""
    from matplotlib import colormaps

    sound = resample(mono(samples), rate, 2 * HIGHEST)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, WINDOW // 2), WINDOW)[:: WINDOW // 4]
    window = np.hanning(WINDOW + 1)[:-1]
    levels = 20 * np.log10(np.abs(np.fft.rfft(frames * window, axis=1)) * 2 / window.sum() + 1e-9)
    shade = np.clip(1 + levels.T[::-1] / DEPTH, 0, 1)
    colours = (255 * colormaps["magma"](shade)[:, :, :3]).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize(PICTURE, Image.Resampling.BOX).save(buffer, "WEBP", quality=70)
    return _uri(buffer.getvalue(), "image/webp")


def _at_target(codec: AudioCodec, samples: Samples, rate: int, target: float) -> bytes:
    """The file nearest to the target: by quality for ours, by whole kbit/s for Opus."""
    low, high = (1, 100) if is_ours(codec) else (6, 64)
    size = target * 1000 / 8 * len(samples) / rate
    return files.nearest_size(lambda setting: encode(codec, samples, rate, setting)[0], low, high, size)


def _entry(codec: AudioCodec, data: bytes, work: PlayerWork, samples: Samples, rate: int) -> dict[str, object]:
    decoded, _ = decode(codec, data, samples, rate)
    metrics = compare(samples, decoded, rate, work.clip.kind, with_visqol=False)
    return {
        # A file that browsers know is played as it is; it is also the smallest form of its own sound.
        "audio": _uri(data, "audio/ogg") if codec.family == "opus" else _playable(decoded, rate),
        "spectrum": _spectrum(decoded, rate),
        "kbps": round(8 * len(data) / (len(samples) / rate) / 1000, 2),
        "bytes": len(data),
        "metrics": {name: None if value is None else round(value, 3) for name, value in metrics.items()},
    }


def show_clip(work: PlayerWork) -> dict[str, object]:
    """One clip as the report's page wants it: the original, and per target and codec a sound, a picture, figures."""
    samples, rate = load_clip(work.clip)
    sizes = [
        {
            "target": target,
            "codecs": {
                codec.name: _entry(codec, _at_target(codec, samples, rate, target), work, samples, rate)
                for codec in work.codecs
            },
        }
        for target in work.targets
    ]
    return {
        "name": work.clip.path.stem,
        "kind": work.clip.kind,
        "original": {"audio": _playable(samples, rate), "spectrum": _spectrum(samples, rate)},
        "sizes": sizes,
    }
