"""The filter after the inverse wavelet: a small convolutional network that brings decoded planes nearer the original.

It works at a quarter of the resolution on the sixteen pixels of every 4 x 4 block, on what is left when the local mean
is taken away, in units of the quantiser step of the place (the picture's, divided by the factor of image.activity):
there the noise of quantisation looks alike at every quality. What still depends on quality is learned as scales and
shifts at eight knots of the step index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.image.runtime import Layer, compile_layers, reach_of
from vqcodec.prior.knots import knot_weights

__all__ = ["BLOCK", "CLIP", "START_SCALE", "Filter", "layers_at", "windows"]

BLOCK = 4  # side of the block of pixels at one position of the network
CLIP = 6.0  # soft limit of the input, in steps
START_SCALE = 0.5
_WINDOW = (256, 1024)  # rows and columns at a time: 10 MB per layer, and few pixels are filtered twice


def layers_at(tensors: Mapping[str, F32], step: int, *, even: bool) -> list[Layer]:
    """The network at a step index, for steps that are even or not: scales and shifts are part of its weights."""
    knots = knot_weights(np.array([step]))[0]
    kinds = np.concatenate([np.zeros_like(knots), knots] if even else [knots, np.zeros_like(knots)])
    count = sum(name.startswith("hidden.") for name in tensors) // 2
    out = []
    for i, name in enumerate(["first", *(f"hidden.{k}" for k in range(count))]):
        scale, shift = 1 + kinds @ tensors["scale"][i], kinds @ tensors["shift"][i]
        weight, bias = tensors[f"{name}.weight"] * scale[:, None, None, None], tensors[f"{name}.bias"] * scale + shift
        # every second hidden layer adds to what goes into it
        out.append(Layer(weight, bias, relu=True, skip=i - 1 if i and i % 2 == 0 else None))
    scale = START_SCALE * (1 + kinds @ tensors["head.scale"])
    return [*out, Layer(tensors["head.last.weight"] * scale[:, None, None, None], tensors["head.last.bias"] * scale)]


class Filter:
    """The network at one step index, on whole pictures or on windows of them.

    Attributes:
        reach: pixels to each side that an output pixel depends on, in whole blocks.
    """

    def __init__(self, tensors: Mapping[str, F32], step: int, *, even: bool = False) -> None:
        layers = layers_at(tensors, step, even=even)
        self.reach = BLOCK * (1 + reach_of(layers))  # 1: of the mean
        self._run: Callable[[F32], F32] = compile_layers(layers)

    def window(self, planes: F32, factor: F32, rows: slice, columns: slice) -> F32:
        """Part of what the whole planes [3, H, W] would give, up to float rounding; rows and columns start a block."""
        sides = [
            slice(max(side.start - self.reach, 0), min(-(-side.stop // BLOCK) * BLOCK + self.reach, size))
            for side, size in zip((rows, columns), planes.shape[1:], strict=True)
        ]
        blocks = (slice(side.start // BLOCK, side.stop // BLOCK) for side in sides)
        out = self(planes[:, *sides], factor[*blocks])
        inner = (slice(a.start - b.start, a.stop - b.start) for a, b in zip((rows, columns), sides, strict=True))
        return out[:, *inner]

    def __call__(self, planes: F32, factor: F32) -> F32:
        """Decoded planes [3, H, W], in units of the picture's step, to better ones.

        Args:
            factor: of image.activity by block, [H / 4, W / 4].
        """
        channels, height, width = planes.shape
        grid = height // BLOCK, width // BLOCK
        x = np.empty((channels, BLOCK, BLOCK, *grid), np.float32)  # channel, row and column in the block, block
        for i in range(BLOCK):
            for j in range(BLOCK):
                x[:, i, j] = planes[:, i::BLOCK, j::BLOCK]
        x -= _mean_of_near(x.mean((1, 2)))[:, None, None]
        x *= factor
        size = np.abs(x)
        size *= np.float32(1 / CLIP)
        size += 1
        x /= size
        added = self._run(x.reshape(1, channels * BLOCK**2, *grid)).reshape(x.shape)
        added /= factor
        out = np.empty_like(planes, order="C")
        for i in range(BLOCK):
            for j in range(BLOCK):
                np.add(planes[:, i::BLOCK, j::BLOCK], added[:, i, j], out=out[:, i::BLOCK, j::BLOCK])
        return out


def windows(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the windows in which a picture is filtered, so that memory stays bounded."""
    rows, columns = _WINDOW
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))


def _mean_of_near(x: F32) -> F32:
    """Mean over 3 x 3 positions, fewer at the edges: [C, H, W]."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total: F32 = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    counts = [np.convolve(np.ones(n), np.ones(3), "same") if n > 1 else np.ones(1) for n in x.shape[1:]]
    total /= np.outer(*counts).astype(np.float32)
    return total
