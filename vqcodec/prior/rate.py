"""What a code costs, and how an encoder weighs it against the error."""

from __future__ import annotations

import math

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.bitstream.coder import Tables

__all__ = ["LAMBDA", "bit_costs"]


LAMBDA = math.log(2) / 6
"""Weight of a bit: minimise |x - c|^2 + LAMBDA * bits. At high rate an entropy-coded unit step has slope ln 2 / 6."""


def bit_costs(tables: Tables) -> F32:
    """Bits of every symbol under every row [R, K]."""
    w = tables.weights.astype(np.float32)  # exact: weights have at most 24 bits
    out: F32 = np.log2(w.sum(1, keepdims=True, dtype=np.float64)).astype(np.float32) - np.log2(w)
    return out
