"""Between pixels and the unit-step domain, in which rate is exchanged for distortion alike at every quality."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqcodec.models.config import ImageConfig, step_size
from vqcodec.transform.bands import image_gains, to_vectors

__all__ = ["LAMBDA", "bands_to_vectors", "low_steps", "slice_units", "steps_tensor"]

LAMBDA = math.log(2) / 6
"""Weight of a bit: minimise |x - c|^2 + LAMBDA * bits. At high rate an entropy-coded unit step has slope ln 2 / 6."""


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
