"""Exact tiles: samples to the bytes of a chunk and back, without loss (SPEC.md, Exact chunks of a picture).

The streams are lossless WebP's, whose predictors, palettes and repeats are not beaten by predictors of our own (on
Kodak 3 % behind it, from decoded neighbours, and 6 %, interlaced). Photographs of 16 bits are predicted: three that
were made up of 8-bit ones became 4, 10 and 37 % smaller than as two pictures of their high and low bytes, which serve
what is drawn and what is small.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vqcodec.bitstream import Chunk, ImageHeader, sample_hash
from vqcodec.bitstream.arrays import I64, U8, U16, Samples
from vqcodec.bitstream.checks import check_written
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import CorruptError, TruncatedError
from vqcodec.image.pieces import decode_pieces, encode_pieces, find_repeats
from vqcodec.image.predicted import LEAST_SIDE, decode_predicted, encode_predicted
from vqcodec.image.samples import reduce16, spread
from vqcodec.image.webp import Ways, from_webp, to_webp

__all__ = [
    "FAST",
    "GRAPHICS",
    "PHOTO",
    "QUICK",
    "UTMOST",
    "Care",
    "Place",
    "Ways",
    "care_of",
    "decode_tile",
    "encode_tile",
    "is_drawn",
    "is_smooth",
    "place_of",
]

_UNIFORM, _WEBP, _BYTES, _SLOPES, _PREDICTED, _FEW, _PIECES = range(1, 8)  # the last byte of a payload
_VALUES = 2**16  # of a 16-bit sample
_MOST_NESTED = 3  # colours of ground that pieces stand on
_FEW_LEVELS = 2**8  # which one stream can tell apart
# Second differences are worth a try where they are mostly below this: on gradients, not on photographs.
_SMOOTH = 64
_SMALL = 2**20  # pixels up to which thorough coding takes seconds
# Pixels up to which it takes little, and which way is the best is chance: all of lower efforts are tried as well.
_TINY = 2**18
# From this share of samples on that equal the one to the left, repeats may be worth more than a prediction.
_DRAWN = 0.5

Place = tuple[slice, slice]
"""Rows and columns of a tile."""
# On Kodak quality 0 takes a seventh of the time of 80, for 0.7 % more bytes; either of the other two may be smaller.
# On graphics method 4 is at times the better, and quality 100 by up to a third, but at method 6 it takes seconds.
QUICK: Ways = ((4, 80),)
# On photographs of some thousand pixels, and on those that repeat themselves, method 4 may be the better by up to 6 %.
PHOTO: Ways = ((6, 80), (6, 50), (4, 50))
FAST: Ways = ((6, 0), (4, 0))
GRAPHICS: Ways = ((6, 80), (4, 80), (4, 100))
UTMOST: Ways = (*GRAPHICS, (6, 100))


@dataclass(frozen=True)
class Care:
    """How thoroughly a picture is coded.

    Attributes:
        ways: of lossless WebP, for each tile.
        others: whether repeats and predictions are tried, too.
        cuts: sizes of tiles that are tried, as powers of two of the usual one.
    """

    ways: Ways
    others: bool = True
    cuts: tuple[int, ...] = (0,)


# By effort, of what is small and of what is larger. Up to 4 each is the next of libwebp's methods and qualities that
# makes graphics, or photographs, smaller for its time; from there on each tries what the one before it does, and more.
# Tiles of 256 pixels made photographs 1 % smaller, one tile in the place of four a drawing of soft lines 5 %.
_FOR_DRAWN = {
    1: (Care(((2, 0),), others=False), Care(((2, 0),), others=False)),
    2: (Care(((2, 50),)), Care(((2, 50),))),
    3: (Care(QUICK), Care(QUICK)),
    4: (Care(GRAPHICS), Care(GRAPHICS[1:])),
    5: (Care(UTMOST), Care(GRAPHICS)),
    6: (Care(UTMOST, cuts=(0, 1, 2)), Care((*GRAPHICS, (5, 100)))),
    7: (Care(UTMOST, cuts=(0, 1, 2)), Care((*UTMOST, (5, 100)))),
    8: (Care(UTMOST, cuts=(0, 1, 2)), Care((*UTMOST, (5, 100)), cuts=(0, 1))),
    9: (Care((*UTMOST, (5, 80), (5, 100)), cuts=(0, 1, 2)), Care((*UTMOST, (5, 80), (5, 100)), cuts=(0, 1, 2))),
}
_FOR_OTHERS = {
    1: (Care(((0, 0),), others=False), Care(((0, 0),), others=False)),
    2: (Care(((1, 0),), others=False), Care(((1, 0),), others=False)),
    3: (Care(((4, 0),)), Care(((2, 0),))),
    4: (Care(((4, 50),)), Care(((4, 0),))),
    5: (Care(PHOTO), Care(FAST)),
    6: (Care(PHOTO, cuts=(0, -1)), Care((*FAST, (6, 50)))),
    7: (Care(PHOTO, cuts=(0, -1)), Care((*FAST, *PHOTO))),
    8: (Care(PHOTO, cuts=(0, -1)), Care((*FAST, *PHOTO), cuts=(0, -1))),
    9: (Care((*PHOTO, (5, 80), (5, 100)), cuts=(0, -1)), Care((*FAST, *PHOTO, (5, 80)), cuts=(0, -1, -2))),
}


def care_of(effort: int, *, drawn: bool, pixels: float) -> Care:
    """How thoroughly a picture is coded at an effort of 1 to 9, by its kind and its number of pixels."""
    levels = _FOR_DRAWN if drawn else _FOR_OTHERS
    of_small, of_large = levels[effort]
    if pixels > _SMALL:
        return of_large
    if pixels > _TINY:
        return of_small
    return replace(of_small, ways=tuple(dict.fromkeys(way for i in range(effort) for way in levels[i + 1][0].ways)))


def place_of(header: ImageHeader, index: int) -> Place:
    """Where in a picture a tile is; row-major."""
    row, column = divmod(index, header.grid[1])
    side = 1 << header.tile_log2
    return slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)


def encode_tile(samples: Samples, ways: Ways = PHOTO, *, others: bool = True) -> Chunk:
    """The chunk of a tile [H, W, C]: gray or RGB, and alpha or a mask.

    Args:
        others: whether repeats and, of 8 bits, predictions are tried beside lossless WebP.
    """
    return Chunk(_encode(samples, ways, others), (), sample_hash(samples))


def _encode(samples: Samples, ways: Ways, others: bool) -> bytes:
    first = np.ascontiguousarray(samples[:1, :1])
    if (samples == first).all():
        return first.astype(first.dtype.newbyteorder("<")).tobytes() + bytes([_UNIFORM])
    if samples.dtype == np.uint8:
        return min(_encode_narrow(samples.astype(np.uint8, copy=False), ways, others, deep=False), key=len)
    wide = samples.astype(np.uint16, copy=False)
    narrow = reduce16(wide)
    if np.array_equal(spread(narrow), wide):
        return min(_encode_narrow(narrow, ways, others, deep=True), key=len)
    return min(_encode_wide(wide, ways), key=len)


def _encode_narrow(samples: U8, ways: Ways, others: bool, *, deep: bool) -> Iterator[bytes]:
    """The payloads of 8-bit samples that may be the smallest; ``deep``: in a file of 16 bits."""
    if not others:
        yield _plain(samples, ways)
        return
    drawn = is_drawn(samples)
    heads, ground = _without_repeats(samples) if drawn else ([], samples)
    # which of the two it is shows with little effort, and much takes seconds
    if heads and sum(map(len, heads)) + len(_plain(ground, QUICK)) < len(_plain(samples, QUICK)):
        yield b"".join(heads) + _plain(ground, ways) + bytes([_PIECES] * len(heads))
        return
    yield _plain(samples, ways)
    if not drawn and min(samples.shape[:2]) >= LEAST_SIDE and not deep:
        yield _predict(samples.astype(np.uint16), None)


def _plain(samples: U8, ways: Ways) -> bytes:
    """The payload as it is, or of one colour."""
    if (samples == samples[:1, :1]).all():
        return samples[:1, :1].tobytes() + bytes([_UNIFORM])
    return to_webp(samples, ways) + bytes([_WEBP])


def _without_repeats(samples: U8) -> tuple[list[bytes], U8]:
    """What payloads begin with for pieces on ground of the commonest colours, and the ground without them."""
    heads = []
    for key in _commonest(samples, _MOST_NESTED):
        found = find_repeats(samples, key)
        head = None if found is None else encode_pieces(found)
        if found is not None and head is not None:
            heads.append(head)
            samples = found.ground
    return heads, samples


def _commonest(samples: U8, count: int) -> list[U8]:
    """The colours [C] of most pixels, most first."""
    packed = np.zeros(samples.shape[:2], np.uint32)
    for channel in np.moveaxis(samples, 2, 0):
        packed = packed << 8 | channel
    _, first, counts = np.unique(packed, return_index=True, return_counts=True)
    pixels = samples.reshape(-1, samples.shape[2])
    return [pixels[first[i]] for i in np.argsort(-counts, kind="stable")[:count].tolist()]


def _encode_wide(samples: U16, ways: Ways) -> Iterator[bytes]:
    """The same of 16-bit samples."""
    levels = np.flatnonzero(np.bincount(samples.reshape(-1), minlength=_VALUES))
    if len(levels) <= _FEW_LEVELS:
        ranks = _ranks(samples, levels).astype(np.uint8)
        yield _table(levels) + to_webp(ranks, ways) + bytes([_FEW])
        return
    smooth, predictable = is_smooth(samples), min(samples.shape[:2]) >= LEAST_SIDE
    if predictable:
        # by ranks, where many values do not occur, as in what was made of 12 bits
        yield _predict(samples, levels if len(levels) <= min(_VALUES // 2, samples.size // 16) else None)
    if smooth or not predictable or is_drawn(samples):
        yield _split(samples, ways) + bytes([_BYTES])
    if smooth:
        yield _split(_slopes(samples), ways) + bytes([_SLOPES])


def is_smooth(samples: Samples) -> bool:
    """Whether 16-bit samples [H, W, C] are mostly slopes, of which second differences say little."""
    return bool(_slopes(samples.astype(np.uint16, copy=False)).mean() < _SMOOTH)


def is_drawn(samples: Samples) -> bool:
    """Whether repeats in samples [H, W, C] may be worth more than a prediction."""
    return samples.shape[1] > 1 and bool(np.mean(samples[:, 1:] == samples[:, :-1]) >= _DRAWN)


def _predict(samples: U16, levels: I64 | None) -> bytes:
    ranks = samples if levels is None else _ranks(samples, levels)
    return _table(levels) + encode_predicted(ranks) + bytes([_PREDICTED])


def _ranks(samples: U16, levels: I64) -> U16:
    """The place of every sample among the values that occur."""
    place = np.zeros(_VALUES, np.uint16)
    place[levels] = np.arange(len(levels))
    ranks: U16 = place[samples]
    return ranks


def _table(levels: I64 | None) -> bytes:
    """The values that occur, for a reader; None: all may."""
    if levels is None:
        return write_varint(0)
    there = np.zeros(_VALUES, np.uint8)
    there[levels] = 1
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(np.packbits(there, bitorder="little").tobytes()) + packer.flush()
    return write_varint(len(packed)) + packed


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
        if header.layers and not np.isin(samples[:, :, -1], (0, np.iinfo(samples.dtype).max)).all():
            raise CorruptError("a mask that is neither none nor all")
    except (CorruptError, TruncatedError) as error:
        raise CorruptError(str(error), place) from error
    check_written(sample_hash(samples), chunk.code_hash, "samples", place)
    return samples


def _decode(payload: bytes, shape: tuple[int, int, int], *, deep: bool, depth: int = 0) -> Samples:
    body, method = payload[:-1], payload[-1] if payload else 0
    if method == _UNIFORM:
        kind = np.dtype("<u2" if deep else np.uint8)
        if len(body) != kind.itemsize * shape[2]:
            raise CorruptError(f"{len(body)} bytes are no pixel")
        out: Samples = np.empty(shape, np.uint16 if deep else np.uint8)
        out[...] = np.frombuffer(body, kind)
        return out
    if method == _WEBP:
        narrow = from_webp(body, shape)
        return spread(narrow) if deep else narrow
    if method == _PIECES and depth < _MOST_NESTED:
        narrow = _with_pieces(body, shape, depth)
        return spread(narrow) if deep else narrow
    if method == _PREDICTED or (method == _FEW and deep):
        levels, start = _read_table(body, deep=deep)
        ranks = decode_predicted(body[start:], shape) if method == _PREDICTED else from_webp(body[start:], shape)
        if ranks.max() >= len(levels):
            raise CorruptError("a value that does not occur")
        return levels[ranks]
    if method not in (_BYTES, _SLOPES) or not deep:
        raise CorruptError(f"unknown method {method}")
    size, start = read_varint(body, 0, "")
    wide = from_webp(body[start : start + size], shape).astype(np.uint16)
    wide <<= 8
    wide |= from_webp(body[start + size :], shape)
    return wide if method == _BYTES else _from_slopes(wide)


def _with_pieces(body: bytes, shape: tuple[int, int, int], depth: int) -> Samples:
    """Samples of a payload of pieces: the ground, and these put on it."""
    key, pieces, places, ground = decode_pieces(body, shape[2])
    samples = _decode(ground, shape, deep=False, depth=depth + 1)
    samples = samples if samples.flags.writeable else samples.copy()
    covers = [(piece != key).any(2, keepdims=True) for piece in pieces]
    for kind, top, left in places:
        piece = pieces[kind]
        bottom, right = top + piece.shape[0], left + piece.shape[1]
        if min(top, left) < 0 or bottom > shape[0] or right > shape[1]:
            raise CorruptError("a piece beyond the edge")
        np.copyto(samples[top:bottom, left:right], piece, where=covers[kind])
    return samples


def _read_table(body: bytes, *, deep: bool) -> tuple[Samples, int]:
    """The values that occur, and where the bytes after them begin."""
    kind = np.uint16 if deep else np.uint8
    size, start = read_varint(body, 0, "")
    stop = start + size
    if not size:
        return np.arange(np.iinfo(kind).max + 1).astype(kind), stop
    packer = zlib.decompressobj(wbits=-15)
    try:
        there = packer.decompress(body[start:stop], _VALUES // 8 + 1)
    except zlib.error as error:
        raise CorruptError("no table of values") from error
    if len(there) != _VALUES // 8 or not packer.eof or packer.unused_data:
        raise CorruptError("no table of values")
    values = np.flatnonzero(np.unpackbits(np.frombuffer(there, np.uint8), bitorder="little"))
    if values.max(initial=0) > np.iinfo(kind).max:
        raise CorruptError("values of more bits than the file has")
    return values.astype(kind), stop


def _split(samples: U16, ways: Ways) -> bytes:
    """High and low bytes as two streams."""
    high, low = (to_webp((samples >> shift).astype(np.uint8), ways) for shift in (8, 0))
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
