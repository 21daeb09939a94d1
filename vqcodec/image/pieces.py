"""Pieces that a picture repeats, above all letters: each is stored once, and where it stands (SPEC.md, Pieces).

On ground of one colour every patch of other colours that hangs together is a piece. A page of text is 40 of them,
thousands of times, which lossless WebP, that repeats rows of pixels, cannot say in few bytes.
"""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import I64, U8
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import CorruptError
from vqcodec.image.webp import Ways, from_webp, to_webp

__all__ = ["Repeats", "decode_pieces", "encode_pieces", "find_repeats"]

_MOST_SIDE = 64  # pixels of a piece
_LEAST_AREA = 6  # pixels of the box of a piece that is worth the trouble
_LEAST_REPEATS = 12  # in all, likewise
_MOST_PATCHES = 30_000  # in a tile, lest it take seconds; more are no letters
_STRONG = 100  # how far from the ground a pixel must be not to be a mere edge
_LEAST_GROUND = 0.02  # share of pixels that have the colour of the ground
_MOST_ROWS = 1 << 14  # of a sheet must be fewer: WebP's limit
_SHIFT = 64  # gaps are stored with this added
_GAPS = range(-16, 64)  # columns between neighbours in a line
_PLACES_PER_BYTE = 16  # at most, so that few bytes cannot ask for much work
_LIST_PER_BYTE = 64  # bytes of a list for one packed
_WAYS: Ways = ((6, 80), (4, 100))  # for a sheet, which is small
_FILTERS = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]

Box = tuple[slice, slice]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Repeats:
    """What a picture repeats, on ground of one colour.

    Attributes:
        key: [C] the colour of the ground.
        pieces: [h, w, C] each, with the key where it does not cover.
        lines: by line the place of each, as number of the piece, row and column.
        ground: [H, W, C] the picture without them.
    """

    key: U8
    pieces: list[U8]
    lines: list[list[tuple[int, int, int]]]
    ground: U8


def find_repeats(samples: U8, key: U8) -> Repeats | None:
    """Pieces of samples [H, W, C] on ground of this colour; None where too few repeat.

    Those that do not repeat are among them: beside their like they cost less than on the ground.
    """
    ink = (samples != key).any(2)
    if ink.mean() > 1 - _LEAST_GROUND or not ink.any():
        return None
    ids, boxes = _patches(ink)
    if len(boxes) > _MOST_PATCHES:
        return None
    boxes = _cut(samples, key, ids, boxes)
    places: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    contents: dict[tuple[tuple[int, ...], bytes], U8] = {}
    for i, (top, bottom, left, right) in enumerate(boxes.tolist()):
        height, width = bottom - top, right - left
        if max(height, width) > _MOST_SIDE or height * width < _LEAST_AREA:
            continue
        box = slice(top, bottom), slice(left, right)
        content = np.where((ids[box] == i)[:, :, None], samples[box], key)
        name = (content.shape, content.tobytes())
        places.setdefault(name, []).append(i)
        contents[name] = content
    names = sorted(places, key=lambda name: -len(places[name]))
    names = names[: int(np.searchsorted(np.cumsum([name[0][0] for name in names]), _MOST_ROWS))]
    count = sum(len(places[name]) for name in names)
    if count - len(names) < _LEAST_REPEATS:
        return None
    kinds = {i: number for number, name in enumerate(names) for i in places[name]}
    taken = np.zeros(len(boxes) + 1, bool)
    taken[list(kinds)] = True
    ground = np.where(taken[ids][:, :, None], key, samples)
    lines = [[(kinds[i], int(boxes[i, 0]), int(boxes[i, 2])) for i in line] for line in _lines(boxes, list(kinds))]
    return Repeats(key, [contents[name] for name in names], lines, ground)


def _patches(ink: npt.NDArray[np.bool_]) -> tuple[Ids, I64]:
    """Number the patches that hang together by sides or corners.

    Returns:
        [H, W] the number of the patch at each place, -1 beside them; and [N, 4] top, bottom, left, right of each.
    """
    height, width = ink.shape
    stride = width + 2
    padded = np.zeros((height, stride), np.int8)
    padded[:, 1:-1] = ink
    change = np.diff(padded.reshape(-1), prepend=np.int8(0))
    starts, ends = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    labels = _joined(starts, ends, stride)
    _, numbers = np.unique(labels, return_inverse=True)
    rows, lefts, rights = starts // stride, starts % stride - 1, ends % stride - 1
    boxes = np.empty((int(numbers.max()) + 1, 4), np.int64)
    boxes[:, ::2], boxes[:, 1::2] = height + width, 0
    np.minimum.at(boxes[:, 0], numbers, rows)
    np.maximum.at(boxes[:, 1], numbers, rows + 1)
    np.minimum.at(boxes[:, 2], numbers, lefts)
    np.maximum.at(boxes[:, 3], numbers, rights)
    ids = np.full(height * stride, -1, np.int32)
    ids[np.flatnonzero(padded.reshape(-1))] = np.repeat(numbers, ends - starts)
    return ids.reshape(height, stride)[:, 1:-1], boxes


def _cut(samples: U8, key: U8, ids: Ids, boxes: I64) -> I64:
    """The boxes, those of letters that touch by pale columns only cut into one for each; ids are changed with them."""
    out = [boxes]
    count = len(boxes)
    apart = np.maximum(samples, key) - np.minimum(samples, key)
    for i in np.flatnonzero(boxes[:, 3] - boxes[:, 2] > boxes[:, 1] - boxes[:, 0]).tolist():
        top, bottom, left, right = boxes[i].tolist()
        if bottom - top > _MOST_SIDE or right - left > 16 * _MOST_SIDE:
            continue
        here = ids[top:bottom, left:right]
        strong = np.where((here == i)[:, :, None], apart[top:bottom, left:right], np.uint8(0)).max((0, 2)) >= _STRONG
        begins = np.flatnonzero(strong[1:] & ~strong[:-1]) + 1
        begins = begins[np.maximum.accumulate(strong)[begins - 1]]
        edges = [0, *begins.tolist(), right - left]
        for number, (begin, end) in enumerate(pairwise(edges)):
            part = here[:, begin:end]
            rows = np.flatnonzero((part == i).any(1))
            box = top + int(rows[0]), top + int(rows[-1]) + 1, left + begin, left + end
            if number == 0:
                boxes[i] = box
                continue
            part[part == i] = count
            out.append(np.array([box]))
            count += 1
    return np.concatenate(out)


def _joined(starts: I64, ends: I64, stride: int) -> I64:
    """The least number of a run that hangs together with each; runs are starts to ends of rows laid end to end."""
    first, stop = np.searchsorted(ends + stride, starts, "left"), np.searchsorted(starts + stride, ends, "right")
    counts = np.maximum(stop - first, 0)
    below = np.repeat(np.arange(len(starts)), counts)
    above = np.arange(len(below)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    labels: I64 = np.arange(len(starts))
    while True:
        a, b = labels[above], labels[below]
        if (a == b).all():
            return labels
        least = np.minimum(a, b)
        np.minimum.at(labels, a, least)
        np.minimum.at(labels, b, least)
        while not np.array_equal(further := labels[labels], labels):
            labels = further


@dataclass
class _Line:
    """Patches of a line, the rows that they take, and where the last ends."""

    patches: list[int]
    top: int
    bottom: int
    end: int


def _lines(boxes: I64, chosen: Sequence[int]) -> list[list[int]]:
    """Patches one right of the other, as in lines of text; the lines from top to bottom."""
    lines: list[list[int]] = []
    near: dict[int, list[_Line]] = {}  # those not yet ended, by where in the height they are
    for i in sorted(chosen, key=lambda i: (int(boxes[i, 2]), int(boxes[i, 0]))):
        top, bottom, left, right = boxes[i].tolist()
        best: _Line | None = None
        for part in range(top // _MOST_SIDE - 1, bottom // _MOST_SIDE + 2):
            near[part] = [line for line in near.get(part, []) if left - line.end < _GAPS.stop]
            for line in near[part]:
                beside = left - line.end in _GAPS and line.top < bottom and top < line.bottom
                if beside and (best is None or line.end > best.end):
                    best = line
        if best is None:
            best = _Line([], top, bottom, right)
            near[top // _MOST_SIDE].append(best)
            lines.append(best.patches)
        best.patches.append(i)
        # what follows a dot or a comma is beside what was before it
        best.top = min(best.top, max(top, best.bottom - _MOST_SIDE))
        best.bottom, best.end = max(best.bottom, min(bottom, best.top + _MOST_SIDE)), right
    return sorted(lines, key=lambda line: (int(boxes[line[0], 0]) // 8, int(boxes[line[0], 2])))


def encode_pieces(repeats: Repeats) -> bytes | None:
    """All but the ground, which is to follow; None where so few bytes may not ask for so much."""
    pieces, runs = _runs(repeats)
    head = [write_varint(len(pieces)), write_varint(len(runs))]
    for content, offset in pieces:
        head += [bytes(content.shape[:2]), write_varint(_zigzag(offset))]
    x = y = 0
    places = []
    for run in runs:
        head += [write_varint(len(run.kinds)), write_varint(_zigzag(run.x - x)), write_varint(_zigzag(run.y - y))]
        x, y = run.x, run.y
        places += [write_varint(kind) + bytes([gap + _SHIFT]) for kind, gap in zip(run.kinds, run.gaps, strict=True)]
    listed = b"".join(head + places)
    packed = lzma.compress(listed, lzma.FORMAT_RAW, filters=_FILTERS)
    if len(listed) > _LIST_PER_BYTE * len(packed) or len(places) > _PLACES_PER_BYTE * len(packed):
        return None
    sheet = to_webp(_sheet([content for content, _ in pieces], repeats.key), _WAYS)
    return repeats.key.tobytes() + write_varint(len(packed)) + packed + write_varint(len(sheet)) + sheet


@dataclass
class _Run:
    """Pieces in a line: where it begins, their kinds, and the gap before each."""

    x: int
    y: int
    kinds: list[int]
    gaps: list[int]


def _runs(repeats: Repeats) -> tuple[list[tuple[U8, int]], list[_Run]]:
    """Pieces in the order of use, each with the rows from its line to its top; and the lines."""
    numbers: dict[int, int] = {}
    offsets: dict[int, int] = {}
    runs: list[_Run] = []
    for line in repeats.lines:
        known = Counter(top - offsets[kind] for kind, top, _ in line if kind in offsets)
        reference = known.most_common(1)[0][0] if known else line[0][1]
        end = 0
        for i, (kind, top, left) in enumerate(line):
            numbers.setdefault(kind, len(numbers))
            y = top - offsets.setdefault(kind, top - reference)
            if i == 0 or y != runs[-1].y:
                runs.append(_Run(left, y, [], []))
                end = left
            runs[-1].kinds.append(numbers[kind])
            runs[-1].gaps.append(left - end)
            end = left + repeats.pieces[kind].shape[1]
    return [(repeats.pieces[kind], offsets[kind]) for kind in numbers], runs


def _sheet(pieces: Sequence[U8], key: U8) -> U8:
    """One below the other."""
    width = max(piece.shape[1] for piece in pieces)
    rows = []
    for piece in pieces:
        row = np.empty((piece.shape[0], width, len(key)), np.uint8)
        row[:], row[:, : piece.shape[1]] = key, piece
        rows.append(row)
    return np.concatenate(rows)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _from_zigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def decode_pieces(body: bytes, channels: int) -> tuple[U8, list[U8], Iterator[tuple[int, int, int]], bytes]:
    """Key, pieces, their places as :class:`Repeats` has them, and the ground's payload.

    Raises:
        CorruptError, TruncatedError: the bytes are none of this; also from the iterator.
    """
    key = np.frombuffer(body[:channels], np.uint8)
    size, at = read_varint(body, channels, "")
    listed = _unpacked(body[at : at + size])
    at += size
    count, pos = read_varint(listed, 0, "")
    runs, pos = read_varint(listed, pos, "")
    sizes, offsets = [], []
    for _ in range(count):
        sizes.append(tuple(listed[pos : pos + 2]))
        offset, pos = read_varint(listed, pos + 2, "")
        offsets.append(_from_zigzag(offset))
    if not all(1 <= side <= _MOST_SIDE for pair in sizes for side in pair) or not sizes:
        raise CorruptError("pieces of no size")
    size, at = read_varint(body, at, "")
    height, width = sum(h for h, _ in sizes), max(w for _, w in sizes)
    if height >= _MOST_ROWS:
        raise CorruptError("too many pieces")
    sheet = from_webp(body[at : at + size], (height, width, channels))
    tops = np.cumsum([0, *(h for h, _ in sizes)]).tolist()
    pieces = [sheet[top : top + h, :w] for top, (h, w) in zip(tops, sizes, strict=False)]
    return key, pieces, _places(listed, pos, runs, pieces, offsets, _PLACES_PER_BYTE * len(body)), body[at + size :]


def _unpacked(packed: bytes) -> bytes:
    most = _LIST_PER_BYTE * len(packed) + 1
    packer = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        listed = packer.decompress(packed, most)
    except lzma.LZMAError as error:
        raise CorruptError("no list of pieces") from error
    if not packer.eof or packer.unused_data:
        raise CorruptError("no list of pieces")
    return listed


def _places(
    listed: bytes, pos: int, runs: int, pieces: Sequence[U8], offsets: Sequence[int], most: int
) -> Iterator[tuple[int, int, int]]:
    heads, x, y = [], 0, 0
    for _ in range(runs):
        count, pos = read_varint(listed, pos, "")
        right, pos = read_varint(listed, pos, "")
        down, pos = read_varint(listed, pos, "")
        x, y, most = x + _from_zigzag(right), y + _from_zigzag(down), most - count
        heads.append((count, x, y))
    if most < 0:
        raise CorruptError("too many places")
    for count, start, y in heads:
        end = start
        for _ in range(count):
            kind, pos = read_varint(listed, pos, "")
            if kind >= len(pieces) or pos >= len(listed):
                raise CorruptError("a piece that there is not")
            left = end + listed[pos] - _SHIFT
            pos += 1
            end = left + pieces[kind].shape[1]
            yield kind, y + offsets[kind], left
    if pos != len(listed):
        raise CorruptError("a list that does not end")
