"""The filter after the inverse wavelet: a small convolutional network that brings decoded planes nearer the original.

It works at half the resolution on the four pixels of every 2 x 2 cell, on what is left when the local mean is taken
away, in units of the quantiser step of the place (the picture's, divided by the factor of image.activity): there the
noise of quantisation looks alike at every quality. What still depends on quality is learned as scales and shifts at
eight knots of the step index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.image.config import step_size
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["BLOCK", "CELL", "Conditions", "Restore", "restore"]

BLOCK = 4  # side of the block of pixels that share one factor of image.activity
CELL = 2  # side of the cell of pixels at one position of the network
BOX = 9  # side of the local mean
WINDOW = 256  # rows filtered at a time
CLIP = 6.0  # soft limit of the input, in steps
START_SCALE = 0.5


@dataclass(frozen=True)
class Conditions:
    """What the noise of decoded planes depends on.

    Attributes:
        step: step indices [B].
        even: [B] whether steps are the same for all bands and places.
        factor: of image.activity by block, [B, H / 4, W / 4].
    """

    step: Tensor
    even: Tensor
    factor: Tensor

    @property
    def knots(self) -> Tensor:
        """Weights of what is learned by step, once for each kind of steps: [B, 2 * KNOTS]."""
        knots, even = step_knots(self.step), self.even[:, None]
        return torch.cat([knots * ~even, knots * even], 1)

    @property
    def size(self) -> Tensor:
        """Quantiser step of the place in sample values, [B, 1, H, W]."""
        delta = torch.tensor([step_size(int(s)) for s in self.step.tolist()], device=self.factor.device)
        size = (delta[:, None, None] / self.factor)[:, None]
        return size.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)

    def rows(self, first: int, last: int) -> Conditions:
        """Of some rows of blocks."""
        return replace(self, factor=self.factor[:, first:last])


class Restore(nn.Module):
    """Network of the filter; starts as the identity.

    Args:
        width: channels of the hidden layers.
        layers: hidden layers beside the first.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * CELL**2, width, 3, padding=1)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))
        self.scale = nn.Parameter(torch.zeros(layers + 1, 2 * KNOTS, width))
        self.shift = nn.Parameter(torch.zeros(layers + 1, 2 * KNOTS, width))
        self.last = nn.Conv2d(width, 3 * CELL**2, 3, padding=1)
        self.last_scale = nn.Parameter(torch.zeros(2 * KNOTS, 3 * CELL**2))
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)
        for layer in (self.first, *self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def reach(self) -> int:
        """Pixels to each side that an output pixel depends on, rounded up to whole blocks."""
        pixels = BOX // 2 + CELL * (len(self.hidden) + 2)
        return -(-pixels // BLOCK) * BLOCK

    def forward(self, planes: Tensor, conditions: Conditions) -> Tensor:
        """Decoded planes [B, 3, H, W] (H and W whole blocks) to better ones."""
        size, knots = conditions.size, conditions.knots
        x = (planes - F.avg_pool2d(planes, BOX, 1, BOX // 2, count_include_pad=False)) / size
        x = F.pixel_unshuffle(x / (1 + x.abs() / CLIP), CELL).contiguous(memory_format=torch.channels_last)
        x = self._modulate(0, self.first(x), knots)
        for i, layer in enumerate(self.hidden):
            y = self._modulate(i + 1, layer(x), knots)
            x = x + y if i == len(self.hidden) - 1 else y
        change = self.last(x) * (START_SCALE * (1 + knots @ self.last_scale))[:, :, None, None]
        return planes + F.pixel_shuffle(change, CELL) * size

    def _modulate(self, layer: int, x: Tensor, knots: Tensor) -> Tensor:
        scale, shift = knots @ self.scale[layer], knots @ self.shift[layer]
        return F.relu(x * (1 + scale)[:, :, None, None] + shift[:, :, None, None])


def restore(network: Restore, planes: Tensor, conditions: Conditions) -> Tensor:
    """Filter whole planes [1, H, W, 3] (H, W whole blocks) in overlapping windows, so that memory stays bounded.

    The overlap is the network's reach: the result is that of one pass over the whole picture, up to float rounding.
    """
    x = planes.permute(0, 3, 1, 2)
    height = x.shape[2]
    out = torch.empty_like(planes)
    for top in range(0, height, WINDOW):
        bottom = min(top + WINDOW, height)
        first, last = max(top - network.reach, 0), min(bottom + network.reach, height)
        y = network(x[:, :, first:last], conditions.rows(first // BLOCK, last // BLOCK))
        out[:, top:bottom] = y[:, :, top - first : bottom - first].permute(0, 2, 3, 1)
    return out
