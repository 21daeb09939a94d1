"""The encoder's choice of codes: no codeword is better, nothing saturates, and the decoder follows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from conftest import EXAMPLES, scene
from PIL import Image

from vqcodec.bitstream import ImageHeader
from vqcodec.image import search as search_module
from vqcodec.image.bands import slice_of
from vqcodec.image.codec import ImageCodec
from vqcodec.image.codes import encode_codes, walk, zero_code
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.later import later_bits
from vqcodec.image.search import Search, rate_tables
from vqcodec.image.units import BIT_WEIGHT
from vqcodec.prior.choice import Choice
from vqcodec.prior.integer import PHASES, low_prediction, phase
from vqcodec.prior.rate import LAMBDA, bit_costs
from vqcodec.registry import load_image_codec
from vqcodec.target import psnr


def cost(x: np.ndarray, codebook: np.ndarray, rates: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Squared error plus rate of a choice, [2, g, N], in float64."""
    group = np.arange(len(x))[:, None]
    error = np.square(x.astype(np.float64) - codebook[group, codes]).sum(-1)
    return np.stack([error, np.broadcast_to(rates, (len(x), *rates.shape[1:]))[group, rows, codes]])


def nearest(x: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Codes without rates."""
    one_row = np.zeros((1, 1, codebook.shape[1]), np.float32)
    return Choice(codebook, one_row)(x, np.zeros(x.shape[:2], np.int32))


def searched(codec: ImageCodec, pixels: np.ndarray, step: int, *, even: bool = False) -> list[np.ndarray]:
    low, vectors = codec._analyse(pixels, step)
    return Search(codec.model, even=even)(low, vectors, np.array([step]))


def watch(monkeypatch: pytest.MonkeyPatch, see: Callable[..., np.ndarray]) -> None:
    """Let ``see`` look at (and decide) every choice: x, codebook, rates, rows, codes found."""

    class Watched(Choice):
        def __init__(self, codebook: np.ndarray, rates: np.ndarray, maps: np.ndarray) -> None:
            super().__init__(codebook, rates, maps)
            self.codebook, self.rates = codebook, rates

        def __call__(self, x: np.ndarray, rows: np.ndarray, later: np.ndarray | None = None) -> np.ndarray:
            return see(x, self.codebook, self.rates, rows, super().__call__(x, rows))

    monkeypatch.setattr(search_module, "Choice", Watched)


@pytest.mark.parametrize("step", [0, 90, 220])
@pytest.mark.parametrize("even", [False, True])
def test_no_choice_is_worse_than_any_codeword(
    tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch, step: int, even: bool
) -> None:
    moved = 0

    def see(x: np.ndarray, codebook: np.ndarray, rates: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        nonlocal moved
        ours = cost(x, codebook, rates, rows, codes).sum(0)
        for g in range(len(x)):
            table = rates[g if len(rates) > 1 else 0]
            for part in np.array_split(np.arange(x.shape[1]), -(-x.shape[1] // 4096)):
                every = np.square(x[g, part, None] - codebook[g].astype(np.float64)).sum(-1) + table[rows[g, part]]
                assert (ours[g, part] <= every.min(1) + 1e-5 * (1 + np.square(x[g, part]).sum(-1))).all()
        moved += int((codes != nearest(x, codebook)).sum())
        return codes

    watch(monkeypatch, see)
    searched(tiny_codec, scene(100, 150), step, even=even)
    assert moved > 100  # the rate does move choices


def test_the_whole_picture_gains(tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower cost with the rate in the search than with nearest codewords, whose contexts are others."""
    total = {}
    for rated in (True, False):
        sums: list[float] = []

        def see(
            x: np.ndarray,
            codebook: np.ndarray,
            rates: np.ndarray,
            rows: np.ndarray,
            codes: np.ndarray,
            rated: bool = rated,
            sums: list[float] = sums,
        ) -> np.ndarray:
            codes = codes if rated else nearest(x, codebook)
            sums.append(float(cost(x, codebook, rates, rows, codes).sum()))
            return codes

        watch(monkeypatch, see)
        searched(tiny_codec, scene(128, 128), 100)
        total[rated] = sum(sums)
    assert total[True] < 0.95 * total[False]


def test_rates_are_the_bits_of_the_stream(tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = 0.0

    def see(x: np.ndarray, codebook: np.ndarray, rates: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        nonlocal bits
        bits += float(cost(x, codebook, rates, rows, codes)[1].sum()) / (BIT_WEIGHT * LAMBDA)
        return codes

    watch(monkeypatch, see)
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
    _, vectors = tiny_codec._analyse(pixels, step)
    found = searched(tiny_codec, pixels, step)
    known = Dequantiser(m.config, m.codebooks, m.trust, found[0][:, :2, :3], np.array([step]))
    factors = []
    for i, codes in enumerate(found[1:]):
        factor = known.factor(i)
        factors.append(np.float32(1.0) if factor is None else factor)
        known.add(i, codes)
    for i, s in enumerate(m.config.slices):
        got = slice_of(known.details[m.config.levels - s.level], s)
        error = (got - vectors[i]) * known._gains[i][:, None, None, None] * factors[i]
        size = np.sqrt(np.square(error.reshape(-1, s.d)).sum(1))
        # half a unit to the nearest codeword, and what at most 24 bits less can pay for
        assert size.max() < (0.25 + LAMBDA * 24) ** 0.5, s.name
        assert np.sqrt(np.square(size).mean()) < 0.5, s.name


def pictures() -> dict[str, np.ndarray]:
    y, x = np.mgrid[:128, :128]
    out = {"black": 0 * x, "white": 0 * x + 255, "stripes": 255 * (x % 2)}
    out |= {f"checkerboard of {n}": 255 * ((x // n + y // n) % 2) for n in (1, 2, 8, 32, 64)}
    return {name: np.repeat(p[..., None], 3, -1).astype(np.uint8) for name, p in out.items()}


@pytest.mark.parametrize("which", ["tiny", "shipped"])
@pytest.mark.parametrize("name", pictures())
def test_nothing_saturates(tiny_codec: ImageCodec, which: str, name: str) -> None:
    """The largest contrasts there are, at the finest step (4 sample values): within about one step."""
    codec = tiny_codec if which == "tiny" else load_image_codec()
    for pixels in (pictures()[name], pictures()[name][..., :1]):
        error = np.abs(round_trip(codec, pixels, 0).astype(int) - pixels)
        assert error.mean() < 4
        assert error.max() <= (16 if which == "shipped" else 32)  # steps are doubled here; tiny has half the codewords


def test_extreme_colours_lose_precision_but_do_not_saturate() -> None:
    """Codewords of chroma pairs stand far apart out there; errors stay small beside contrasts of 255."""
    noise = np.random.default_rng(0).integers(0, 2, (128, 128, 3)).astype(np.uint8) * 255
    error = np.abs(round_trip(load_image_codec(), noise, 0).astype(int) - noise)
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
        low, _ = tiny_codec._analyse(pixels, step)
        assert np.array_equal(searched(tiny_codec, pixels, step)[0][:, :2, :3], low)


def lake(size: int) -> np.ndarray:
    with Image.open(EXAMPLES / "lake.png") as image:
        return np.asarray(image.convert("RGB"))[50 : 50 + size, 60 : 60 + size]


@pytest.mark.parametrize(("level", "chroma", "least"), [(4, True, 0.4), (2, False, 0.15)])
def test_what_codes_cost_later_is_told_beforehand(level: int, chroma: bool, least: float) -> None:
    """One code after the other changed and all recoded, each cheaper or dearer for the others.

    What luma costs by way of the networks is not told, so that of it less is known.
    """
    codec = load_image_codec()
    model, step = codec.model.codes, np.array([110])
    costs = [bit_costs(table) for table in model.tables]
    codes = codec.search(lake(128), 110)
    index = next(i for i, s in enumerate(model.slices) if (s.level, s.chroma) == (level, chroma))
    s, zero = model.slices[index], zero_code(model.slices[index])
    slopes = later_bits(model, step, codes, costs)

    def bits(changed: list[np.ndarray], at: tuple[int, ...]) -> tuple[float, float]:
        """Of all codes, and of the one at a place."""
        total, own = 0.0, 0.0

        def choose(i: int, p: int, rows: np.ndarray, sign: np.ndarray | None) -> np.ndarray:
            nonlocal total, own
            if i < 0:
                low = changed[0]
                return phase(low, p) - low_prediction(low, p)[0] + (model.low_size - 1) // 2
            code = changed[1 + i] if model.slices[i].level == model.levels else phase(changed[1 + i], p)
            symbols = code if sign is None else np.where(sign < 0, model.slices[i].codewords - 1 - code, code)
            each = costs[i][rows, symbols]
            total += float(each.sum())
            if i == index and PHASES[p] == (at[1] % 2, at[2] % 2):
                own = float(each[0, at[1] // 2, at[2] // 2, at[3]])
            return symbols

        walk(model, step, *codes[1].shape[1:3], choose)
        return total, own

    told, found = [], []
    ones = np.argwhere(np.abs(codes[1 + index] - zero) == 1)
    for place in np.random.default_rng(3).permutation(ones)[:40]:
        at = tuple(place.tolist())
        changed = [part.copy() for part in codes]
        changed[1 + index][at] = zero
        (before, own_before), (after, own_after) = bits(codes, at), bits(changed, at)
        found.append(after - before - (own_after - own_before))
        table = s.energy[at[3], :, 0]
        told.append(float(slopes[index][at] * (table[zero] - table[codes[1 + index][at]])))
    assert np.corrcoef(told, found)[0, 1] > least
    assert 0.5 < np.polyfit(told, found, 1)[0] < 2


@pytest.mark.parametrize("tune", ["visual", "psnr"])
def test_more_effort_gains(tune: str) -> None:
    """Bytes at equal PSNR, by the slope between two steps."""
    codec, pixels = load_image_codec(), lake(256)

    def at(step: int, effort: int) -> tuple[float, float]:
        chunks = codec.encode(pixels, step, tune=tune, effort=effort)
        even = tune == "psnr"
        header = ImageHeader(256, 256, step, False, False, codec.model_id, codec.model_hint, even=even)
        made = codec.decode(header, chunks, faithful=True)
        return math.log(sum(len(chunk.payload) for chunk in chunks)), psnr(made, pixels)

    (size, decibels), (smaller, fewer) = at(110, 5), at(114, 5)
    assert at(110, 1) == (size, decibels)
    equal = []
    for effort in (6, 9):
        found, there = at(110, effort)
        equal.append(found - (there - decibels) * (size - smaller) / (decibels - fewer))
    assert equal[0] < size - 0.002
    assert equal[1] < equal[0] + 0.001  # a thousandth is chance
