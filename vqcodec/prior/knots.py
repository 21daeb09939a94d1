"""What is learned for every quality: values at knots of the step index, linear in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vqcodec.bitstream.arrays import F32, I64

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KNOTS", "knot_weights", "step_knots"]

KNOTS = 8


def knot_weights(step: I64) -> F32:
    """Piecewise linear weights [B, KNOTS] of step indices [B]."""
    position = step.astype(np.float32)[:, None] / 255 * (KNOTS - 1)
    weights: F32 = np.maximum(1 - np.abs(position - np.arange(KNOTS, dtype=np.float32)), 0)
    return weights


def step_knots(step: Tensor) -> Tensor:
    """The same as a tensor, on the device of ``step``."""
    import torch  # only here: coding needs none

    return torch.from_numpy(knot_weights(step.cpu().numpy())).to(step.device)
