"""The picture in whole numbers that the prior's networks see: near the decoded one, and never beyond int32."""

from __future__ import annotations

import numpy as np
import pytest
from image.random_network import random_network

from vqcodec.image import level_network
from vqcodec.image.config import IMAGE
from vqcodec.image.level_network import Running
from vqcodec.image.seen import (
    CHANNELS,
    PictureMaps,
    low_units,
    map_edges,
    seen_details,
    seen_low,
    synthesised,
    whole_codewords,
)
from vqcodec.image.train.codebooks import start_codebook
from vqcodec.image.units import low_steps, step_sizes
from vqcodec.image.wavelet import LOW, synthesise

LIMIT = 2**15 - 1


def test_wavelet_in_whole_numbers_is_the_wavelet() -> None:
    rng = np.random.default_rng(1)
    low, details = rng.normal(0, 900, (2, 6, 10)), rng.normal(0, 300, (3, 2, 6, 10))
    got = synthesised(np.round(low).astype(np.int32), np.round(details).astype(np.int32))
    # without the last scaling: the low band is LOW**2 too large, the diagonal details too small
    scaled = np.stack([details[0], details[1], details[2] / LOW**2])[None]
    wanted = synthesise((low * LOW**2)[None].astype(np.float32), scaled.astype(np.float32))[0]
    assert got.shape == wanted.shape == (2, 12, 20)
    assert np.abs(got - wanted).max() < 12
    assert np.abs(wanted).max() > 2000


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_in_stays_in_int32(seed: int) -> None:
    """The same in int64, with inputs at their limits and signs that add up."""
    rng = np.random.default_rng(seed)
    low, details = LIMIT * rng.choice([-1, 1], (1, 8, 8)), LIMIT * rng.choice([-1, 1], (3, 1, 8, 8))
    narrow = synthesised(low.astype(np.int32), details.astype(np.int32))
    wide = synthesised(low.astype(np.int64), details.astype(np.int64))
    assert narrow.dtype == np.int32
    assert np.array_equal(narrow, wide)
    assert np.abs(narrow).max() == LIMIT


def test_units_of_low_band_and_codewords_are_those_of_the_decoder() -> None:
    """At every level a step is the same number of units, of low band and details alike."""
    step = np.array([0, 60, 200])
    codebooks = [start_codebook(s).expand(s.groups, -1, -1).numpy() for s in IMAGE.slices]
    units, words = low_units(IMAGE), whole_codewords(IMAGE, codebooks)
    assert len(words) == IMAGE.levels
    values = np.full((3, 1, 1), 7, np.int32)
    per_step = seen_low(units, values, step)[:, 0, 0] / (7 * low_steps(IMAGE, step) / step_sizes(step))
    assert per_step == pytest.approx(16 / LOW**12, rel=0.02)
    s = IMAGE.slices[0]
    assert s.level == 6
    one = (s.codewords - 1) // 2 + 40
    details = seen_details(words[0], np.full((1, 1, 1, 3), one, np.int32))[:, 0, 0, 0]
    from vqcodec.image.bands import image_gains

    wanted = 40 / image_gains(IMAGE)[1][0] * 16 / LOW**10 * np.array([1, 1, LOW**2])
    assert details == pytest.approx(wanted, abs=0.51)


def test_maps_tell_a_cell_from_its_surroundings() -> None:
    fine, edges = map_edges(2)
    maps = PictureMaps(fine, edges)
    step = 16 / LOW**4  # units
    low = np.full((1, 12, 16), 500, np.int32)
    assert not maps(low).any()
    low[0, 5, 6] += round(3 * step)
    got = maps(low)
    assert got.shape == (1, CHANNELS, 6, 8)
    at = got[0, :, 2, 3]
    rise = 3 * 35 / 36  # the mean has moved by a 36th
    assert at[2] == pytest.approx(4 * rise, abs=0.6)
    assert at[6] == pytest.approx(16 * np.log2(1 + rise), abs=0.8)
    assert (at[[0, 1, 3]] <= 0).all()
    assert (at[[4, 5, 7]] < 0).all()
    assert not got[0, :, :, :2].any()
    low[0, 5, 6] = 30000
    assert maps(low)[0, [2, 6], 2, 3].tolist() == [127, 127]


def test_networks_in_strips_are_networks_on_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    running = Running(random_network(2, 26, 3, rng))
    maps, own = (rng.integers(-60, 60, (2, c, 75, 9)).astype(np.float32) for c in (26, 12))
    step, out = np.array([3, 200]), []
    for rows in (7, 32, 75):
        monkeypatch.setattr(level_network, "STRIP", rows)
        features = running.features(maps, step)
        out.append((features, running.added(2, own, features, step), running.added(0, None, features, step)))
    for other in out[:2]:
        assert all(np.array_equal(a, b) for a, b in zip(other, out[2], strict=True))
    assert all(x.std() > 0 for x in out[2])
