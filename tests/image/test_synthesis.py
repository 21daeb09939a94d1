"""The filter after the inverse wavelet: identity at the start, the same in windows as at once."""

from __future__ import annotations

import pytest
import torch

from vqcodec.image.synthesis import WINDOW, Restore, restore


def planes(height: int, width: int = 40) -> torch.Tensor:
    return 60 * torch.randn(1, height, width, 3, generator=torch.Generator().manual_seed(1))


def trained(layers: int) -> Restore:
    """As if training had moved every weight."""
    network = Restore(8, layers)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@torch.inference_mode()
def test_a_new_filter_changes_nothing() -> None:
    x = planes(64)
    assert torch.equal(restore(Restore(8, 2), x, 30), x)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("height", [2, WINDOW - 2, WINDOW + 2, 2 * WINDOW + 64])
@torch.inference_mode()
def test_windows_equal_one_pass(layers: int, height: int) -> None:
    network, x = trained(layers), planes(height)
    at_once = network(x.permute(0, 3, 1, 2), torch.tensor([120])).permute(0, 2, 3, 1)
    assert float((at_once - x).abs().max()) > 1
    assert torch.allclose(restore(network, x, 120), at_once, atol=2e-3, rtol=1e-5)


@torch.inference_mode()
def test_the_reach_is_not_too_short() -> None:
    network, x = trained(2), planes(128)
    far = x.clone()
    far[:, 64 + network.reach + 2 :] += 100.0
    a, b = restore(network, x, 60), restore(network, far, 60)
    assert torch.allclose(a[:, :64], b[:, :64], atol=1e-3)
    assert not torch.allclose(a[:, 64:], b[:, 64:], atol=1.0)


@torch.inference_mode()
def test_quality_changes_the_filter() -> None:
    network, x = trained(1), planes(32)
    steps = [restore(network, x, step) - x for step in (0, 255)]
    assert not torch.allclose(steps[0], steps[1], atol=0.1)
