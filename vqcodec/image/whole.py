"""Whether all of a picture is smaller without loss than as codes: found out as cheaply as can be."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import product

import numpy as np

from vqcodec.bitstream.arrays import U8, Samples
from vqcodec.image.exact import GRAPHICS, QUICK, Care, care_of, is_smooth
from vqcodec.image.layers import LEAST_SHARE, Graphics, Mask, find_graphics
from vqcodec.image.loaded import Picture
from vqcodec.image.lossless import encode_lossless
from vqcodec.image.samples import reduce16
from vqcodec.image.webp import Ways, to_webp

__all__ = ["Whole"]

_ALL_BUT = 0.95  # of a picture's blocks that are graphics or flat, from which on it is tried before anything else
_HALF = 0.5  # of its blocks likewise, from which on thorough coding pays

# Of 39 drawings, 20 graphics and 16 photographs with little effort (a thirtieth of the time of codes), without loss:
_FIRST: Ways = ((0, 0),)
# a photograph took 10 to 14 times its bytes at quality 60, and 3 at 100; graphics that turned out smaller than their
# codes up to 5 times at qualities from 30 on, letters up to 5 times what they are by their repeats, slopes 10 times,
# but a quarter of a bit for a pixel at most;
_FAR, _NEXT_TO_NOTHING = 8, 0.5
# blocks from all over it told the same within a third, where they do not repeat each other; photographs took 5 bits for
# a pixel or more, night and snow apart, and drawings that do not count as graphics 4 at most.
_BLOCK, _SHARE, _MOST_BLOCKS = 64, 8, 64  # pixels a side; one block in so many; at most so many
_NEAR, _FEW_BITS = 3, 2.5
# What thorough coding took off: two fifths of a picture's bytes at most.
_MOST_SAVED = 0.4
_SIDE = 1024  # pixels of what is coded at once


class Whole:
    """All of a picture without loss, as far as it is worth the time.

    Args:
        effort: 1 to 9.
        threads: at most so many; None for as many as there are processors.

    Attributes:
        slopes: whether it is of 16 bits, and mostly slopes.
    """

    def __init__(self, picture: Picture, effort: int, threads: int | None) -> None:
        self.picture = picture
        self.slopes = picture.deep and is_smooth(picture.pixels)
        self._effort, self._threads = effort, threads

    @cached_property
    def graphics(self) -> Graphics:
        """Where it holds graphics."""
        return find_graphics(_as_seen(self.picture.pixels))

    @cached_property
    def care(self) -> Care:
        """How it is coded, by its kind and size."""
        drawn = not self.slopes and self.graphics.plain >= _HALF
        return care_of(self._effort, drawn=drawn, pixels=self.picture.pixels[:, :, 0].size)

    @property
    def mask(self) -> Mask | None:
        """Of the layer of its graphics; None where that is not worth a try."""
        if self.slopes or self.graphics.share < LEAST_SHARE:
            return None
        return None if self._is_plain and self.graphics.mask.all() else self.graphics.mask

    @cached_property
    def early(self) -> bytes | None:
        """The file without loss of what is most likely to be the smaller so, coded fast if it is drawn."""
        if self.slopes:
            return self.file
        return self._encode(self._fast) if self._is_plain else None

    @cached_property
    def file(self) -> bytes:
        """The file without loss."""
        return self._encode(self.care)

    @property
    def _fast(self) -> Care:
        """How what is drawn is coded where it may not be wanted."""
        return Care(GRAPHICS) if len(self.care.ways) > len(GRAPHICS) else self.care

    @property
    def _is_plain(self) -> bool:
        return self.graphics.plain >= _ALL_BUT

    def _encode(self, care: Care) -> bytes:
        return encode_lossless(self.picture, care=care, threads=self._threads)

    def unless_larger(self, data: bytes) -> bytes:
        """The file without loss; where it is larger than this file of the picture, this."""
        if not self._may_be(len(data)):
            return data
        exact = self.file
        return exact if len(exact) <= len(data) else data

    def _may_be(self, size: int) -> bool:
        """Whether the file without loss may come to so few bytes, and it is not known already what it comes to."""
        if self.slopes:
            return False
        most = size / (1 - _MOST_SAVED)
        if self.early is not None:
            return self.care != self._fast and len(self.early) <= most
        pixels = _as_seen(self.picture.pixels)
        if self.graphics.share < LEAST_SHARE:
            about = _estimate(pixels)
            if about > _NEAR * size and 8 * about > _FEW_BITS * pixels[:, :, 0].size:
                return False
        far = max(_FAR * size, _NEXT_TO_NOTHING / 8 * pixels[:, :, 0].size)
        return _first(pixels, far) <= far and len(self._encode(Care(QUICK))) <= most


def _as_seen(pixels: Samples) -> U8:
    """Pixels with 8 bits, by which they are judged."""
    return reduce16(pixels) if pixels.dtype == np.uint16 else pixels.astype(np.uint8, copy=False)


def _estimate(pixels: U8) -> float:
    """Bytes of pixels [H, W, C] without loss at little effort, judged by blocks from all over them."""
    height, width = pixels.shape[:2]
    places = list(product(range(0, height - _BLOCK + 1, _BLOCK), range(0, width - _BLOCK + 1, _BLOCK)))
    if len(places) < _SHARE:
        return _first(pixels, math.inf)
    count = min(len(places) // _SHARE, _MOST_BLOCKS)
    # by a stride of no whole number, so that columns are spread evenly too
    chosen = [places[int((i + 0.5) * len(places) / count)] for i in range(count)]
    blocks = np.concatenate([pixels[y : y + _BLOCK, x : x + _BLOCK] for y, x in chosen])
    return len(to_webp(blocks, _FIRST)) * float(height * width) / (count * _BLOCK * _BLOCK)


def _first(pixels: U8, most: float) -> int:
    """Bytes of pixels [H, W, C] without loss at little effort; beyond ``most`` it is not looked further."""
    size = 0
    for y, x in product(range(0, pixels.shape[0], _SIDE), range(0, pixels.shape[1], _SIDE)):
        size += len(to_webp(pixels[y : y + _SIDE, x : x + _SIDE], _FIRST))
        if size > most:
            break
    return size
