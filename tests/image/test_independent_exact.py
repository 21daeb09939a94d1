"""Exact chunks against the decoder written from SPEC.md alone."""

from __future__ import annotations

import numpy as np
import pytest
from image.independent_decoder import decode_exact, decode_file, read_weights
from image.test_layers import screenshot
from image.test_pieces import window

import vqcodec
from vqcodec.bitstream import NO_MODEL, Chunk, ImageHeader, VqcFile, read_vqc, sample_hash, write_vqc
from vqcodec.image import lossless
from vqcodec.image.layers import find_graphics
from vqcodec.image.predicted import encode_predicted
from vqcodec.image.samples import reduce16
from vqcodec.registry import IMAGE_MODELS


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless(dtype: type, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossless, "_tile_log2", lambda height, width, drawn: 6)
    rng = np.random.default_rng(channels)
    noise = rng.integers(0, np.iinfo(dtype).max, (70, 90, channels), dtype, endpoint=True)
    slope = np.add.outer(np.arange(70) * 9, np.arange(90) * 50)[:, :, None] + 11 * np.arange(channels) ** 2 + 1
    for samples in (noise, slope.astype(dtype), noise // 257 * 257 if dtype == np.uint16 else noise[:, :1] + 0 * noise):
        samples = samples.astype(dtype)
        data = vqcodec.compress(samples, kind="image", lossless=True, exact_alpha=True)
        assert np.array_equal(decode_exact(data), samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_predicted(channels: int) -> None:
    rng = np.random.default_rng(channels)
    slope = np.add.outer(np.arange(66) * 0.004, np.arange(75) * 0.006)[:, :, None] + np.arange(channels) * 0.05
    for spread, step in ((0.02, 1), (0.3, 1), (0.02, 64)):
        samples = (slope + rng.normal(0, spread, (66, 75, channels))).clip(0, 1) * 65_535
        exact = (samples // step * step).astype(np.uint16)
        data = vqcodec.compress(exact, kind="image", lossless=True, exact_alpha=True)
        assert read_vqc(data).chunks[0].payload[-1] == 5
        assert np.array_equal(decode_exact(data), exact)


def test_predicted_of_8_bits() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (66, 75, 3), dtype=np.uint8)
    payload = b"\0" + encode_predicted(samples.astype(np.uint16)) + b"\5"
    header = ImageHeader(75, 66, 0, False, False, NO_MODEL, 0, lossless=True)
    data = write_vqc(VqcFile(header, [Chunk(payload, (), sample_hash(samples))]))
    vqcodec.verify(data, against=samples)
    assert np.array_equal(decode_exact(data), samples)


def test_few_values() -> None:
    values = np.sort(np.random.default_rng(0).integers(0, 65_536, 200))
    samples = values[np.random.default_rng(1).integers(0, 200, (30, 40, 3))].astype(np.uint16)
    data = vqcodec.compress(samples, kind="image", lossless=True)
    assert read_vqc(data).chunks[0].payload[-1] == 6
    assert np.array_equal(decode_exact(data), samples)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("deep", [False, True])
def test_pieces(channels: int, deep: bool) -> None:
    samples = window(channels)
    data = vqcodec.compress(samples.astype(np.uint16) * 257 if deep else samples, kind="image", lossless=True)
    payload = read_vqc(data).chunks[0].payload
    assert payload[-2:] == b"\7\7"  # two colours of ground
    assert np.array_equal(decode_exact(data), samples.astype(np.int64) * (257 if deep else 1))


@pytest.mark.parametrize("times", [1, 257, 256])
def test_layers(times: int) -> None:
    pixels = screenshot() if times == 1 else screenshot().astype(np.uint16) * times
    data = vqcodec.compress(pixels)
    assert vqcodec.info(data)["layers"] == 1
    tensors, _ = read_weights(IMAGE_MODELS[-1].path)
    decode_file(data, tensors)  # checks the hash of the codes
    found = decode_exact(data)
    mask = find_graphics(pixels if times == 1 else reduce16(pixels)).mask
    assert np.array_equal(found[:, :, 3], np.iinfo(pixels.dtype).max * mask)
    assert np.array_equal(found[mask][:, :3], pixels[mask])
