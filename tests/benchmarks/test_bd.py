"""Delta rates against closed forms and against figures computed elsewhere from published curves."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vqcodec.benchmarks.bd import bd_rate, monotone, value_at_rate
from vqcodec.benchmarks.image.curves import read_folder

# Kodak means of CompressAI's results; the figures expected below are from another implementation, to one decimal.
PUBLISHED = {curve.name: curve for curve in read_folder(Path(__file__).parent / "published")}
JPEG, WEBP, AV1 = ((PUBLISHED[name].bpp, PUBLISHED[name].psnr) for name in ("jpeg", "webp", "av1"))


@pytest.mark.parametrize(("test", "percent"), [(WEBP, -36.2), (AV1, -62.4), (JPEG, 0.0)])
def test_published_curves_give_the_known_figures(test, percent):
    assert bd_rate(JPEG, test).percent == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize(("name", "percent"), [("webp", -23.4), ("av1", -52.7)])
def test_published_curves_give_the_known_figures_on_ms_ssim(name, percent):
    anchor, test = ((curve.bpp, curve.ms_ssim_db) for curve in (PUBLISHED["jpeg"], PUBLISHED[name]))
    assert bd_rate(anchor, test).percent == pytest.approx(percent, abs=0.05)


def test_against_a_fine_trapezoid_over_an_independent_interpolation():
    # Linear interpolation of log(rate) is another method; on curves this dense it must land close by.
    grid = np.linspace(29, 40, 20001)
    area = [np.trapezoid(np.interp(grid, quality, np.log(rate)), grid) for rate, quality in (JPEG, WEBP)]
    expected = 100 * math.expm1((area[1] - area[0]) / 11)
    assert bd_rate(JPEG, WEBP, (29, 40)).percent == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("factor", [0.5, 1.25])
def test_a_constant_factor_in_rate_is_found_exactly(factor):
    scaled = ([rate * factor for rate in JPEG[0]], JPEG[1])
    assert bd_rate(JPEG, scaled, (27, 37)).percent == pytest.approx(100 * (factor - 1), abs=1e-9)


def test_swapping_the_roles_inverts_the_ratio():
    there, back = bd_rate(JPEG, AV1, (27, 37)).percent, bd_rate(AV1, JPEG, (27, 37)).percent
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_partly_covered_interval_says_so():
    delta = bd_rate(JPEG, WEBP, (27, 37))
    assert (delta.low, delta.high) == (28.32842, 37)
    assert delta.coverage == pytest.approx((37 - 28.32842) / 10)
    assert delta.percent == bd_rate(JPEG, WEBP, (28.32842, 37)).percent


@pytest.mark.parametrize("interval", [(10, 20), (50, 60), (20, 30)])
def test_too_little_in_common_gives_no_figure(interval):
    assert bd_rate(JPEG, WEBP, interval).percent is None


def test_one_point_is_no_curve():
    assert bd_rate(JPEG, ([1.0], [33.0])).percent is None


def test_points_that_cost_more_and_are_no_better_are_dropped():
    rate, quality = monotone([3.0, 1.0, 2.0, 4.0], [32.0, 30.0, 33.0, 34.0])
    assert rate.tolist() == [1.0, 2.0, 4.0]
    assert quality.tolist() == [30.0, 33.0, 34.0]


def test_value_at_a_rate_hits_the_points_and_stops_at_the_ends():
    assert value_at_rate(AV1, 0.49874) == pytest.approx(33.64977)
    assert value_at_rate(AV1, 0.01) == pytest.approx(25.56075)
    assert value_at_rate(AV1, 9.0) == pytest.approx(43.96765)
