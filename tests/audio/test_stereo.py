"""Pairs of channels: turned and back, and the angle that a sound asks for."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.audio.layout import DEFAULT_MASKS
from vqcodec.audio.stereo import ANGLES, GROUP, MIDDLE, by_frame, choose_angles, groups_of, pairs_of, turn

EDGES = (0, 8, 24, 60)


def frames(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, count, EDGES[-1])).astype(np.float32)


@pytest.mark.parametrize("count", [1, GROUP, GROUP + 1, 4 * GROUP])
def test_turning_back_gives_the_same(count: int) -> None:
    pair = frames(0, count)
    angles = np.random.default_rng(1).integers(0, ANGLES, (groups_of(count), len(EDGES) - 1)).astype(np.int32)
    angles = by_frame(angles, count)
    turned = turn(pair, angles, EDGES)
    assert np.square(turned).sum() == pytest.approx(np.square(pair).sum(), rel=1e-5)
    assert np.allclose(turn(turned, angles, EDGES, back=True), pair, atol=1e-5)


@pytest.mark.parametrize(
    ("left", "right", "angle"),
    [(1.0, 1.0, MIDDLE), (1.0, 0.0, 0), (0.0, 1.0, 8), (1.0, -1.0, 12), (1.0, float(np.tan(np.pi / 8)), 2)],
)
def test_one_source_goes_into_the_first_channel(left: float, right: float, angle: int) -> None:
    source = frames(2, 30)[0]
    pair = np.stack([left * source, right * source])
    angles = choose_angles(pair, EDGES, 1e-6)
    assert (angles == angle).all()
    first, rest = turn(pair, by_frame(angles, 30), EDGES)
    assert np.abs(rest).max() < 1e-5
    assert np.square(first).sum() == pytest.approx(np.square(pair).sum(), rel=1e-5)


def test_small_savings_leave_mid_and_side() -> None:
    """A voice a little to the left, with a different room on each side."""
    source, left, right = frames(5, 30)[0], *frames(6, 30)
    pair = np.stack([source + 0.3 * left, 0.85 * source + 0.3 * right])
    assert (choose_angles(pair, EDGES, 1e-6) == MIDDLE).all()


def test_the_louder_one_comes_first_where_it_is_so_by_far() -> None:
    """The second channel is the coarser one: sides much louder than the middle are not for it."""
    middle, side = frames(7, 30)
    for louder, angle in ((1.5, MIDDLE), (4.0, MIDDLE + ANGLES // 2)):
        pair = np.stack([middle + louder * side, middle - louder * side])
        assert (choose_angles(pair, EDGES, 1e-6) == angle).all()


def test_bands_have_angles_of_their_own() -> None:
    pair = frames(3, 20)
    pair[1, :, :8] = 0
    pair[1, :, 24:] = pair[0, :, 24:]
    assert choose_angles(pair, EDGES, 1e-6)[0, [0, 2]].tolist() == [0, MIDDLE]


@pytest.mark.parametrize(("loud", "angle"), [(0, 0), (1, 8)])
def test_a_channel_that_is_alone_stays_alone(loud: int, angle: int) -> None:
    """However faint it is: turned halfway, its noise would come out of the other side."""
    pair = 1e-3 * frames(4, 60)
    pair[1 - loud] *= 0.01
    assert (choose_angles(pair, EDGES, 100.0) == angle).all()


def test_what_makes_no_difference_stays_at_the_middle() -> None:
    assert (choose_angles(np.zeros((2, 60, EDGES[-1]), np.float32), EDGES, 1e-3) == MIDDLE).all()


def test_pairs_are_speakers_of_two_sides() -> None:
    """Left speakers have an odd place among the mask's bits of pairs: front 0 and 1, back 4 and 5, side 9 and 10."""
    for channels, mask in DEFAULT_MASKS.items():
        speakers = [bit for bit in range(18) if mask >> bit & 1]
        for left, right in pairs_of(channels):
            assert (speakers[left], speakers[right]) in [(0, 1), (4, 5), (9, 10)]
        paired = {c for pair in pairs_of(channels) for c in pair}
        alone = [speakers[c] for c in range(channels) if c not in paired]
        assert set(alone) <= {2, 3, 8}  # front centre, bass, back centre
    assert pairs_of(40) == ()
