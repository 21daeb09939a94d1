"""Start codebooks: lattice points in unit cells near the origin, cells that widen further out. Nothing saturates."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqcodec.image.activity import LIMIT
from vqcodec.image.config import SliceConfig
from vqcodec.train.fits import scalar_codebook

__all__ = ["start_codebook"]

# a level-1 coefficient of 8-bit samples at the finest step (4) stays below this, weights aside; each level doubles it
REACH_1D = 160.0
REACH_2D = 160.0


def start_codebook(s: SliceConfig) -> Tensor:
    """Codewords [K, d] of one group in steps: sorted (d = 1, symmetric, K odd) or zero first (d = 2)."""
    finest = max(1.0, s.weight * LIMIT)
    if s.d == 1:
        return scalar_codebook(s.codewords, int(s.core), REACH_1D * 2 ** (s.level - 1) * finest)
    n = int(s.core * 2)
    i, j = torch.meshgrid(torch.arange(-n, n + 1), torch.arange(-n, n + 1), indexing="ij")
    a = math.sqrt(2 / math.sqrt(3))
    hexagonal = torch.stack([(i + 0.5 * j) * a, j * (math.sqrt(3) / 2) * a], -1).reshape(-1, 2)
    core_points = hexagonal[hexagonal.norm(dim=1) < s.core]
    rest = s.codewords - len(core_points)
    per_ring = 24
    rings = math.ceil(rest / per_ring)
    ratio = (REACH_2D * finest / (s.core + 0.6)) ** (1 / max(rings - 1, 1))
    outer = []
    for k in range(rest):
        ring, slot = divmod(k, per_ring)
        angle = 2 * math.pi * (slot + 0.5 * (ring % 2)) / per_ring
        radius = (s.core + 0.6) * ratio**ring
        outer.append((radius * math.cos(angle), radius * math.sin(angle)))
    order = torch.argsort(core_points.norm(dim=1), stable=True)
    return torch.cat([core_points[order], torch.tensor(outer)])
