"""Pictures to vectors and back: wavelet levels, band sets on their own grids.

Arrays are planar, colour first: planes [3, B, H, W], a low band [3, B, h, w], the details of a level
[3 (colour), 3 (orientation), B, h, w]. So the vectors of both slices of a level lie in its details as they are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.image.config import ImageConfig, SliceConfig
from vqcodec.image.wavelet import analyse, line_norms, synthesise
from vqcodec.threads import ALONE, Workers

__all__ = ["band_gains", "from_bands", "image_gains", "slice_of", "to_bands"]


def to_bands(x: F32, levels: int, workers: Workers = ALONE) -> list[F32]:
    """Planes [C, B, H, W] to the low band [C, B, h, w] and, coarse first, details [C, 3, B, h, w]."""
    out: list[F32] = []
    for _ in range(levels):
        x, details = analyse(x, workers)
        out.append(details)
    return [x, *reversed(out)]


def from_bands(bands: list[F32], workers: Workers = ALONE) -> F32:
    """Inverse of :func:`to_bands`."""
    x = bands[0]
    for details in bands[1:]:
        x = synthesise(x, details, workers)
    return x


def slice_of(details: F32, s: SliceConfig) -> F32:
    """The part of details [3, 3, B, h, w] that is a slice, [g, B, h, w]: a view, groups colour by orientation."""
    return details[1:].reshape(6, *details.shape[2:]) if s.chroma else details[0]


@lru_cache
def band_gains(levels: int) -> tuple[tuple[float, ...], ...]:
    """Norm of a unit coefficient's picture: per level from 1 on, (horizontal, vertical, diagonal) details, low band.

    The transform is nearly, not exactly, orthonormal; steps divided by these norms make every band's error count alike.
    """
    # the transform is separable: a band's picture is the product of two lines
    return tuple((high * low, low * high, high * high, low * low) for low, high in line_norms(levels))


def image_gains(config: ImageConfig) -> tuple[float, list[F32]]:
    """Picture steps per step of the low band and of each slice [g]: norms, for slices times weights."""
    gains = band_gains(config.levels)
    per_slice = []
    for s in config.slices:
        three = np.array(gains[s.level - 1][:3], np.float32)
        per_slice.append(np.float32(s.weight) * (np.tile(three, 2) if s.chroma else three))
    return gains[-1][3], per_slice
