"""The filter after the inverse wavelet: a small convolutional network that brings decoded planes nearer the original.

It works at half resolution on the four pixels of every 2 x 2 block, on what is left when the local mean is taken away,
in units of the quantiser step: there the noise of quantisation looks alike at every quality. What still depends on
quality is learned as scales and shifts at eight knots of the step index.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.image.config import step_size
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["Restore", "restore"]

BOX = 9  # side of the local mean
WINDOW = 256  # rows filtered at a time
CLIP = 6.0  # soft limit of the input, in steps
START_SCALE = 0.5


class Restore(nn.Module):
    """Network of the filter; starts as the identity.

    Args:
        width: channels of the hidden layers.
        layers: hidden layers beside the first.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, width, 3, padding=1)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))
        self.last = nn.Conv2d(width, 12, 3, padding=1)
        self.scale = nn.Parameter(torch.zeros(layers + 1, KNOTS, width))
        self.shift = nn.Parameter(torch.zeros(layers + 1, KNOTS, width))
        self.last_scale = nn.Parameter(torch.zeros(KNOTS, 12))
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def reach(self) -> int:
        """Pixels to each side that an output pixel depends on, rounded up to an even number."""
        return BOX // 2 + 2 * (len(self.hidden) + 2) + BOX // 2 % 2

    def forward(self, planes: Tensor, step: Tensor) -> Tensor:
        """Planes [B, 3, H, W] (H, W even) decoded at step indices [B] to better ones."""
        delta = torch.tensor([step_size(int(s)) for s in step.tolist()], device=planes.device)[:, None, None, None]
        knots = step_knots(step.to(planes.device))
        x = (planes - F.avg_pool2d(planes, BOX, 1, BOX // 2, count_include_pad=False)) / delta
        x = x / (1 + x.abs() / CLIP)
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = self._modulate(0, self.first(x), knots)
        for i, layer in enumerate(self.hidden):
            y = self._modulate(i + 1, layer(x), knots)
            x = x + y if i == len(self.hidden) - 1 else y
        out = self.last(x) * (START_SCALE * (1 + knots @ self.last_scale))[:, :, None, None]
        return planes + F.pixel_shuffle(out, 2) * delta

    def _modulate(self, layer: int, x: Tensor, knots: Tensor) -> Tensor:
        scale, shift = knots @ self.scale[layer], knots @ self.shift[layer]
        return F.relu(x * (1 + scale)[:, :, None, None] + shift[:, :, None, None])


def restore(network: Restore, planes: Tensor, step: int) -> Tensor:
    """Filter whole planes [1, H, W, 3] (H, W even) in overlapping windows, so that memory stays bounded.

    The overlap is the network's reach: the result is that of one pass over the whole picture, up to float rounding.
    """
    x = planes.permute(0, 3, 1, 2)
    height = x.shape[2]
    steps = torch.tensor([step])
    out = torch.empty_like(planes)
    for top in range(0, height, WINDOW):
        bottom = min(top + WINDOW, height)
        first, last = max(top - network.reach, 0), min(bottom + network.reach, height)
        y = network(x[:, :, first:last], steps)
        out[:, top:bottom] = y[:, :, top - first : bottom - first].permute(0, 2, 3, 1)
    return out
