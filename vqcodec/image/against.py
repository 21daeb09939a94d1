"""Is a picture what a file holds: sample by sample where it is lossless, else how far away."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import MismatchError
from vqcodec.image.loaded import Picture, at_depth, stripped
from vqcodec.image.samples import reduce16
from vqcodec.image.tries import decibels

__all__ = ["compared"]

_NAMES = ("red", "green", "blue", "alpha")


def compared(decoded: Picture, original: Picture, *, lossless: bool) -> tuple[float, list[str]]:
    """Decibels between a decoded picture and the one that it is said to be, over its colours; infinite where equal.

    Colours of invisible pixels do not count there, but in a lossless file they must be the original's, or black, as
    which they are stored unless they are to be kept. Where the profiles differ, both are compared as sRGB.

    Returns:
        The decibels, and what is not the same, one sentence each.

    Raises:
        MismatchError: another size; or, of a lossless file, another sample or other colours.
    """
    (height, width), (h, w) = decoded.pixels.shape[:2], original.pixels.shape[:2]
    if (height, width) != (h, w):
        raise MismatchError(f"has {width} x {height} pixels, the original {w} x {h}; it was made of another one")
    notes: list[str] = []
    decoded, original = _same_colours(decoded, original, notes, lossless=lossless)
    depth = 16 if decoded.deep or original.deep else 8
    ours, theirs = _planes(at_depth(decoded, depth)), _planes(at_depth(original, depth))
    visible = theirs[:, :, 3:] > 0
    if lossless:
        same = (ours == theirs) | ~visible
        same[:, :, 3] = ours[:, :, 3] == theirs[:, :, 3]
        hidden = (ours != theirs).any(2) & ~visible[:, :, 0]
        if hidden.any() and (ours[:, :, :3] * ~visible).any():  # not black, so they were to be kept
            same &= ~hidden[:, :, None] | (ours == theirs)
        if not same.all():
            raise MismatchError(_first_difference(ours, theirs, same))
        if hidden.any():
            count = int(np.count_nonzero(hidden))
            notes.append(
                f"does not keep the colours of {count:,} invisible pixels, as --exact-alpha (exact_alpha) would"
            )
    elif not np.array_equal(_eight_bit(ours[:, :, 3]), _eight_bit(theirs[:, :, 3])):
        notes.append("has another alpha plane than the original")
    return decibels(ours[:, :, :3] * visible, theirs[:, :, :3] * visible), notes


def _same_colours(decoded: Picture, original: Picture, notes: list[str], *, lossless: bool) -> tuple[Picture, Picture]:
    """The two with one colour profile: as they are, or without, in sRGB.

    Raises:
        MismatchError: that changes samples of a lossless file, or of its original.
    """
    if decoded.metadata.get("icc") == original.metadata.get("icc"):
        return decoded, original
    plain = stripped(decoded), stripped(original)
    if lossless and any(_changed(x, y) for x, y in zip(plain, (decoded, original), strict=True)):
        what = "another colour profile than" if "icc" in decoded.metadata else "no colour profile, unlike"
        raise MismatchError(f"has {what} the original; it was made by --strip (strip), or of another one")
    notes.append("has not the colour profile of the original: both are compared as sRGB")
    return plain


def _changed(plain: Picture, picture: Picture) -> bool:
    return not np.array_equal(_planes(plain)[:, :, :3], _planes(picture)[:, :, :3])


def _eight_bit(plane: Samples) -> Samples:
    return plane if plane.dtype == np.uint8 else reduce16(plane)


def _first_difference(ours: Samples, theirs: Samples, same: npt.NDArray[np.bool_]) -> str:
    y, x, channel = np.argwhere(~same)[0].tolist()
    return (
        f"differs from the original, first at pixel {x} across, {y} down: {_NAMES[channel]} is "
        f"{ours[y, x, channel]}, not {theirs[y, x, channel]}; it was made of another one, or converted"
    )


def _planes(picture: Picture) -> Samples:
    """Red, green, blue, alpha [H, W, 4]."""
    height, width = picture.pixels.shape[:2]
    out = np.full((height, width, 4), np.iinfo(picture.pixels.dtype).max, picture.pixels.dtype)
    out[:, :, :3] = picture.pixels
    if picture.alpha is not None:
        out[:, :, 3] = picture.alpha
    return out
