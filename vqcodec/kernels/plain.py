"""Nearest codeword in plain torch, for devices without a kernel of their own: correct everywhere, fast nowhere."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.kernels.prepare import prepare

__all__ = ["plain_assign"]

BLOCK_SCORES = 1 << 24  # 64 MiB of float32


def plain_assign(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    """See :func:`vqcodec.kernels.assign`. Sums coordinate by coordinate, so no matrix unit can round the operands."""
    groups, count, dimension = x.shape
    whole = bias if bias is not None and rows is None and bias.dim() == 3 else None  # [G, N, K]
    centre, words, offset = prepare(codebook, None if whole is not None else bias, table=rows is not None)
    result = torch.zeros(groups, count, dtype=torch.int64, device=x.device)
    block = max(1, BLOCK_SCORES // codebook.shape[1])
    for g in range(groups):
        for start in range(0, count, block):
            stop = min(start + block, count)
            near = x[g, start:stop].float() - centre[g]
            scores = offset[g].expand(stop - start, -1).clone() if rows is None else offset[g][rows[g, start:stop]]
            for j in range(dimension):
                scores.addcmul_(near[:, j : j + 1], words[g, :, j], value=-1)
            if whole is not None:
                scores.add_(whole[g, start:stop], alpha=0.5)
            scores.nan_to_num_(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
            best = scores.argmin(-1)
            result[g, start:stop] = best.where(near.isfinite().all(-1), 0)
    return result
