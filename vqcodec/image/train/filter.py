"""The filter of image.synthesis as a torch network, for training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32
from vqcodec.image.config import step_size
from vqcodec.image.synthesis import BOX, CLIP, START_SCALE
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["Restore"]


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

    def load_arrays(self, arrays: dict[str, F32]) -> None:
        """Take the weights of a model."""
        self.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})

    def arrays(self) -> dict[str, F32]:
        """The weights as a model holds them."""
        return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in self.state_dict().items()}
