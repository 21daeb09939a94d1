"""Steps that follow activity: finer where it is quiet, one where the model says so, smooth in between."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vqcodec.image.activity import LIMIT, MIDDLE, activity_factor, coarse_luma, finer
from vqcodec.image.bands import to_bands
from vqcodec.image.config import TINY


def test_quiet_is_finer_than_busy() -> None:
    luma = torch.zeros(1, 16, 32)
    luma[:, :, 16:] = 60 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
    factor = activity_factor(TINY, luma)
    quiet = (TINY.activity_floor / MIDDLE) ** (-TINY.activity_exponent / 2)
    assert factor[:, :, :12] == pytest.approx(quiet, rel=1e-4)
    assert float(factor[:, :, 20:].max()) < 0.75
    assert float(factor.min()) >= 1 / LIMIT


def test_the_middle_is_one_and_no_exponent_is_off() -> None:
    luma = 200 * torch.randn(1, 8, 8)
    assert torch.equal(activity_factor(replace(TINY, activity_exponent=0.0), luma), torch.ones(1, 8, 8))
    flat = activity_factor(replace(TINY, activity_floor=MIDDLE), torch.full((1, 4, 4), 77.0))
    assert torch.allclose(flat, torch.ones(1, 4, 4), atol=1e-3)


def test_coarse_luma_is_the_picture_made_small() -> None:
    planes = torch.full((1, 128, 192, 3), 30.0)
    planes[:, 64:] = -50.0
    bands = to_bands(planes, TINY.levels)
    luma = coarse_luma(TINY, bands[0], bands[1 : 1 + TINY.levels - TINY.activity_level])
    assert luma.shape == (1, 16, 24)
    assert luma[:, :5].mean() == pytest.approx(30, abs=1)
    assert luma[:, 11:].mean() == pytest.approx(-50, abs=1)


def test_finer_keeps_means_and_limits() -> None:
    factor = activity_factor(TINY, 40 * torch.randn(2, 6, 10))
    fine = finer(factor)
    assert fine.shape == (2, 12, 20)
    assert float(fine.min()) >= float(factor.min())
    assert float(fine.max()) <= float(factor.max())
