"""Modified discrete cosine transform with windows that follow attacks: orthonormal, with an exact inverse.

A frame is 20 ms and overlaps each neighbour by as much (sine window; Princen, Johnson and Bradley, 1987). A *short*
frame is eight transforms of 2.5 ms in its place, so that what an attack's rounding spreads stays within 2.5 ms (window
switching; Edler, 1989). Where a short frame is on either side, two frames overlap by 2.5 ms only.

Both are folds - rotations of samples mirrored at the middle of an overlap - followed by type-IV cosine transforms of
what lies between two folds. The inverse undoes them in reverse. Bands of a short frame are interleaved: line 8 k + j is
line k of its transform j, so that either kind of frame runs from low to high frequencies.

The same for tensors, for training: audio.train.mdct.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import F32
from vqcodec.prior.integer import product

__all__ = ["HOP", "SPLITS", "Flags", "cosines", "imdct", "inner_angles", "mdct_window", "slope_angles"]

HOP = 960
"""Samples from frame to frame: 20 ms at 48 kHz; a frame's window covers twice as many."""

SPLITS = 8
"""Transforms that a short frame is made of."""

_PIECE = HOP // SPLITS

Flags = npt.NDArray[np.bool_]


@cache
def cosines(size: int) -> F32:
    """Type-IV cosine transform [size, size]: symmetric and its own inverse."""
    n = np.arange(size) + 0.5
    out: F32 = (np.cos(math.pi / size * n[:, None] * n) * math.sqrt(2 / size)).astype(np.float32)
    return out


@cache
def slope_angles() -> F32:
    """Angles of the rotations in the first half of a block, without and with a short frame beside it, [2, HOP / 2]."""
    n = np.arange(HOP // 2) + 0.5
    inside = np.maximum(n - (HOP - _PIECE) / 2, 0)
    out: F32 = np.stack([math.pi / (2 * HOP) * n, math.pi / (2 * _PIECE) * inside]).astype(np.float32)
    return out


@cache
def inner_angles() -> F32:
    """The same at the borders of the pieces of a short frame, [PIECE / 2]."""
    out: F32 = (math.pi / (2 * _PIECE) * (np.arange(_PIECE // 2) + 0.5)).astype(np.float32)
    return out


def _turn(near: F32, far: F32, angle: F32) -> tuple[F32, F32]:
    """Rotation of samples before the middle of an overlap and of their mirror images behind it."""
    c, s = np.cos(angle), np.sin(angle)
    return near * c - far * s, far * c + near * s


def _fold(blocks: F32, short: Flags, direction: float) -> F32:
    """Turn every block [B, T, HOP] about its middle; ``short`` [T] says where the overlap is short."""
    angle = slope_angles()[short.astype(np.intp)] * np.float32(direction)
    half = HOP // 2
    near, far = _turn(blocks[..., :half], blocks[..., : half - 1 : -1], angle)
    return np.concatenate([near, far[..., ::-1]], -1)


def _fold_pieces(z: F32, direction: float) -> F32:
    """The same within short frames [..., HOP], at the seven borders of their pieces."""
    half = _PIECE // 2
    inner = z[..., half:-half].reshape(*z.shape[:-1], SPLITS - 1, 2, half)
    near, far = _turn(inner[..., 0, :], inner[..., 1, ::-1], inner_angles() * np.float32(direction))
    turned = np.stack([near, far[..., ::-1]], -2).reshape(*z.shape[:-1], -1)
    return np.concatenate([z[..., :half], turned, z[..., -half:]], -1)


def _cosine_transform(x: F32) -> F32:
    """Of the last axis."""
    flat = x.reshape(-1, x.shape[-1])
    return product(flat, cosines(x.shape[-1])).reshape(x.shape)


def _transform(z: F32, short: Flags, *, back: bool) -> F32:
    """Cosine transforms of folded frames [B, T, HOP]; ``back``: their inverse."""
    out = np.empty_like(z)
    out[:, ~short] = _cosine_transform(np.ascontiguousarray(z[:, ~short]))
    if short.any():
        part = z[:, short]
        if back:
            pieces = _cosine_transform(part.reshape(*part.shape[:2], _PIECE, SPLITS).swapaxes(2, 3))
            out[:, short] = _fold_pieces(pieces.reshape(part.shape), -1.0)
        else:
            pieces = _cosine_transform(_fold_pieces(part, 1.0).reshape(*part.shape[:2], SPLITS, _PIECE))
            out[:, short] = pieces.swapaxes(2, 3).reshape(part.shape)
    return out


def mdct_window(samples: F32, short: Flags) -> F32:
    """Frames [B, T, HOP] whose windows lie within samples [B, (T + 1) * HOP].

    Args:
        short: of the frames, and of the one before and the one behind, [T + 2].
    """
    blocks = samples.reshape(len(samples), -1, HOP)
    folded = _fold(blocks, short[:-1] | short[1:], 1.0)
    half = HOP // 2
    return _transform(np.concatenate([folded[:, :-1, half:], folded[:, 1:, :half]], 2), short[1:-1], back=False)


def imdct(frames: F32, short: Flags) -> F32:
    """Samples [B, (T - 1) * HOP] of frames [B, T, HOP], ``short`` [T]: those that two frames overlap in."""
    z = _transform(frames, short, back=True)
    half = HOP // 2
    blocks = np.concatenate([z[:, :-1, half:], z[:, 1:, :half]], 2)
    return _fold(blocks, short[:-1] | short[1:], -1.0).reshape(len(frames), -1)
