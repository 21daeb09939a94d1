"""``assign``: the public entry of nearest-codeword search."""

from __future__ import annotations

from torch import Tensor

from vqcodec.kernels.cpu import cpu_assign

__all__ = ["assign"]


def assign(x: Tensor, codebook: Tensor, bias: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
    """Index of ``argmin_k ||x - c_k||^2 + bias_k`` for every vector.

    Args:
        x: vectors, float32 [G, N, d].
        codebook: codewords, float32 [G, K, d].
        bias: rate term: [G, K], or [G, N, K], or with ``rows`` a table [R, K] or [G, R, K]; +inf forbids a codeword.
        rows: which row of the table each vector uses, integer [G, N].

    Returns:
        int64 [G, N]. Lowest index on ties.
    """
    return cpu_assign(x, codebook, bias, rows)
