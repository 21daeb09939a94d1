"""Exact tiles: samples to the bytes of a chunk and back, without loss (SPEC.md, Exact chunks of a picture).

The streams are lossless WebP's, whose predictors, palettes and repeats are not beaten by an interlaced predictor of our
own (on Kodak 6 % behind it); 16-bit samples go as two pictures of their high and low bytes, 20 % below PNG.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, WebPImagePlugin

from vqcodec.bitstream import Chunk, ImageHeader, sample_hash
from vqcodec.bitstream.arrays import U8, U16, Samples
from vqcodec.bitstream.checks import check_written
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import CorruptError, TruncatedError
from vqcodec.image.samples import reduce16, spread

__all__ = [
    "FAST",
    "GRAPHICS",
    "PHOTO",
    "UTMOST",
    "Effort",
    "Place",
    "decode_tile",
    "encode_tile",
    "is_smooth",
    "place_of",
]

_UNIFORM, _WEBP, _BYTES, _SLOPES = 1, 2, 3, 4  # the last byte of a payload
_OPAQUE = 255
# Second differences are worth a try where they are mostly below this: on gradients, not on photographs.
_SMOOTH = 64

Place = tuple[slice, slice]
"""Rows and columns of a tile."""
Effort = tuple[tuple[int, int], ...]
"""Methods and qualities of libwebp, of which the smallest stream is kept."""
# On Kodak quality 0 takes a seventh of the time of 80, for 0.7 % more bytes; either of the other two may be smaller.
# On graphics method 4 is at times the better, and quality 100 by up to a third, but at method 6 it takes seconds.
PHOTO: Effort = ((6, 80), (6, 50))
FAST: Effort = ((6, 0),)
GRAPHICS: Effort = ((6, 80), (4, 80), (4, 100))
UTMOST: Effort = (*GRAPHICS, (6, 100))


def place_of(header: ImageHeader, index: int) -> Place:
    """Where in a picture a tile is; row-major."""
    row, column = divmod(index, header.grid[1])
    side = 1 << header.tile_log2
    return slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)


def encode_tile(samples: Samples, effort: Effort = PHOTO) -> Chunk:
    """The chunk of a tile [H, W, C]: gray or RGB, and alpha or a mask."""
    return Chunk(_encode(samples, effort), (), sample_hash(samples))


def _encode(samples: Samples, effort: Effort) -> bytes:
    first = np.ascontiguousarray(samples[:1, :1])
    if (samples == first).all():
        return first.astype(first.dtype.newbyteorder("<")).tobytes() + bytes([_UNIFORM])
    if samples.dtype == np.uint8:
        return _to_webp(samples.astype(np.uint8, copy=False), effort) + bytes([_WEBP])
    wide = samples.astype(np.uint16, copy=False)
    narrow = reduce16(wide)
    if np.array_equal(spread(narrow), wide):
        return _to_webp(narrow, effort) + bytes([_WEBP])
    ways = [_split(wide, effort) + bytes([_BYTES])]
    if is_smooth(wide):
        ways.append(_split(_slopes(wide), effort) + bytes([_SLOPES]))
    return min(ways, key=len)


def is_smooth(samples: Samples) -> bool:
    """Whether 16-bit samples [H, W, C] are mostly slopes, of which second differences say little."""
    return bool(_slopes(samples.astype(np.uint16, copy=False)).mean() < _SMOOTH)


def decode_tile(chunk: Chunk, header: ImageHeader, index: int) -> Samples:
    """Samples [H, W, C] of a tile.

    Args:
        index: of the tile, row-major.

    Raises:
        CorruptError: the payload is not that of a tile of this size.
        ChecksumError: the samples are not those that were written.
    """
    place = f"chunk {index + (header.parts // 2 if header.layers else 0)}"
    shape = (*header.tile_size(index), header.channels)
    try:
        samples = _decode(chunk.payload, shape, deep=header.deep)
        if header.layers and (samples[:, :, -1] % _OPAQUE).any():
            raise CorruptError("a mask that is neither 0 nor 255")
    except (CorruptError, TruncatedError) as error:
        raise CorruptError(str(error), place) from error
    check_written(sample_hash(samples), chunk.code_hash, "samples", place)
    return samples


def _decode(payload: bytes, shape: tuple[int, int, int], *, deep: bool) -> Samples:
    body, method = payload[:-1], payload[-1] if payload else 0
    if method == _UNIFORM:
        kind = np.dtype("<u2" if deep else np.uint8)
        if len(body) != kind.itemsize * shape[2]:
            raise CorruptError(f"{len(body)} bytes are no pixel")
        out: Samples = np.empty(shape, np.uint16 if deep else np.uint8)
        out[...] = np.frombuffer(body, kind)
        return out
    if method == _WEBP:
        narrow = _from_webp(body, shape)
        return spread(narrow) if deep else narrow
    if method not in (_BYTES, _SLOPES) or not deep:
        raise CorruptError(f"unknown method {method}")
    size, start = read_varint(body, 0, "")
    wide = _from_webp(body[start : start + size], shape).astype(np.uint16)
    wide <<= 8
    wide |= _from_webp(body[start + size :], shape)
    return wide if method == _BYTES else _from_slopes(wide)


def _split(samples: U16, effort: Effort) -> bytes:
    """High and low bytes as two streams."""
    high, low = (_to_webp((samples >> shift).astype(np.uint8), effort) for shift in (8, 0))
    return write_varint(len(high)) + high + low


def _slopes(samples: U16) -> U16:
    """Second differences modulo 2^16, of red and blue less green; small ones of either sign are small numbers."""
    out = samples.copy()
    if out.shape[2] > 2:
        out[:, :, 0] -= samples[:, :, 1]
        out[:, :, 2] -= samples[:, :, 1]
    out[1:] -= out[:-1].copy()
    out[:, 1:] -= out[:, :-1].copy()
    return (out << 1 ^ (out >> 15) * np.uint16(0xFFFF)).astype(np.uint16)


def _from_slopes(slopes: U16) -> U16:
    out: U16 = (slopes >> 1 ^ (slopes & 1) * np.uint16(0xFFFF)).astype(np.uint16)
    np.cumsum(out, axis=1, dtype=np.uint16, out=out)
    np.cumsum(out, axis=0, dtype=np.uint16, out=out)
    if out.shape[2] > 2:
        out[:, :, 0] += out[:, :, 1]
        out[:, :, 2] += out[:, :, 1]
    return out


def _to_webp(samples: U8, effort: Effort) -> bytes:
    """What follows the header in a lossless WebP stream (RFC 9649, 3.4): size and use of alpha are known."""
    image = Image.fromarray(_expanded(samples))
    return min((_stream(image, *way) for way in effort), key=len)


def _stream(image: Image.Image, method: int, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exact=True, method=method, quality=quality)
    content = buffer.getvalue()
    assert content[12:16] == b"VP8L"
    (size,) = struct.unpack_from("<I", content, 16)
    return content[25 : 20 + size]


def _expanded(samples: U8) -> U8:
    """Samples [H, W, 1 to 4] as [H, W, 3 or 4]: WebP has no gray."""
    if samples.shape[2] > 2:
        return np.ascontiguousarray(samples)
    return np.ascontiguousarray(samples[:, :, [0, 0, 0, 1][: 2 + samples.shape[2]]])


def _from_webp(body: bytes, shape: tuple[int, int, int]) -> U8:
    height, width, channels = shape
    alpha = channels in (2, 4)
    stream = struct.pack("<BI", 0x2F, width - 1 | height - 1 << 14 | alpha << 28) + body
    padded = stream + b"\0" * (len(stream) % 2)
    content = struct.pack("<4sI8sI", b"RIFF", 12 + len(padded), b"WEBPVP8L", len(stream)) + padded
    try:
        # as Image.open does it, but without its check of the size, which is known
        with WebPImagePlugin.WebPImageFile(io.BytesIO(content)) as image:
            assert image.size == (width, height)
            samples = np.asarray(image.convert("RGBA" if alpha else "RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's reader raises several kinds
        raise CorruptError("no lossless WebP stream") from error
    return samples if channels > 2 else np.ascontiguousarray(samples[:, :, [1, 3][:channels]])
