"""Powers of wide bands, and samples brought to them."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.audio.powers import MOMENT, POWER_BANDS, UNIT, corrected, powers_of, units_of

ONE = [(0,)]


def noise(moments: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    size = channels, (moments + 1) * MOMENT
    return (1000 * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)


@pytest.mark.parametrize(
    ("channels", "units"),
    [(1, [(0,)]), (2, [(0, 1)]), (3, [(0, 1), (2,)]), (6, [(0, 1), (2,), (3,), (4, 5)]), (9, [(c,) for c in range(9)])],
)
def test_units_are_pairs_and_what_is_left(channels: int, units: list[tuple[int, ...]]) -> None:
    assert units_of(channels) == units


def test_a_power_is_the_mean_square_of_white_noise() -> None:
    powers = powers_of(noise(200), ONE)
    assert powers.shape == (1, 200, POWER_BANDS)
    np.testing.assert_allclose(UNIT * powers.mean((0, 1)), np.log2(1e6), atol=0.15)


def test_a_pair_has_the_sum_of_both() -> None:
    x = noise(50, 2)
    np.testing.assert_allclose(powers_of(x[[0, 0]], [(0, 1)]), powers_of(x[:1], ONE) + 1 / UNIT, atol=1e-3)


def test_a_power_is_of_its_moment_and_band() -> None:
    x = np.zeros((1, 21 * MOMENT), np.float32)
    t = np.arange(MOMENT) / 48000
    x[0, 10 * MOMENT : 11 * MOMENT] = 3000 * np.sin(2 * np.pi * 10_000 * t) * np.hanning(MOMENT)
    powers = powers_of(x, ONE)[0]
    assert set(np.flatnonzero(powers[:, 2] > powers[0, 2] + 2)) == {9, 10}  # windows around its start and its end
    assert (powers[9:11, 2] > powers[9:11, [0, 1, 3]].max(1) + 4).all()


def test_what_rounds_alike_stays_as_it_is() -> None:
    x = noise(30, 2)
    told = np.rint(powers_of(x, units_of(2)))
    assert np.array_equal(corrected(x, told, units_of(2)), x[:, MOMENT:-MOMENT])


def test_what_is_not_known_stays_as_it_is() -> None:
    x = noise(30)
    assert np.array_equal(corrected(x, np.full((1, 30, POWER_BANDS), np.nan, np.float32), ONE), x[:, MOMENT:-MOMENT])


@pytest.mark.parametrize("apart", [-2.0, 2.0])
def test_what_is_off_comes_as_near_as_rounding_tells(apart: float) -> None:
    x = noise(60)
    before = powers_of(x, ONE)
    after = powers_of(corrected(x, before + np.float32(apart), ONE), ONE)
    moved = (after - before[:, 1:-1])[0, 2:-2].mean(0)
    np.testing.assert_allclose(moved, apart - np.sign(apart) / 2, atol=0.15)


def test_only_the_band_that_is_off_moves() -> None:
    x = noise(60)
    told = powers_of(x, ONE)
    told[..., 1] += 2
    after = powers_of(corrected(x, told, ONE), ONE)
    moved = (after - powers_of(x, ONE)[:, 1:-1])[0].mean(0)
    assert moved[1] > 1
    assert np.abs(moved[[0, 2, 3]]).max() < 0.1


def test_channels_of_a_pair_keep_their_balance() -> None:
    x = noise(40, 2) * np.array([[1], [0.1]], np.float32)
    moved = corrected(x, powers_of(x, units_of(2)) + np.float32(2), units_of(2)) - x[:, MOMENT:-MOMENT]
    size = np.abs(moved).mean(1)
    assert size[0] > 100
    np.testing.assert_allclose(size[1] / size[0], 0.1, atol=0.02)


def test_a_correction_is_bounded() -> None:
    """A file that says anything gets no louder than 15 dB by it."""
    x = noise(40)
    loud = corrected(x, np.full((1, 40, POWER_BANDS), 127, np.float32), ONE)
    assert np.square(loud).mean() < 10**1.5 * 1.2 * np.square(x).mean()
    assert np.isfinite(corrected(np.zeros_like(x), np.full((1, 40, POWER_BANDS), 127, np.float32), ONE)).all()
