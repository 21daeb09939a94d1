"""Powers of a few wide bands every 10 ms, and samples that are brought to them after synthesis.

From 2 kHz on, hearing follows how loud bands are from moment to moment more than it follows their waveform, and noise
that follows an envelope of 20 ms frames does not keep that. So an encoder tells the power of four bands twice a frame,
and a decoder whose own differs by more than the rounding of what it was told moves it to the nearest power that rounds
alike: what is right already stays as it is. Held-out music gains 0.2 in Zimtohrli at 8 and at 15 kbit/s, and these
powers take 0.5 to 0.6 kbit/s.

The spectrum is that of sine windows of 20 ms, 10 ms apart, whose squares add up to one. Channels that are coded as a
pair have one power together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from vqcodec.audio.stereo import pairs_of
from vqcodec.bitstream.arrays import C128, F32, F64

__all__ = ["COARSEST_STEP", "MOMENT", "PER_FRAME", "POWER_BANDS", "UNIT", "corrected", "powers_of", "units_of"]

PER_FRAME = 2
MOMENT = 480
"""Samples from one power to the next; the first is that around the first frame's middle."""

EDGES = (2000, 4000, 8000, 12000, 24000)  # Hz
POWER_BANDS = len(EDGES) - 1

UNIT = 1.0
"""Of a power, in log2: 3 dB."""

COARSEST_STEP = 220
"""Step index above which powers are not coded: they would take a tenth of the bits of speech at 3 kbit/s."""

FLOOR = 16.0  # of a power, in 16-bit units, as that of the envelope
MOST = 5.0  # log2 of the power that is corrected at most: 15 dB


def units_of(channels: int) -> list[tuple[int, ...]]:
    """Channels that have their powers together, in the order of their first one."""
    pairs = pairs_of(channels)
    second = {pair[1] for pair in pairs}
    first = dict(pairs)
    return [(k, first[k]) if k in first else (k,) for k in range(channels) if k not in second]


@cache
def _window() -> F32:
    return np.sin(np.pi * (np.arange(2 * MOMENT) + 0.5) / (2 * MOMENT)).astype(np.float32)


@cache
def _bins() -> tuple[int, ...]:
    """Where the bands begin, and where the last ends, in the spectrum of a window."""
    return tuple(round(edge * 2 * MOMENT / 48000) for edge in EDGES)


def _spectra(samples: F32) -> C128:
    """Spectra [C, K, bins] of samples [C, (K + 1) * MOMENT]: one moment's around each inner border."""
    blocks = samples.reshape(len(samples), -1, MOMENT)
    windows = np.concatenate([blocks[:, :-1], blocks[:, 1:]], 2, dtype=np.float64)  # squares leave float32's range
    windows *= _window()
    out: C128 = np.fft.rfft(windows)[..., : _bins()[-1]]
    return out


def _log_powers(spectra: C128, scale: F64 | float = 1.0) -> F32:
    """Log2 of the power of every band, all channels together, [K, POWER_BANDS].

    Args:
        scale: that powers are in, [K, 1]; 1 is one unit of a sample.
    """
    square = np.square(spectra.real) + np.square(spectra.imag)
    starts = _bins()
    by_band = np.add.reduceat(square.sum(0), starts[:-1], 1) / (np.diff(starts) * MOMENT * scale)
    out: F32 = np.log2(by_band + FLOOR).astype(np.float32)
    return out


def powers_of(samples: F32, units: Sequence[tuple[int, ...]]) -> F32:
    """Log2 powers [U, K, POWER_BANDS] in UNIT of samples [C, (K + 1) * MOMENT], in 16-bit units."""
    spectra = _spectra(samples)
    return np.stack([_log_powers(spectra[list(unit)]) for unit in units]) / np.float32(UNIT)


def corrected(samples: F32, wanted: F32, units: Sequence[tuple[int, ...]], shift: F32 | None = None) -> F32:
    """Samples brought to powers that round to those that are wanted, as far as moments overlap and MOST allow it.

    Args:
        samples: [C, (K + 1) * MOMENT], in 16-bit units.
        wanted: whole numbers of UNIT [U, K, POWER_BANDS], or not a number where none are known.
        shift: log2 of the scale that the powers of a moment are told in, [K]: they say nothing of what is at the floor.

    Returns:
        [C, (K - 1) * MOMENT]: all but the first and last MOMENT samples.
    """
    out = samples[:, MOMENT:-MOMENT].copy()
    if np.isnan(wanted).all():
        return out
    spectra = _spectra(samples)
    starts = _bins()
    scale = 1.0 if shift is None else np.exp2(shift.astype(np.float64))[:, None]
    for unit, goal in zip(units, wanted, strict=True):
        apart = goal - _log_powers(spectra[list(unit)], scale) / np.float32(UNIT)
        move = apart - np.clip(apart, -0.5, 0.5)
        move = np.clip(np.nan_to_num(UNIT * move), -MOST, MOST)
        if not move.any():
            continue
        gain = np.zeros((len(move), MOMENT + 1), np.float32)
        gain[:, starts[0] : starts[-1]] = np.repeat(np.exp2(move / 2) - 1, np.diff(starts), 1)
        for channel in unit:
            added = np.fft.irfft(np.pad(spectra[channel], ((0, 0), (0, MOMENT + 1 - starts[-1]))) * gain)
            added = (added * _window()).astype(np.float32)
            out[channel] += (added[:-1, MOMENT:] + added[1:, :MOMENT]).reshape(-1)
    return out
