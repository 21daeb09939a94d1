"""Codes to details: steps follow what is decoded, chroma that is luma times a slope is predicted exactly."""

from __future__ import annotations

import numpy as np
import torch

from vqcodec.image.bands import to_vectors
from vqcodec.image.codec import ImageCodec
from vqcodec.image.config import TINY
from vqcodec.image.dequantise import TRUST_KNOTS, Dequantiser, lookup
from vqcodec.image.units import slice_units


def test_lookup() -> None:
    codebook = torch.arange(2 * 5 * 3).reshape(2, 5, 3).float()
    codes = np.array([[[[4, 0]]]], np.int32)
    assert torch.equal(lookup(codebook, codes)[0, 0, 0], torch.stack([codebook[0, 4], codebook[1, 0]]))


def with_details(slope: float) -> Dequantiser:
    """Level 6 known, with chroma that is luma times a slope, and luma of level 5."""
    rng = torch.Generator().manual_seed(0)
    full_trust = torch.zeros(3, 2, TRUST_KNOTS)
    full_trust[..., -1] = 1.0
    known = Dequantiser(TINY, [], [full_trust] * 5, np.zeros((1, 4, 6, 3), np.int32), torch.tensor([0]))
    luma = 50 * torch.randn(1, 4, 6, 3, 1, generator=rng)
    known.details.append(torch.cat([luma, slope * luma, -slope * luma], -1))
    known._luma = 50 * torch.randn(1, 8, 12, 3, 1, generator=rng)
    return known


def test_a_slope_seen_above_is_followed() -> None:
    known = with_details(0.5)
    c5 = next(i for i, s in enumerate(TINY.slices) if s.name == "c5")
    predicted = known.prediction(c5)
    assert predicted is not None
    assert known._luma is not None
    chroma = torch.cat([0.5 * known._luma, -0.5 * known._luma], -1)
    unit = slice_units(TINY, c5, torch.tensor([0]))
    want = to_vectors(torch.cat([known._luma, chroma], -1), TINY.slices[c5]) * 4.0 / unit
    assert torch.allclose(predicted, want, rtol=0.02, atol=0.05)


def test_luma_and_the_coarsest_level_have_no_prediction() -> None:
    known = with_details(0.5)
    assert known.prediction(next(i for i, s in enumerate(TINY.slices) if s.name == "y5")) is None
    known.details.clear()
    assert known.prediction(next(i for i, s in enumerate(TINY.slices) if s.name == "c6")) is None


def test_no_luma_no_chroma(tiny_codec: ImageCodec) -> None:
    """A flat level predicts nothing: zero codes give zero details on every level."""
    m = tiny_codec.model
    known = Dequantiser(m.config, m.codebooks, m.trust, np.zeros((1, 1, 1, 3), np.int32), torch.tensor([90]))
    for i, s in enumerate(m.config.slices):
        scale = 2 ** (m.config.levels - s.level)
        zero = (s.codewords - 1) // 2 if s.d == 1 else 0
        known.add(i, np.full((1, scale, scale // s.d, s.groups), zero, np.int32))
    assert all(float(d.abs().max()) == 0 for d in known.details)
    assert [d.shape[1] for d in known.details] == [1, 2, 4, 8, 16, 32]


def test_vectors_come_back(tiny_codec: ImageCodec) -> None:
    """What the encoder leaves to code and what the decoder makes of it are inverse, with activity and prediction."""
    m, rng = tiny_codec.model, np.random.default_rng(0)
    low = rng.integers(-60, 60, (2, 2, 3, 3)).astype(np.int32)
    known = Dequantiser(m.config, m.codebooks, m.trust, low, torch.tensor([0, 140]))
    for i, s in enumerate(m.config.slices):
        scale = 2 ** (m.config.levels - s.level)
        shape = (2, 2 * scale, 3 * scale // s.d, s.groups)
        middle = (s.codewords - 1) // 2 if s.d == 1 else 0
        codes = (middle + rng.integers(0, 4, shape)).astype(np.int32)
        wanted = lookup(m.codebooks[i], codes)
        factor, prediction = known.factor(i), known.prediction(i)
        assert (factor is None) == (s.level > m.config.activity_level)
        vectors = wanted if prediction is None else wanted + prediction
        vectors = vectors if factor is None else vectors / factor
        assert np.allclose(known.residual(i, vectors.numpy()), wanted.numpy(), atol=1e-3)
        known.add(i, codes)
        if s.chroma:
            got = to_vectors(known.details[-1], s) * slice_units(m.config, i, torch.tensor([1])).reciprocal()
            assert torch.allclose(got * 4 * 2 ** (1 / 36), vectors, atol=1e-2)
