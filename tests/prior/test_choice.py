"""Choosing codewords by bounds: never worse than looking at all of them, whatever codebook and rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqcodec.kernels import reference_scores
from vqcodec.prior.choice import Choice


def codebook_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    """[2, K, d]"""
    if kind == "uneven scalars":
        gaps = rng.uniform(0.02, 3, (2, 60))
        return (np.cumsum(gaps, 1) - 20)[..., None].astype(np.float32)
    if kind == "whole scalars":
        return np.tile(np.arange(-40, 41, dtype=np.float32)[:, None], (2, 1, 1))
    if kind == "two scalars":
        return np.array([[[-1.0], [2.0]], [[0.0], [0.5]]], np.float32)
    if kind == "one scalar":
        return np.ones((2, 1, 1), np.float32)
    count, d = {"pairs": (200, 2), "few pairs": (10, 2), "eights": (300, 8)}[kind]
    return (3 * rng.standard_normal((2, count, d))).astype(np.float32)


KINDS = ("uneven scalars", "whole scalars", "two scalars", "one scalar", "pairs", "few pairs", "eights")


@pytest.mark.parametrize("spread", [0.0, 1.5, 40.0, np.inf])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_better(kind: str, shared: bool, spread: float) -> None:
    rng = np.random.default_rng(5)
    codebook = codebook_of(kind, rng)
    groups, k, d = codebook.shape
    rates = rng.exponential(1, (1 if shared else groups, 7, k)).astype(np.float32)
    rates *= (3.0 if np.isinf(spread) else spread) / max(float(rates.max()), 1)
    if np.isinf(spread):
        rates[..., k // 2 + 1 :] = np.inf  # codes that a row does not have
    x = (rng.standard_normal((groups, 3000, d)) * rng.choice([0.1, 1, 8, 100], (groups, 3000, 1))).astype(np.float32)
    rows = rng.integers(0, 7, (groups, 3000)).astype(np.int32)
    codes = Choice(codebook, rates)(x, rows)
    table = torch.from_numpy(np.broadcast_to(rates, (groups, 7, k)).copy())
    scores = reference_scores(*map(torch.from_numpy, (x, codebook)), table, torch.from_numpy(rows)).numpy()
    ours = np.take_along_axis(scores, codes[..., None].astype(np.int64), 2)[..., 0]
    assert (ours <= scores.min(2) + 2e-5 * (1 + np.square(x).sum(2))).all()


def test_no_vectors() -> None:
    for kind in KINDS:
        codebook = codebook_of(kind, np.random.default_rng(0))
        rates = np.zeros((1, 1, codebook.shape[1]), np.float32)
        none = np.zeros((2, 0, codebook.shape[2]), np.float32)
        assert Choice(codebook, rates)(none, np.zeros((2, 0), np.int32)).shape == (2, 0)


@pytest.mark.parametrize("kind", ["uneven scalars", "whole scalars", "pairs"])
def test_later_costs_count(kind: str) -> None:
    """Of maps as the prior has them, which grow with the logarithm of a codeword's size."""
    rng = np.random.default_rng(6)
    codebook = codebook_of(kind, rng)
    if kind == "pairs":  # from the origin on, as real ones are
        codebook -= codebook[:, np.square(codebook).sum(2).argmin(1)[0], None]
    groups, k, d = codebook.shape
    maps = np.log2(np.abs(codebook) + 0.2).astype(np.float32)
    sizes = np.square(codebook).sum(2)
    rates = (0.1 * np.log2(1 + sizes)[:1, None] * rng.uniform(0.5, 1.5, (1, 7, k))).astype(np.float32)
    x = (rng.standard_normal((groups, 3000, d)) * rng.choice([0.3, 1, 8], (groups, 3000, 1))).astype(np.float32)
    rows = rng.integers(0, 7, (groups, 3000)).astype(np.int32)
    later = (0.15 * rng.standard_normal((groups, 3000, d))).astype(np.float32)
    choice = Choice(codebook, rates, maps)

    def costs(codes: np.ndarray) -> np.ndarray:
        every = np.square(x[:, :, None] - codebook[:, None]).sum(-1) + rates[0][rows] + later @ maps.transpose(0, 2, 1)
        return np.stack([np.take_along_axis(every, codes[..., None], 2)[..., 0], every.min(2)])

    ours, least = costs(choice(x, rows, later))
    without, _ = costs(choice(x, rows))
    assert ours.mean() < without.mean() - 1e-5
    assert (ours <= least + 1e-4).mean() > 0.98
    assert np.array_equal(choice(x, rows, np.zeros_like(later)), choice(x, rows))
