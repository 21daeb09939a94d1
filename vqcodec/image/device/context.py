"""What the prior sees of the codes, on a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.codes import Context
from vqcodec.prior.device import DeviceSlice, aligned, joined, padded, to_device
from vqcodec.prior.integer import PriorSlice

__all__ = ["DeviceContext", "DevicePrior"]


class DevicePrior:
    """The prior of all slices on a device; makes contexts."""

    def __init__(self, slices: Sequence[PriorSlice], device: torch.device) -> None:
        self.device = device
        self.slices = [DeviceSlice(s, device) for s in slices]

    def context(self, slices: Sequence[PriorSlice], levels: int, batch: int, height: int, width: int) -> Context:
        """See :class:`vqcodec.image.codes.CodeModel`; the slices are those of the prior."""
        return DeviceContext(self, levels, batch, height, width)


class DeviceContext(Context):
    """Takes codes and gives rows as :class:`Context` does; what lies between, tensors [B, C, h, w], is its own."""

    def __init__(self, prior: DevicePrior, levels: int, batch: int, height: int, width: int) -> None:
        super().__init__([s.slice for s in prior.slices], levels, batch, height, width)
        self._prior = prior
        self._maps: list[list[Tensor]] = [[] for _ in prior.slices]  # by slice and phase
        self._signed: list[list[Tensor]] = [[] for _ in prior.slices]
        self._around: tuple[int, list[Tensor]] = (-1, [])  # other slices, for the one at hand

    def rows(self, index: int, p: int, step: I64) -> tuple[I32, F32 | None]:
        """See :meth:`Context.rows`."""
        shape = self.phase_shape(index)
        if self._around[0] != index:
            self._around = index, [aligned(joined(self._maps[j]), *shape[1:]) for j in self.others(index)]
        return self._prior.slices[index].rows(
            p, step, _stack([*self._maps[index], *self._around[1]]), _stack(self._signed[index]), shape
        )

    def add(self, index: int, codes: I32) -> None:
        """See :meth:`Context.add`."""
        s = self._prior.slices[index]
        at = to_device(codes, self._prior.device).movedim(3, 1).long()  # [B, g, h, w]
        self._maps[index].append(_looked_up(s.energy, at))
        if s.slice.sign_bins > 1:
            self._signed[index].append(_looked_up(s.signed, at))


def _stack(maps: list[Tensor]) -> Tensor | None:
    return padded(torch.cat(maps, 1)) if maps else None


def _looked_up(table: Tensor, codes: Tensor) -> Tensor:
    """Values of codes [B, g, h, w] under a table [g, K, d]: [B, g * d, h, w]."""
    group = torch.arange(len(table), device=table.device)[:, None, None]
    return table[group, codes].movedim(4, 2).flatten(1, 2)
