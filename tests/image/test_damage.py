"""Damaged and cut pictures: what is lost is named, what is left is shown, and nothing at all is an error."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from conftest import scene
from PIL import Image, ImageFile

import vqcodec
from vqcodec.bitstream import Chunk, ImageHeader, VqcFile, read_vqc, write_vqc
from vqcodec.errors import ChecksumError, TruncatedError, VqcWarning
from vqcodec.image.damage import losses


@pytest.fixture(scope="module")
def tiles() -> bytes:
    """A picture of 2,060 x 24 pixels (three tiles, the first of them noisy) with alpha, EXIF and XMP."""
    pixels = scene(24, 2060)
    noise = np.random.default_rng(1).normal(0, 25, (24, 1024, 3))
    pixels[:, :1024] = np.clip(pixels[:, :1024] + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    alpha = np.full((24, 2060), 255, np.uint8)
    alpha[:10] = 9
    image.putalpha(Image.fromarray(alpha))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.info = {"exif": exif.tobytes(), "xmp": b"<x/>"}
    return vqcodec.compress(image, quality=85)


def payload_at(data: bytes, index: int) -> int:
    chunk = read_vqc(data).chunks[index]
    assert chunk is not None
    return data.index(chunk.payload)


def damaged(data: bytes, *places: int) -> bytes:
    out = bytearray(data)
    for place in places:
        out[place] ^= 1
    return bytes(out)


def said(data: bytes, **options: bool) -> tuple[Image.Image, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = vqcodec.decompress(data, **options)
    assert all(each.category is VqcWarning for each in caught)
    return image, [str(each.message) for each in caught]


def test_regions_are_named(tiles):
    data = damaged(tiles, payload_at(tiles, 1), payload_at(tiles, 2))
    image, notes = said(data, conceal=True)
    assert image.size == (2060, 24)
    assert notes == [
        "2 of 3 tiles (pixels 1024 to 2047 across, 0 to 23 down; pixels 2048 to 2059 across, 0 to 23 down) damaged "
        "or missing: filled with the mean colour of the others"
    ]


def test_regions_of_many_rows():
    header = ImageHeader(1100, 2060, 1, False, False, bytes(4), 0)
    chunk = Chunk(b"1", (), 0)
    chunks = [None, None, chunk, None, None, None]
    (note,) = losses(VqcFile(header, list(chunks)), header, chunks)
    assert note.startswith("5 of 6 tiles (pixels 0 to 1023 across, 0 to 1023 down; pixels 1024 to 1099 across, ")
    assert "pixels 1024 to 1099 across, 1024 to 2047 down; pixels 0 to 1023 across, 2048 to 2059 down; ...)" in note


def test_codes_that_do_not_fit_their_hash_are_concealed(tiles):
    file = read_vqc(tiles)
    chunk = file.chunks[2]
    assert isinstance(chunk, Chunk)
    file.chunks[2] = replace(chunk, code_hash=chunk.code_hash ^ 1)
    data = write_vqc(file)
    with pytest.raises(ChecksumError, match="chunk 2"):
        vqcodec.decompress(data)
    assert "1 of 3 tiles (pixels 2048 to 2059 across, 0 to 23 down)" in said(data, conceal=True)[1][0]


def test_a_damaged_section_takes_no_other_with_it(tiles):
    data = damaged(tiles, tiles.index(b"<x/>"))
    image, notes = said(data, conceal=True)
    assert notes == ["its XMP is lost"]
    assert image.mode == "RGBA"
    assert image.getexif()[0x010F] == "maker"


def test_a_section_of_a_wrong_form_takes_no_other_with_it(tiles):
    from vqcodec.bitstream.checks import crc32

    at = tiles.index(b"<x/>") - 1
    body = b"\x07<x/>"  # an unknown method under a right check sum
    data = tiles[:at] + body + crc32(b"\x03", body) + tiles[at + len(body) + 4 :]
    image, notes = said(data, conceal=True)
    assert notes == ["its XMP is lost"]
    assert (image.mode, image.getexif()[0x010F]) == ("RGBA", "maker")


def test_alpha_is_said(tiles):
    start = tiles.index(b"<x/>") + 4 + 4
    image, notes = said(damaged(tiles, start + 3), conceal=True)
    assert notes == ["its alpha plane is lost: the picture is opaque"]
    assert image.mode == "RGB"


def test_cut_pictures(tiles):
    first = payload_at(tiles, 0)
    chunk = read_vqc(tiles).chunks[0]
    assert chunk is not None
    assert len(chunk.payload) > 3000
    image, notes = said(tiles[: first + len(chunk.payload) // 2], allow_truncated=True)
    assert image.size == (2060, 24)
    assert "2 of 3 tiles (" in notes[0]
    assert "1 of 3 tiles (pixels 0 to 1023 across, 0 to 23 down) cut short" in notes[1]
    with pytest.raises(TruncatedError, match="nothing of the pixels"):
        vqcodec.decompress(tiles[: first + 1], allow_truncated=True)
    with pytest.raises(TruncatedError, match="nothing of the pixels"):
        vqcodec.decompress(tiles[: tiles.index(b"<x/>")], allow_truncated=True)


def test_nothing_left_is_an_error(rgb):
    data = vqcodec.compress(rgb)
    with pytest.raises(ChecksumError, match="nothing of the pixels"):
        vqcodec.decompress(damaged(data, len(data) // 2), conceal=True)


def test_whole_pictures_are_silent(tiles):
    assert said(tiles, conceal=True, allow_truncated=True)[1] == []


def test_info_on_a_cut_file(tiles):
    assert vqcodec.info(tiles)["missing_bytes"] == 0
    assert vqcodec.info(tiles[:-100])["missing_bytes"] == 100


def test_pillow_says_it_too(tiles, monkeypatch):
    vqcodec.register_pillow()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(tiles[: payload_at(tiles, 1)])) as image, pytest.warns(VqcWarning, match="2 of 3 tiles"):
        image.load()
