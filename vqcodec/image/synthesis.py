"""The filter after the inverse wavelet: a small convolutional network that brings decoded planes nearer the original.

It works at half the resolution on the four pixels of every 2 x 2 cell, on what is left when the local mean is taken
away, in units of the quantiser step of the place (the picture's, divided by the factor of image.activity): there the
noise of quantisation looks alike at every quality. What still depends on quality is learned as scales and shifts at
eight knots of the step index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.image.runtime import Layer, compile_layers, reach_of
from vqcodec.prior.knots import knot_weights

__all__ = [
    "BLOCK",
    "BOX",
    "CELL",
    "CLIP",
    "START_SCALE",
    "Filter",
    "Place",
    "around",
    "layers_at",
    "pixels_around",
    "windows",
]

BLOCK = 4  # side of the block of pixels that share one factor of image.activity
CELL = 2  # side of the cell of pixels at one position of the network
BOX = 9  # side of the local mean
CLIP = 6.0  # soft limit of the input, in steps
START_SCALE = 0.5
_WINDOW = (176, 800)  # rows and columns at a time at most: 6 MB per layer of 32 channels

Place = tuple[slice, slice]
"""Rows and columns of a picture."""


def layers_at(tensors: Mapping[str, F32], step: int, *, even: bool) -> list[Layer]:
    """The network at a step index, for steps that are even or not: scales and shifts are part of its weights."""
    knots = knot_weights(np.array([step]))[0]
    kinds = np.concatenate([np.zeros_like(knots), knots] if even else [knots, np.zeros_like(knots)])
    count = sum(name.startswith("hidden.") for name in tensors) // 2
    out = []
    for i, name in enumerate(["first", *(f"hidden.{k}" for k in range(count))]):
        scale, shift = 1 + kinds @ tensors["scale"][i], kinds @ tensors["shift"][i]
        weight, bias = tensors[f"{name}.weight"] * scale[:, None, None, None], tensors[f"{name}.bias"] * scale + shift
        # the last hidden layer adds to what goes into it
        out.append(Layer(weight, bias, relu=True, skip=i - 1 if i and i == count else None))
    scale = START_SCALE * (1 + kinds @ tensors["last_scale"])
    return [*out, Layer(tensors["last.weight"] * scale[:, None, None, None], tensors["last.bias"] * scale)]


class Filter:
    """The network at one step index, on whole pictures or on windows of them.

    Attributes:
        reach: see :func:`pixels_around`.
    """

    def __init__(self, tensors: Mapping[str, F32], step: int, *, even: bool = False) -> None:
        layers = layers_at(tensors, step, even=even)
        self.reach = pixels_around(layers)
        self._run: Callable[[F32], F32] = compile_layers(layers)

    def window(self, planes: F32, factor: F32, rows: slice, columns: slice) -> F32:
        """Part of what the whole planes [3, H, W] would give, up to float rounding; rows and columns start a block."""
        wide, blocks, inner = around((rows, columns), self.reach, planes.shape[1:])
        return self(planes[:, *wide], factor[blocks])[:, *inner]

    def __call__(self, planes: F32, factor: F32) -> F32:
        """Decoded planes [3, H, W], in units of the picture's step, to better ones.

        Args:
            factor: of image.activity by block, [H / 4, W / 4].
        """
        channels, height, width = planes.shape
        size = factor.repeat(BLOCK, 0).repeat(BLOCK, 1)
        y = planes - _local_mean(planes)
        y *= size
        limit = np.abs(y)
        limit *= np.float32(1 / CLIP)
        limit += 1
        y /= limit
        grid = height // CELL, width // CELL
        x = np.empty((channels, CELL, CELL, *grid), np.float32)  # channel, row and column in the cell, cell
        for i in range(CELL):
            for j in range(CELL):
                x[:, i, j] = y[:, i::CELL, j::CELL]
        added = self._run(x.reshape(1, channels * CELL**2, *grid)).reshape(x.shape)
        for i in range(CELL):
            for j in range(CELL):
                y[:, i::CELL, j::CELL] = added[:, i, j]
        y /= size
        y += planes
        return y


def pixels_around(layers: Sequence[Layer]) -> int:
    """Pixels to each side that an output pixel of the filter depends on, in whole blocks."""
    return -(-(BOX // 2 + CELL * reach_of(layers)) // BLOCK) * BLOCK


def around(place: Place, reach: int, shape: Sequence[int]) -> tuple[Place, Place, Place]:
    """What the filter must be given for a place of a picture [H, W]: pixels, their blocks, and the place in them."""
    wide = [
        slice(max(side.start - reach, 0), min(-(-side.stop // BLOCK) * BLOCK + reach, size))
        for side, size in zip(place, shape, strict=True)
    ]
    blocks = [slice(side.start // BLOCK, side.stop // BLOCK) for side in wide]
    inner = [slice(a.start - b.start, a.stop - b.start) for a, b in zip(place, wide, strict=True)]
    return (wide[0], wide[1]), (blocks[0], blocks[1]), (inner[0], inner[1])


def windows(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the windows in which a picture is filtered, so that memory stays bounded."""
    rows, columns = (_parts(side, most) for side, most in zip((height, width), _WINDOW, strict=True))
    for row in rows:
        for column in columns:
            yield row, column


def _parts(side: int, most: int) -> list[slice]:
    """A side in as few parts of whole blocks as are no larger than allowed, about equally large."""
    count = -(-side // most)
    size = -(-side // (count * BLOCK)) * BLOCK
    return [slice(start, min(start + size, side)) for start in range(0, side, size)]


def _local_mean(x: F32) -> F32:
    """Mean over BOX x BOX pixels, fewer at the edges: [C, H, W]. One plane at a time, which the cache holds."""
    counts = [_sums(np.ones((1, n), np.float32), 1)[0] for n in x.shape[1:]]
    share = 1 / np.outer(*counts)
    return np.stack([_sums(_sums(plane, 0), 1) * share for plane in x])


def _sums(x: F32, axis: int) -> F32:
    """Sums over BOX neighbours along an axis of [H, W], zeros outside: those of 1, 2, 4 and 8 make that of 9."""

    def part(y: F32, start: int, stop: int | None) -> F32:
        return y[start:stop] if axis == 0 else y[:, start:stop]

    padded = np.pad(x, [(BOX // 2 * (a == axis),) * 2 for a in (0, 1)])
    total = padded
    for span in (1, 2, 4):
        total = part(total, 0, -span) + part(total, span, None)
    return part(total, 0, -1) + part(padded, BOX - 1, None)
