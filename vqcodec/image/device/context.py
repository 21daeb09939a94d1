"""What the prior sees of the codes, on a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.context import Context
from vqcodec.image.device.network import DeviceNetwork
from vqcodec.image.sight import Sight
from vqcodec.prior.device import DeviceSlice, aligned, joined, padded, to_device
from vqcodec.prior.integer import PriorSlice

__all__ = ["DeviceContext", "DevicePrior"]


class DevicePrior:
    """The prior of all slices on a device, and its networks by slice; makes contexts."""

    def __init__(self, slices: Sequence[PriorSlice], sight: Sight | None, device: torch.device) -> None:
        self.device = device
        self.slices = [DeviceSlice(s, device) for s in slices]
        running = {} if sight is None else sight.networks
        self.networks = {index: DeviceNetwork(known.network, device) for index, known in running.items()}

    def context(
        self, slices: Sequence[PriorSlice], levels: int, batch: int, height: int, width: int, sight: Sight | None
    ) -> Context:
        """See :class:`vqcodec.image.codes.CodeModel`; slices and sight are those of the prior."""
        return DeviceContext(self, levels, batch, height, width, sight)


class DeviceContext(Context):
    """Takes codes and gives rows as :class:`Context` does; what lies between, tensors [B, C, h, w], is its own.

    But for the picture that networks see: its whole numbers are put together where the codes are.
    """

    def __init__(
        self, prior: DevicePrior, levels: int, batch: int, height: int, width: int, sight: Sight | None
    ) -> None:
        super().__init__([s.slice for s in prior.slices], levels, batch, height, width, sight)
        self._prior = prior
        self._maps: list[list[Tensor]] = [[] for _ in prior.slices]  # by slice and phase
        self._signed: list[list[Tensor]] = [[] for _ in prior.slices]
        self._at_hand = -1  # the slice on the grid of whose phases the next two are
        self._around: dict[int, Tensor] = {}  # energies of other slices
        self._trunk: Tensor | None = None  # what the network's trunk gives

    def rows(self, index: int, p: int, step: I64) -> tuple[I32, F32 | None]:
        """See :meth:`Context.rows`."""
        shape = self.phase_shape(index)
        if self._at_hand != index:
            self._at_hand, self._trunk = index, None
            self._around = {j: aligned(joined(self._maps[j]), *shape[1:]) for j in self.others(index)}
        stack, signs = _stack([*self._maps[index], *self._around.values()]), _stack(self._signed[index])
        return self._prior.slices[index].rows(p, step, stack, signs, shape, self._of_network(index, p, step))

    def add(self, index: int, codes: I32) -> None:
        """See :meth:`Context.add`."""
        s = self._prior.slices[index]
        at = to_device(codes, self._prior.device).movedim(3, 1).long()  # [B, g, h, w]
        self._maps[index].append(_looked_up(s.energy, at))
        if s.slice.sign_bins > 1:
            self._signed[index].append(_looked_up(s.signed, at))
        if self._picture is not None and not s.slice.chroma:
            self._picture.add(index, codes)

    def _of_network(self, index: int, p: int, step: I64) -> Tensor | None:
        """What a network adds to the next phase of a slice, [B, 2 g, h, w]."""
        if self._picture is None or index not in self._prior.networks:
            return None
        network = self._prior.networks[index]
        if self._trunk is None:
            self._trunk = network.features(self._seen_maps(index), step)
        return network.added(p, _stack([*self._maps[index], *self._signed[index]]), self._trunk, step)

    def _seen_maps(self, index: int) -> Tensor:
        """See :meth:`Context.network_maps`; other slices are on the grid of the slice's phases already."""
        assert self._picture is not None
        shape = self.phase_shape(index)[1:]
        *luma, chroma = self.seen(index)
        maps = [self._around[j] for j in luma]  # a luma slice looks at the same two without a network
        maps += [aligned(joined(self._signed[j]), *shape) for j in luma]
        maps.append(aligned(joined(self._maps[chroma]), *shape))
        picture = self._picture.maps(index, self.slices[index].level)
        return torch.cat([*maps, to_device(picture, self._prior.device, torch.float64)], 1)


def _stack(maps: list[Tensor]) -> Tensor | None:
    return padded(torch.cat(maps, 1)) if maps else None


def _looked_up(table: Tensor, codes: Tensor) -> Tensor:
    """Values of codes [B, g, h, w] under a table [g, K, d]: [B, g * d, h, w]."""
    group = torch.arange(len(table), device=table.device)[:, None, None]
    return table[group, codes].movedim(4, 2).flatten(1, 2)
