"""Made-up sounds among the training sounds: what recordings of speech lack, and what shows faults first.

Steady and gliding tones, chords of plucked and bowed notes, hits, bands of noise, constant levels, and silence after
any of them, over the whole band.
"""

from __future__ import annotations

import numpy as np

from vqcodec.bitstream.arrays import F32, F64

__all__ = ["made_up"]

RATE = 48000
LOWEST, HIGHEST = 40.0, 18000.0  # Hz


def made_up(rng: np.random.Generator, length: int) -> F32:
    """A sound of so many samples at 48 kHz; its loudest frames have about unit power."""
    kinds = (_tones, _glide, _notes, _notes, _notes, _hits, _noise, _constant)
    out = sum(
        kinds[rng.integers(len(kinds))](rng, length) * 10 ** rng.uniform(-1, 0) for _ in range(rng.integers(1, 3))
    )
    out = np.asarray(out)
    if rng.random() < 0.2:
        out[rng.integers(length) :] = 0
    power = np.square(out[: length // 480 * 480].reshape(-1, 480)).mean(1)
    loud: F32 = (out / np.sqrt(max(np.percentile(power, 90), power.max() / 16, 1e-12))).astype(np.float32)
    return loud


def _pitch(rng: np.random.Generator, low: float = LOWEST, high: float = HIGHEST) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _tones(rng: np.random.Generator, length: int) -> F64:
    t = np.arange(length) / RATE
    out = np.zeros(length)
    for _ in range(rng.integers(1, 6)):
        out += rng.uniform(0.1, 1) * np.sin(2 * np.pi * (_pitch(rng) * t + rng.random()))
    return out


def _glide(rng: np.random.Generator, length: int) -> F64:
    pitch = np.geomspace(_pitch(rng), _pitch(rng), length)
    out: F64 = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return out


def _notes(rng: np.random.Generator, length: int) -> F64:
    """Notes one after the other and together: harmonics that fall off, each with its own decay."""
    out = np.zeros(length)
    for _ in range(rng.integers(2, 10)):
        start = int(rng.integers(-length // 2, length))
        span = length - max(start, 0)
        t = np.arange(span) / RATE + max(-start, 0) / RATE
        pitch, slope = _pitch(rng, 50, 2000), rng.uniform(0.5, 2.0)
        decay, rise = rng.uniform(0.2, 8), 10 ** rng.uniform(-4, -1)
        vibrato = rng.uniform(0, 0.3) * np.sin(2 * np.pi * rng.uniform(4, 7) * t) if rng.random() < 0.3 else 0
        note = np.zeros(span)
        for k in range(1, int(min(24, HIGHEST / pitch)) + 1):
            note += (
                k**-slope
                * np.exp(-decay * (1 + 0.1 * k) * t)
                * np.sin(2 * np.pi * k * (pitch * t + vibrato + rng.random()))
            )
        out[max(start, 0) :] += rng.uniform(0.2, 1) * note * np.minimum(t / rise, 1)
    return out


def _hits(rng: np.random.Generator, length: int) -> F64:
    """Bursts of coloured noise that begin at once."""
    out = np.zeros(length)
    for _ in range(rng.integers(1, 6)):
        start = int(rng.integers(length))
        t = np.arange(length - start) / RATE
        burst = rng.standard_normal(len(t)) * np.exp(-t * 10 ** rng.uniform(1, 3))
        if rng.random() < 0.5:
            burst = burst * np.sin(2 * np.pi * _pitch(rng, 100, 8000) * t)
        out[start:] += rng.uniform(0.2, 1) * burst
    return out


def _noise(rng: np.random.Generator, length: int) -> F64:
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    low, high = sorted((_pitch(rng), _pitch(rng)))
    shape = (hertz >= low) * (np.maximum(hertz, low) / low) ** -rng.uniform(0, 1.5) / (1 + (hertz / high) ** 8)
    sound = np.fft.irfft(spectrum * shape, length)
    out: F64 = sound / max(np.abs(sound).max(), 1e-9)
    return out


def _constant(rng: np.random.Generator, length: int) -> F64:
    return np.full(length, rng.choice([-1.0, 1.0]))
