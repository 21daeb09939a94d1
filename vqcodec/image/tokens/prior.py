"""How likely each code is, in integers: a small network's logits, and a stored exponential that makes them weights.

Everything is integer arithmetic carried in float32, as in :mod:`vqcodec.prior.integer`: every product sum stays below
2**24 in magnitude, proved by :func:`check_step`. SPEC.md, section "Tokens", says the same in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from vqcodec.bitstream.arrays import F32, I32
from vqcodec.prior.integer import (
    ACTIVATION_LIMIT,
    MAP_LIMIT,
    MAX_SHIFT,
    convolve,
    planes_first,
    product,
    sum_bound,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    Array = TypeVar("Array", bound=np.generic)

__all__ = ["STEPS", "UNIT", "Step", "StepPrior", "check_step", "exponentials", "maps_of", "step_weights"]

UNIT = 16
"""Logits are whole numbers of 1 / UNIT of a power of two."""

_LARGEST = 1 << 15  # weight of the likeliest code; 512 of them fill the 24 bits that a row may sum to


_BEYOND = 1 << 30  # a pattern so large that it holds one position


@dataclass(frozen=True)
class Step:
    """One batch of codes: positions (y mod cell, x mod cell) = (row, column) of a level's grid.

    Attributes:
        level: 0 top, 1 bottom, 2 residual.
        cell: side of the pattern, 2 or 4; of :meth:`at` more than any grid's.
        maps: how many maps are known before: those of the codes of the level so far, for the bottom the top's, and for
            the residual that of the top and the four of the bottom. Of a serial step, its own.
        serial: one position after the other, row by row, each knowing those before it. So is the coarsest grid, where
            nothing else is known: drawn independently, its codes make patchwork of every sample (Fréchet distance to
            held-out photographs 139 instead of 59, of 48 each), and they take 8.6 instead of 6.6 bits each.
    """

    level: int
    cell: int
    row: int
    column: int
    maps: int
    serial: bool = False

    @overload
    def of(self, grid: npt.NDArray[Array]) -> npt.NDArray[Array]: ...
    @overload
    def of(self, grid: Tensor) -> Tensor: ...
    def of(self, grid: Any) -> Any:
        """The positions of this step in a grid [B, h, w, ...] of its level, a view."""
        return grid[:, self.row :: self.cell, self.column :: self.cell]

    def at(self, y: int, x: int) -> Step:
        """One of its positions as a step of its own."""
        return replace(self, row=self.row + self.cell * y, column=self.column + self.cell * x, cell=_BEYOND)


_ORDER = ((0, 0), (1, 1), (0, 1), (1, 0))

STEPS = (
    Step(0, 4, 0, 0, 1, serial=True),
    *(Step(0, 4, 2 * r, 2 * c, 1 + i) for i, (r, c) in enumerate(_ORDER[1:])),
    *(Step(0, 2, r, c, 1 + i) for i, (r, c) in enumerate(_ORDER[1:])),
    *(Step(1, 2, r, c, 1 + i) for i, (r, c) in enumerate(_ORDER)),
    *(Step(2, 2, r, c, 5 + i) for i, (r, c) in enumerate(_ORDER)),
)
"""In coding order: a sixteenth of the top each, then quarters of it, then quarters of bottom and residual."""

_COARSE, _FINE = 4, 7  # steps before which the top's quarters and the bottom begin


@overload
def maps_of(index: int, codes: Sequence[I32], tables: Sequence[F32]) -> list[F32]: ...
@overload
def maps_of(index: int, codes: Sequence[Tensor], tables: Sequence[Tensor]) -> list[Tensor]: ...
def maps_of(index: int, codes: Sequence[Any], tables: Sequence[Any]) -> list[Any]:
    """What step ``index`` knows, map by map [B, h, w, e] on its own grid; of a serial step, its own codes.

    Args:
        codes: of every level [B, H, W]; those that are not known yet are not looked at.
        tables: numbers that stand for each code [K, e], of every level.
    """
    step = STEPS[index]
    known = STEPS[:index]
    if step.serial:
        parts = [step.of(codes[0])]
    elif index < _COARSE:
        parts = [s.of(codes[0]) for s in known]
    elif index < _FINE:
        parts = [codes[0][:, ::2, ::2], *(s.of(codes[0]) for s in known[_COARSE:])]
    else:
        fine = (tables[s.level][s.of(codes[s.level])] for s in known[_FINE:])
        return [tables[0][codes[0]], *fine]
    return [tables[step.level][part] for part in parts]


@dataclass(frozen=True)
class StepPrior:
    """Integer parameters of one step; C = maps x e, n units, K codewords.

    Attributes:
        first: [9, C, n].
        first_bias: [256, n], by step index of the picture's header.
        second, second_bias: [n, n], [n].
        last, last_bias: [n, K], [K].
        first_shift, second_shift, last_shift: [n], [n], [K]: sums are divided by 2**shift, rounding down.
    """

    first: F32
    first_bias: F32
    first_shift: I32
    second: F32
    second_bias: F32
    second_shift: I32
    last: F32
    last_bias: F32
    last_shift: I32


def step_weights(p: StepPrior, exponential: I32, context: F32, step: int) -> I32:
    """Weights of all codes at every position of a step, [N, K]: rows of 24-bit tables.

    Args:
        exponential: of :func:`exponentials`.
        context: all maps [B, h + 2, w + 2, C], with one cell more on every side; N is B h w.
        step: index in the picture's header.
    """
    a = convolve(context, p.first)
    x = np.ascontiguousarray(planes_first(a)).reshape(a.shape[-1], -1)
    x += p.first_bias[step][:, None]
    _activate(x, p.first_shift)
    x = product(p.second.T, x)
    x += p.second_bias[:, None]
    _activate(x, p.second_shift)
    x = product(p.last.T, x)
    x += p.last_bias[:, None]
    logits = x.T.astype(np.int32) >> p.last_shift
    weights: I32 = exponential.take(logits.max(1, keepdims=True) - logits, mode="clip")
    return weights


def _activate(x: F32, shift: I32) -> None:
    """Divide sums [n, N] by powers of two, rounding down, and keep them in 0..255; in place."""
    x *= np.ldexp(np.float32(1), -shift)[:, None]
    np.floor(x, out=x)
    np.clip(x, 0, ACTIVATION_LIMIT, out=x)


def exponentials() -> I32:
    """Weight of a code whose logit is 0, 1, 2 ... below the largest, down to 1."""
    values = np.round(_LARGEST * 2.0 ** (-np.arange(15 * UNIT + 1) / UNIT))
    return np.maximum(values, 1).astype(np.int32)


def check_step(p: StepPrior, tables: Sequence[F32]) -> None:
    """Prove that no partial sum can leave the exact range of float32: sum of |w| x largest input stays below 2**24.

    Raises:
        ValueError: a layer breaks its bound, a map is out of its range, or a shift is not a division.
    """
    if max(np.abs(t).max() for t in tables) > MAP_LIMIT:
        raise ValueError(f"a map is outside -{MAP_LIMIT}..{MAP_LIMIT}")

    sums = np.concatenate([
        sum_bound(p.first, MAP_LIMIT, p.first_bias),
        sum_bound(p.second, ACTIVATION_LIMIT, p.second_bias),
        sum_bound(p.last, ACTIVATION_LIMIT, p.last_bias),
    ])  # fmt: skip
    if sums.max() >= 2**24:
        raise ValueError(f"a product sum may reach {sums.max():.0f}, which float32 does not hold exactly")
    shifts = np.concatenate([p.first_shift, p.second_shift, p.last_shift])
    if shifts.min() < 0 or shifts.max() > MAX_SHIFT:
        raise ValueError(f"a shift is outside 0..{MAX_SHIFT}")
