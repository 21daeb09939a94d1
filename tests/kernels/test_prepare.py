"""What the search's own kernels make of a codebook is what the plain form makes of it, padded and negated."""

from __future__ import annotations

import os

import pytest
import torch

from vqcodec.kernels.gpu import FORM_CODEWORD, FORM_TABLE, triton_prepare
from vqcodec.kernels.prepare import prepare
from vqcodec.kernels.tuning import DIRECT_TO

INTERPRETING = os.environ.get("TRITON_INTERPRET") == "1"
device = pytest.mark.parametrize(
    "device",
    [
        pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETING, reason="needs Triton's interpreter")),
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(INTERPRETING or not torch.cuda.is_available(), reason="needs a CUDA device"),
            ],
        ),
    ],
)


def _codebook(size: int, dimension: int) -> torch.Tensor:
    torch.manual_seed(size + dimension)
    codebook = torch.randn(2, size, dimension) + 5
    codebook[0, 3] = torch.nan
    codebook[1, 7, 0] = -torch.inf
    return codebook


@device
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize(("size", "dimension"), [(9, 1), (64, 2), (65, 8), (300, 16), (130, 100)])
def test_words_and_offsets(device: str, size: int, dimension: int, dot: bool) -> None:
    codebook, direct = _codebook(size, dimension), not dot and dimension <= DIRECT_TO
    bias = torch.rand(2, size)
    bias[0, :3] = torch.tensor([torch.inf, -torch.inf, torch.nan])
    for given in (None, bias):
        wanted = prepare(codebook, given, direct=direct)
        on_device = None if given is None else given.to(device)
        centre, words, offset = (
            t.cpu() for t in triton_prepare(codebook.to(device), on_device, FORM_CODEWORD, dot, half=False)
        )
        assert torch.allclose(centre, wanted.centre[:, 0], atol=1e-5)
        assert torch.allclose(words[:, :size], -wanted.words, atol=1e-5)
        assert torch.allclose(offset[:, :size], wanted.offset, rtol=1e-4, atol=1e-5)
        assert words.shape[1] % 64 == 0
        assert (words[:, size:] == 0).all()
        assert (offset[:, size:] == torch.inf).all()


@device
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("shape", [(5, 70), (2, 5, 70)])
def test_tables(device: str, shape: tuple[int, ...], dot: bool) -> None:
    codebook = _codebook(70, 8)
    table = torch.rand(shape)
    table[..., 1, :3] = torch.tensor([torch.inf, -torch.inf, torch.nan])
    wanted = prepare(codebook, table, table=True).offset
    offset = triton_prepare(codebook.to(device), table.to(device), FORM_TABLE, dot, half=False).offset.cpu()
    offset = offset if dot else offset.transpose(1, 2)
    assert torch.allclose(offset[..., :70], wanted, rtol=1e-4, atol=1e-5)
    assert (offset[..., 70:] == torch.inf).all()
