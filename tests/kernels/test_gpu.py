"""What only a GPU can show: full size, the same answer twice, no recompilation, no N x K memory."""

from __future__ import annotations

import pytest
import torch

from vqcodec.kernels import assign, reference_assign, residual_assign

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("mean", [0.0, 4.0])
@pytest.mark.parametrize("dimension", [1, 2, 4, 8, 16, 64])
def test_wrong_indices_are_rare(dimension: int, mean: float) -> None:
    g = torch.Generator("cuda").manual_seed(0)
    codebook = torch.randn(1, 1024, dimension, generator=g, device="cuda") + mean
    x = torch.randn(1, 1 << 18, dimension, generator=g, device="cuda") + mean
    found = assign(x, codebook)
    expected = torch.cat([reference_assign(part, codebook) for part in x.chunk(16, 1)], 1)
    assert (found != expected).float().mean() < 1e-4
    assert torch.equal(found, assign(x, codebook))


@pytest.mark.parametrize("dimension", [4, 64])
def test_no_matrix_in_memory(dimension: int) -> None:
    codebook = torch.randn(1, 1024, dimension, device="cuda")
    x = torch.randn(1, 1 << 20, dimension, device="cuda")
    assign(x, codebook)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    assign(x, codebook)
    assert torch.cuda.max_memory_allocated() - before < 24 << 20  # the result is 8 MiB; N x K would be 4 GiB


def test_one_binary_for_every_count() -> None:
    from vqcodec.kernels.triton_kernels import assign_fma

    codebook = torch.randn(1, 300, 4, device="cuda")
    device = torch.cuda.current_device()

    def built() -> int:
        return len(assign_fma.device_caches[device][0])

    assign(torch.randn(1, 1000, 4, device="cuda"), codebook)
    before = built()
    for count in (1, 2, 16, 999, 4096, 100_001):
        assign(torch.randn(1, count, 4, device="cuda"), codebook)
    assert built() == before


def test_residual_agrees_with_the_cpu() -> None:
    g = torch.Generator().manual_seed(0)
    x, codebooks = torch.randn(2, 5000, 8, generator=g), torch.randn(2, 4, 256, 8, generator=g)
    wrong = residual_assign(x.cuda(), codebooks.cuda()).cpu() != residual_assign(x, codebooks)
    assert wrong.any(-1).float().mean() < 1e-3
