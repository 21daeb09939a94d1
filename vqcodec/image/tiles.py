"""Tiles of a coded picture: where they are, and decoding them one by one, the broken ones told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.errors import CorruptError, DecodeError
from vqcodec.threads import Workers

__all__ = ["TILE_LOG2", "Tile", "check_tiles", "decode_tiles", "scaled", "tiles_of"]

TILE_LOG2 = 10

Tile = tuple[slice, slice]
"""Rows and columns, in cells."""

Codes = TypeVar("Codes")


def tiles_of(height: int, width: int, cell: int) -> Iterator[Tile]:
    """Tiles of a picture of so many cells, each of so many pixels a side; row by row."""
    side = 2**TILE_LOG2 // cell
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield slice(y, min(y + side, height)), slice(x, min(x + side, width))


def scaled(tile: Tile, scale: int) -> Tile:
    """A tile on a grid of so many positions a cell."""
    rows, columns = tile
    return slice(rows.start * scale, rows.stop * scale), slice(columns.start * scale, columns.stop * scale)


def check_tiles(header: ImageHeader) -> None:
    """Raise CorruptError where a file says tiles of another size."""
    if header.tile_log2 != TILE_LOG2:
        raise CorruptError(f"tiles of 2^{header.tile_log2} pixels, this model has 2^{TILE_LOG2}", "header.tile_log2")


def decode_tiles(
    chunks: Sequence[Chunk | None],
    decode: Callable[[int, Chunk], Codes],
    place: Callable[[int, Codes], None],
    workers: Workers,
    failed: list[int] | None,
    progress: Callable[[float], object] | None,
) -> list[int]:
    """Decode every chunk and put its codes where they belong; returns the numbers of those of which there are none.

    Args:
        decode: codes of a chunk; its errors are those of :class:`DecodeError`.
        place: takes the number of a tile and its codes.
        failed: takes the numbers of chunks that do not decode; None: they are errors.
        progress: told which share of the tiles is done.
    """
    broken: list[int] = []
    done: list[int] = []

    def work(i: int) -> None:
        chunk = chunks[i]
        done.append(i)
        if progress is not None:
            progress(len(done) / len(chunks))
        if chunk is None:
            broken.append(i)
            return
        try:
            codes = decode(i, chunk)
        except DecodeError:
            if failed is None:
                raise
            failed.append(i)
            broken.append(i)
            return
        place(i, codes)

    workers.each(work, range(len(chunks)))
    return broken
