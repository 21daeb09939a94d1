"""Bjøntegaard's delta rate: how many percent more or fewer bits one codec needs for the same quality.

Method: G. Bjøntegaard, VCEG-M33 (2001), with the piecewise cubic interpolation (PCHIP, Fritsch and Carlson 1980) of
log(rate) over quality that the later JVET tools use. Nothing is extrapolated: the mean runs over the part of the
interval asked for that both curves cover, and the result says which part that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

__all__ = ["BdRate", "bd_rate", "monotone", "value_at_rate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BdRate:
    """One delta rate and the ground it stands on.

    Attributes:
        percent: mean rate difference in percent (negative: fewer bits than the anchor), None if the curves do not meet.
        low, high: the quality interval that was really used (dB, or the metric's own unit).
        coverage: share of the interval asked for that was used, 0..1.
    """

    percent: float | None
    low: float
    high: float
    coverage: float


def monotone(rate: Sequence[float], quality: Sequence[float]) -> tuple[Floats, Floats]:
    """Sort a curve by rate and keep the points whose quality is above that of every cheaper point.

    A point that costs more and is no better would make the inverse curve, rate over quality, ambiguous.
    """
    order = np.argsort(np.asarray(rate, dtype=np.float64), kind="stable")
    rates = np.asarray(rate, dtype=np.float64)[order]
    values = np.asarray(quality, dtype=np.float64)[order]
    best = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    keep = values > best
    return rates[keep], values[keep]


def bd_rate(
    anchor: tuple[Sequence[float], Sequence[float]],
    test: tuple[Sequence[float], Sequence[float]],
    interval: tuple[float, float] | None = None,
    *,
    least_coverage: float = 0.2,
) -> BdRate:
    """Delta rate of ``test`` against ``anchor``, each given as (rates, qualities).

    Args:
        anchor, test: rates > 0 in any common unit, qualities in any common unit that rises with quality (dB).
        interval: qualities (low, high) to average over; None takes all that both curves share.
        least_coverage: below this share of ``interval`` the mean would say little, and percent is None.
    """
    (rate_a, quality_a), (rate_t, quality_t) = monotone(*anchor), monotone(*test)
    if min(len(rate_a), len(rate_t)) < 2:
        return BdRate(None, float("nan"), float("nan"), 0.0)
    low = float(max(quality_a[0], quality_t[0]))
    high = float(min(quality_a[-1], quality_t[-1]))
    asked = interval if interval is not None else (low, high)
    low, high = max(low, asked[0]), min(high, asked[1])
    width = asked[1] - asked[0]
    coverage = (high - low) / width if width > 0 else 0.0
    if high <= low or coverage < least_coverage:
        return BdRate(None, low, high, max(coverage, 0.0))
    area_a = PchipInterpolator(quality_a, np.log(rate_a)).integrate(low, high)
    area_t = PchipInterpolator(quality_t, np.log(rate_t)).integrate(low, high)
    percent = 100.0 * float(np.expm1((area_t - area_a) / (high - low)))
    return BdRate(percent, low, high, coverage)


def value_at_rate(curve: tuple[Sequence[float], Sequence[float]], rate: float) -> float:
    """Quality of a curve at one rate, interpolated over log(rate); the end value beyond the ends."""
    rates, values = monotone(*curve)
    if len(rates) < 2:
        return float(values[0]) if len(values) else float("nan")
    inside = min(max(rate, float(rates[0])), float(rates[-1]))
    return float(PchipInterpolator(np.log(rates), values)(np.log(inside)))
