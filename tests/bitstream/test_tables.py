"""Stored table weights: what is packed comes back within the precision of the format, never zero, never too much."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.bitstream.coder import PRECISION, Tables, cumulatives
from vqcodec.bitstream.tables import pack_probabilities, unpack_weights


def distributions() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    one = np.zeros((1, 500))
    one[0, 77] = 1
    return {
        "random": rng.random((20, 300)),
        "steep": np.exp(-np.abs(np.arange(-160, 161)) * rng.random((20, 1)) * 3),
        "one symbol has it all": one,
        "uniform": np.ones((1, 65536)),
        "single": np.ones((3, 1)),
    }


@pytest.mark.parametrize("name", distributions())
def test_round_trip(name: str) -> None:
    p = distributions()[name]
    weights = unpack_weights(pack_probabilities(p))
    assert weights.dtype == np.uint32
    assert weights.min() >= 1
    assert weights.sum(1, dtype=np.int64).max() <= 2**PRECISION
    exact = p / p.sum(1, keepdims=True) * (2**PRECISION - p.shape[1]) + 1
    assert (weights <= exact).all()
    assert (weights > exact * (1 - 2**-11) - 1).all()
    assert np.diff(cumulatives(weights), axis=1).min() >= 1
    Tables(weights).models(np.arange(len(weights)))


def test_every_stored_value_has_a_weight_of_its_own() -> None:
    """Rising, from 0 to the largest that a row can hold."""
    largest = int(pack_probabilities(np.array([[1.0, 0.0]]))[0, 0])
    weights = unpack_weights(np.arange(largest + 1, dtype=np.uint16)).astype(np.int64)
    assert weights[0] == 0
    assert (np.diff(weights) > 0).all()
    assert weights[2048] == 2048
    assert 2**24 - 2**13 <= weights[-1] < 2**24


def test_shape_is_kept() -> None:
    p = np.random.default_rng(1).random((2, 3, 5))
    stored = pack_probabilities(p)
    assert stored.shape == (2, 3, 5)
    assert np.array_equal(unpack_weights(stored)[1], unpack_weights(pack_probabilities(p[1])))
