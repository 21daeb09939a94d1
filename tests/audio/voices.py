"""Sounds that tests code, and how far what comes back is from them."""

from __future__ import annotations

import numpy as np

from vqcodec.audio.codec import AudioCodec
from vqcodec.bitstream import AudioHeader, Chunk

RATE, CHUNK = 48_000, 192_000


STEP = 150


def voice(samples: int, channels: int = 1) -> np.ndarray:
    """Harmonics that glide, syllables, some noise: [n, C] float32, channels differ."""
    t = np.arange(samples)[:, None] / RATE
    phase = 2 * np.pi * (110 * t + 8 * np.sin(2 * t)) * (1 + 0.5 * np.arange(channels))
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    noise = np.random.default_rng(1).standard_normal((samples, channels))
    return (0.12 * (1.2 + np.sin(2 * np.pi * 3 * t)) * (tone + 0.1 * noise)).astype(np.float32)


def header_of(codec: AudioCodec, samples: np.ndarray, step: int = STEP) -> AudioHeader:
    return AudioHeader(RATE, samples.shape[1], len(samples), step, codec.model_id, 0, codec.chunk_frames)


def decoded(codec: AudioCodec, header: AudioHeader, chunks: list[Chunk | None], **part: int) -> np.ndarray:
    return np.concatenate(list(codec.decode(header, chunks, **part)))


def size(chunks: list[Chunk]) -> int:
    return sum(len(c.payload) for c in chunks)


def snr(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(np.square(wanted).mean() / np.square(got - wanted).mean()))


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x).mean()))
