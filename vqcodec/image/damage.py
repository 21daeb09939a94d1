"""What of a damaged or cut picture is lost, in words: regions in pixels, and sections."""

from __future__ import annotations

from collections.abc import Sequence

from vqcodec.bitstream import Chunk, ImageHeader, VqcFile
from vqcodec.errors import ChecksumError, TruncatedError

__all__ = ["losses", "only_useful", "whole_stages"]

_SHOWN = 4  # regions that are named one by one
_SECTIONS = {
    "alpha": "its alpha plane is lost: the picture is opaque",
    "icc": "its colour profile is lost: the colours may look wrong",
    "exif": "its EXIF is lost",
    "xmp": "its XMP is lost",
}


def whole_stages(chunk: Chunk) -> int | None:
    """Stages that a cut chunk still holds; None of a whole one."""
    return None if chunk.complete else sum(end <= len(chunk.payload) for end in chunk.stage_ends)


def only_useful(chunks: Sequence[Chunk | None]) -> list[Chunk | None]:
    """The chunks, None for those that are cut so early that they hold no stage."""
    return [None if chunk is not None and whole_stages(chunk) == 0 else chunk for chunk in chunks]


def losses(
    file: VqcFile, header: ImageHeader, chunks: Sequence[Chunk | None], layers: Sequence[Chunk | None] | None = None
) -> list[str]:
    """What was lost, one sentence each.

    Args:
        chunks, layers: those of the file as they were decoded, None where that was not possible.

    Raises:
        TruncatedError, ChecksumError: no tile is left.
    """
    gone = [i for i, chunk in enumerate(chunks) if chunk is None]
    coarse = [i for i, chunk in enumerate(chunks) if chunk is not None and not chunk.complete]
    if len(gone) == len(chunks):
        raise (TruncatedError if file.cut else ChecksumError)("nothing of the pixels can be recovered", "chunk 0")
    notes = []
    if gone:
        notes.append(f"{_regions(header, gone)} damaged or missing: filled with the mean colour of the others")
    thin = [
        i for i, layer in enumerate(file.layers if layers is None else layers) if layer is None or not layer.complete
    ]
    if thin:
        notes.append(f"the exact parts of {_regions(header, thin)} damaged or missing: filled in from around them")
    if coarse:
        notes.append(f"{_regions(header, coarse)} cut short: shown without the finer details")
    return notes + [_SECTIONS.get(name, f"section {name} is lost") for name in file.lost]


def _regions(header: ImageHeader, tiles: Sequence[int]) -> str:
    """Tiles as rectangles of pixels: "2 of 6 tiles (pixels 0 to 1023 across, 1024 to 1999 down; ...)"."""
    places = []
    for tile in tiles[:_SHOWN]:
        row, column = divmod(tile, header.grid[1])
        height, width = header.tile_size(tile)
        y, x = row << header.tile_log2, column << header.tile_log2
        places.append(f"pixels {x} to {x + width - 1} across, {y} to {y + height - 1} down")
    more = "; ..." if len(tiles) > _SHOWN else ""
    return f"{len(tiles)} of {header.grid[0] * header.grid[1]} tiles ({'; '.join(places)}{more})"
