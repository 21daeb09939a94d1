"""The filter of image.synthesis as a torch network, for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32
from vqcodec.errors import InputError
from vqcodec.image.config import step_size
from vqcodec.image.synthesis import BLOCK, BOX, CELL, CLIP, START_SCALE
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["Conditions", "Restore", "load_arrays", "to_arrays"]


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


def to_arrays(module: nn.Module) -> dict[str, F32]:
    """Weights as a model holds them."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in module.state_dict().items()}


@torch.no_grad()
def load_arrays(module: nn.Module, arrays: Mapping[str, F32]) -> None:
    """Inverse of :func:`to_arrays`; a network of more channels gives the same, for what is new adds nothing yet.

    Raises:
        InputError: the arrays are those of a network of more channels or layers.
    """
    state = module.state_dict()  # its tensors are the module's own
    if state.keys() != arrays.keys() or any(
        b > a for n in state for a, b in zip(state[n].shape, arrays[n].shape, strict=True)
    ):
        raise InputError("the filter to begin with has more channels or layers than the preset's; give another --init")
    for name, own in state.items():
        known = torch.from_numpy(arrays[name])
        if name.endswith("weight"):
            own[: len(known), known.shape[1] :] = 0
        own[tuple(slice(size) for size in known.shape)] = known
