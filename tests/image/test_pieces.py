"""Letters and other pieces that repeat: taken out and put back, and what is no list of them."""

from __future__ import annotations

import lzma
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import vqcodec
from vqcodec.bitstream import NO_MODEL, Chunk, ImageHeader, read_vqc, sample_hash, write_vqc
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import ChecksumError, CorruptError
from vqcodec.image.exact import GRAPHICS, decode_tile, encode_tile
from vqcodec.image.pieces import encode_pieces, find_repeats
from vqcodec.image.webp import to_webp


def text(height: int, width: int) -> np.ndarray:
    """A page of which no line is like another, gray."""
    rng = np.random.default_rng(7)
    image = Image.new("L", (width, height), "white")
    for y in range(8, height - 20, 20):
        ImageDraw.Draw(image).text(
            (8, y), "".join(rng.choice(list("abcdefgh "), width // 9)), fill="black", font_size=14
        )
    return np.asarray(image)[:, :, None]


def window(channels: int) -> np.ndarray:
    """Text on two colours of ground."""
    out = text(160, 400).repeat(3, 2)
    out[:, 200:] = out[:, 200:] * np.array([90, 240, 160]) // 255
    if channels == 1:
        return np.ascontiguousarray(out[:, :, 1:2])
    return np.dstack([out, np.where(out[:, :, 0] < 60, 128, 255).astype(np.uint8)]) if channels == 4 else out


def test_a_page_costs_its_letters() -> None:
    pixels = text(400, 500)
    payload = encode_tile(pixels, GRAPHICS).payload
    assert payload[-1] == 7
    assert len(payload) < 0.5 * len(to_webp(pixels, GRAPHICS))
    twice = encode_tile(np.concatenate([pixels, pixels]), GRAPHICS).payload
    assert len(twice) < 1.5 * len(payload)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(8, 90), st.integers(8, 90))
def test_stamps_anywhere(seed: int, channels: int, height: int, width: int) -> None:
    """Beside each other, over each other and at the edges."""
    rng = np.random.default_rng(seed)
    stamps = [rng.integers(0, 3, (*rng.integers(1, 9, 2), channels), dtype=np.uint8) * 90 for _ in range(3)]
    out = np.full((height, width, channels), 250, np.uint8)
    for _ in range(60):
        stamp = stamps[rng.integers(3)]
        y, x = rng.integers(0, height), rng.integers(0, width)
        part = out[y : y + stamp.shape[0], x : x + stamp.shape[1]]
        part[...] = stamp[: part.shape[0], : part.shape[1]]
    found = find_repeats(out, np.full(channels, 250, np.uint8))
    if found is None:
        return
    head = encode_pieces(found)
    assert head is not None
    payload = head + to_webp(found.ground, ((4, 80),)) + b"\2\7"
    header = ImageHeader(width, height, 0, channels < 3, channels % 2 == 0, NO_MODEL, 0, lossless=True)
    assert np.array_equal(decode_tile(Chunk(payload, (), sample_hash(out)), header, 0), out)


def test_where_pieces_are_not_looked_for() -> None:
    rng = np.random.default_rng(0)
    key = np.full(1, 255, np.uint8)
    assert find_repeats(rng.integers(0, 255, (50, 60, 1), dtype=np.uint8), key) is None  # no ground
    assert find_repeats(np.full((50, 60, 1), 255, np.uint8), key) is None  # nothing on it
    dust = np.where(rng.random((900, 900, 1)) < 0.05, 0, 255).astype(np.uint8)
    assert find_repeats(dust, key) is None  # too many to be letters
    many = np.full((180, 180, 1), 255, np.uint8)
    many.reshape(30, 6, 30, 6)[:, 1:4, :, 1:4] = 0
    found = find_repeats(many, key)
    assert found is not None
    assert encode_pieces(found) is None
    chunk = encode_tile(many)  # more places than so few bytes may ask for
    header = ImageHeader(180, 180, 0, True, False, NO_MODEL, 0, lossless=True)
    assert np.array_equal(decode_tile(chunk, header, 0), many)


FILTERS = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]


def with_list(payload: bytes, change: object) -> bytes:
    """The payload of a gray tile with another list."""
    size, at = read_varint(payload, 1, "")
    listed = lzma.decompress(payload[at : at + size], lzma.FORMAT_RAW, filters=FILTERS)
    packed = change(listed)  # type: ignore[operator]
    if not packed.startswith(b"raw"):
        packed = lzma.compress(packed, lzma.FORMAT_RAW, filters=FILTERS)
    return payload[:1] + write_varint(len(packed)) + packed + payload[at + size :]


def test_lists_that_are_none() -> None:
    """Under right check sums: refused, each in its words."""
    pixels = text(160, 240)
    file = read_vqc(vqcodec.compress(pixels, lossless=True))
    chunk = file.chunks[0]
    assert chunk is not None
    payload = chunk.payload
    assert payload[-2:] == b"\1\7"
    for wrong, words in (
        (with_list(payload, lambda listed: listed[:-1]), "a piece that there is not"),
        (with_list(payload, lambda listed: listed + b"\0"), "does not end"),
        (with_list(payload, lambda listed: b"raw" + listed), "no list of pieces"),
        (with_list(payload, lambda listed: bytes(100_000)), "no list of pieces"),
        (with_list(payload, lambda listed: listed[:2] + b"\0" + listed[3:]), "no size"),
        (with_list(payload, lambda listed: listed[:2] + b"\x41" + listed[3:]), "no size"),
        (with_list(payload, lambda listed: b"\0" + listed[1:]), "no size"),
        (with_list(payload, lambda listed: listed[:-2] + b"\x7f" + listed[-1:]), "a piece that there is not"),
        (with_list(payload, lambda listed: listed[:-1] + b"\xff"), "beyond the edge|not those"),
        (with_list(payload, lambda listed: b"\1\1\1\1\0\xff\xff\x7f\0\0"), "too many places|no lossless"),
        (payload + b"\7\7", "unknown method 7|no lossless|no list|too many|number"),
        (b"\7", "number"),
    ):
        for read in (vqcodec.verify, vqcodec.decompress):
            with pytest.raises((CorruptError, ChecksumError), match=f"chunk 0.*({words})"):
                read(write_vqc(replace(file, chunks=[replace(chunk, payload=wrong)])))


def test_layers_have_pieces() -> None:
    from image.test_layers import photo

    out = text(300, 400).repeat(3, 2)
    out[100:200, 150:280] = photo(100, 130)
    data = vqcodec.compress(out)
    layer = read_vqc(data).layers[0]
    assert layer is not None
    assert layer.payload[-1] == 7
    vqcodec.verify(data)
