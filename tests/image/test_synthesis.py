"""The filter after the inverse wavelet: identity at the start, the same in windows as at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vqcodec.image.synthesis import BLOCK, WINDOW, Conditions, Restore, restore


def planes(height: int, width: int = 40) -> Tensor:
    return 60 * torch.randn(1, height, width, 3, generator=torch.Generator().manual_seed(1))


def told(step: int, height: int, width: int = 40, *, even: bool = False) -> Conditions:
    shape = (1, height // BLOCK, width // BLOCK)
    factor = 0.5 + torch.rand(shape, generator=torch.Generator().manual_seed(3))
    return Conditions(torch.tensor([step]), torch.tensor([even]), factor)


def trained(layers: int) -> Restore:
    """As if training had moved every weight."""
    network = Restore(8, layers)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@torch.inference_mode()
def test_a_new_filter_changes_nothing() -> None:
    x = planes(64)
    assert torch.equal(restore(Restore(8, 2), x, told(30, 64)), x)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("height", [4, WINDOW - 4, WINDOW + 4, 2 * WINDOW + 64])
@torch.inference_mode()
def test_windows_equal_one_pass(layers: int, height: int) -> None:
    network, x = trained(layers), planes(height)
    at_once = network(x.permute(0, 3, 1, 2), told(120, height)).permute(0, 2, 3, 1)
    assert float((at_once - x).abs().max()) > 1
    assert torch.allclose(restore(network, x, told(120, height)), at_once, atol=2e-3, rtol=1e-5)


@torch.inference_mode()
def test_the_reach_is_not_too_short() -> None:
    network, x = trained(2), planes(128)
    far = x.clone()
    far[:, 64 + network.reach + 2 :] += 100.0
    a, b = (restore(network, y, told(60, 128)) for y in (x, far))
    assert torch.allclose(a[:, :64], b[:, :64], atol=1e-3)
    assert not torch.allclose(a[:, 64:], b[:, 64:], atol=1.0)


@torch.inference_mode()
def test_quality_changes_the_filter() -> None:
    network, x = trained(1), planes(32)
    changes = [restore(network, x, told(how, 32)) - x for how in (0, 255)]
    changes.append(restore(network, x, told(255, 32, even=True)) - x)
    for a, b in ((0, 1), (1, 2)):
        assert not torch.allclose(changes[a], changes[b], atol=0.1)


@torch.inference_mode()
def test_a_factor_is_a_finer_step() -> None:
    """Half the picture's step everywhere is the same as a factor of two, where the step's index says the same."""
    network = trained(1)
    for parameter in (network.scale, network.shift, network.head.scale):
        parameter.zero_()
    x, coarse, fine = planes(32), told(100, 32), told(64, 32)
    coarse = replace(coarse, factor=2 * coarse.factor)
    assert torch.allclose(restore(network, x, coarse), restore(network, x, fine), atol=1e-3)
