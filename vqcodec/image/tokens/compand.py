"""Vectors as the quantisers see them: long ones made shorter, so that cells are small where a picture is smooth.

The eye forgives errors in busy places and sees them in smooth ones. So the length r of a vector becomes
r (1 + r^2 / s^2)^(-1/4), which is r near the origin and grows like its root further out. Means, where a vector holds
them, are left as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from vqcodec.bitstream.arrays import F32

    Vectors = TypeVar("Vectors", F32, Tensor)

__all__ = ["MEANS", "SOFT", "expand", "shrink"]

MEANS = 3
"""Components of the top's vectors that are means of the cell, one of each plane; the bottom's hold none."""

SOFT = (0.6, 1.0)
"""s of top and bottom. Where bits follow the errors, the bottom needs less of it than at a fixed length (0.3)."""

_LEAST = 1e-6  # of a squared length: a root of zero has no gradient


def shrink(x: Vectors, soft: float) -> Vectors:
    """Vectors [..., d] as the quantiser sees them."""
    square = (x * x).sum(-1)[..., None]
    out: Vectors = x * (1 + square / soft**2) ** -0.25
    return out


def expand(x: Vectors, soft: float) -> Vectors:
    """Inverse of :func:`shrink`."""
    square = (x * x).sum(-1)[..., None] + _LEAST
    part = square / (2 * soft**2)
    # with p the squared length after and q before: q^2 - q p^2 / s^2 - p^2 = 0; this is q / p
    out: Vectors = x * (part + (part * part + 1) ** 0.5) ** 0.5
    return out
