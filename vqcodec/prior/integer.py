"""The prior at coding time: which row of which probability table each code is written with.

Everything is integer arithmetic carried in float32 (or int32): every product sum stays below 2**24 in magnitude, proved
at export by :func:`check_bounds`, so the result is the same for any order of summation, library, thread count or batch
size. SPEC.md, section "The prior", says the same in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import F32, F64, I32, I64

__all__ = [
    "ACTIVATION_LIMIT",
    "MAP_LIMIT",
    "MAX_SHIFT",
    "PHASES",
    "VALUE_UNIT",
    "Cost",
    "Hidden",
    "PriorSlice",
    "align",
    "check_bounds",
    "context_stack",
    "convolve",
    "join_phases",
    "join_stacks",
    "low_prediction",
    "padded",
    "phase",
    "planes_first",
    "planes_last",
    "predict_rows",
    "product",
    "sum_bound",
]

Scalar = TypeVar("Scalar", bound=np.generic)

Cost = dict[str, tuple[int, float]]
"""Part -> (stored numbers, multiply-accumulates per pixel, or per sample at 48 kHz)."""


PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
MAP_LIMIT = 127
ACTIVATION_LIMIT = 255
MAX_SHIFT = 24
VALUE_UNIT = 64  # of what a network adds to predicted values: their weights are int8
_COLUMNS = 1 << 15  # positions of a convolution at a time, so that what lies between its steps stays in the cache
_ALONE = (1 << 19) - 1  # multiplications up to which OpenBLAS stays in the calling thread, from its sources
_GATHERED = 1 << 11  # likewise where nine copies of the input lie between them


@dataclass(frozen=True)
class PriorSlice:
    """Integer parameters of the prior for one band set. C is the number of context channels of a phase.

    Attributes:
        weight: per phase, [9, C, g]: the convolution that predicts log energy, integers.
        bias: per phase, [256, g]: by step index, in the unit of the accumulator.
        shift: per phase, [g]: the accumulator is divided by 2**shift (floor); the result is in 1/16 of log2 energy.
        sign_weight: per phase, [9, S, g] or None: predicts the signed value of a scalar code from the signed maps.
        sign_edges: [g, bins - 1] thresholds on the magnitude of that prediction.
        energy: [g, K, d] int8 map values of every code, 1/8 of log2 energy.
        signed: [g, K, d] int8 signed companded value of every code.
        row_offset, row_width, rows: row = clamp((e - row_offset) // row_width, 0, rows - 1).
        hidden: per phase, the nonlinear branch (see :class:`Hidden`), or None.
    """

    level: int
    chroma: bool
    d: int
    groups: int
    weight: tuple[F32, ...]
    bias: tuple[F32, ...]
    shift: tuple[I32, ...]
    sign_weight: tuple[F32 | None, ...]
    sign_edges: F32
    energy: F32
    signed: F32
    row_offset: int
    row_width: int
    rows: int
    hidden: tuple[Hidden | None, ...]

    @property
    def codewords(self) -> int:
        return int(self.energy.shape[1])

    @property
    def sign_bins(self) -> int:
        return int(self.sign_edges.shape[1]) + 1

    def weights(self, index: int) -> int:
        """Stored weights of a phase: multiply-accumulates for each of its positions."""
        arrays = [self.weight[index], self.sign_weight[index]]
        hidden = self.hidden[index]
        if hidden is not None:
            arrays += [hidden.first, hidden.second, hidden.last]
        return sum(a.size for a in arrays if a is not None)


@dataclass(frozen=True)
class Hidden:
    """Two ReLU layers on the same context: [9, C, n], [n, n], [n, g]; activations are clamped to 0..255."""

    first: F32
    first_bias: F32  # [256, n], by step index
    first_shift: I32
    second: F32
    second_bias: F32
    second_shift: I32
    last: F32  # joins the accumulator of the energy


def planes_first(x: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """[B, h, w, C] as [C, B, h, w] (a view). Arrays are made in this order: what follows then runs along the rows."""
    return x.transpose(3, 0, 1, 2)


def planes_last(x: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Inverse of :func:`planes_first` (a view)."""
    return x.transpose(1, 2, 3, 0)


def phase(x: npt.NDArray[Scalar], index: int) -> npt.NDArray[Scalar]:
    """The sub-grid of one phase: [B, h, w, ...] -> [B, h/2, w/2, ...] (a view)."""
    row, column = PHASES[index]
    return x[:, row::2, column::2]


def join_phases(parts: Sequence[npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
    """Inverse of four times :func:`phase`."""
    b, h, w, c = parts[0].shape
    out = planes_last(np.empty((c, b, 2 * h, 2 * w), parts[0].dtype))
    for i, part in enumerate(parts):
        phase(out, i)[...] = part
    return out


def align(x: F32, height: int, width: int) -> F32:
    """Bring maps [B, h, w, C] to a grid: finer ones fold into channels (row, column, channel), coarser ones repeat."""
    b, h, w, c = x.shape
    fy, fx = max(h // height, 1), max(w // width, 1)
    ry, rx = max(height // h, 1), max(width // w, 1)
    planes = planes_first(x)
    out = np.empty((fy, fx, c, b, h // fy * ry, w // fx * rx), x.dtype)
    for i in range(fy):
        for j in range(fx):
            for k in range(ry):
                for m in range(rx):
                    out[i, j, :, :, k::ry, m::rx] = planes[:, :, i::fy, j::fx]
    return planes_last(out.reshape(-1, *out.shape[3:]))


def context_stack(own: Sequence[F32], others: Sequence[F32], height: int, width: int) -> F32:
    """Context of one phase, padded by one cell of edge values: [B, height + 2, width + 2, C].

    Args:
        own: maps of the phases of this slice that are coded already, each [B, height, width, c].
        others: maps of slices coded already, on any grid of the same picture.
    """
    parts = [*own, *(align(m, height, width) for m in others)]
    return join_stacks([padded(m) for m in parts])


def padded(x: F32) -> F32:
    """Maps [B, h, w, C] with one cell of edge values on every side."""
    b, h, w, c = x.shape
    out = np.empty((c, b, h + 2, w + 2), x.dtype)
    out[..., 1:-1, 1:-1] = planes_first(x)
    out[..., 0, 1:-1], out[..., -1, 1:-1] = out[..., 1, 1:-1], out[..., -2, 1:-1]
    out[..., 0], out[..., -1] = out[..., 1], out[..., -2]
    return planes_last(out)


def join_stacks(parts: Sequence[F32]) -> F32:
    """Padded maps of the same grid as one stack."""
    return planes_last(np.concatenate([planes_first(m) for m in parts]))


def product(weight: F32, x: F32) -> F32:
    """[m, k] times [k, N], in pieces so small that no BLAS starts threads of its own for them: those may spin."""
    (m, k), count = weight.shape, x.shape[1]
    step = max(1, _ALONE // max(1, m * k))
    whole = count // step * step
    out = np.empty((m, count), np.float32)
    pieces = (side[:, :whole].reshape(len(side), -1, step).transpose(1, 0, 2) for side in (x, out))
    if whole:
        np.matmul(weight, next(pieces), out=next(pieces))
    np.matmul(weight, x[:, whole:], out=out[:, whole:])
    return out


def convolve(stack: F32, weight: F32) -> F32:
    """3x3 convolution: [B, h+2, w+2, C] and [9, C, n] give [B, h, w, n]; fastest where C is outermost in memory."""
    b, hp, wp, c = stack.shape
    n = weight.shape[2]
    planes = np.ascontiguousarray(planes_first(stack)).reshape(c, -1)
    # On a flat plane each of the nine neighbours lies at a fixed distance; what wraps around an edge is cut off below.
    shifts = [t // 3 * wp + t % 3 for t in range(9)]
    count = planes.shape[1] - shifts[-1]
    out = np.empty((n, b * hp * wp), np.float32)
    by_tap = weight.transpose(0, 2, 1).reshape(9 * n, c)
    by_output = np.ascontiguousarray(weight.reshape(9 * c, n).T)

    def gather(part: slice) -> None:
        patches = np.concatenate([planes[:, part.start + s : part.stop + s] for s in shifts])
        out[:, part] = product(by_output, patches)

    def add_up(part: slice) -> None:
        size = part.stop - part.start
        y = product(by_tap, planes[:, part.start : part.stop + shifts[-1]]).reshape(9, n, -1)
        total = out[:, part]
        np.add(y[0, :, :size], y[1, :, 1 : size + 1], out=total)
        for t in range(2, 9):
            total += y[t, :, shifts[t] : shifts[t] + size]

    # gathering the inputs moves less memory where there are fewer of them than outputs
    work, step = (gather, _GATHERED) if c < n else (add_up, _COLUMNS)
    for k in range(0, count, step):
        work(slice(k, min(k + step, count)))
    return planes_last(out.reshape(n, b, hp, wp)[:, :, : hp - 2, : wp - 2])


def predict_rows(
    s: PriorSlice,
    index: int,
    step: I64,
    stack: F32 | None,
    signs: F32 | None,
    shape: tuple[int, int, int],
    added: F32 | None = None,
) -> tuple[I32, F32 | None]:
    """Rows of the probability tables for one phase.

    Args:
        s: the slice.
        index: phase, 0..3.
        step: [B] step indices.
        stack: context of :func:`context_stack`, or None where nothing is known yet.
        signs: the same of the signed maps, or None.
        shape: (B, h, w) of the phase.
        added: [B, h, w, 2 g], to energies and, in VALUE_UNIT, to predicted values, by a network beside the slice's
            own parameters.

    Returns:
        Rows [B, h, w, g] int32 in 0 .. rows * sign_bins - 1 and the predicted sign, -1 or +1, [B, h, w, g] (None: no
        flip).
        A code is written as it is where the sign is +1 and as its mirror image where it is -1.
    """
    acc = planes_last(np.broadcast_to(s.bias[index][step].T[:, :, None, None], (s.groups, *shape)))
    if stack is not None:
        acc = acc + convolve(stack, s.weight[index])
        hidden = s.hidden[index]
        if hidden is not None:
            acc += _branch(hidden, stack, step)
    row = acc.astype(np.int32) >> s.shift[index]  # shifts round to minus infinity
    if added is not None:
        row += added[..., : s.groups].astype(np.int32)
    row -= s.row_offset
    row //= s.row_width
    np.clip(row, 0, s.rows - 1, out=row)
    row *= s.sign_bins
    weight = s.sign_weight[index]
    m: F32 | I32 | None = None if signs is None or weight is None else convolve(signs, weight)
    if added is not None:
        # int32, because this sum may leave what float32 holds exactly
        value: I32 = VALUE_UNIT * added[..., s.groups :].astype(np.int32)
        m = value if m is None else value + m.astype(np.int32)
    if m is None:
        return row, None
    size = np.abs(m)
    for k in range(s.sign_bins - 1):
        row += size >= s.sign_edges[:, k]
    return row, np.where(m < 0, np.float32(-1), np.float32(1))


def _branch(hidden: Hidden, stack: F32, step: I64) -> F32:
    """The nonlinear branch's part of the accumulator, [B, h, w, g]."""
    a = planes_first(convolve(stack, hidden.first))
    n, b, h, w = a.shape
    a = a + hidden.first_bias[step].T[:, :, None, None]
    for shift, weight, bias in (
        (hidden.first_shift, hidden.second, hidden.second_bias[:, None]),
        (hidden.second_shift, hidden.last, None),
    ):
        a = a.reshape(n, -1)
        a *= np.ldexp(np.float32(1), -shift)[:, None]
        np.floor(a, out=a)
        np.clip(a, 0, ACTIVATION_LIMIT, out=a)
        a = product(np.ascontiguousarray(weight.T), a)
        if bias is not None:
            a += bias
    return planes_last(a.reshape(-1, b, h, w))


def low_prediction(values: I32, index: int) -> tuple[I32, I32]:
    """Prediction of the low band from its own earlier phases.

    Args:
        values: [B, h, w, 3] integers of the low band, h and w even; phases from ``index`` on are not looked at.

    Returns:
        Prediction and spread (largest minus smallest neighbour) [B, h/2, w/2, 3]; zeros for phase 0.
    """
    if index == 0:
        zero = np.zeros_like(phase(values, 0))
        return zero, zero
    row, column = PHASES[index]
    offsets = ((-1, -1), (-1, 1), (1, -1), (1, 1)) if index == 1 else ((-1, 0), (1, 0), (0, -1), (0, 1))
    h, w = values.shape[1] // 2, values.shape[2] // 2
    neighbours = []
    for dy, dx in offsets:
        r = np.arange(h) * 2 + row + dy
        c = np.arange(w) * 2 + column + dx
        # outside the grid, the neighbour on the other side stands in
        r = np.where((r < 0) | (r >= 2 * h), np.arange(h) * 2 + row - dy, r)
        c = np.where((c < 0) | (c >= 2 * w), np.arange(w) * 2 + column - dx, c)
        neighbours.append(values[:, r][:, :, c])
    n = np.stack(neighbours)
    return (n.sum(0, dtype=np.int32) + 2) >> 2, n.max(0) - n.min(0)


def sum_bound(weight: F32, largest: int, bias: F32 | None = None) -> F64:
    """What the sums [n] of weights [..., n] times inputs up to ``largest``, and a bias [..., n], may reach in size."""
    total: F64 = np.abs(weight).reshape(-1, weight.shape[-1]).sum(0, dtype=np.float64) * largest
    return total if bias is None else total + np.abs(bias).reshape(-1, bias.shape[-1]).max(0)


def check_bounds(s: PriorSlice) -> None:
    """Prove that no partial sum can leave the exact range of float32: sum of |w| x largest input stays below 2**24.

    Raises:
        ValueError: a layer breaks its bound, a map is out of its range, or a shift is not a division.
    """
    if max(np.abs(s.energy).max(), np.abs(s.signed).max()) > MAP_LIMIT:
        raise ValueError(f"level {s.level}: a map is outside -{MAP_LIMIT}..{MAP_LIMIT}")

    for p in range(len(s.weight)):
        sums = sum_bound(s.weight[p], MAP_LIMIT, s.bias[p])
        hidden = s.hidden[p]
        shifts = [s.shift[p]]
        if hidden is not None:
            shifts += [hidden.first_shift, hidden.second_shift]
            sums = sums + sum_bound(hidden.last, ACTIVATION_LIMIT)
            layers = [
                sum_bound(hidden.first, MAP_LIMIT, hidden.first_bias),
                sum_bound(hidden.second, ACTIVATION_LIMIT, hidden.second_bias),
            ]
            sums = np.concatenate([sums, *layers])
        sign = s.sign_weight[p]
        if sign is not None:
            sums = np.concatenate([sums, sum_bound(sign, MAP_LIMIT)])
        if np.concatenate(shifts).min() < 0 or np.concatenate(shifts).max() > MAX_SHIFT:
            raise ValueError(f"level {s.level}, phase {p}: a shift is outside 0..{MAX_SHIFT}")
        if sums.size and sums.max() >= 2**24:
            raise ValueError(
                f"level {s.level}, phase {p}: a product sum may reach {sums.max():.0f}, "
                "which float32 does not hold exactly"
            )
