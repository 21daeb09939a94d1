"""Codes to details: steps follow what is decoded, chroma that is luma times a slope is predicted exactly."""

from __future__ import annotations

import numpy as np

from vqcodec.image.bands import slice_of
from vqcodec.image.codec import ImageCodec
from vqcodec.image.config import TINY
from vqcodec.image.dequantise import TRUST_KNOTS, Dequantiser, lookup


def test_lookup() -> None:
    codebook = np.arange(2 * 5 * 2, dtype=np.float32).reshape(2, 5, 2)
    codes = np.array([[[[4, 0], [1, 2]]]], np.int32)  # [B, h, w, g]
    found = lookup(codebook, codes)
    assert found.shape == (2, 1, 1, 4)
    assert found[:, 0, 0].tolist() == [[8, 9, 2, 3], [10, 11, 14, 15]]
    assert lookup(codebook[..., :1], codes)[:, 0, 0].tolist() == [[8, 2], [10, 14]]


def with_details(slope: float) -> Dequantiser:
    """Level 6 known, with chroma that is luma times a slope, and luma of level 5."""
    rng = np.random.default_rng(0)
    full_trust = np.zeros((3, 2, TRUST_KNOTS), np.float32)
    full_trust[..., -1] = 1.0
    known = Dequantiser(TINY, [], [full_trust] * 5, np.zeros((1, 4, 6, 3), np.int32), np.array([0]))
    luma = 50 * rng.standard_normal((3, 1, 4, 6), np.float32)
    known.details.append(np.stack([luma, slope * luma, -slope * luma]))
    known._level = 50 * rng.standard_normal((3, 3, 1, 8, 12), np.float32)
    return known


def index_of(name: str) -> int:
    return [s.name for s in TINY.slices].index(name)


def test_a_slope_seen_above_is_followed() -> None:
    known = with_details(0.5)
    predicted = known.prediction(index_of("c5"))
    assert predicted is not None
    want = np.concatenate([0.5 * known.luma, -0.5 * known.luma])
    assert np.allclose(predicted, want, rtol=0.02, atol=0.05)


def test_luma_and_the_coarsest_level_have_no_prediction() -> None:
    known = with_details(0.5)
    assert known.prediction(index_of("y5")) is None
    known.details.clear()
    assert known.prediction(index_of("c6")) is None


def test_trust_is_linear_between_its_knots() -> None:
    """Every value of the squared correlation, the largest too, gets what interpolation gives."""
    known = with_details(0.0)
    rng = np.random.default_rng(1)
    known.details[0] += 40 * rng.standard_normal(known.details[0].shape, np.float32)
    known.details[0][1, ..., :3] = 1e4 * known.details[0][0, ..., :3]
    trust = rng.uniform(0, 1, (3, 2, TRUST_KNOTS)).astype(np.float32)
    known.trust = [trust]
    slope, position = known.slopes()
    assert position.min() >= 0
    assert 4.99 < position.max() < 5.01
    predicted = known.prediction(index_of("c5"))
    assert predicted is not None
    for c in range(2):
        for o in range(3):
            shrunk = np.interp(position[c], np.arange(TRUST_KNOTS), trust[o, c]) * slope[c]
            want = known.luma[o] * shrunk.repeat(2, 1).repeat(2, 2)
            assert np.allclose(predicted[3 * c + o], want, rtol=1e-4, atol=1e-3)


def test_no_luma_no_chroma(tiny_codec: ImageCodec) -> None:
    """A flat level predicts nothing: zero codes give zero details on every level."""
    m = tiny_codec.model
    known = Dequantiser(m.config, m.codebooks, m.trust, np.zeros((1, 1, 1, 3), np.int32), np.array([90]))
    for i, s in enumerate(m.config.slices):
        scale = 2 ** (m.config.levels - s.level)
        zero = (s.codewords - 1) // 2 if s.d == 1 else 0
        known.add(i, np.full((1, scale, scale // s.d, s.groups), zero, np.int32))
    assert all(float(np.abs(d).max()) == 0 for d in known.details)
    assert [d.shape[-1] for d in known.details] == [1, 2, 4, 8, 16, 32]


def test_vectors_come_back(tiny_codec: ImageCodec) -> None:
    """What the encoder leaves to code and what the decoder makes of it are inverse, with activity and prediction."""
    m, rng = tiny_codec.model, np.random.default_rng(0)
    low = rng.integers(-60, 60, (2, 2, 3, 3)).astype(np.int32)
    known = Dequantiser(m.config, m.codebooks, m.trust, low, np.array([0, 140]))
    for i, s in enumerate(m.config.slices):
        scale = 2 ** (m.config.levels - s.level)
        shape = (2, 2 * scale, 3 * scale // s.d, s.groups)
        middle = (s.codewords - 1) // 2 if s.d == 1 else 0
        codes = (middle + rng.integers(0, 4, shape)).astype(np.int32)
        assert (known.factor(i) is None) == (s.level > m.config.activity_level)
        nothing = np.zeros((s.groups, 2, 2 * scale, 3 * scale), np.float32)
        # what is left of nothing and what is left of the vectors differ by the vectors in the slice's own units
        left = known.residual(i, nothing)
        luma, levels = known._level, len(known.details)
        known.add(i, codes)
        if s.chroma:
            vectors = slice_of(known.details[-1], s)
            known._level = known.details.pop()
        else:
            vectors = known.luma.copy()
            known._level = luma
        assert len(known.details) == levels
        wanted = lookup(m.codebooks[i], codes)
        assert np.allclose(known.residual(i, vectors), wanted, atol=2e-3 * (1 + np.abs(left).max()))
        known._predicted = None
        known.add(i, codes)
