"""Whole pictures without loss: exact tiles and nothing else, for which no model is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vqcodec.bitstream import NO_MODEL, Chunk, ImageHeader, VqcFile, write_vqc
from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import DecodeError
from vqcodec.image.exact import Care, Place, decode_tile, encode_tile, is_drawn, is_smooth, place_of
from vqcodec.image.loaded import Picture
from vqcodec.threads import Workers

__all__ = ["decode_lossless", "encode_lossless", "file_of", "tiles_of"]

# Of what is drawn one tile up to here, because repeats are not found beyond a tile.
_ONE_TILE = 2**22
_MOST_LOG2, _LEAST_LOG2, _USUAL_LOG2 = 12, 6, 10
# Photographs become up to 5 % smaller in tiles, each coded in its own way, and damage stays in one; in those of 512
# pixels a side by another 0.3 %, which is worth the time up to so many pixels.
_SMALL, _SMALL_LOG2 = 2**20, 9
_LEAST_CUT = 8  # of what is tried with much effort


def encode_lossless(
    picture: Picture,
    *,
    exact_alpha: bool = False,
    care: Care,
    threads: int | None,
    progress: Callable[[float], object] | None = None,
) -> bytes:
    """The file of a picture, which was read ``exact``.

    Args:
        exact_alpha: keep the colours of invisible pixels; else they become black, which costs least.
        care: how thoroughly it is coded.
        threads: at most so many; None for as many as there are processors.
        progress: told which share of the tiles is done.
    """
    samples, usual = tiles_of(picture, exact_alpha=exact_alpha)
    workers = Workers(threads)
    files: list[bytes] = []
    headers = [replace(usual, tile_log2=size) for size in _cuts(usual, care.cuts)]
    for header in headers:
        chunks: dict[int, Chunk] = {}

        def encode(index: int, header: ImageHeader = header, chunks: dict[int, Chunk] = chunks) -> None:
            chunks[index] = encode_tile(samples[place_of(header, index)], care.ways, others=care.others)
            if progress is not None:
                progress((len(files) + len(chunks) / header.parts) / len(headers))

        workers.each(encode, range(header.parts))
        files.append(file_of(picture, header, [chunks[i] for i in range(header.parts)]))
    return min(files, key=len)


def _cuts(usual: ImageHeader, powers: Sequence[int]) -> list[int]:
    """Sizes of tiles by their logarithms: the usual one by powers of two, as far as there are."""
    whole = min(_whole_log2(usual.height, usual.width), _MOST_LOG2)
    least = min(usual.tile_log2, _LEAST_CUT)
    return sorted({min(max(usual.tile_log2 + power, least), max(whole, usual.tile_log2)) for power in powers})


def _whole_log2(height: int, width: int) -> int:
    """Of a tile that holds all of a picture."""
    return max((max(height, width) - 1).bit_length(), _LEAST_LOG2)


def tiles_of(picture: Picture, *, exact_alpha: bool) -> tuple[Samples, ImageHeader]:
    """Samples [H, W, C] with alpha, and the header that says how they are cut into tiles."""
    pixels, alpha = picture.pixels, picture.alpha
    height, width, colours = pixels.shape
    if alpha is not None:
        if not exact_alpha:
            pixels = np.where(alpha[:, :, None] > 0, pixels, np.zeros(1, pixels.dtype))
        pixels = np.dstack([pixels, alpha])
    header = ImageHeader(
        width=width,
        height=height,
        step=0,
        gray=colours == 1,
        alpha=alpha is not None,
        model_id=NO_MODEL,
        model_hint=0,
        tile_log2=_tile_log2(height, width, drawn=is_drawn(pixels) or (picture.deep and is_smooth(pixels))),
        lossless=True,
        deep=picture.deep,
    )
    return pixels, header


def file_of(picture: Picture, header: ImageHeader, chunks: Sequence[Chunk]) -> bytes:
    """The bytes of a file of exact tiles."""
    return write_vqc(VqcFile(header, list(chunks), metadata=picture.metadata))


def _tile_log2(height: int, width: int, *, drawn: bool) -> int:
    pixels, whole = height * width, _whole_log2(height, width)
    if drawn and pixels <= _ONE_TILE and whole <= _MOST_LOG2:
        return whole
    return min(whole, _SMALL_LOG2 if pixels <= _SMALL else _USUAL_LOG2)


def decode_lossless(
    header: ImageHeader,
    chunks: Sequence[Chunk | None],
    threads: int | None,
    failed: list[int] | None = None,
    progress: Callable[[float], object] | None = None,
) -> Samples:
    """Samples [H, W, C] of a file; tiles that are None get the mean colour of the others, opaque.

    Args:
        failed: takes the numbers of tiles that do not decode, which are then None, too; without it, they are errors.
        threads, progress: as for :func:`encode_lossless`.

    Raises:
        CorruptError, ChecksumError: a tile does not decode.
    """
    kind = np.uint16 if header.deep else np.uint8
    out: Samples = np.empty((header.height, header.width, header.channels), kind)
    lost = [i for i, chunk in enumerate(chunks) if chunk is None]
    whole: list[int] = []

    def decode(index: int) -> None:
        chunk = chunks[index]
        if chunk is None:
            return
        try:
            out[place_of(header, index)] = decode_tile(chunk, header, index)
        except DecodeError:
            if failed is None:
                raise
            failed.append(index)
            lost.append(index)
            return
        whole.append(index)
        if progress is not None:
            progress(len(whole) / len(chunks))

    Workers(threads).each(decode, range(len(chunks)))
    if lost:
        _conceal(out, [place_of(header, i) for i in lost], [place_of(header, i) for i in whole], header)
    return out


def _conceal(out: Samples, lost: Sequence[Place], whole: Sequence[Place], header: ImageHeader) -> None:
    """Give tiles that are lost the mean colour of the others."""
    total = np.zeros(header.channels)
    for place in whole:
        total += out[place].sum((0, 1), dtype=np.int64)
    mean = np.round(total / max(sum(out[place][:, :, 0].size for place in whole), 1)).astype(out.dtype)
    if header.alpha:
        mean[-1] = np.iinfo(out.dtype).max
    for place in lost:
        out[place] = mean
