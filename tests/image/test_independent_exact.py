"""Exact chunks against the decoder written from SPEC.md alone."""

from __future__ import annotations

import numpy as np
import pytest
from image.independent_decoder import decode_exact, decode_file, read_weights
from image.test_layers import screenshot

import vqcodec
from vqcodec.image import lossless
from vqcodec.image.layers import find_graphics
from vqcodec.registry import IMAGE_MODELS


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless(dtype: type, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossless, "_tile_log2", lambda height, width: 6)
    rng = np.random.default_rng(channels)
    noise = rng.integers(0, np.iinfo(dtype).max, (70, 90, channels), dtype, endpoint=True)
    slope = np.add.outer(np.arange(70) * 9, np.arange(90) * 50)[:, :, None] + 11 * np.arange(channels) ** 2 + 1
    for samples in (noise, slope.astype(dtype), noise // 257 * 257 if dtype == np.uint16 else noise[:, :1] + 0 * noise):
        samples = samples.astype(dtype)
        data = vqcodec.compress(samples, kind="image", lossless=True, exact_alpha=True)
        assert np.array_equal(decode_exact(data), samples)


def test_layers() -> None:
    pixels = screenshot()
    data = vqcodec.compress(pixels)
    assert vqcodec.info(data)["layers"] == 1
    tensors, _ = read_weights(IMAGE_MODELS[-1].path)
    decode_file(data, tensors)  # checks the hash of the codes
    found = decode_exact(data)
    mask = find_graphics(pixels).mask
    assert np.array_equal(found[:, :, 3], 255 * mask)
    assert np.array_equal(found[mask][:, :3], pixels[mask])
