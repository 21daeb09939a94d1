"""The moving-average update against the one-hot form that it replaces."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import one_hot

from vqcodec.kernels import assign, ema_update


def test_agrees_with_the_one_hot_form() -> None:
    g = torch.Generator().manual_seed(0)
    x, codebook = torch.randn(2, 500, 3, generator=g), torch.randn(2, 16, 3, generator=g)
    indices = assign(x, codebook)
    counts, sums = torch.rand(2, 16, generator=g) + 1, torch.randn(2, 16, 3, generator=g)
    hot = one_hot(indices, 16).float()
    new_counts = 0.9 * counts + 0.1 * hot.sum(1)
    new_sums = 0.9 * sums + 0.1 * torch.einsum("gnk,gnd->gkd", hot, x)
    ema_update(x, indices, codebook, counts, sums, decay=0.9)
    torch.testing.assert_close(counts, new_counts)
    torch.testing.assert_close(sums, new_sums)
    torch.testing.assert_close(codebook, new_sums / new_counts[..., None])


def test_codewords_that_nobody_chose_stay() -> None:
    codebook = torch.tensor([[[0.0], [5.0]]])
    counts, sums = torch.zeros(1, 2), torch.zeros(1, 2, 1)
    ema_update(torch.ones(1, 8, 1), torch.zeros(1, 8, dtype=torch.int64), codebook, counts, sums, decay=0.0)
    assert codebook.flatten().tolist() == [1.0, 5.0]


def test_repeated_updates_reach_the_means() -> None:
    """Lloyd's iteration: two clusters, two codewords that start far off."""
    x = torch.tensor([[[-1.0], [-1.2], [-0.8], [3.0], [3.3], [2.7]]])
    codebook = torch.tensor([[[-0.1], [0.5]]])
    counts, sums = torch.zeros(1, 2), torch.zeros(1, 2, 1)
    for _ in range(60):
        ema_update(x, assign(x, codebook), codebook, counts, sums, decay=0.5)
    torch.testing.assert_close(codebook.flatten(), torch.tensor([-1.0, 3.0]))


def test_what_does_not_fit() -> None:
    x, indices, codebook = torch.zeros(1, 4, 2), torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, 3, 2)
    counts, sums = torch.zeros(1, 3), torch.zeros(1, 3, 2)
    with pytest.raises(ValueError, match="decay"):
        ema_update(x, indices, codebook, counts, sums, decay=1.0)
    with pytest.raises(ValueError, match="fit together"):
        ema_update(x[:, :3], indices, codebook, counts, sums)
    with pytest.raises(ValueError, match="shape of the codebook"):
        ema_update(x, indices, codebook, counts, sums[:, :2])
