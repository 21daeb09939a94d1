"""The 9/7 wavelet by lifting, plane by plane.

Source: A. Cohen, I. Daubechies, J.-C. Feauveau, "Biorthogonal bases of compactly supported wavelets", 1992; lifting
steps as in I. Daubechies, W. Sweldens, "Factoring wavelet transforms into lifting steps", 1998 (the irreversible filter
of JPEG 2000).
Scaling is nearly orthonormal: a squared error of the coefficients is about the squared error of the picture.
"""

from __future__ import annotations

import math

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.threads import ALONE, Workers

__all__ = ["LIFTS", "LOW", "analyse", "line_norms", "synthesise"]

LIFTS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
"""Weights of the four lifting steps: odd from even samples, even from odd, and both once more."""
LOW = math.sqrt(2.0) / 1.230174104914001
"""Scale of the low band; the high band has its inverse."""
_A, _B, _C, _D = LIFTS
_SHARED = 1 << 20  # samples of a plane from which threads are woken: below, its transform takes a few milliseconds
_BLOCK = 1 << 16  # samples of a block, 256 KiB, so that all steps find it in the cache


def _lift(target: F32, source: F32, weight: float, *, ahead: bool, axis: int) -> None:
    """Add to each sample of ``target`` weight times the two samples of ``source`` beside it, in place.

    Those are source[i] and source[i + 1] (``ahead``) or source[i - 1]; what lies beyond the edge is source[i] again.
    """
    pair = source * weight
    target += pair
    if axis == -1:
        inner, edge = (pair[..., 1:], pair[..., -1]) if ahead else (pair[..., :-1], pair[..., 0])
        near, last = (target[..., :-1], target[..., -1]) if ahead else (target[..., 1:], target[..., 0])
    else:
        inner, edge = (pair[..., 1:, :], pair[..., -1, :]) if ahead else (pair[..., :-1, :], pair[..., 0, :])
        near, last = (target[..., :-1, :], target[..., -1, :]) if ahead else (target[..., 1:, :], target[..., 0, :])
    near += inner
    last += edge


def _split(even: F32, odd: F32, axis: int) -> None:
    """Even and odd samples to low and high band, in place."""
    _lift(odd, even, _A, ahead=True, axis=axis)
    _lift(even, odd, _B, ahead=False, axis=axis)
    _lift(odd, even, _C, ahead=True, axis=axis)
    _lift(even, odd, _D, ahead=False, axis=axis)
    even *= LOW
    odd *= 1.0 / LOW


def _join(even: F32, odd: F32, axis: int) -> None:
    """Low and high band to even and odd samples, in place."""
    even *= 1.0 / LOW
    odd *= LOW
    _lift(even, odd, -_D, ahead=False, axis=axis)
    _lift(odd, even, -_C, ahead=True, axis=axis)
    _lift(even, odd, -_B, ahead=False, axis=axis)
    _lift(odd, even, -_A, ahead=True, axis=axis)


def _blocks(count: int, length: int, least: int) -> list[slice]:
    """So many lines of so many samples in pieces that fit the cache, of ``least`` lines or more."""
    step = max(least, _BLOCK // length)
    return [slice(k, min(k + step, count)) for k in range(0, count, step)]


def _columns(x: F32) -> list[slice]:
    return _blocks(x.shape[1], x.shape[0], 64)  # shorter runs of a row would cost more than their arithmetic


def _analyse_plane(x: F32, low: F32, details: F32) -> None:
    """A plane [H, W] to its low band [H/2, W/2] and details [3, H/2, W/2]."""
    halves = np.empty((2, x.shape[0] // 2, x.shape[1]), x.dtype)
    for k in _columns(x):
        even, odd = x[::2, k].copy(), x[1::2, k].copy()
        _split(even, odd, axis=-2)
        halves[0, :, k], halves[1, :, k] = even, odd
    for half, (left, right) in zip(halves, ((low, details[0]), (details[1], details[2])), strict=True):
        for k in _blocks(len(half), half.shape[1], 1):
            left[k], right[k] = half[k, ::2], half[k, 1::2]
            _split(left[k], right[k], axis=-1)


def _synthesise_plane(low: F32, details: F32, out: F32) -> None:
    """Inverse of :func:`_analyse_plane`."""
    for half, (left, right) in enumerate(((low, details[0]), (details[1], details[2]))):
        for k in _blocks(left.shape[0], out.shape[1], 1):
            even, odd = left[k].copy(), right[k].copy()
            _join(even, odd, axis=-1)
            rows = out[half::2][k]
            rows[:, ::2], rows[:, 1::2] = even, odd
    for k in _columns(out):
        even, odd = out[::2, k].copy(), out[1::2, k].copy()
        _join(even, odd, axis=-2)
        out[::2, k], out[1::2, k] = even, odd


def _for(planes: F32, workers: Workers) -> Workers:
    """Threads for planes [C, B, H, W]: small ones do not repay waking any."""
    return workers if planes.shape[2] * planes.shape[3] >= _SHARED else ALONE


def analyse(x: F32, workers: Workers = ALONE) -> tuple[F32, F32]:
    """One level of the transform.

    Args:
        x: [C, B, H, W], H and W even.
        workers: threads for the planes.

    Returns:
        The low band [C, B, H/2, W/2] and the detail bands [C, 3, B, H/2, W/2] in the order
        horizontal detail (vertical edges), vertical detail (horizontal edges), diagonal.
    """
    channels, batch, height, width = x.shape
    low = np.empty((channels, batch, height // 2, width // 2), x.dtype)
    details = np.empty((channels, 3, *low.shape[1:]), x.dtype)
    _for(x, workers).each(
        lambda at: _analyse_plane(x[at], low[at], details[at[0], :, at[1]]), np.ndindex(channels, batch)
    )
    return low, details


def synthesise(low: F32, details: F32, workers: Workers = ALONE) -> F32:
    """Inverse of :func:`analyse`: [C, B, H, W] and [C, 3, B, H, W] give [C, B, 2H, 2W]."""
    channels, batch, height, width = low.shape
    out = np.empty((channels, batch, 2 * height, 2 * width), low.dtype)
    _for(out, workers).each(
        lambda at: _synthesise_plane(low[at], details[at[0], :, at[1]], out[at]), np.ndindex(channels, batch)
    )
    return out


def line_norms(levels: int) -> tuple[tuple[float, float], ...]:
    """Norm of the line that a unit low and a unit high coefficient make, per level from 1 on."""
    norms = []
    for level in range(1, levels + 1):
        at = 2 ** (levels + 2 - level)
        pair = []
        for low in (1.0, 0.0):
            even, odd = np.zeros(2 * at), np.zeros(2 * at)
            even[at], odd[at] = low, 1.0 - low
            for _ in range(level):
                _join(even, odd, axis=-1)
                even = np.stack([even, odd], -1).reshape(-1)
                odd = np.zeros_like(even)
            pair.append(float(np.sqrt(np.square(even).sum())))
        norms.append((pair[0], pair[1]))
    return tuple(norms)
