"""Steps that follow activity: finer where it is quiet, one where the model says so, smooth in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vqcodec.image.activity import LIMIT, MIDDLE, activity_factor, coarse_luma, finer, window_mean
from vqcodec.image.bands import to_bands
from vqcodec.image.config import TINY


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def test_quiet_is_finer_than_busy() -> None:
    luma = np.zeros((1, 16, 32), np.float32)
    luma[:, :, 16:] = 60 * noise(1, 16, 16)
    factor = activity_factor(TINY, luma)
    quiet = (TINY.activity_floor / MIDDLE) ** (-TINY.activity_exponent / 2)
    assert factor[:, :, :12] == pytest.approx(quiet, rel=1e-4)
    assert float(factor[:, :, 20:].max()) < 0.8
    assert float(factor.min()) >= 1 / LIMIT


def test_the_middle_is_one_and_no_exponent_is_off() -> None:
    luma = 200 * noise(1, 8, 8)
    assert activity_factor(replace(TINY, activity_exponent=0.0), luma) == pytest.approx(1, abs=1e-6)
    flat = activity_factor(replace(TINY, activity_floor=MIDDLE), np.full((1, 4, 4), 77.0, np.float32))
    assert flat == pytest.approx(1, abs=1e-3)


def test_coarse_luma_is_the_picture_made_small() -> None:
    planes = np.full((3, 1, 128, 192), 30.0, np.float32)
    planes[:, :, 64:] = -50.0
    bands = to_bands(planes, TINY.levels)
    luma = coarse_luma(TINY, bands[0], bands[1 : 1 + TINY.levels - TINY.activity_level])
    assert luma.shape == (1, 16, 24)
    assert luma[:, :5].mean() == pytest.approx(30, abs=1)
    assert luma[:, 11:].mean() == pytest.approx(-50, abs=1)


def test_finer_is_bilinear_and_keeps_limits() -> None:
    factor = activity_factor(TINY, 40 * noise(2, 6, 10))
    fine = finer(factor)
    assert fine.shape == (2, 12, 20)
    assert float(fine.min()) >= float(factor.min())
    assert float(fine.max()) <= float(factor.max())
    want = F.interpolate(torch.from_numpy(factor)[:, None], scale_factor=2, mode="bilinear", align_corners=False)
    assert fine == pytest.approx(want[:, 0].numpy(), rel=1e-6)


@pytest.mark.parametrize("shape", [(2, 5, 7), (3, 1, 1), (1, 2, 4, 1)])
def test_window_mean(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    padded = F.pad(torch.from_numpy(x).reshape(1, -1, *shape[-2:]), (1, 1, 1, 1), mode="replicate")
    assert window_mean(x) == pytest.approx(F.avg_pool2d(padded, 3, 1).numpy().reshape(shape), abs=1e-6)
