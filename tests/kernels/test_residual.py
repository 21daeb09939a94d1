"""The rules of ``residual_assign``, held by every implementation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vqcodec.kernels import reference_scores, residual_assign

HARDWARE = ["cpu", "interpreter", pytest.param("cuda", marks=pytest.mark.gpu)]


def check_stages(indices: Tensor, x: Tensor, codebooks: Tensor, bias: Tensor | None) -> None:
    """Every stage chose best for what the stages before it, as chosen, left over."""
    residual = x.double()
    for stage in range(codebooks.shape[1]):
        codebook, index = codebooks[:, stage], indices[..., stage, None]
        scores = reference_scores(residual, codebook, None if bias is None else bias[:, stage])
        chosen = scores.gather(-1, index)[..., 0]
        assert (chosen <= scores.min(-1).values * (1 + 1e-5) + 1e-5).all()
        residual = residual - codebook.gather(1, index.expand_as(x)).double()


@pytest.mark.parametrize("residual_search", HARDWARE, indirect=True)
@pytest.mark.parametrize("dimension", [1, 2, 5, 8, 16, 33])
@pytest.mark.parametrize("biased", [False, True])
def test_every_stage_is_best(residual_search: Callable[..., Tensor], dimension: int, biased: bool) -> None:
    g = torch.Generator().manual_seed(dimension)
    codebooks = torch.randn(2, 3, 37, dimension, generator=g) * torch.tensor([1, 0.5, 0.25])[:, None, None] + 1
    x = 3 * torch.rand(2, 70, dimension, generator=g)
    bias = torch.rand(2, 3, 37, generator=g) if biased else None
    indices = residual_search(x, codebooks, bias)
    assert indices.shape == (2, 70, 3)
    check_stages(indices, x, codebooks, bias)


@pytest.mark.parametrize("residual_search", HARDWARE, indirect=True)
@pytest.mark.parametrize("dimension", [2, 16])
def test_what_is_not_finite_and_what_is_empty(residual_search: Callable[..., Tensor], dimension: int) -> None:
    codebooks = torch.randn(1, 2, 9, dimension, generator=torch.Generator().manual_seed(0))
    x = codebooks[:, 0] + codebooks[:, 1, :1]
    x[0, 4, 0] = torch.nan
    indices = residual_search(x, codebooks, None)
    assert indices[0, 4].tolist() == [0, 0]
    assert residual_search(x[:, :0], codebooks, None).shape == (1, 0, 2)


def test_shapes_that_do_not_fit() -> None:
    x, codebooks = torch.zeros(1, 4, 2), torch.zeros(1, 3, 5, 2)
    for bad_x, bad_books, bad_bias in [
        (x[0], codebooks, None),
        (x, codebooks[0], None),
        (x, codebooks.expand(2, -1, -1, -1), None),
        (x, codebooks[..., :1], None),
        (x, codebooks[:, :0], None),
        (x.double(), codebooks, None),
        (x, codebooks, torch.zeros(1, 3, 4)),
    ]:
        with pytest.raises(ValueError, match=r"\[|float32"):
            residual_assign(bad_x, bad_books, bad_bias)
