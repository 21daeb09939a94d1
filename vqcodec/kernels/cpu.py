"""Nearest codeword on the CPU: a GEMM into a buffer that stays in the cache, then numpy's SIMD argmin on that buffer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["cpu_assign"]

BLOCK_ENTRIES = 1 << 18  # scores per block: 1 MiB of float32, half of a usual L2


def cpu_assign(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> NDArray[np.int64]:
    """See :func:`vqcodec.kernels.assign`."""
    groups, count, _ = x.shape
    size = codebook.shape[1]
    out = np.zeros((groups, count), np.int64)
    block = max(16, BLOCK_ENTRIES // size)
    for g in range(groups):
        centre = codebook[g].mean(0)
        words = codebook[g] - centre
        offset = 0.5 * words.square().sum(-1)
        table = None if bias is None else (bias[g] if rows is None or bias.dim() == 3 else bias) * 0.5
        for start in range(0, count, block):
            stop = min(start + block, count)
            scores = torch.addmm(offset, x[g, start:stop] - centre, words.T, alpha=-1)
            if table is not None and rows is not None:
                scores += table[rows[g, start:stop]]
            elif table is not None:
                scores += table[start:stop] if table.dim() == 2 else table
            out[g, start:stop] = scores.numpy().argmin(-1)
    return out
