"""Between pixels and the unit-step domain, in which rate is exchanged for distortion alike at every quality."""

from __future__ import annotations

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64, Samples
from vqcodec.image.bands import image_gains, slice_of, to_bands
from vqcodec.image.config import ImageConfig, step_size
from vqcodec.prior.integer import planes_first, planes_last, product
from vqcodec.threads import ALONE, Workers

__all__ = ["BIT_WEIGHT", "PSNR_BIT_WEIGHT", "low_steps", "step_sizes", "to_planes", "to_units"]

BIT_WEIGHT = 0.55
"""Share of LAMBDA that pictures are searched with. Measured on training photographs: what dead zones save is seen."""

PSNR_BIT_WEIGHT = 0.8
"""The same where steps are even and the squared error is all that counts."""

_BLOCK = 1 << 16  # pixels whose colours are rotated at a time


def to_planes(pixels: Samples, colour: F32, multiple: int = 1) -> F32:
    """Planes [3, B, H, W], in units of 8-bit samples, of pixels [B, H, W, 3], or of gray ones [B, H, W, 1].

    Args:
        colour: rotation [3, 3].
        multiple: the last row and column are repeated until both sides are multiples of it.
    """
    batch, height, width, channels = pixels.shape
    weights = colour if channels == 3 else colour.sum(1, keepdims=True)
    out = np.empty((3, batch, height + -height % multiple, width + -width % multiple), np.float32)
    step = max(1, _BLOCK // width)
    for top in range(0, height, step):
        samples = planes_first(pixels[:, top : top + step]).astype(np.float32)
        if pixels.dtype == np.uint16:
            samples *= np.float32(1 / 257)
        samples -= 128
        part = product(weights, samples.reshape(channels, -1))
        out[:, :, top : min(top + step, height), :width] = part.reshape(3, *samples.shape[1:])
    out[:, :, :height, width:] = out[:, :, :height, width - 1 : width]
    out[:, :, height:] = out[:, :, height - 1 : height]
    return out


def step_sizes(step: I64) -> F32:
    """Quantiser steps [B] in sample values of step indices [B]."""
    return np.array([step_size(int(s)) for s in step], np.float32)


def low_steps(config: ImageConfig, step: I64) -> F32:
    """Steps of the low band [B]."""
    gain, _ = image_gains(config)
    return (np.maximum(step_sizes(step), config.low_step) / gain).astype(np.float32)


def to_units(config: ImageConfig, planes: F32, step: I64, workers: Workers = ALONE) -> tuple[I32, list[F32]]:
    """What the search takes of planes [3, B, H, W], sides multiples of a cell.

    Returns:
        The rounded low band [B, h, w, 3], and the vectors of all slices in steps of the picture, [g, B, h, w].
    """
    bands = to_bands(planes, config.levels, workers)
    low = np.round(bands[0] / low_steps(config, step)[:, None, None]).astype(np.int32)
    for details in bands[1:]:
        details /= step_sizes(step)[:, None, None]
    vectors = [slice_of(bands[1 + config.levels - s.level], s) for s in config.slices]
    return planes_last(low), vectors
