"""The filter after the inverse wavelet: identity at the start, the same in windows as at once, the same as in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqcodec.image.config import step_size
from vqcodec.image.synthesis import BLOCK, Filter, windows
from vqcodec.image.train.filter import Conditions, Restore, to_arrays


def planes(height: int, width: int = 40) -> np.ndarray:
    """Decoded planes in steps."""
    return 15 * np.random.default_rng(1).standard_normal((3, height, width), np.float32)


def factor_of(x: np.ndarray) -> np.ndarray:
    """Any activity for planes [3, H, W]."""
    shape = x.shape[1] // BLOCK, x.shape[2] // BLOCK
    return np.random.default_rng(2).uniform(0.5, 2, shape).astype(np.float32)


def trained(layers: int) -> Restore:
    """As if training had moved every weight."""
    network = Restore(8, layers)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def test_a_new_filter_changes_nothing() -> None:
    x = planes(64)
    assert np.array_equal(Filter(to_arrays(Restore(8, 2)), 30)(x, factor_of(x)), x)


@pytest.mark.parametrize("layers", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("step", "even"), [(0, False), (120, False), (120, True), (255, False)])
@torch.inference_mode()
def test_it_is_the_network_that_was_trained(layers: int, step: int, even: bool) -> None:
    network, x = trained(layers), planes(36, 52)
    scale, factor = step_size(step), factor_of(x)
    told = Conditions(torch.tensor([step]), torch.tensor([even]), torch.from_numpy(factor)[None])
    want = network(torch.from_numpy(x[None] * scale), told)[0].numpy() / scale
    assert np.abs(want - x).max() > 0.5
    assert np.allclose(Filter(to_arrays(network), step, even=even)(x, factor), want, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(1, 40), (255, 41), (258, 40), (600, 64), (4, 2100), (2100, 3)])
def test_windows_equal_one_pass(height: int, width: int) -> None:
    x = planes(-(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK)
    work, factor = Filter(to_arrays(trained(1)), 120), factor_of(x)
    at_once = work(x, factor)
    out = np.full(x.shape, np.nan, np.float32)
    for rows, columns in windows(height, width):
        out[:, rows, columns] = work.window(x, factor, rows, columns)
    assert np.allclose(out[:, :height, :width], at_once[:, :height, :width], atol=1e-3, rtol=1e-4)


def test_the_reach_is_not_too_short() -> None:
    work, x = Filter(to_arrays(trained(2)), 60), planes(128)
    far = x.copy()
    far[:, 64 + work.reach :] += 100.0
    a, b = (work(y, factor_of(x)) for y in (x, far))
    assert np.allclose(a[:, :64], b[:, :64], atol=1e-3)
    assert not np.allclose(a[:, 64:], b[:, 64:], atol=1.0)


def test_quality_changes_the_filter() -> None:
    arrays, x = to_arrays(trained(1)), planes(32)
    filters = Filter(arrays, 0), Filter(arrays, 255), Filter(arrays, 255, even=True)
    changes = [work(x, factor_of(x)) - x for work in filters]
    for a, b in ((0, 1), (1, 2)):
        assert not np.allclose(changes[a], changes[b], atol=0.01)


def test_a_factor_is_a_finer_step() -> None:
    """Twice the factor everywhere, of a picture in steps of twice the size, is the same."""
    x = planes(32)
    work, factor = Filter(to_arrays(trained(1)), 100), factor_of(x)
    assert np.allclose(2 * work(x / 2, 2 * factor), work(x, factor), atol=1e-3)
