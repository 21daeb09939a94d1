"""The filter after the inverse wavelet: identity at the start, the same in windows as at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vqcodec.image.synthesis import BLOCK, WINDOW, Head, Restore, restore


def planes(height: int, width: int = 40) -> Tensor:
    return 60 * torch.randn(1, height, width, 3, generator=torch.Generator().manual_seed(1))


def factors(height: int, width: int = 40) -> Tensor:
    shape = (1, height // BLOCK, width // BLOCK)
    return 0.5 + torch.rand(shape, generator=torch.Generator().manual_seed(3))


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
    assert torch.equal(restore(Restore(8, 2), x, 30, factors(64)), x)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("height", [4, WINDOW - 4, WINDOW + 4, 2 * WINDOW + 64])
@torch.inference_mode()
def test_windows_equal_one_pass(layers: int, height: int) -> None:
    network, x, factor = trained(layers), planes(height), factors(height)
    at_once = network(x.permute(0, 3, 1, 2), torch.tensor([120]), factor).permute(0, 2, 3, 1)
    assert float((at_once - x).abs().max()) > 1
    assert torch.allclose(restore(network, x, 120, factor), at_once, atol=2e-3, rtol=1e-5)


@torch.inference_mode()
def test_the_reach_is_not_too_short() -> None:
    network, x = trained(2), planes(128)
    far = x.clone()
    far[:, 64 + network.reach + 2 :] += 100.0
    a, b = (restore(network, y, 60, factors(128)) for y in (x, far))
    assert torch.allclose(a[:, :64], b[:, :64], atol=1e-3)
    assert not torch.allclose(a[:, 64:], b[:, 64:], atol=1.0)


@torch.inference_mode()
def test_quality_changes_the_filter() -> None:
    network, x = trained(1), planes(32)
    steps = [restore(network, x, step, factors(32)) - x for step in (0, 255)]
    assert not torch.allclose(steps[0], steps[1], atol=0.1)


@torch.inference_mode()
def test_a_factor_is_a_finer_step() -> None:
    """Half the picture's step everywhere is the same as a factor of two, where the step's index says the same."""
    network = trained(1)
    for parameter in (network.scale, network.shift, network.head.scale):
        parameter.zero_()
    x, one = planes(32), torch.ones(1, 8, 10)
    assert torch.allclose(restore(network, x, 100, 2 * one), restore(network, x, 64, one), atol=1e-3)


@torch.inference_mode()
def test_several_heads_share_a_trunk() -> None:
    network, x = trained(1), planes(32).permute(0, 3, 1, 2)
    other = Head(8)
    a, b = network.heads(x, torch.tensor([80]), factors(32), [network.head, other])
    assert torch.equal(a, network(x, torch.tensor([80]), factors(32)))
    assert torch.equal(b, x)
