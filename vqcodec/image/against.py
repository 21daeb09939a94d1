"""Is a picture what a file holds: sample by sample where it is lossless, else how far away."""

from __future__ import annotations

import numpy as np

from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import MismatchError
from vqcodec.image.files import Picture, at_depth
from vqcodec.image.tries import decibels

__all__ = ["compared"]

_NAMES = ("red", "green", "blue", "alpha")


def compared(decoded: Picture, original: Picture, *, lossless: bool) -> float:
    """Decibels between a decoded picture and the one that it is said to be, over its colours; infinite where equal.

    Colours of invisible pixels do not count.

    Raises:
        MismatchError: another size; or, of a lossless file, another sample.
    """
    (height, width), (h, w) = decoded.pixels.shape[:2], original.pixels.shape[:2]
    if (height, width) != (h, w):
        raise MismatchError(f"has {width} x {height} pixels, the original {w} x {h}; it was made of another one")
    depth = 16 if decoded.deep or original.deep else 8
    ours, theirs = _planes(at_depth(decoded, depth)), _planes(at_depth(original, depth))
    visible = theirs[:, :, -1:] > 0
    ours[:, :, :3] *= visible
    theirs[:, :, :3] *= visible
    if lossless and not np.array_equal(ours, theirs):
        y, x, channel = np.argwhere(ours != theirs)[0].tolist()
        raise MismatchError(
            f"differs from the original, first at pixel {x} across, {y} down: {_NAMES[channel]} is "
            f"{ours[y, x, channel]}, not {theirs[y, x, channel]}; it was made of another one, or converted"
        )
    return decibels(ours[:, :, :3], theirs[:, :, :3])


def _planes(picture: Picture) -> Samples:
    """Red, green, blue, alpha [H, W, 4]."""
    height, width = picture.pixels.shape[:2]
    out = np.full((height, width, 4), np.iinfo(picture.pixels.dtype).max, picture.pixels.dtype)
    out[:, :, :3] = picture.pixels
    if picture.alpha is not None:
        out[:, :, 3] = picture.alpha
    return out
