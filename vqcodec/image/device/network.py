"""The networks of the prior on a device, by torch: what :mod:`vqcodec.image.level_network` gives, to the bit.

In float64 and as matrix products, for the reasons that :mod:`vqcodec.prior.device` gives.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream.arrays import I64
from vqcodec.image.level_network import Layer, LevelNetwork
from vqcodec.prior.device import activated, convolve, matrix, padded, point, to_device

__all__ = ["DeviceNetwork"]


class DeviceNetwork:
    """A network as functions on tensors [B, C, h, w]; step indices are [B]."""

    def __init__(self, network: LevelNetwork, device: torch.device) -> None:
        self._device = device
        self._trunk = [_DeviceLayer(layer, device) for layer in network.trunk]
        self._own = [matrix(head.own, device) for head in network.heads]
        self._heads = [
            [_DeviceLayer(x, device) for x in (head.first, head.second, head.last)] for head in network.heads
        ]

    def features(self, maps: Tensor, step: I64) -> Tensor:
        """See :meth:`vqcodec.image.level_network.Running.features`."""
        first, second, third = self._trunk
        y = activated(convolve(padded(maps), first.weight) + self._by_step(first, step), first.unit)
        y = activated(convolve(padded(y), second.weight) + second.bias, second.unit)
        return activated(point(y, third.weight) + third.bias, third.unit)

    def added(self, p: int, own: Tensor | None, features: Tensor, step: I64) -> Tensor:
        """See :meth:`vqcodec.image.level_network.Running.added`; the maps of the phases before are padded."""
        first, second, last = self._heads[p]
        y = point(features, first.weight) + self._by_step(first, step)
        if own is not None:
            y = y + convolve(own, self._own[p])
        y = point(activated(y, first.unit), second.weight) + second.bias
        y = point(activated(y, second.unit), last.weight) + self._by_step(last, step)
        return (y * last.unit).floor()

    def _by_step(self, layer: _DeviceLayer, step: I64) -> Tensor:
        return layer.bias[to_device(step, self._device)]


class _DeviceLayer:
    """Parameters of a layer.

    Attributes:
        weight: [n, 9 * C] or [n, C].
        bias: [n, 1, 1], by step index before that where the layer has it so.
        unit: [n, 1, 1], what sums are multiplied by.
    """

    def __init__(self, layer: Layer, device: torch.device) -> None:
        self.weight = matrix(layer.weight, device)
        self.bias = to_device(layer.bias, device, torch.float64)[..., None, None]
        self.unit = to_device(np.ldexp(np.float32(1), -layer.shift), device, torch.float64)[:, None, None]
