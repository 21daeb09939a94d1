"""The filter after the inverse wavelet: a small convolutional network that brings decoded planes nearer the original.

It works at half resolution on the four pixels of every 2 x 2 block, on what is left when the local mean is taken away,
in units of the quantiser step: there the noise of quantisation looks alike at every quality. What still depends on
quality is learned as scales and shifts at eight knots of the step index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.image.runtime import Layer, compile_layers, reach_of
from vqcodec.prior.knots import knot_weights

__all__ = ["BOX", "CLIP", "START_SCALE", "Filter", "layers_at", "windows"]

BOX = 9  # side of the local mean
CLIP = 6.0  # soft limit of the input, in steps
START_SCALE = 0.5
_WINDOW = (256, 1024)  # rows and columns at a time: 10 MB per layer, and few pixels are filtered twice


def layers_at(tensors: Mapping[str, F32], step: int) -> list[Layer]:
    """The network at a step index: its scales and shifts are part of the weights."""
    knots = knot_weights(np.array([step]))[0]
    count = sum(name.startswith("hidden.") for name in tensors) // 2
    out = []
    for i, name in enumerate(["first", *(f"hidden.{k}" for k in range(count))]):
        scale, shift = 1 + knots @ tensors["scale"][i], knots @ tensors["shift"][i]
        weight, bias = tensors[f"{name}.weight"] * scale[:, None, None, None], tensors[f"{name}.bias"] * scale + shift
        out.append(Layer(weight, bias, relu=True, skip=count - 1 if count and i == count else None))
    scale = START_SCALE * (1 + knots @ tensors["last_scale"])
    return [*out, Layer(tensors["last.weight"] * scale[:, None, None, None], tensors["last.bias"] * scale)]


class Filter:
    """The network at one step index, on whole pictures or on windows of them.

    Attributes:
        reach: pixels to each side that an output pixel depends on, rounded up to an even number.
    """

    def __init__(self, tensors: Mapping[str, F32], step: int) -> None:
        layers = layers_at(tensors, step)
        self.reach = BOX // 2 + BOX // 2 % 2 + 2 * reach_of(layers)
        self._run: Callable[[F32], F32] = compile_layers(layers)

    def window(self, planes: F32, rows: slice, columns: slice) -> F32:
        """Part of what the whole planes [3, H, W] would give, up to float rounding; rows and columns start even."""
        sides = []
        for side, size in zip((rows, columns), planes.shape[1:], strict=True):
            sides.append(slice(max(side.start - self.reach, 0), min(side.stop + side.stop % 2 + self.reach, size)))
        out = self(planes[:, *sides])
        inner = (slice(a.start - b.start, a.stop - b.start) for a, b in zip((rows, columns), sides, strict=True))
        return out[:, *inner]

    def __call__(self, planes: F32) -> F32:
        """Decoded planes [3, H, W], sides even, in units of the step, to better ones."""
        x = planes - _local_mean(planes)
        size = np.abs(x)
        size *= np.float32(1 / CLIP)
        size += 1
        x /= size
        channels, height, width = x.shape
        halves = x.reshape(channels, height // 2, 2, width // 2, 2).transpose(0, 2, 4, 1, 3)
        out = self._run(halves.reshape(1, 4 * channels, height // 2, width // 2))[0]
        blocks = out.reshape(channels, 2, 2, height // 2, width // 2)
        result = planes.copy()
        for i in range(2):
            for j in range(2):
                result[:, i::2, j::2] += blocks[:, i, j]
        return result


def windows(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the windows in which a picture is filtered, so that memory stays bounded."""
    rows, columns = _WINDOW
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))


def _local_mean(x: F32) -> F32:
    """Mean over BOX x BOX positions, fewer at the edges: [C, H, W]."""
    for axis in (1, 2):
        n = x.shape[axis]
        x = _running_sum(x, axis)
        at = np.arange(n)
        count = np.minimum(at + BOX // 2, n - 1) - np.maximum(at - BOX // 2, 0) + 1
        x *= (1 / count).astype(np.float32).reshape((-1, 1) if axis == 1 else (-1,))
    return x


def _running_sum(x: F32, axis: int) -> F32:
    """Sums of BOX = 9 neighbours, zeros beyond the edges: by sums of 2, 4 and 8, which keep float32's precision."""
    x = np.pad(x, [(BOX // 2 * (a == axis),) * 2 for a in range(x.ndim)])
    total = x
    for k in (1, 2, 4):
        total = total[_part(axis, 0, -k)] + total[_part(axis, k, None)]
    return total[_part(axis, 0, -1)] + x[_part(axis, BOX - 1, None)]


def _part(axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, stop))
