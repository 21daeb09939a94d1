"""The rules of ``assign``, held by every implementation: which index wins, ties, forbidden codewords, NaN, infinity."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vqcodec.kernels import reference_assign, reference_scores

Search = Callable[..., Tensor]
HARDWARE = ["cpu", "plain", "interpreter", pytest.param("cuda", marks=pytest.mark.gpu)]
everywhere = pytest.mark.parametrize("search", HARDWARE, indirect=True)
FORMS = ["none", "codeword", "pair", "table", "shared table"]


def make(
    form: str, groups: int, count: int, size: int, dimension: int, mean: float = 0.0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Codewords around ``mean``, vectors near codewords, a bias of the form asked for with a fifth forbidden."""
    g = torch.Generator().manual_seed(seed)
    codebook = torch.randn(groups, size, dimension, generator=g) + mean
    chosen = torch.randint(size, (groups, count), generator=g)
    near = torch.stack([c[i] for c, i in zip(codebook, chosen, strict=True)])
    x = near + 0.5 * torch.randn(groups, count, dimension, generator=g)
    rows = torch.randint(5, (groups, count), generator=g) if "table" in form else None
    shape = {
        "none": None, "codeword": (groups, size), "pair": (groups, count, size),
        "table": (groups, 5, size), "shared table": (5, size),
    }[form]  # fmt: skip
    if shape is None:
        return x, codebook, None, None
    bias = 2 * torch.rand(shape, generator=g)
    bias[torch.rand(shape, generator=g) < 0.2] = torch.inf
    return x, codebook, bias, rows


def check(indices: Tensor, x: Tensor, codebook: Tensor, bias: Tensor | None = None, rows: Tensor | None = None) -> None:
    """The contract of exactness: the score chosen is the best, but for rounding."""
    scores = reference_scores(x, codebook, bias, rows)
    best = scores.min(-1).values
    chosen = scores.gather(-1, indices[..., None])[..., 0]
    spread = (codebook - codebook.mean(1, keepdim=True)).square().sum(-1).max().item()
    same = (chosen == best) | (chosen <= best + 1e-5 * best.abs() + 1e-6 * spread)
    assert indices.dtype == torch.int64
    assert same.all(), (chosen - best)[~same]


@everywhere
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("count", "size", "dimension"),
    [(1, 1, 1), (67, 37, 1), (130, 320, 2), (65, 63, 3), (64, 64, 4), (129, 5, 8), (33, 100, 15), (77, 65, 16),
     (70, 129, 17), (31, 37, 64)],
)  # fmt: skip
def test_finds_the_best(search: Search, form: str, count: int, size: int, dimension: int) -> None:
    args = make(form, 2, count, size, dimension)
    indices = search(*args)
    check(indices, *args)
    assert (indices == reference_assign(*args)).float().mean() > 0.99


@everywhere
@pytest.mark.parametrize("mean", [0.0, 4.0, 30.0])
@pytest.mark.parametrize("dimension", [2, 4, 16])
def test_an_offset_common_to_all_costs_no_precision(search: Search, mean: float, dimension: int) -> None:
    x, codebook, _, _ = make("none", 1, 2048, 128, dimension, mean)
    wrong = search(x, codebook) != reference_assign(x, codebook)
    assert wrong.sum() <= 1  # half of all at mean 30, were the mean left in and the operands rounded to tf32


@everywhere
@pytest.mark.parametrize("dimension", [1, 2, 7, 16, 33])
@pytest.mark.parametrize("form", ["none", "codeword", "pair", "table"])
def test_ties_go_to_the_lowest_index(search: Search, dimension: int, form: str) -> None:
    """Small integers are exact in every precision, and have many equal distances."""
    g = torch.Generator().manual_seed(1)
    codebook = torch.randint(-2, 3, (1, 64, dimension), generator=g).float()
    codebook = torch.cat([codebook, -codebook], 1)  # mean exactly 0
    x = torch.randint(-2, 3, (1, 200, dimension), generator=g).float()
    _, _, bias, rows = make(form, 1, 200, 128, dimension)
    bias = None if bias is None else bias.round()
    assert torch.equal(search(x, codebook, bias, rows), reference_assign(x, codebook, bias, rows))


@everywhere
@pytest.mark.parametrize(("size", "dimension"), [(75, 2), (130, 8), (75, 24), (130, 64)])
def test_duplicates_go_to_the_first(search: Search, size: int, dimension: int) -> None:
    x, codebook, _, _ = make("none", 2, 150, size, dimension)
    doubled = torch.cat([codebook, codebook], 1)
    # The interpreter multiplies by BLAS, which rounds a wide column by where it stands: there either twin may win.
    twins = size if "interpret" in search.__name__ and dimension > 8 else 2 * size
    assert (search(x, doubled) % twins).max() < size
    assert (search(codebook, doubled) % twins).tolist() == [list(range(size))] * 2  # each codeword finds itself


@everywhere
@pytest.mark.parametrize("dimension", [2, 16])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_finite(search: Search, dimension: int, form: str) -> None:
    x, codebook, bias, rows = make(form, 2, 90, 70, dimension)
    codebook[0, 3] = torch.inf
    codebook[0, 4, -1] = -torch.inf
    codebook[1, 0] = torch.nan
    x[0, 5, 0], x[1, 6, -1], x[1, 7] = torch.nan, torch.inf, -torch.inf
    if bias is not None:
        bias[..., 8] = torch.nan
        bias[..., -1, 9] = -torch.inf
        bias[0] = torch.inf
    expected = reference_assign(x, codebook, bias, rows)
    assert torch.equal(search(x, codebook, bias, rows), expected)
    assert expected[0, 5] == expected[1, 6] == expected[1, 7] == 0


@everywhere
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dimension", [3, 20])
def test_no_vectors_and_no_groups(search: Search, form: str, dimension: int) -> None:
    assert search(*make(form, 2, 0, 7, dimension)).shape == (2, 0)
    assert search(torch.zeros(0, 9, 2), torch.zeros(0, 4, 2)).shape == (0, 9)


@everywhere
@pytest.mark.parametrize("dimension", [2, 16])
def test_strides_do_not_matter(search: Search, dimension: int) -> None:
    x, codebook, bias, rows = make("table", 2, 90, 70, dimension)
    assert bias is not None
    assert rows is not None
    strided = [t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in (x, codebook, bias, rows)]
    assert torch.equal(search(*strided), search(x, codebook, bias, rows))
    assert torch.equal(search(x, codebook, bias, rows.int()), search(x, codebook, bias, rows))


@everywhere
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dimension", [4, 16, 64])
def test_half_precision(search: Search, dtype: torch.dtype, dimension: int, request: pytest.FixtureRequest) -> None:
    if dtype == torch.bfloat16 and request.node.callspec.params["search"] == "interpreter":
        pytest.skip("numpy, and so the interpreter, has no bfloat16")
    x, codebook, _, _ = make("none", 1, 200, 130, dimension)
    x, codebook = x.to(dtype), codebook.to(dtype)
    check(search(x, codebook), x, codebook.float())


@everywhere
def test_subnormal_distances(search: Search) -> None:
    codebook = torch.linspace(-1, 1, 64)[None, :, None] * 1e-18
    assert torch.equal(search(codebook, codebook), torch.arange(64)[None])
