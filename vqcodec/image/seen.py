"""The luma decoded so far, in integers: what the prior sees of it.

The prior's arithmetic must be the same everywhere, which the float picture is not. So the low band of a level is put
together once more from whole numbers: every codeword stands for a stored one, and the inverse wavelet is the lifting of
:mod:`wavelet` with weights in 1/1024. Local activity and the steps that follow it are left out: what they would tell is
not worth their arithmetic. All of it is bounded, so that nothing leaves int32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.bands import image_gains
from vqcodec.image.config import ImageConfig
from vqcodec.image.units import low_steps, step_sizes
from vqcodec.image.wavelet import LIFTS, LOW
from vqcodec.prior.integer import MAP_LIMIT

__all__ = [
    "CHANNELS",
    "PictureMaps",
    "check_wholes",
    "low_units",
    "map_edges",
    "seen_details",
    "seen_low",
    "synthesised",
    "whole_codewords",
]

UNIT = 16.0  # in a quantiser step, of the picture; coarser levels have coarser units
WEIGHT_BITS = 10
_WEIGHTS = tuple(round(w * 2**WEIGHT_BITS) for w in LIFTS)
_LIMIT, _HALFWAY = 2**15 - 1, 2**16  # of what goes into a level, and of what lies between its two axes
CHANNELS = 8  # of PictureMaps


def _scale(level: int) -> float:
    """Units in a quantiser step of the low band of a level, and of the details of the next coarser one.

    Lifting without its last scaling widens the low band by LOW**2 at each level.
    """
    return UNIT / LOW ** (2 * level)


def whole_codewords(config: ImageConfig, codebooks: Sequence[F32]) -> list[I32]:
    """What codewords of the luma slices stand for, [3, K] each, coarse first."""
    out = []
    for s, codebook, gain in zip(config.slices, codebooks, image_gains(config)[1], strict=True):
        if not s.chroma:
            scale = _scale(s.level - 1) * np.array([1.0, 1.0, LOW**2]) / gain
            whole = np.round(codebook[:, :, 0].astype(np.float64) * scale[:, None])
            out.append(np.clip(whole, -_LIMIT, _LIMIT).astype(np.int32))
    return out


def low_units(config: ImageConfig) -> I32:
    """What a step of the low band stands for, in 1/256, [256] by step index."""
    steps = np.arange(256)
    share = low_steps(config, steps).astype(np.float64) / step_sizes(steps)
    return np.round(share * _scale(config.levels) * 256).astype(np.int32)


def check_wholes(units: I32, codewords: Sequence[I32]) -> None:
    """Prove that what goes into the picture stays in int32; values of the low band are below 2**14.

    Raises:
        ValueError: a unit or a codeword is too large.
    """
    if np.abs(units).max() >= 2**16 or any(np.abs(words).max() > _LIMIT for words in codewords):
        raise ValueError("what a code stands for in the picture of the prior is out of range")


def seen_low(units: I32, low: I32, step: I64) -> I32:
    """Whole numbers of the low band's luma [B, h, w] at step indices [B]."""
    whole: I32 = (low * units[step][:, None, None] + 128) >> 8
    return np.clip(whole, -_LIMIT, _LIMIT)


def seen_details(codewords: I32, codes: I32) -> I32:
    """Whole numbers of codes [B, h, w, 3] of a luma slice whose codewords are [3, K]: [3, B, h, w]."""
    return np.stack([codewords[k].take(codes[..., k]) for k in range(3)])


def _lift(target: I32, source: I32, weight: int, *, ahead: bool) -> None:
    """As in :mod:`wavelet`, in whole numbers, along the last axis."""
    pair = np.empty_like(source)
    if ahead:
        np.add(source[..., :-1], source[..., 1:], out=pair[..., :-1])
        pair[..., -1] = 2 * source[..., -1]
    else:
        np.add(source[..., :-1], source[..., 1:], out=pair[..., 1:])
        pair[..., 0] = 2 * source[..., 0]
    pair *= weight
    pair += 1 << (WEIGHT_BITS - 1)
    pair >>= WEIGHT_BITS
    target += pair


def _joined(even: I32, odd: I32) -> I32:
    """Samples of a low and a high band, along the last axis."""
    even, odd = even.copy(), odd.copy()
    for k in (3, 2, 1, 0):
        target, source = (odd, even) if k % 2 == 0 else (even, odd)
        _lift(target, source, -_WEIGHTS[k], ahead=k % 2 == 0)
    return np.stack([even, odd], -1).reshape(*even.shape[:-1], -1)


def synthesised(low: I32, details: I32) -> I32:
    """The low band [B, h, w] and the details [3, B, h, w] of a level to the next low band [B, 2 h, 2 w]."""
    rows = np.stack([_joined(low, details[0]), _joined(details[1], details[2])])
    across = np.clip(rows, -_HALFWAY, _HALFWAY).swapaxes(-1, -2)
    out = _joined(np.ascontiguousarray(across[0]), np.ascontiguousarray(across[1])).swapaxes(-1, -2)
    return np.clip(out, -_LIMIT, _LIMIT)


def map_edges(level: int) -> tuple[int, I32]:
    """How differences from the local mean become maps at a level: ``fine`` and ``edges`` of a network there.

    Maps are in quarters of a step, and in 16 times the log2 of 1 and the size in steps.
    """
    step = 36 * _scale(level)
    return round(step / 4), np.ceil(step * (2.0 ** ((np.arange(1, 128) - 0.5) / 16) - 1)).astype(np.int32)


class PictureMaps:
    """Maps of the low band of one level; see :func:`map_edges`."""

    def __init__(self, fine: int, edges: I32) -> None:
        self._fine = fine
        self._companded = np.searchsorted(edges, np.arange(edges[-1] + 1), "right").astype(np.float32)

    def __call__(self, low: I32) -> F32:
        """Of a low band [B, H, W], on the grid of a phase of its details, [B, CHANNELS, H / 2, W / 2].

        Differences of the samples of every 2 x 2 cell, in the order of rows, from the mean of 3 x 3 cells, in 1/36:
        first as they are, then companded.
        """
        b, h, w = low.shape
        cells = low.reshape(b, h // 2, 2, w // 2, 2).transpose(0, 2, 4, 1, 3).reshape(b, 4, h // 2, w // 2)
        sums = np.pad(cells.sum(1, dtype=np.int32), ((0, 0), (1, 1), (1, 1)), mode="edge")
        sums = sums[:, :-2] + sums[:, 1:-1] + sums[:, 2:]
        sums = sums[..., :-2] + sums[..., 1:-1] + sums[..., 2:]
        difference = 36 * cells - sums[:, None]
        out = np.empty((b, CHANNELS, h // 2, w // 2), np.float32)
        out[:, :4] = np.clip((difference + self._fine // 2) // self._fine, -MAP_LIMIT, MAP_LIMIT)
        size = self._companded.take(np.abs(difference), mode="clip")
        out[:, 4:] = np.copysign(size, difference)
        return out
