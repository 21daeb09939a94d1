"""Exact layers over graphics: found where they are, laid over without a seam, checked and concealed like tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from abuse.mutate import check_mutations
from conftest import EXAMPLES, scene
from PIL import Image, ImageDraw

import vqcodec
from vqcodec.bitstream import Chunk, ImageHeader, VqcFile, read_vqc, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, VqcWarning
from vqcodec.image import whole
from vqcodec.image.exact import GRAPHICS, encode_tile
from vqcodec.image.layers import ABSENT, encode_layers, find_graphics, only_needed, without
from vqcodec.registry import load_image_codec
from vqcodec.threads import ALONE


def page(height: int, width: int, at: int = 8) -> np.ndarray:
    """Text, black on white."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for y in range(at, height - 12, 14):
        draw.text((8, y), "the quick brown fox jumps over the lazy dog " * 4, fill="black")
    return np.asarray(image)


def photo(height: int, width: int) -> np.ndarray:
    with Image.open(EXAMPLES / "lake.png") as image:
        return np.asarray(image.convert("RGB"))[50 : 50 + height, 60 : 60 + width]


def screenshot() -> np.ndarray:
    """A page with a photograph in it, beside no block's edge."""
    out = page(200, 260).copy()
    out[45:145, 75:205] = photo(100, 130)
    return out


def test_what_is_found() -> None:
    assert find_graphics(photo(300, 400)).share < 0.01
    everywhere = find_graphics(page(200, 300))
    assert everywhere.mask.all()
    mixed = find_graphics(screenshot())
    assert mixed.mask[:32].all()
    assert not mixed.mask[64:128, 96:192].any()
    assert 0.3 < mixed.share < 0.9
    flat = find_graphics(np.full((100, 100, 3), 200, np.uint8))
    assert (flat.share, flat.plain) == (0, 1)


@pytest.mark.parametrize("pixels", [screenshot(), screenshot()[:, :, :1]], ids=["colour", "gray"])
def test_a_photograph_in_a_page(pixels: np.ndarray) -> None:
    data = vqcodec.compress(pixels)
    facts = vqcodec.info(data)
    assert (facts["layers"], facts["chunks"], facts["lossless"]) == (1, 1, False)
    back = np.asarray(vqcodec.decompress(data)).reshape(pixels.shape)
    mask = find_graphics(pixels).mask
    assert np.array_equal(back[mask], pixels[mask])
    error = np.abs(back[~mask].astype(int) - pixels[~mask])
    assert 0 < error.mean() < 8
    # no seam: along the border of the mask codes are no worse than they were without a layer
    border = np.zeros_like(mask)
    border[1:-1, 1:-1] = ~mask[1:-1, 1:-1] & (mask[2:, 1:-1] | mask[:-2, 1:-1] | mask[1:-1, 2:] | mask[1:-1, :-2])
    codec = load_image_codec()
    plain = codec.encode(pixels, facts["step"])
    gray = pixels.shape[2] == 1
    header = ImageHeader(260, 200, facts["step"], gray, False, codec.model_id, codec.model_hint)
    without_layer = codec.decode(header, plain)
    assert _error(back, pixels, border) <= 1.05 * _error(without_layer, pixels, border)
    assert len(data) < sum(len(chunk.payload) for chunk in plain)
    vqcodec.verify(data)


@pytest.mark.parametrize("curve", [1.0, 1.1])
def test_a_photograph_in_a_page_of_16_bits(curve: float) -> None:
    """Of what 8 bits can say, and of what they cannot."""
    eight = screenshot()
    pixels = (np.linspace(0, 1, 256) ** curve * 65_535).round().astype(np.uint16)[eight]
    data = vqcodec.compress(pixels)
    facts = vqcodec.info(data)
    assert (facts["layers"], facts["depth"], facts["lossless"]) == (1, 16, False)
    back = vqcodec.decompress_samples(data).pixels
    mask = find_graphics(eight).mask
    assert np.array_equal(back[mask], pixels[mask])
    assert 0 < np.abs(back[~mask].astype(int) - pixels[~mask]).mean() < 8 * 257
    vqcodec.verify(data)
    assert len(data) < 1.3 * len(vqcodec.compress(eight))
    page16 = page(200, 300).astype(np.uint16) * 257
    assert vqcodec.info(vqcodec.compress(page16))["lossless"]


def test_gradients_of_16_bits_keep_their_steps_at_high_quality() -> None:
    y, x = np.mgrid[:200, :300]
    slope = np.stack([x * 4 + y * 3, x * 3 + y * 2 + 9_000, 40_000 - 2 * x], 2).astype(np.uint16)
    round_one = (np.hypot(x - 150, y - 100) * 4 + 9_000).round().astype(np.uint16)[:, :, None]
    for pixels in (slope, round_one):
        back = vqcodec.decompress_samples(vqcodec.compress(pixels, kind="image", quality=95)).pixels
        assert np.array_equal(back, pixels)
        assert len(vqcodec.compress(pixels, kind="image", quality=60)) < 2_000


def _error(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(a[where].astype(int) - b[where]).mean())


def test_text_becomes_lossless_and_stays_small() -> None:
    data = vqcodec.compress(page(300, 400))
    assert vqcodec.info(data)["lossless"]
    assert np.array_equal(np.asarray(vqcodec.decompress(data).convert("RGB")), page(300, 400))
    photograph = vqcodec.compress(photo(200, 300))
    assert not vqcodec.info(photograph)["lossless"]
    assert vqcodec.info(photograph)["layers"] == 0


def test_targets_count_layers() -> None:
    pixels = screenshot()
    small = vqcodec.compress(pixels, target_size=9_000)
    assert len(small) <= 9_000
    near = vqcodec.compress(pixels, target_psnr=40)
    back = np.asarray(vqcodec.decompress(near)).astype(float)
    assert 10 * np.log10(255**2 / np.square(back - pixels).mean()) >= 39.9
    assert vqcodec.info(vqcodec.compress(page(200, 300), target_size=100_000))["lossless"]


def two_tiles() -> bytes:
    """A page beside a photograph, so wide that the tile of the page needs no codes."""
    pixels = np.concatenate([page(64, 1024), photo(64, 100)], 1)
    mask = np.zeros((64, 1124), bool)
    mask[:, :1030] = True
    codec = load_image_codec()
    header = ImageHeader(1124, 64, 100, False, False, codec.model_id, codec.model_hint, layers=True)
    chunks = only_needed(codec.encode(without(pixels, mask), 100), mask, header)
    return write_vqc(VqcFile(header, list(chunks), layers=list(encode_layers(pixels, mask, header, GRAPHICS, ALONE))))


def test_a_tile_that_its_layer_covers_needs_no_codes() -> None:
    data = two_tiles()
    file = read_vqc(data)
    assert file.chunks[0] == ABSENT
    assert None not in file.layers
    back = np.asarray(vqcodec.decompress(data))
    assert np.array_equal(back[:, :1030], np.concatenate([page(64, 1024), photo(64, 100)], 1)[:, :1030])
    vqcodec.verify(data)


def test_damage() -> None:
    data = bytearray(two_tiles())
    data[-30] ^= 1  # the layer of the second tile
    with pytest.raises(ChecksumError, match="chunk 3"):
        vqcodec.decompress(bytes(data))
    with pytest.warns(VqcWarning, match=r"the exact parts of 1 of 2 tiles \(pixels 1024 to 1123 across"):
        back = np.asarray(vqcodec.decompress(bytes(data), conceal=True))
    assert np.array_equal(back[:, :1024], page(64, 1024))
    with pytest.warns(VqcWarning, match="the exact parts of"):
        vqcodec.decompress(bytes(data[: len(data) * 2 // 3]), allow_truncated=True)
    small = vqcodec.compress(screenshot()[30:130, 50:150])
    assert vqcodec.info(small)["layers"] == 1
    assert check_mutations(small, vqcodec.decompress, flips=150, cuts=60) == 210
    assert check_mutations(small, vqcodec.verify, flips=20, cuts=10, seed=1) == 30


def test_wrong_layers_under_right_check_sums() -> None:
    file = read_vqc(vqcodec.compress(screenshot()))
    layer = file.layers[0]
    assert layer is not None
    rng = np.random.default_rng(0)
    gray_mask = encode_tile(rng.integers(0, 256, (200, 260, 4), dtype=np.uint8))
    for other, error in (
        (replace(layer, code_hash=layer.code_hash ^ 1), ChecksumError),
        (replace(layer, payload=b"junk\2"), CorruptError),
        (replace(layer, payload=layer.payload[:-1] + b"\3"), CorruptError),
        (gray_mask, CorruptError),
        (Chunk(bytes([1, 2, 3, 4, 1]), (), 0), CorruptError),
    ):
        data = write_vqc(replace(file, layers=[other]))
        for read in (vqcodec.decompress, vqcodec.verify):
            with pytest.raises(error, match="chunk 1"):
                read(data)
        with pytest.warns(VqcWarning, match="the exact parts of 1 of 1 tiles"):
            vqcodec.decompress(data, conceal=True)


def test_alpha_and_layers_go_together() -> None:
    pixels = np.dstack([screenshot(), np.tile(np.arange(260) % 256, (200, 1)).astype(np.uint8)])
    pixels[:, :, 3] |= 1
    back = np.asarray(vqcodec.decompress(vqcodec.compress(pixels)))
    assert np.array_equal(back[:, :, 3], pixels[:, :, 3])
    assert np.array_equal(back[:32], pixels[:32])


def test_16_bits_with_codes() -> None:
    """Samples are not rounded to 8 bits on the way in or out."""
    slow = (np.add.outer(np.arange(256) * 5.0, np.arange(384) * 3.0)[:, :, None] + [9000, 20000, 40000]).astype(
        np.uint16
    )
    codec = load_image_codec()
    header = ImageHeader(384, 256, 13, False, False, codec.model_id, codec.model_hint, deep=True)
    back = codec.decode(header, codec.encode(slow, 13))
    assert back.dtype == np.uint16
    error = back.astype(float) - slow
    assert 10 * np.log10(65_535**2 / np.square(error).mean()) > 60
    inner = back[40:-40, 40:-40, 0].astype(int)
    assert np.abs(np.diff(inner, axis=1)).max() < 40  # where 8 bits would make steps of 257
    assert len(np.unique(inner)) > 0.3 * len(np.unique(slow[40:-40, 40:-40, 0]))
    noisy = (scene(64, 80).astype(np.uint16) * 257 + np.random.default_rng(0).integers(-90, 90, (64, 80, 3))).clip(0)
    data = vqcodec.compress(noisy.astype(np.uint16), quality=95)
    facts = vqcodec.info(data)
    assert (facts["depth"], facts["lossless"]) == (16, False)
    assert vqcodec.decompress_samples(data).pixels.dtype == np.uint16
    assert vqcodec.decompress_samples(data, depth=8).pixels.dtype == np.uint8


def test_a_gradient_of_16_bits_shows_no_bands_at_8() -> None:
    slope = np.tile(np.linspace(20_000, 22_000, 512), (64, 1))[:, :, None].astype(np.uint16)
    data = vqcodec.compress(slope, kind="image", lossless=True)
    eight = np.asarray(vqcodec.decompress(data, depth=8)).astype(float)
    means = eight.reshape(8, 8, 64, 8).mean((0, 1, 3))
    assert np.abs(means * 257 - slope[0, :, 0].reshape(64, 8).mean(1)).max() < 40
    assert np.array_equal(
        np.asarray(vqcodec.decompress(vqcodec.compress(scene(40, 50).astype(np.uint16) * 257, lossless=True), depth=8)),
        scene(40, 50),
    )


def soft_lines() -> Image.Image:
    """Hatching drawn large and reduced, so that edges are soft."""
    large = Image.new("L", (600, 600), 255)
    draw = ImageDraw.Draw(large)
    for i in range(-600, 600, 24):
        draw.line((i, 0, i + 600, 600), fill=60, width=3)
    draw.ellipse((120, 120, 480, 480), fill=255, outline=0, width=8)
    return large.resize((300, 300), Image.Resampling.LANCZOS)


def enlarged_text() -> Image.Image:
    return Image.fromarray(page(160, 240)).resize((360, 240), Image.Resampling.BICUBIC)


def dots() -> Image.Image:
    """A photograph in black and white dots."""
    return Image.fromarray(photo(200, 300)).convert("1").convert("RGB")


def ramp() -> Image.Image:
    """Nothing but a slope, which no block of graphics is in."""
    y, x = np.mgrid[:200, :300]
    return Image.fromarray(np.stack([(x + y) // 3, (2 * x + y) // 9 + 80, 255 - (x + 3 * y) // 9], 2).astype(np.uint8))


def few_values() -> Image.Image:
    """Noise of eight grays."""
    return Image.fromarray(np.random.default_rng(5).integers(0, 8, (150, 200), dtype=np.uint8) * 36)


@pytest.mark.parametrize(
    ("draw", "quality"),
    [(soft_lines, 60), (soft_lines, 20), (enlarged_text, 60), (dots, 30), (ramp, 90), (few_values, 60)],
)
def test_drawings_are_never_larger_than_without_loss(draw: Callable[[], Image.Image], quality: float) -> None:
    image = draw()
    data, exact = vqcodec.compress(image, quality=quality), vqcodec.compress(image, lossless=True)
    assert len(data) <= len(exact)
    if quality >= 30:
        assert data == exact


def test_what_is_lossless_by_itself_is_coded_as_thoroughly_as_by_option() -> None:
    slices = Image.new("RGB", (300, 300), "#f8f8f4")
    draw = ImageDraw.Draw(slices)
    for i, at in enumerate(range(0, 360, 45)):
        draw.pieslice((40, 40, 260, 260), at, at + 45, fill=(30 * i, 200 - 20 * i, 90), outline="white", width=3)
    assert vqcodec.compress(slices) == vqcodec.compress(slices, lossless=True)


def test_photographs_are_not_coded_without_loss_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "encode_lossless", None)
    for quality in (20, 60, 100):
        vqcodec.compress(photo(200, 300), quality=quality)
