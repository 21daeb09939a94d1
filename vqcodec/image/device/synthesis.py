"""The filter of image.synthesis on a device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream.arrays import F32
from vqcodec.image.synthesis import BLOCK, BOX, CELL, CLIP, Place, around, layers_at, pixels_around
from vqcodec.prior.device import to_device

__all__ = ["DeviceFilter"]


class DeviceFilter:
    """See :class:`vqcodec.image.synthesis.Filter`."""

    def __init__(self, tensors: Mapping[str, F32], step: int, device: torch.device, *, even: bool) -> None:
        layers = layers_at(tensors, step, even=even)
        self._reach = pixels_around(layers)
        self._layers = [
            (to_device(y.weight, device, torch.float32), to_device(y.bias, device, torch.float32), y) for y in layers
        ]

    def window(self, planes: Tensor, factor: Tensor, place: Place) -> Tensor:
        """Part of what the whole planes [3, H, W] would give, with the factor of the activity by block."""
        wide, blocks, inner = around(place, self._reach, planes.shape[1:])
        return self._whole(planes[:, *wide], factor[blocks])[:, *inner]

    def _whole(self, planes: Tensor, factor: Tensor) -> Tensor:
        size = factor.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        y = (planes - F.avg_pool2d(planes, BOX, 1, BOX // 2, count_include_pad=False)) * size
        x = F.pixel_unshuffle(y / (1 + y.abs() / CLIP), CELL)
        ends: list[Tensor] = []  # every layer's output
        for weight, bias, layer in self._layers:
            x = _convolve(x, weight) + bias[:, None, None]
            x = x.relu() if layer.relu else x
            x = x if layer.skip is None else x + ends[layer.skip]
            ends.append(x)
        return planes + F.pixel_shuffle(x, CELL) / size


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    """[C, h, w] to [n, h, w], zeros around. As a matrix product: cuDNN rounds what it convolves to TF32 unless told."""
    side = weight.shape[2]
    return (weight.flatten(1) @ F.unfold(x[None], side, padding=side // 2)[0]).reshape(-1, *x.shape[1:])
