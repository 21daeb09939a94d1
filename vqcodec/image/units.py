"""Between pixels and the unit-step domain, in which rate is exchanged for distortion alike at every quality."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32
from vqcodec.image.bands import image_gains, to_bands, to_vectors
from vqcodec.image.config import ImageConfig, step_size

__all__ = [
    "BIT_WEIGHT",
    "PSNR_BIT_WEIGHT",
    "bands_to_vectors",
    "low_steps",
    "slice_units",
    "steps_tensor",
    "to_units",
]

BIT_WEIGHT = 0.55
"""Share of LAMBDA that pictures are searched with. Measured on training photographs: what dead zones save is seen."""

PSNR_BIT_WEIGHT = 1.0
"""The same where steps are even and the squared error is all that counts."""


def steps_tensor(step: Tensor) -> Tensor:
    """Quantiser steps [B] in sample values of step indices [B]."""
    return torch.tensor([step_size(int(s)) for s in step.tolist()])


def low_steps(config: ImageConfig, step: Tensor) -> Tensor:
    """Steps of the low band [B, 1, 1, 1]."""
    gain, _ = image_gains(config)
    return (steps_tensor(step).clamp(min=config.low_step) / gain)[:, None, None, None]


def slice_units(config: ImageConfig, index: int, step: Tensor) -> Tensor:
    """Size of one unit of a slice in coefficients: [B, 1, 1, g, 1]."""
    _, gains = image_gains(config)
    return steps_tensor(step)[:, None, None, None, None] / gains[index]


def bands_to_vectors(config: ImageConfig, bands: list[Tensor]) -> list[Tensor]:
    """Vectors of all slices in coefficients."""
    return [to_vectors(bands[1 + config.levels - s.level], s) for s in config.slices]


def to_units(config: ImageConfig, planes: Tensor, step: Tensor) -> tuple[I32, list[F32]]:
    """What the search takes of planes [B, H, W, 3]: rounded low band [B, h, w, 3], vectors of all slices in units."""
    device = planes.device
    bands = to_bands(planes, config.levels)
    low = (bands[0] / low_steps(config, step).to(device)).round().to(torch.int32).cpu().numpy()
    vectors = [
        (v / slice_units(config, i, step).to(device)).cpu().numpy()
        for i, v in enumerate(bands_to_vectors(config, bands))
    ]
    return low, vectors
