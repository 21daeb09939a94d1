"""Exact layers: which parts of a picture are graphics that codes would spoil, and what lies over the codes there.

Letters, lines and flat ground cost wavelets much and come out with halos; as lossless WebP they cost little. A picture
is looked at in blocks. What is chosen is cut out of what the codes say, the hole filled in smoothly, and laid over
the decoded picture again, so that no seam depends on what the codes make of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.bitstream.arrays import U8, Samples
from vqcodec.errors import DecodeError
from vqcodec.image.exact import Ways, decode_tile, encode_tile, place_of
from vqcodec.image.fill import fill_invisible
from vqcodec.threads import Workers

__all__ = [
    "ABSENT",
    "LEAST_SHARE",
    "Graphics",
    "Mask",
    "check_layers",
    "encode_layers",
    "find_graphics",
    "lay_over",
    "only_needed",
    "present",
    "without",
]

Mask = npt.NDArray[np.bool_]
BLOCK = 16
_STRIP = 1024  # rows that are looked at at once
# A block of graphics: at most this share of its pixels is unlike both the one to the left and the one above ...
_MOST_NEW = 0.45
# ... and somewhere two neighbours differ by this much in some channel.
_EDGE = 24

LEAST_SHARE = 0.01
"""Of a picture's blocks that are graphics, from which on a layer is worth the time."""

ABSENT = Chunk(b"", (), 0)
"""Stands for a chunk that is not there."""


@dataclass(frozen=True)
class Graphics:
    """Where a picture holds graphics.

    Attributes:
        mask: [H, W] what an exact layer would take: whole blocks, and beside them what is like their pixels.
        share: of the picture's blocks that are graphics.
        plain: of those that are graphics or flat.
    """

    mask: Mask
    share: float
    plain: float


def find_graphics(pixels: U8) -> Graphics:
    """Look for graphics in pixels [H, W, C]."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    new, edge = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), bool)
    for top in range(0, height, _STRIP):
        part = slice(top // BLOCK, top // BLOCK + _STRIP // BLOCK)
        new[part], edge[part] = _looks(pixels[max(top - 1, 0) : top + _STRIP], first=top == 0)
    flat = new == 0
    hard = (new <= _MOST_NEW) & edge & ~flat
    chosen = _spread(hard, flat)
    mask = _pixels(chosen, height, width)
    if hard.mean() >= LEAST_SHARE and not mask.all():
        mask = _grown(mask, _pixels(_wider(chosen), height, width), pixels)
    return Graphics(mask, float(hard.mean()), float((hard | flat).mean()))


def _pixels(blocks: Mask, height: int, width: int) -> Mask:
    return blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]


def _grown(mask: Mask, most: Mask, pixels: U8) -> Mask:
    """The mask with pixels beside it that equal their neighbour in it, within blocks that touch those of the mask.

    So the ground around a photograph is exact up to its edge, wherever that lies in its block.
    """
    like_left = (pixels[:, 1:] == pixels[:, :-1]).all(2)
    like_above = (pixels[1:] == pixels[:-1]).all(2)
    out = mask.copy()
    for _ in range(2 * BLOCK):
        before = np.count_nonzero(out)
        out[:, 1:] |= out[:, :-1] & like_left
        out[:, :-1] |= out[:, 1:] & like_left
        out[1:] |= out[:-1] & like_above
        out[:-1] |= out[1:] & like_above
        out &= most
        if np.count_nonzero(out) == before:
            break
    return out


def _looks(pixels: U8, *, first: bool) -> tuple[npt.NDArray[np.float32], Mask]:
    """By block: share of pixels unlike both neighbours, and whether two neighbours differ much.

    Args:
        pixels: a row more above, unless these are the first.
    """
    values = np.concatenate([pixels[:1], pixels]) if first else pixels
    above, left = np.zeros((2, len(values) - 1, values.shape[1]), np.uint8)
    for plane in np.moveaxis(values, 2, 0):
        np.maximum(above, _apart(plane[1:], plane[:-1]), out=above)
        np.maximum(left[:, 1:], _apart(plane[1:, 1:], plane[1:, :-1]), out=left[:, 1:])
    new = _blocks(np.minimum(above, left) > 0).sum((1, 3), dtype=np.uint16)
    edges = _blocks(np.maximum(above, left) >= _EDGE).sum((1, 3), dtype=np.uint16)
    return (new / np.outer(*map(_sides, above.shape))).astype(np.float32), edges > 0


def _sides(length: int) -> npt.NDArray[np.float32]:
    """Pixels of each block along a side of this length."""
    return np.minimum(length - np.arange(0, length, BLOCK), BLOCK).astype(np.float32)


def _apart(a: U8, b: U8) -> U8:
    """How far values are apart."""
    return np.maximum(a, b) - np.minimum(a, b)


def _blocks(values: Mask) -> Mask:
    """Values [H, W] by blocks: [rows, BLOCK, columns, BLOCK], False beyond the edge."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % BLOCK), (0, -width % BLOCK)))
    return padded.reshape(-(-height // BLOCK), BLOCK, -1, BLOCK)


def _spread(hard: Mask, flat: Mask) -> Mask:
    """Blocks of graphics, and the flat ones that hang together with them: these cost an exact layer nothing."""
    chosen = hard
    while True:
        wider = _wider(chosen) & (flat | chosen)
        if (wider == chosen).all():
            return chosen
        chosen = wider


def _wider(blocks: Mask) -> Mask:
    """The blocks, and those that touch them by a side."""
    out = blocks.copy()
    out[1:] |= blocks[:-1]
    out[:-1] |= blocks[1:]
    out[:, 1:] |= blocks[:, :-1]
    out[:, :-1] |= blocks[:, 1:]
    return out


def only_needed(chunks: Sequence[Chunk], mask: Mask | None, header: ImageHeader) -> list[Chunk]:
    """The chunks of codes, ABSENT where a layer covers all of the tile."""
    assert mask is not None
    return [ABSENT if mask[place_of(header, i)].all() else chunk for i, chunk in enumerate(chunks)]


def present(chunks: Sequence[Chunk | None], header: ImageHeader) -> list[Chunk | None]:
    """The chunks as the codec takes them: None for those that are not there."""
    return [None if header.layers and chunk is not None and not chunk.payload else chunk for chunk in chunks]


def check_layers(layers: Sequence[Chunk | None], header: ImageHeader, workers: Workers) -> None:
    """Decode every layer.

    Raises:
        CorruptError, ChecksumError: one does not decode.
    """

    def check(index: int) -> None:
        layer = layers[index]
        if layer is not None and layer.payload:
            decode_tile(layer, header, index)

    workers.each(check, range(len(layers)))


def without(pixels: Samples, mask: Mask) -> Samples:
    """Pixels whose masked parts are filled in from around."""
    return fill_invisible(pixels, (~mask).astype(np.uint8))


def encode_layers(pixels: Samples, mask: Mask, header: ImageHeader, ways: Ways, workers: Workers) -> list[Chunk]:
    """The layer of each tile, ABSENT where it would be empty."""
    count = header.grid[0] * header.grid[1]
    out = [ABSENT] * count

    def encode(index: int) -> None:
        place = place_of(header, index)
        shown = mask[place]
        if shown.any():
            cover = np.where(shown, np.iinfo(pixels.dtype).max, 0).astype(pixels.dtype)
            colours = np.where(shown[:, :, None], pixels[place], np.zeros(1, pixels.dtype))
            out[index] = encode_tile(np.dstack([colours, cover]), ways)

    workers.each(encode, range(count))
    return out


def lay_over(
    pixels: Samples,
    layers: Sequence[Chunk | None],
    header: ImageHeader,
    workers: Workers,
    failed: list[int] | None = None,
) -> None:
    """Put the exact pixels of the layers in the place of the decoded ones.

    Args:
        failed: takes the tiles whose layers do not decode; without it, they are errors.

    Raises:
        CorruptError, ChecksumError: a layer does not decode.
    """

    def paste(index: int) -> None:
        layer = layers[index]
        if layer is None or not layer.payload or not layer.complete:
            return
        try:
            samples = decode_tile(layer, header, index)
        except DecodeError:
            if failed is None:
                raise
            failed.append(index)
            return
        np.copyto(pixels[place_of(header, index)], samples[:, :, :-1], where=samples[:, :, -1:] > 0)

    workers.each(paste, range(len(layers)))
