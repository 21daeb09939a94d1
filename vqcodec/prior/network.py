"""The prior of one phase as a torch network, trained on code length; :mod:`export` makes it integers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from vqcodec.prior.integer import ACTIVATION_LIMIT, PriorSlice
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["ACTIVATION_UNIT", "PhaseNetwork", "code_bits"]

ACTIVATION_UNIT = 1 / 16  # of a hidden activation's integer form; it is clamped where the integers end
MAP_UNIT = 1 / 8  # of the energy maps, in log2 energy


class PhaseNetwork(nn.Module):
    """Predicts log2 energy: the slice's linear part as it is, plus two ReLU layers whose output starts at zero.

    Args:
        s: the slice.
        index: phase; it must have a context.
        width: units per hidden layer.
    """

    def __init__(self, s: PriorSlice, index: int, width: int) -> None:
        super().__init__()
        inputs = s.weight[index].shape[0] * s.weight[index].shape[1]
        scale = np.ldexp(np.float32(1), -s.shift[index]) / 16  # the stored output is in 1/16
        self.linear = nn.Parameter(torch.from_numpy(s.weight[index].reshape(inputs, -1) * scale / MAP_UNIT).float())
        # half a unit of rounding is part of the stored bias
        self.bias = nn.Buffer(torch.from_numpy(s.bias[index] * scale - 1 / 32).float())
        self.shift = nn.Parameter(torch.zeros(KNOTS, s.groups))
        self.first = nn.Parameter(torch.randn(inputs, width) / (2 * math.sqrt(inputs)))
        self.first_bias = nn.Parameter(torch.rand(KNOTS, width))
        self.second = nn.Parameter(torch.randn(width, width) / math.sqrt(width))
        self.second_bias = nn.Parameter(torch.full((width,), 0.5))
        self.last = nn.Parameter(torch.zeros(width, s.groups))

    def forward(self, patches: Tensor, step: Tensor) -> Tensor:
        """Log2 energy [N, g] from int8 maps of 3x3 neighbourhoods [N, 9 * C] (as float) and step indices [N]."""
        limit = ACTIVATION_LIMIT * ACTIVATION_UNIT
        x, knots = patches * MAP_UNIT, step_knots(step)
        a = (x @ self.first + knots @ self.first_bias).clamp(0, limit)
        a = (a @ self.second + self.second_bias).clamp(0, limit)
        return x @ self.linear + self.bias[step] + knots @ self.shift + a @ self.last


def code_bits(bits: Tensor, s: PriorSlice, energy: Tensor, bins: Tensor, symbols: Tensor) -> Tensor:
    """Length of every code [N, g] under soft rows: linear between the two rows whose middles are nearest.

    Args:
        bits: of every symbol, [g, rows, sign_bins, K].
        energy: predicted log2 energy [N, g].
        bins: sign bins [N, g].
        symbols: [N, g], mirrored where the sign says so.
    """
    position = ((energy * 16 - s.row_offset) / s.row_width - 0.5).clamp(0, s.rows - 1.001)
    low = position.detach().long()
    group = torch.arange(s.groups)
    near, far = bits[group, low, bins, symbols], bits[group, low + 1, bins, symbols]
    return near + (position - low) * (far - near)
