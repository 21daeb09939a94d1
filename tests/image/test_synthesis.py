"""The filter after the inverse wavelet: identity at the start, the same in windows as at once, the same as in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqcodec.image.config import step_size
from vqcodec.image.synthesis import Filter, windows
from vqcodec.image.train.filter import Restore


def planes(height: int, width: int = 40) -> np.ndarray:
    return 15 * np.random.default_rng(1).standard_normal((3, height, width), np.float32)


def trained(layers: int) -> Restore:
    """As if training had moved every weight."""
    network = Restore(8, layers)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def test_a_new_filter_changes_nothing() -> None:
    x = planes(64)
    assert np.array_equal(Filter(Restore(8, 2).arrays(), 30)(x), x)


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("step", [0, 120, 255])
@torch.inference_mode()
def test_it_is_the_network_that_was_trained(layers: int, step: int) -> None:
    network, x = trained(layers), planes(34, 52)
    scale = step_size(step)
    want = network(torch.from_numpy(x[None] * scale), torch.tensor([step]))[0].numpy() / scale
    assert np.abs(want - x).max() > 1
    assert np.allclose(Filter(network.arrays(), step)(x), want, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(2, 40), (255, 41), (258, 40), (600, 64), (4, 2100)])
def test_windows_equal_one_pass(height: int, width: int) -> None:
    x = planes(height + height % 2, width + width % 2)
    work = Filter(trained(1).arrays(), 120)
    at_once = work(x)
    out = np.full(x.shape, np.nan, np.float32)
    for rows, columns in windows(height, width):
        out[:, rows, columns] = work.window(x, rows, columns)
    assert np.allclose(out[:, :height, :width], at_once[:, :height, :width], atol=1e-3, rtol=1e-4)


def test_the_reach_is_not_too_short() -> None:
    work, x = Filter(trained(2).arrays(), 60), planes(128)
    far = x.copy()
    far[:, 64 + work.reach + 2 :] += 100.0
    a, b = work(x), work(far)
    assert np.allclose(a[:, :64], b[:, :64], atol=1e-3)
    assert not np.allclose(a[:, 64:], b[:, 64:], atol=1.0)


def test_quality_changes_the_filter() -> None:
    network, x = trained(1), planes(32)
    low, high = (Filter(network.arrays(), step)(x) - x for step in (0, 255))
    assert not np.allclose(low, high, atol=0.1)
