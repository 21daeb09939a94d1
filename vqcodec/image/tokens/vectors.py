"""Between codes and vectors: codebooks as the networks see them, and the encoder's choice under the prior's bits."""

from __future__ import annotations

import numpy as np

from vqcodec.bitstream.arrays import F32, I32
from vqcodec.image.tokens.compand import MEANS, SOFT, expand, shrink

__all__ = ["bit_weight", "choose_codes", "expanded", "rows_of", "shrunk"]

_FINEST, _COARSEST = 0.004, 3.0  # weight of a bit at step index 1 and 255, in units of what is usually left over


def bit_weight(step: int) -> float:
    """What a bit costs at a step index of the header, in units of what a codebook usually leaves over; 0 at index 0."""
    return 0.0 if step == 0 else float(_FINEST * (_COARSEST / _FINEST) ** ((step - 1) / 254))


def shrunk(vectors: F32, level: int) -> F32:
    """Vectors [..., d] of top (0) or bottom (1) as its quantiser sees them."""
    if level == 1:
        return shrink(vectors, SOFT[1])
    return np.concatenate([vectors[..., :MEANS], shrink(vectors[..., MEANS:], SOFT[0])], -1)


def expanded(words: F32, level: int) -> F32:
    """Inverse of :func:`shrunk`."""
    if level == 1:
        return expand(words, SOFT[1])
    return np.concatenate([words[..., :MEANS], expand(words[..., MEANS:], SOFT[0])], -1)


def rows_of(x: F32) -> F32:
    """Planes [d, h, w] as rows [h, w, d]."""
    return np.ascontiguousarray(x.transpose(1, 2, 0))


def choose_codes(x: F32, words: F32, weights: I32, rate: float | F32) -> I32:
    """The codes [N] of the least squared distance plus ``rate`` times bits.

    Args:
        x: vectors [N, d].
        words: codewords [K, d].
        weights: of the prior [N, K].
        rate: one number, or one for each vector [N].
    """
    cost = x @ (-2 * words.T)
    cost += np.square(words).sum(1)
    if np.any(rate):
        cost -= np.asarray(rate, np.float32).reshape(-1, 1) * np.log2(weights.astype(np.float32))
    codes: I32 = cost.argmin(1).astype(np.int32)
    return codes
