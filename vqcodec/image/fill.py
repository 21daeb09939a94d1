"""Colour under invisible pixels: filled in from the visible ones around, so that no edge is coded that nobody sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import Samples

__all__ = ["fill_invisible"]

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

_BAND = 256  # rows of the half-size grid that are worked on at once, so that a large picture takes no more memory


def fill_invisible(pixels: Samples, alpha: Samples) -> Samples:
    """Pixels with new colours where alpha is 0: averages of what is visible nearby, over wider areas further away.

    Means of 2 x 2 blocks, level above level, are pulled up to a single pixel and pushed down into the holes ("The
    lumigraph", Gortler and others, 1996, section 3.4), so that the time does not depend on the size of the holes.

    Args:
        pixels: [H, W, C].
        alpha: [H, W].
    """
    visible = alpha > 0
    if visible.all():
        return pixels
    if not visible.any():
        return np.full_like(pixels, np.iinfo(pixels.dtype).max // 2 + 1)
    means, known = _half(pixels, visible)
    levels = [(means, known)]
    while len(known) > 1 or known.shape[1] > 1:
        means, known = _half(means, known)
        levels.append((means, known))
    coarse = means
    for means, known in levels[-2::-1]:
        coarse = np.where(known[:, :, None], means, _doubled(coarse, *known.shape))
    out = pixels.copy()
    height, width = alpha.shape
    for top in range(0, len(coarse), _BAND):
        first, last = max(top - 1, 0), min(top + _BAND + 1, len(coarse))
        rows = slice(2 * top, min(2 * (top + _BAND), height))
        band = _doubled(coarse[first:last], 2 * (last - first), width)[rows.start - 2 * first : rows.stop - 2 * first]
        np.copyto(out[rows], (band + np.float32(0.5)).astype(pixels.dtype), where=~visible[rows, :, None])
    return out


def _half(values: npt.NDArray[np.generic], known: npt.NDArray[np.bool_]) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Mean of what is known in each block of 2 x 2, and whether there is any."""
    height, width = -(-len(known) // 2), -(-known.shape[1] // 2)
    total = np.zeros((height, width, values.shape[2]), np.float32)
    count = np.zeros((height, width, 1), np.float32)
    for y in (0, 1):
        for x in (0, 1):
            weight = known[y::2, x::2, None]
            h, w = weight.shape[:2]
            total[:h, :w] += values[y::2, x::2] * weight
            count[:h, :w] += weight
    total /= np.maximum(count, 1)
    return total, count[:, :, 0] > 0


def _doubled(coarse: Float32, height: int, width: int) -> Float32:
    """Twice as high and wide, linear in between, cut to this size."""
    for axis, size in ((0, height), (1, width)):
        before = (slice(None),) * axis
        quarter = coarse * np.float32(0.25)
        fine = np.repeat(coarse * np.float32(0.75), 2, axis=axis)
        even, odd = fine[*before, 0::2], fine[*before, 1::2]
        even[*before, 1:] += quarter[*before, :-1]
        even[*before, :1] += quarter[*before, :1]
        odd[*before, :-1] += quarter[*before, 1:]
        odd[*before, -1:] += quarter[*before, -1:]
        coarse = fine[*before, :size]
    return coarse
