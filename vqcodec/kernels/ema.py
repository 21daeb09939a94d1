"""Moving-average update of a codebook, without a one-hot matrix: van den Oord et al. 2017 (arXiv 1711.00937), A.1."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ema_update"]


@torch.no_grad()
def ema_update(
    x: Tensor,
    indices: Tensor,
    codebook: Tensor,
    counts: Tensor,
    sums: Tensor,
    *,
    decay: float = 0.99,
    least: float = 1e-3,
) -> None:
    """Move every codeword towards the mean of the vectors that chose it; changes ``codebook``, ``counts``, ``sums``.

    Args:
        x: vectors, [G, N, d].
        indices: the codeword each chose, int64 [G, N].
        codebook: codewords, float32 [G, K, d].
        counts: running number of vectors per codeword, float32 [G, K].
        sums: running sum of those vectors, float32 [G, K, d].
        decay: weight of the past, in [0, 1).
        least: a codeword whose running count is below this stays where it is (dividing by it would blow up noise).

    Memory O(N + K d); a one-hot matrix would take N x K. On a GPU the order of summation is not fixed, so the last
    bits are not reproducible there.

    Raises:
        ValueError: a decay outside [0, 1), or shapes that do not fit together.
    """
    groups, size, dimension = codebook.shape
    if not 0 <= decay < 1:
        raise ValueError(f"decay must be in [0, 1), not {decay}")
    if x.shape != (*indices.shape, dimension) or len(x) != groups or counts.shape != codebook.shape[:2]:
        raise ValueError("x [G, N, d], indices [G, N], codebook [G, K, d] and counts [G, K] do not fit together")
    if sums.shape != codebook.shape:
        raise ValueError("sums must have the shape of the codebook, [G, K, d]")
    place = (indices + size * torch.arange(groups, device=indices.device)[:, None]).flatten()
    new = torch.zeros(groups * size, dimension, dtype=torch.float32, device=x.device)
    new.index_add_(0, place, x.float().reshape(-1, dimension))
    arrived = torch.zeros(groups * size, dtype=torch.float32, device=x.device)
    arrived.index_add_(0, place, torch.ones_like(place, dtype=torch.float32))
    counts.lerp_(arrived.view_as(counts), 1 - decay)
    sums.lerp_(new.view_as(sums), 1 - decay)
    alive = counts >= least
    codebook.copy_(torch.where(alive[..., None], sums / counts.clamp(min=least)[..., None], codebook))
