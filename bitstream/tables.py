"""Stored form of table weights: 16-bit floating point integers, so that a table costs two bytes a code."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import F64, U16
from vqcodec.bitstream.coder import PRECISION

__all__ = ["pack_probabilities", "unpack_weights"]


def pack_probabilities(p: F64) -> U16:
    """Probabilities [..., K] to stored weights: at least 1 each, their sum at most 2**24.

    A stored value below 2048 is the weight; above, its top five bits are e and the weight is
    (2048 + low bits) * 2**(e - 1).
    """
    k = p.shape[-1]
    weights = np.floor(p / p.sum(-1, keepdims=True) * (2**PRECISION - k)).astype(np.int64) + 1
    exponent = np.maximum(np.frexp(weights.astype(np.float64))[1] - 12, 0)
    kept = weights >> exponent
    floating = (exponent + 1 << 11) + (kept - 2048)
    stored: U16 = np.where(exponent == 0, kept, floating).astype(np.uint16)
    return stored


def unpack_weights(stored: U16) -> npt.NDArray[np.uint32]:
    """Inverse of the storage in :func:`pack_probabilities`: uint32 weights of the same shape."""
    return _all_weights().take(stored)


@cache
def _all_weights() -> npt.NDArray[np.uint32]:
    """The weight of every stored value [65536]: looking them up is ten times faster than working them out."""
    wide = np.arange(1 << 16, dtype=np.uint32)
    exponent, low = wide >> 11, wide & 2047
    return np.where(exponent == 0, low, (low + 2048) << np.maximum(exponent, 1) - 1).astype(np.uint32)
