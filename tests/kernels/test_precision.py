"""The interpreter's products are rounded as a matrix unit rounds them: a kernel that asked for too little is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vqcodec.kernels import reference_assign


@pytest.mark.parametrize("search", ["interpreter"], indirect=True)
@pytest.mark.parametrize(("precision", "least", "most"), [(None, 0, 0), ("ieee", 0, 0), ("tf32", 4, 1024)])
def test_only_plain_tf32_is_wrong(
    search: Callable[..., Tensor], dot_precision: dict[str, str], precision: str | None, least: int, most: int
) -> None:
    if precision is not None:
        dot_precision["force"] = precision
    g = torch.Generator().manual_seed(3)
    codebook = torch.randn(1, 512, 2, generator=g)
    x = torch.randn(1, 1024, 2, generator=g)
    no_bias = torch.zeros(1, 1024, 512)  # a bias per pair goes through the matrix units at every dimension
    wrong = (search(x, codebook, no_bias) != reference_assign(x, codebook)).sum()
    assert least <= wrong <= most
