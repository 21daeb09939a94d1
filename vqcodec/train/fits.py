"""Fits in closed form that both wings use: codebooks on a lattice, ridge regression, tables from counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, F64, I32, I64
from vqcodec.prior.export import whole_weights
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = [
    "ENERGY_FLOOR",
    "cell_volumes",
    "linear_energy",
    "map_values",
    "patches",
    "ridge",
    "scalar_codebook",
    "smooth_counts",
    "start_table",
]


ENERGY_FLOOR = 0.03


RIDGE = 0.002


SAMPLES = 400_000  # vectors per regression, at most


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


def cell_volumes(codebook: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Rough volume of every codeword's cell [K], from the distance to its nearest neighbour; 1 for unit cells."""
    c = codebook.double()
    distance = torch.cdist(c, c).fill_diagonal_(math.inf).amin(1)
    unit = 1.0 if c.shape[1] == 1 else math.sqrt(2 / math.sqrt(3))
    return (distance / unit).pow(c.shape[1]).numpy()


def map_values(codebook: Tensor) -> tuple[F32, F32]:
    """int8 maps of every code [g, K, d]: 1/8 of log2 energy, and signed log magnitude in 1/16."""
    c = codebook.double().numpy()
    energy = np.clip(np.round(8 * np.log2(c**2 + ENERGY_FLOOR)), -127, 127)
    signed = np.clip(np.round(16 * np.sign(c) * np.log2(1 + np.abs(c))), -127, 127)
    return energy.astype(np.float32), signed.astype(np.float32)


def patches(stack: F32) -> F32:
    """[B, h + 2, w + 2, C] to rows [B * h * w, 9 * C]."""
    b, h, w, c = stack.shape
    view = np.lib.stride_tricks.sliding_window_view(stack, (3, 3), (1, 2))  # B h w C 3 3
    return view.transpose(0, 1, 2, 4, 5, 3).reshape(b * (h - 2) * (w - 2), 9 * c)


def ridge(
    stacks: Sequence[Callable[[], F32 | None]],
    targets: Sequence[F32],
    steps: Sequence[I64] | None,
    rng: np.random.Generator,
) -> F64:
    """Weights [9 * C + KNOTS, g] (no knots where steps is None) by ridge regression over a sample of all vectors."""
    total = sum(t.shape[0] * t.shape[1] * t.shape[2] for t in targets)
    share = min(1.0, SAMPLES / total)
    gram: F64 | None = None
    for k, make in enumerate(stacks):
        stack, target = make(), targets[k]
        y = target.reshape(-1, target.shape[-1])
        pick = np.flatnonzero(rng.random(len(y)) < share)
        parts = [] if stack is None else [patches(stack)[pick]]
        if steps is not None:
            per_crop = target.shape[1] * target.shape[2]
            parts.append(step_knots(torch.from_numpy(steps[k])).numpy()[pick // per_crop])
        x = np.concatenate(parts, 1)
        both = np.concatenate([x, y[pick]], 1)
        product = (x.T @ both).astype(np.float64)
        gram = product if gram is None else gram + product
    assert gram is not None
    n = gram.shape[0]
    weight_scale = 64.0  # maps are integers of about eight units per octave: their ridge is that much larger
    penalty = np.full(n, RIDGE * total * share * weight_scale)
    if steps is not None:
        penalty[-KNOTS:] /= weight_scale
    return np.linalg.solve(gram[:, :n] + np.diag(penalty), gram[:, n:]).astype(np.float64)


def linear_energy(
    stacks: Sequence[Callable[[], F32 | None]],
    targets: Sequence[F32],
    steps: Sequence[I64],
    rng: np.random.Generator,
) -> tuple[F32, F32, I32]:
    """Integer weight [9, C, g], bias [256, g], shift [g] of predicted log2 energies (see prior.integer.PriorSlice)."""
    w = 16 * ridge(stacks, targets, steps, rng)
    bias = step_knots(torch.arange(256)).double().numpy() @ w[-KNOTS:]
    weight, whole_bias, shift = whole_weights(w[:-KNOTS], bias)
    return weight.reshape(9, -1, weight.shape[1]), whole_bias, shift


def start_table(row_width: int, codebook: Tensor, row_offset: int, rows: int) -> F64:
    """Laplace-like probabilities [rows, K] of codes whose log energy is that of the row."""
    size = codebook.double().norm(dim=1).numpy()
    volume = cell_volumes(codebook)
    energy = 2.0 ** ((row_offset + row_width * (np.arange(rows) + 0.5)) / 16)
    scale = 0.6 * np.sqrt(energy * codebook.shape[1])[:, None] + 0.02
    p: F64 = volume * np.exp(-np.minimum(size / scale, 16.0))
    p /= p.sum(1, keepdims=True)
    return p


def smooth_counts(counts: F64, start: F64) -> F64:
    """Counts [T, rows, bins, K] to probabilities: rare rows lean on their neighbours, on all bins, on the start."""
    near = counts.copy()
    near[:, 1:] += 0.1 * counts[:, :-1]
    near[:, :-1] += 0.1 * counts[:, 1:]
    pooled = near.sum(2)
    if near.shape[2] > 1:
        pooled = 0.5 * (pooled + pooled[..., ::-1])
        near[:, :, 0] = 0.5 * (near[:, :, 0] + near[:, :, 0, ::-1])
    pooled = pooled + 20 * start
    pooled /= pooled.sum(-1, keepdims=True)
    p: F64 = near + 12 * pooled[:, :, None]
    p /= p.sum(-1, keepdims=True)
    return p
