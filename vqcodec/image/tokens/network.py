"""The networks of a tokens model on the CPU, without torch: pixels to vectors, vectors to pixels, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np

from vqcodec.bitstream.arrays import F32, U8
from vqcodec.image.runtime import Layer, compile_layers
from vqcodec.image.tokens.config import BOTTOM, TOP, TokensConfig, parts
from vqcodec.image.tokens.masking import factors
from vqcodec.prior.integer import product
from vqcodec.threads import ALONE, Workers

__all__ = ["CELL", "SCALE", "Networks"]

CELL = 64
"""Pictures are continued to whole cells of so many pixels: 4 x 4 codes of the top, 8 x 8 of the bottom."""

SCALE = 64.0
"""Of samples in the planes that the networks see."""

_WINDOW = 1024  # pixels a side: 100 MB at work
_REACH_IN, _REACH_OUT = 80, 160  # pixels to each side that vectors depend on (72), and pixels (160 in whole cells)

Window = tuple[slice, slice]


def unshuffle(x: F32, side: int) -> F32:
    """Planes [C, H, W] to the pixels of every cell as channels [C side^2, H / side, W / side], as torch orders them."""
    c, h, w = x.shape
    cells = x.reshape(c, h // side, side, w // side, side).transpose(0, 2, 4, 1, 3)
    return cells.reshape(c * side * side, h // side, w // side)


def shuffle(x: F32, side: int) -> F32:
    """Inverse of :func:`unshuffle`."""
    c, h, w = x.shape
    cells = x.reshape(c // side**2, side, side, h, w).transpose(0, 3, 1, 4, 2)
    return cells.reshape(c // side**2, h * side, w * side)


class Networks:
    """All parts with their weights. Safe for concurrent use.

    Args:
        arrays: weights by name, as stored: ``NAME.layers.I.weight`` and ``.bias``.
        colour: rotation [3, 3] from RGB to planes.
    """

    def __init__(self, config: TokensConfig, arrays: Mapping[str, F32], colour: F32) -> None:
        self.config, self._arrays, self.colour = config, arrays, colour

    def _compiled(self, name: str) -> Callable[[F32], F32]:
        arrays = self._arrays
        layers = [
            Layer(arrays[f"{name}.layers.{i}.weight"], arrays[f"{name}.layers.{i}.bias"], conv.relu, conv.skip)
            for i, conv in enumerate(parts(self.config)[name])
        ]
        run = compile_layers(layers)
        return lambda x: run(x[None])[0]

    @cached_property
    def _encoder(self) -> dict[str, Callable[[F32], F32]]:
        return {name: self._compiled(name) for name in ("encoder", "top_encoder", "top_in", "bottom_in")}

    @cached_property
    def _expected(self) -> Callable[[F32], F32]:
        return self._compiled("expected")

    @cached_property
    def _decoder(self) -> dict[str, Callable[[F32], F32]]:
        return {name: self._compiled(name) for name in ("top_out", "at8", "at4", "at2", "linear")}

    def analyse(self, pixels: U8, workers: Workers = ALONE) -> tuple[F32, F32, F32]:
        """Vectors of a picture [H, W, 1 or 3]: top [d, H' / 16, W' / 16], and bottom before what the top tells of it;
        and how much a bit weighs in the bottom's cells [H' / 8, W' / 8] (see :mod:`masking`).

        H' and W' are its sides, continued to whole cells.
        """
        height, width = (side + -side % CELL for side in pixels.shape[:2])
        top = np.empty((self.config.top_d, height // TOP, width // TOP), np.float32)
        bottom = np.empty((self.config.bottom_d, height // BOTTOM, width // BOTTOM), np.float32)
        weight = np.empty((height // BOTTOM, width // BOTTOM), np.float32)

        def analyse(window: Window) -> None:
            outer = _around(window, _REACH_IN, height, width)
            planes = self._planes(pixels, outer)
            found = (*self._analyse(planes), factors(planes[0]))
            for whole, part, side in zip((top, bottom, weight), found, (TOP, BOTTOM, BOTTOM), strict=True):
                whole[..., *_scaled(window, side)] = part[..., *_inside(window, outer, side)]

        workers.each(analyse, _windows(height, width))
        return top, bottom, weight

    def _planes(self, pixels: U8, window: Window) -> F32:
        """Planes [3, h, w] of a window, which may reach over the right and lower edge."""
        at = [np.minimum(np.arange(s.start, s.stop), n - 1) for s, n in zip(window, pixels.shape[:2], strict=True)]
        samples = pixels[at[0][:, None], at[1]].transpose(2, 0, 1).astype(np.float32)
        samples -= 128
        turn = self.colour if len(samples) == 3 else self.colour.sum(1, keepdims=True)
        return product((turn / SCALE).astype(np.float32), samples.reshape(len(samples), -1)).reshape(
            3, *samples.shape[1:]
        )

    def _analyse(self, planes: F32) -> tuple[F32, F32]:
        run = self._encoder
        u = unshuffle(planes, BOTTOM)
        h = run["encoder"](u)
        g = run["top_encoder"](unshuffle(h, TOP // BOTTOM))
        top = run["top_in"](np.concatenate([unshuffle(u, TOP // BOTTOM), g]))
        return top, run["bottom_in"](np.concatenate([u, h]))

    def expected(self, top: F32) -> F32:
        """What vectors of the top [d, h, w] tell of the bottom's, [d', 2 h, 2 w]."""
        return shuffle(self._expected(top), 2)

    def synthesise(self, top: F32, bottom: F32, height: int, width: int, workers: Workers = ALONE) -> U8:
        """Pixels [height, width, 3] from the vectors of top and bottom, what the top tells of these included."""
        pixels = np.empty((height, width, 3), np.uint8)
        sides = top.shape[1] * TOP, top.shape[2] * TOP

        def synthesise(window: Window) -> None:
            outer = _around(window, _REACH_OUT, *sides)
            planes = self._synthesise(top[:, *_scaled(outer, TOP)], bottom[:, *_scaled(outer, BOTTOM)])
            rows, columns = _inside(window, outer, 1)
            part = np.ascontiguousarray(planes[:, rows, columns])
            samples = product((self.colour.T * SCALE).astype(np.float32), part.reshape(3, -1)).reshape(part.shape)
            samples += 128
            np.rint(samples, out=samples)
            np.clip(samples, 0, 255, out=samples)
            pixels[window] = samples.transpose(1, 2, 0)

        workers.each(synthesise, _windows(height, width))
        return pixels

    def _synthesise(self, top: F32, bottom: F32) -> F32:
        run = self._decoder
        told = shuffle(run["top_out"](top), 2)
        x = shuffle(run["at8"](np.concatenate([bottom, told])), 2)
        x = shuffle(run["at4"](x), 2)
        out = shuffle(run["at2"](x), 2)
        out += shuffle(run["linear"](bottom), BOTTOM)
        return out


def _windows(height: int, width: int) -> Iterator[Window]:
    for top in range(0, height, _WINDOW):
        for left in range(0, width, _WINDOW):
            yield slice(top, min(top + _WINDOW, height)), slice(left, min(left + _WINDOW, width))


def _around(window: Window, reach: int, height: int, width: int) -> Window:
    """A window with its surroundings, in whole cells, as far as the picture reaches."""
    rows, columns = (
        slice(max(s.start - reach, 0), min(s.stop + -s.stop % CELL + reach, n))
        for s, n in zip(window, (height, width), strict=True)
    )
    return rows, columns


def _inside(window: Window, outer: Window, side: int) -> Window:
    """Where a window lies in its surroundings, on a grid of cells of so many pixels."""
    rows, columns = (
        slice((a.start - b.start) // side, (a.stop - b.start) // side) for a, b in zip(window, outer, strict=True)
    )
    return rows, columns


def _scaled(window: Window, side: int) -> Window:
    rows, columns = (slice(s.start // side, s.stop // side) for s in window)
    return rows, columns
