"""Start codebooks: lattice points in unit cells near the origin, cells that widen further out. Nothing saturates."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vqcodec.models.config import SliceConfig
from vqcodec.quantize.activity import LIMIT

__all__ = ["cell_volumes", "scalar_codebook", "start_codebook"]

# a level-1 coefficient of 8-bit samples at the finest step (4) stays below this, weights aside; each level doubles it
REACH_1D = 160.0
REACH_2D = 160.0


def scalar_codebook(codewords: int, core: int, reach: float) -> Tensor:
    """Sorted codewords [K, 1], K odd: whole numbers up to ``core``, then cells that widen up to ``reach``."""
    half = (codewords - 1) // 2
    core = min(core, half)
    points = list(range(1, core + 1))
    rest = half - core
    ratio = max(reach / core, 1.02) ** (1 / max(rest, 1))
    points += [core * ratio ** (i + 1) for i in range(rest)]
    positive = torch.tensor(points)
    return torch.cat([-positive.flip(0), torch.zeros(1), positive])[:, None]


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


def cell_volumes(codebook: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Rough volume of every codeword's cell [K], from the distance to its nearest neighbour; 1 for unit cells."""
    c = codebook.double()
    distance = torch.cdist(c, c).fill_diagonal_(math.inf).amin(1)
    unit = 1.0 if c.shape[1] == 1 else math.sqrt(2 / math.sqrt(3))
    return (distance / unit).pow(c.shape[1]).numpy()
