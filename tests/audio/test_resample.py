"""Another sample rate: exact length, no shift, and nothing depends on how the blocks were cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.audio.resample import REACH, resample, resampled_length

CORE = 24_000
RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 44_101, 48_000, 96_000, 192_000)


def whole(samples: np.ndarray, rate_in: int, rate_out: int, length: int | None = None, block: int = 4096) -> np.ndarray:
    blocks = [samples[i : i + block] for i in range(0, len(samples), block)]
    return np.concatenate(list(resample(blocks, rate_in, rate_out, length)))


def there_and_back(samples: np.ndarray, rate: int) -> np.ndarray:
    return whole(whole(samples, rate, CORE), CORE, rate, len(samples))


@settings(deadline=None, max_examples=60)
@given(rate=st.integers(8_000, 192_000), samples=st.integers(1, 3_000), channels=st.integers(1, 3))
def test_lengths_are_exact_at_any_rate(rate, samples, channels):
    sound = np.random.default_rng(samples).standard_normal((samples, channels)).astype(np.float32)
    core = whole(sound, rate, CORE)
    assert core.shape == (-(-samples * CORE // rate), channels)
    assert whole(core, CORE, rate, samples).shape == sound.shape


@pytest.mark.parametrize("rate", RATES)
def test_a_sine_comes_back_in_phase(rate):
    t = np.arange(rate // 2) / rate
    sine = np.sin(2 * np.pi * 1_234.5 * t).astype(np.float32)[:, None]
    inner = slice(rate // 10, -rate // 10)
    assert np.abs(there_and_back(sine, rate) - sine)[inner].max() < 1e-4


@pytest.mark.parametrize("rate", RATES)
def test_an_impulse_stays_where_it_was(rate):
    impulse = np.zeros((rate // 2, 1), np.float32)
    place = rate // 5 + 3
    impulse[place] = 1
    core = whole(impulse, rate, CORE)[:, 0]
    # The centre of gravity of a linear-phase response is exact between samples too.
    assert (core**2 @ np.arange(len(core))) / (core @ core) == pytest.approx(place * CORE / rate, abs=0.02)
    assert int(np.abs(there_and_back(impulse, rate)).argmax()) == place


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_blocks_do_not_matter(rate):
    sound = np.random.default_rng(1).standard_normal((9_000, 2)).astype(np.float32)
    expected = whole(sound, rate, CORE, block=9_000)
    for block in (1, 17, 4_096):
        assert np.array_equal(whole(sound, rate, CORE, block=block), expected)


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44_100, CORE), (CORE, 44_100), (CORE, 8_000), (192_000, CORE)])
def test_nothing_is_heard_from_beyond_the_reach(rate_in, rate_out):
    """What lies more than REACH samples at the lower rate away does not change a sample."""
    sound = np.random.default_rng(2).standard_normal((rate_in, 1)).astype(np.float32)
    other = sound.copy()
    other[: rate_in // 2] = 0
    differ = np.abs(whole(sound, rate_in, rate_out) - whole(other, rate_in, rate_out))[:, 0] > 1e-6
    last = int(np.flatnonzero(differ)[-1])
    reach = -(-REACH * rate_out // min(rate_in, rate_out))
    assert rate_out // 2 - 2 < last < rate_out // 2 + reach


def test_length_covers_the_time():
    assert resampled_length(1, 192_000, CORE) == 1
    assert resampled_length(48_001, 48_000, CORE) == 24_001
    assert resampled_length(8_000, 8_000, CORE) == CORE
