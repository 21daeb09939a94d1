"""The prior on a device, by torch: the rows that :mod:`integer` gives, to the bit.

In float64: what its bounds keep exact in float32 is exact here whatever order a device adds in, and no switch of the
process (TF32, reduced accumulators) touches it. Convolutions are matrix products on gathered patches, because what a
library of convolutions may do instead (Winograd, FFT) rounds.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.prior.integer import ACTIVATION_LIMIT, VALUE_UNIT, Hidden, PriorSlice

__all__ = ["DeviceSlice", "activated", "aligned", "convolve", "joined", "matrix", "padded", "point", "to_device"]


def to_device(array: F32 | I32 | I64, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """An array of any layout as a tensor; its type unless told."""
    # a copy where there is a choice: arrays may be read-only, of which torch warns
    return torch.from_numpy(np.array(array, order="C")).to(device, dtype)


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """3 x 3 convolution without padding: [B, C, h + 2, w + 2] and [n, 9 * C] give [B, n, h, w]."""
    return (weight @ F.unfold(x, 3)).reshape(len(x), -1, x.shape[2] - 2, x.shape[3] - 2)


def point(x: Tensor, weight: Tensor) -> Tensor:
    """1 x 1 convolution: [B, C, h, w] and [n, C] give [B, n, h, w]."""
    return (weight @ x.flatten(2)).reshape(len(x), -1, *x.shape[2:])


def activated(a: Tensor, unit: Tensor) -> Tensor:
    """What a layer's sums [B, n, h, w] give: in units [n, 1, 1], limited."""
    return (a * unit).floor().clamp(0, ACTIVATION_LIMIT)


def matrix(weight: F32, device: torch.device) -> Tensor:
    """Weights [9, C, n] as :func:`convolve` takes them, [C, n] as :func:`point` does."""
    wide = weight if weight.ndim == 3 else weight[None]
    return to_device(wide.transpose(2, 1, 0).reshape(weight.shape[-1], -1), device, torch.float64)


def padded(x: Tensor) -> Tensor:
    """Maps [B, C, h, w] with one cell of edge values on every side."""
    return F.pad(x, (1, 1, 1, 1), mode="replicate")


def joined(parts: list[Tensor]) -> Tensor:
    """Maps of the four phases of a slice, or of its only one, on its own grid."""
    if len(parts) == 1:
        return parts[0]
    first, last, right, below = parts  # as in integer.PHASES
    rows = torch.stack([first, right], 4).flatten(3), torch.stack([below, last], 4).flatten(3)
    return torch.stack(rows, 3).flatten(2, 3)


def aligned(x: Tensor, height: int, width: int) -> Tensor:
    """Maps [B, C, h, w] on another grid: finer ones fold into channels (row, column, channel), coarser ones repeat."""
    b, c, h, w = x.shape
    fy, fx = max(h // height, 1), max(w // width, 1)
    folded = x.reshape(b, c, h // fy, fy, w // fx, fx).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)
    return folded.repeat_interleave(max(height // h, 1), 2).repeat_interleave(max(width // w, 1), 3)


class DeviceSlice:
    """The parameters of one slice on a device.

    Attributes:
        energy, signed: maps of every code, [g, K, d].
    """

    def __init__(self, s: PriorSlice, device: torch.device) -> None:
        self.slice = s
        self.energy, self.signed = self._real(s.energy, device), self._real(s.signed, device)
        self._weight = [matrix(w, device) for w in s.weight]
        self._bias = [self._real(bias, device) for bias in s.bias]
        self._shift = [to_device(shift, device)[:, None, None] for shift in s.shift]
        self._signs = [None if w is None else matrix(w, device) for w in s.sign_weight]
        self._edges = self._real(s.sign_edges, device)
        self._hidden = [None if hidden is None else _Branch(hidden, device) for hidden in s.hidden]

    @staticmethod
    def _real(array: F32, device: torch.device) -> Tensor:
        return to_device(array, device, torch.float64)

    def rows(
        self,
        index: int,
        step: I64,
        stack: Tensor | None,
        signs: Tensor | None,
        shape: tuple[int, int, int],
        added: Tensor | None = None,
    ) -> tuple[I32, F32 | None]:
        """See :func:`vqcodec.prior.integer.predict_rows`; stacks are [B, C, h + 2, w + 2], added is [B, 2 g, h, w]."""
        s = self.slice
        at = to_device(step, self.energy.device)
        total = self._bias[index][at][:, :, None, None].expand(-1, -1, *shape[1:])
        if stack is not None:
            total = total + convolve(stack, self._weight[index])
            branch = self._hidden[index]
            if branch is not None:
                total = total + branch(stack, at)
        row = total.to(torch.int32) >> self._shift[index]  # shifts round to minus infinity
        if added is not None:
            row += added[:, : s.groups].to(torch.int32)
        row = (row - s.row_offset).div(s.row_width, rounding_mode="floor").clamp(0, s.rows - 1) * s.sign_bins
        weight, m = self._signs[index], None
        if signs is not None and weight is not None:
            m = convolve(signs, weight)
        if added is not None:
            value = VALUE_UNIT * added[:, s.groups :]
            m = value if m is None else value + m
        if m is None:
            return cast("I32", _places_first(row)), None
        for edge in self._edges.T:
            row += m.abs() >= edge[:, None, None]
        sign = torch.where(m < 0, -1.0, 1.0).to(torch.float32)
        return cast("I32", _places_first(row)), cast("F32", _places_first(sign))


class _Branch:
    """The nonlinear branch of a phase."""

    def __init__(self, hidden: Hidden, device: torch.device) -> None:
        def real(array: F32) -> Tensor:
            return to_device(array, device, torch.float64)

        self._first, self._second, self._last = (matrix(w, device) for w in (hidden.first, hidden.second, hidden.last))
        self._biases = real(hidden.first_bias), real(hidden.second_bias)
        self._units = [
            real(np.ldexp(np.float32(1), -shift))[:, None, None] for shift in (hidden.first_shift, hidden.second_shift)
        ]

    def __call__(self, stack: Tensor, step: Tensor) -> Tensor:
        """Part of the accumulator, [B, g, h, w], of a stack [B, C, h + 2, w + 2] at step indices [B]."""
        first, second = self._units
        a = convolve(stack, self._first) + self._biases[0][step][:, :, None, None]
        a = point(activated(a, first), self._second) + self._biases[1][:, None, None]
        return point(activated(a, second), self._last)


def _places_first(x: Tensor) -> I32 | F32:
    """[B, g, h, w] as an array [B, h, w, g]; see :func:`vqcodec.prior.integer.planes_first`."""
    planes: I32 | F32 = x.transpose(0, 1).contiguous().cpu().numpy()
    return planes.transpose(1, 2, 3, 0)
