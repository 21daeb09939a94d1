"""The oracle: nearest codeword by direct differences in float64, in a few obvious lines."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["reference_assign", "reference_scores"]


def reference_scores(x: Tensor, codebook: Tensor, bias: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
    """``||x - c_k||^2 + bias_k`` as float64 [G, N, K]; arguments as in :func:`vqcodec.kernels.assign`."""
    differences = x.double()[:, :, None, :] - codebook.double()[:, None, :, :]
    scores = differences.square().sum(-1)
    if bias is None:
        return scores
    if rows is not None:
        table = bias.expand(len(x), *bias.shape[-2:])  # [R, K] or [G, R, K] -> [G, R, K]
        return scores + torch.stack([t[r] for t, r in zip(table, rows, strict=True)]).double()
    return scores + (bias[:, None, :] if bias.dim() == 2 else bias).double()


def reference_assign(x: Tensor, codebook: Tensor, bias: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
    """Index of the smallest score, int64 [G, N]: lowest index on ties, NaN never wins, 0 where nothing is finite."""
    scores = reference_scores(x, codebook, bias, rows).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    least = scores.min(dim=-1, keepdim=True).values
    return (scores == least).to(torch.uint8).argmax(-1)  # argmax gives the first of equal values
