"""A stand-in for our audio codec: samples at 8 kHz in coarse steps, deflated into a real .vqc file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import soxr

from vqcodec.bitstream import AudioHeader, Chunk, VqcFile, read_vqc, write_vqc

RATE = 8000


@dataclass
class Sound:
    samples: np.ndarray
    sample_rate: int


def step_size(step: int) -> float:
    return 0.001 * 2 ** (step / 36)


def compress(samples: np.ndarray, *, sample_rate: int, quality: float, threads: int) -> bytes:
    step = round((100 - quality) * 255 / 99)
    coarse = np.round(soxr.resample(samples, sample_rate, RATE) / step_size(step)).astype(np.int16)
    # A payload never ends in a zero byte, so that a cut one shows.
    header = AudioHeader(sample_rate, samples.shape[1], len(samples), step, b"FAKE", 0, 1 << 20)
    return write_vqc(VqcFile(header, [Chunk(zlib.compress(coarse.tobytes(), 9) + b"\1", (), 0)]))


def decompress(data: bytes, *, kind: str = "audio", threads: int = 1) -> Sound:
    file = read_vqc(data)
    header = file.header
    coarse = np.frombuffer(zlib.decompressobj().decompress(file.chunks[0].payload), np.int16).reshape(
        -1, header.channels
    )
    samples = soxr.resample(coarse * np.float32(step_size(header.step)), RATE, header.sample_rate)[: header.samples]
    return Sound(np.pad(samples, ((0, header.samples - len(samples)), (0, 0))).astype(np.float32), header.sample_rate)


def voice(rate: int, seconds: float, seed: int = 0) -> np.ndarray:
    """Something like speech, float32 [T]: a buzz with moving formants in syllables, a little noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * time)) / rate
    centre = 900 + 500 * np.sin(2 * np.pi * 1.3 * time + seed)
    harmonics = np.arange(1, 40)[:, None]
    level = np.exp(-(((120 * harmonics - centre) / 500) ** 2)) + 0.3 / harmonics
    buzz = (level * np.sin(harmonics * pitch)).sum(axis=0)
    loud = np.clip(np.sin(2 * np.pi * 2.1 * time), 0, None)
    return (0.06 * loud * buzz + 0.001 * generator.normal(size=len(time))).astype(np.float32)
