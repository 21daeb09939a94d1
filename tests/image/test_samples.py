"""Samples of every depth and mode: transparent stays so, white stays white, and what cannot be read says so."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from image.picture_files import CASES, gray_png, png_chunk, tiff
from PIL import Image

from vqcodec.errors import InputError
from vqcodec.image.files import load_picture
from vqcodec.image.fill import fill_invisible


def test_transparent_gray_of_two_bits():
    picture = load_picture(CASES / "02-trns-gray2-1.png")
    assert (picture.alpha == 0).sum() == 256
    with Image.open(CASES / "02-trns-gray2-1.png") as image:
        assert np.array_equal(picture.alpha == 0, np.asarray(image) == 85)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("given", ["file", "open image", "loaded image"])
def test_transparent_gray_of_every_depth(depth, given):
    values = np.arange(1024).reshape(32, 32) * (64 if depth == 16 else 1) % 2**depth
    for key in sorted({0, 1 if depth < 16 else 64 * 7, 2**depth - 1 if depth < 16 else 64 * 1000}):
        data = gray_png(values, depth, png_chunk(b"tRNS", struct.pack(">H", key)))
        source = data if given == "file" else Image.open(io.BytesIO(data))
        if given == "loaded image":
            source.load()
        picture = load_picture(source)
        assert picture.alpha is not None, key
        assert np.array_equal(picture.alpha == 0, values == key), key


def test_transparent_colour_of_sixteen_bits_is_found():
    wide = np.full((4, 4, 3), 0x1234, ">u2")
    wide[1, 2] = (0x8001, 0x0203, 0x4005)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    png += png_chunk(b"tRNS", struct.pack(">3H", 0x8001, 0x0203, 0x4005))
    png += png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    picture = load_picture(png)
    assert picture.alpha is not None
    assert np.argwhere(picture.alpha == 0).tolist() == [[1, 2]]


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_with_white_as_zero(order, bits):
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    stored = (255 - gray).astype(np.uint16) * 257 if bits == 16 else 255 - gray
    data = tiff(order, stored, 0)
    assert np.array_equal(load_picture(data).pixels, gray)
    if (order, bits) != ("MM", 16):  # which Pillow does not open
        assert np.array_equal(load_picture(Image.open(io.BytesIO(data))).pixels, gray)
    with_alpha = np.dstack([255 - gray, gray + 1])
    assert np.array_equal(load_picture(tiff(order, with_alpha, 0, alpha=True)).pixels, gray)


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize(
    ("samples", "form", "words"),
    [
        (np.ones((2, 2, 1), np.float32), 3, "floating-point"),
        (np.ones((2, 2, 3), np.float32), 3, "32-bit floating-point samples, 3 per pixel"),
        (np.ones((2, 2, 1), np.float64), 3, "64-bit floating-point"),
        (np.full((2, 2, 1), 2**30, np.uint32), 1, "32-bit whole-number|beyond 16 bits"),
        (np.ones((2, 2, 3), np.uint32), 1, "32-bit whole-number samples, 3 per pixel"),
        (np.ones((2, 2, 3), np.int16), 2, "16-bit signed"),
        (np.ones((2, 2, 2), np.uint16), 1, "16-bit whole-number samples, 2 per pixel, .*; convert it to PNG first"),
    ],
)
def test_tiff_of_other_kinds_says_what_it_is(order, samples, form, words):
    with pytest.raises(InputError, match=words) as caught:
        load_picture(tiff(order, samples, 2 if samples.shape[2] == 3 else 1, form=form))
    assert "whole?" not in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "I;16", "I;16B", "I;16L"])
def test_every_mode_of_an_image(rgb, mode):
    base = Image.fromarray(np.dstack([rgb[:, :, 0]] * 3 + [rgb[:, :, 0] | 1]))
    if mode.startswith("I;16"):
        order = ">" if mode.endswith("B") else "<"
        wide = (rgb[:, :, 0].astype(np.uint16) * 257).astype(order + "u2")
        image = Image.frombytes(mode, (56, 40), wide.tobytes())
    elif mode == "PA":
        image = base.convert("RGB").convert("P").convert("PA")
        image.putalpha(base.getchannel("A"))
    else:
        image = base.convert({"La": "LA", "P": "RGB", "RGBa": "RGBA"}.get(mode, mode)).convert(mode)
    assert image.mode == mode
    picture = load_picture(image)
    assert picture.pixels.shape[:2] == (40, 56)
    assert (picture.alpha is not None) == mode.lower().endswith("a")
    off = {"1": 128, "P": 25, "PA": 25}.get(mode, 1)
    assert np.abs(picture.pixels[:, :, 0].astype(int) - rgb[:, :, 0]).mean() < off


@pytest.mark.filterwarnings("ignore:.*or keep the source")
def test_no_halo_and_half_the_bytes(monkeypatch):
    import vqcodec
    from vqcodec.image import samples
    from vqcodec.image.whole import Whole

    with Image.open(CASES / "19-alpha-edge.png") as image:
        before = np.asarray(image)
    for name, value in (("early", None), ("mask", None), ("unless_larger", lambda self, data: data)):
        monkeypatch.setattr(Whole, name, value)  # with codes
    data = vqcodec.compress(CASES / "19-alpha-edge.png")
    after = np.asarray(vqcodec.decompress(data))
    seen = before[:, :, 3] > 0
    assert np.array_equal(after[:, :, 3], before[:, :, 3])
    assert np.abs(after.astype(int) - before)[seen].max() <= 4
    monkeypatch.setattr(samples, "fill_invisible", lambda pixels, alpha: pixels)
    assert len(data) < 0.6 * len(vqcodec.compress(CASES / "19-alpha-edge.png"))


class TestFill:
    def test_what_is_visible_stays(self, rgb):
        alpha = rgb[:, :, 0] // 100
        filled = fill_invisible(rgb, alpha)
        assert np.array_equal(filled[alpha > 0], rgb[alpha > 0])
        assert filled.dtype == np.uint8

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (5, 3), (64, 64), (65, 33), (513, 700)])
    def test_one_colour_fills_everything(self, shape):
        alpha = (np.random.default_rng(1).random(shape) < 0.02).astype(np.uint8)
        alpha[-1, -1] = 1
        pixels = np.full((*shape, 3), (10, 70, 200), np.uint8) * alpha[:, :, None]
        assert np.abs(fill_invisible(pixels, alpha).astype(int) - (10, 70, 200)).max() == 0

    def test_holes_take_what_is_near(self):
        pixels = np.zeros((32, 32, 1), np.uint8)
        pixels[:, 20:] = 200
        alpha = np.ones((32, 32), np.uint8)
        alpha[:, 10:22] = 0
        filled = fill_invisible(pixels, alpha)[:, :, 0]
        assert filled[:, 10].max() < 40
        assert filled[:, 21].min() > 160

    def test_nothing_visible_costs_nothing(self, rgb):
        assert len(np.unique(fill_invisible(rgb, np.zeros((40, 56), np.uint8)))) == 1


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_tiff_of_gray_and_alpha_at_16_bits(order, photometric):
    """Which Pillow does not read."""
    samples = np.random.default_rng(0).integers(0, 2**16, (5, 7, 2)).astype(np.uint16)
    data = tiff(order, samples, photometric, alpha=True)
    gray, alpha = samples[:, :, 0] if photometric else 65_535 - samples[:, :, 0], samples[:, :, 1]
    deep = load_picture(data, deep=True, exact=True)
    assert np.array_equal(deep.pixels[:, :, 0], gray)
    assert np.array_equal(deep.alpha, alpha)
    plain = load_picture(data, exact=True)
    assert plain.notes == ("16 bits per sample are reduced to 8",)
    assert np.abs(plain.pixels[:, :, 0] * 257.0 - gray).max() <= 128
    assert np.abs(plain.alpha * 257.0 - alpha).max() <= 128
    for tag in (317, 284):  # differences of neighbours, planes apart: not what can be read byte by byte
        at = data.index(struct.pack("<HH" if order == "II" else ">HH", 339, 3))
        other = data[:at] + struct.pack("<HHIH" if order == "II" else ">HHIH", tag, 3, 1, 2) + data[at + 10 :]
        with pytest.raises(InputError, match="2 per pixel, is of a kind that cannot be read"):
            load_picture(other)
