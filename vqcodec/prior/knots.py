"""What is learned for every quality: values at knots of the step index, linear in between."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["KNOTS", "step_knots"]

KNOTS = 8


def step_knots(step: Tensor) -> Tensor:
    """Piecewise linear weights [B, KNOTS] of step indices [B]."""
    position = step.to(torch.float32)[:, None] / 255 * (KNOTS - 1)
    return (1 - (position - torch.arange(KNOTS, device=step.device)).abs()).clamp(min=0)
