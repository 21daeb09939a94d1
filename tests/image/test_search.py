"""The encoder's choice of codes: nearest codewords are never better, nothing saturates, and the decoder follows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import scene
from torch import Tensor

from vqcodec.bitstream import ImageHeader
from vqcodec.image import search as search_module
from vqcodec.image.bands import to_vectors
from vqcodec.image.codec import ImageCodec
from vqcodec.image.codes import encode_codes
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.search import rate_tables, search
from vqcodec.image.units import BIT_WEIGHT, slice_units, steps_tensor
from vqcodec.kernels import assign
from vqcodec.prior.rate import LAMBDA
from vqcodec.registry import load_image_codec

Assign = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def cost(x: Tensor, codebook: Tensor, bias: Tensor, rows: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Squared error and LAMBDA times bits of a choice, each [g, N], in float64."""
    group = torch.arange(len(x))[:, None]
    error = (x.double() - codebook.double()[group, codes]).square().sum(-1)
    return error, bias.double()[group, rows.long(), codes]


def searched(codec: ImageCodec, pixels: np.ndarray, step: int) -> list[np.ndarray]:
    low, vectors = codec._analyse(pixels, step, codec.model.config)
    m = codec.model
    views = [v.numpy() for v in vectors]
    return search(m.config, m.codes, rate_tables(m.codes), m.codebooks, m.trust, low, views, np.array([step]))


@pytest.mark.parametrize("step", [0, 90, 220])
def test_no_choice_is_worse_than_the_nearest_codeword(
    tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    compared = 0

    def watched(x: Tensor, codebook: Tensor, bias: Tensor, rows: Tensor) -> Tensor:
        nonlocal compared
        codes = assign(x, codebook, bias, rows)
        nearest = assign(x, codebook)
        ours, theirs = (sum(cost(x, codebook, bias, rows, c)) for c in (codes, nearest))
        assert (ours <= theirs + 1e-4 * (1 + theirs)).all()
        compared += int((codes != nearest).sum())
        return codes

    monkeypatch.setattr(search_module, "assign", watched)
    searched(tiny_codec, scene(100, 150), step)
    assert compared > 100  # the rate does move choices


def test_the_whole_picture_gains(tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower cost with the rate in the search than with nearest codewords, whose contexts are others."""
    total = {}
    for name, rated in (("search", True), ("nearest", False)):
        sums = []

        def counted(
            x: Tensor, codebook: Tensor, bias: Tensor, rows: Tensor, rated: bool = rated, sums: list[Tensor] = sums
        ) -> Tensor:
            codes = assign(x, codebook, bias, rows) if rated else assign(x, codebook)
            sums.append(sum(c.sum() for c in cost(x, codebook, bias, rows, codes)))
            return codes

        monkeypatch.setattr(search_module, "assign", counted)
        searched(tiny_codec, scene(128, 128), 100)
        total[name] = float(sum(sums))
    assert total["search"] < 0.95 * total["nearest"]


def test_rates_are_the_bits_of_the_stream(tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = 0.0

    def counted(x: Tensor, codebook: Tensor, bias: Tensor, rows: Tensor) -> Tensor:
        nonlocal bits
        codes = assign(x, codebook, bias, rows)
        bits += float(cost(x, codebook, bias, rows, codes)[1].sum()) / (BIT_WEIGHT * LAMBDA)
        return codes

    monkeypatch.setattr(search_module, "assign", counted)
    noise = np.random.default_rng(0).integers(0, 256, (64, 192, 3), dtype=np.uint8)
    codes = searched(tiny_codec, noise, 60)
    payload, _ = encode_codes(tiny_codec.model.codes, 60, codes, 1, 3)
    low_band = 8 * 3 * 3 * 2
    assert bits < 8 * len(payload) < bits * 1.002 + 32 + low_band
    assert rate_tables(tiny_codec.model.codes)[0].min() >= 0


def test_dequantised_vectors_stay_near(tiny_codec: ImageCodec) -> None:
    """What the decoder adds to its own prediction is what the encoder took away: errors are those of one codeword."""
    step = 150
    m = tiny_codec.model
    pixels = scene(128, 192)
    _, vectors = tiny_codec._analyse(pixels, step, tiny_codec.model.config)
    found = searched(tiny_codec, pixels, step)
    known = Dequantiser(m.config, m.codebooks, m.trust, found[0][:, :2, :3], torch.tensor([step]))
    factors = []
    for i, codes in enumerate(found[1:]):
        factor = known.factor(i)
        factors.append(1.0 if factor is None else factor)
        known.add(i, codes)
    for i, s in enumerate(m.config.slices):
        got = to_vectors(known.details[m.config.levels - s.level], s) * steps_tensor(torch.tensor([step]))
        error = ((got / slice_units(m.config, i, torch.tensor([step])) - vectors[i]) * factors[i]).norm(dim=-1)
        # half a unit to the nearest codeword, and what at most 24 bits less can pay for
        assert error.max() < (0.25 + LAMBDA * 24) ** 0.5, s.name
        assert error.square().mean().sqrt() < 0.5, s.name


def pictures() -> dict[str, np.ndarray]:
    y, x = np.mgrid[:128, :128]
    out = {"black": 0 * x, "white": 0 * x + 255, "stripes": 255 * (x % 2)}
    out |= {f"checkerboard of {n}": 255 * ((x // n + y // n) % 2) for n in (1, 2, 8, 32, 64)}
    return {name: np.repeat(p[..., None], 3, -1).astype(np.uint8) for name, p in out.items()}


@pytest.mark.parametrize("which", ["tiny", "shipped"])
@pytest.mark.parametrize("name", pictures())
def test_nothing_saturates(tiny_codec: ImageCodec, which: str, name: str) -> None:
    """The largest contrasts there are, at the finest step (4 sample values): within about one step."""
    codec = tiny_codec if which == "tiny" else load_image_codec("cpu")
    for pixels in (pictures()[name], pictures()[name][..., :1]):
        error = np.abs(round_trip(codec, pixels, 0).astype(int) - pixels)
        assert error.mean() < 4
        assert error.max() <= (16 if which == "shipped" else 32)  # steps are doubled here; tiny has half the codewords


def test_extreme_colours_lose_precision_but_do_not_saturate() -> None:
    """Codewords of chroma pairs stand far apart out there; errors stay small beside contrasts of 255."""
    noise = np.random.default_rng(0).integers(0, 2, (128, 128, 3)).astype(np.uint8) * 255
    error = np.abs(round_trip(load_image_codec("cpu"), noise, 0).astype(int) - noise)
    assert error.mean() < 10
    assert error.max() < 90


def round_trip(codec: ImageCodec, pixels: np.ndarray, step: int) -> np.ndarray:
    header = ImageHeader(pixels.shape[1], pixels.shape[0], step, pixels.shape[2] == 1, False, codec.model_id, 0)
    return codec.decode(header, codec.encode(pixels, step))


def test_low_band_never_clips(tiny_codec: ImageCodec) -> None:
    """Black beside white at every step: the low band's steps from cell to cell are the largest there are."""
    cells = np.kron(np.array([[0, 1, 0], [1, 0, 1]], np.uint8) * 255, np.ones((64, 64), np.uint8))
    pixels = np.repeat(cells[..., None], 3, -1)
    for step in (0, 120, 255):
        low, _ = tiny_codec._analyse(pixels, step, tiny_codec.model.config)
        assert np.array_equal(searched(tiny_codec, pixels, step)[0][:, :2, :3], low)
