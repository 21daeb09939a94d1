"""What is known of a picture's codes while they are walked through, and what the prior makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.sight import Picture, Sight
from vqcodec.prior.integer import (
    PriorSlice,
    align,
    join_phases,
    join_stacks,
    padded,
    phase,
    planes_first,
    planes_last,
    predict_rows,
)

__all__ = ["Context", "grid"]


def grid(s: PriorSlice, levels: int, height: int, width: int) -> tuple[int, int]:
    """Grid of a slice's vectors; height and width count cells of the coarsest level."""
    scale = 2 ** (levels - s.level)
    return height * scale, width * scale // s.d


class Context:
    """What is known so far of one batch of pictures (or tiles) of the same size.

    Args:
        height, width: cells of the coarsest level (64 x 64 pixels with six levels).
        sight: networks and what they see of the picture; None where there are none.
    """

    def __init__(
        self,
        model_slices: Sequence[PriorSlice],
        levels: int,
        batch: int,
        height: int,
        width: int,
        sight: Sight | None = None,
    ) -> None:
        self.slices = model_slices
        self.levels = levels
        self.shape = (batch, height, width)
        self._energy: list[list[F32]] = []  # padded maps per slice and phase
        self._signs: list[list[F32]] = []
        self._whole: dict[int, F32] = {}
        self._others: tuple[int, list[F32]] = (-1, [])  # of the slice at hand, padded, on the grid of its phases
        self._sight = sight
        self._picture = None if sight is None else Picture(sight, levels)
        self._features: tuple[int, F32 | None] = (-1, None)  # of the slice at hand

    def phases(self, index: int) -> int:
        """Four; one at the coarsest level, whose grid may be odd."""
        return 1 if self.slices[index].level == self.levels else 4

    def phase_shape(self, index: int) -> tuple[int, int, int]:
        """(B, h, w) of one phase of a slice."""
        batch, height, width = self.shape
        h, w = grid(self.slices[index], self.levels, height, width)
        return (batch, h, w) if self.phases(index) == 1 else (batch, h // 2, w // 2)

    def others(self, index: int) -> list[int]:
        """Slices that a slice looks at: luma of its level (for chroma), its parents, the luma of the grandparent."""
        me = self.slices[index]
        found = []
        for j, s in enumerate(self.slices[:index]):
            colocated = s.level == me.level
            parent = s.level == me.level + 1 and (me.chroma or not s.chroma)
            grandparent = s.level == me.level + 2 and not s.chroma
            if colocated or parent or grandparent:
                found.append(j)
        return found

    def whole(self, index: int) -> F32:
        """Energy map of a finished slice on its own grid."""
        if index not in self._whole:
            self._whole[index] = _joined(self._energy[index])
        return self._whole[index]

    def seen(self, index: int) -> list[int]:
        """Slices of which the network of a luma slice sees codes: luma of two coarser levels, chroma of one."""
        level = self.slices[index].level
        found = {(s.level, s.chroma): j for j, s in enumerate(self.slices[:index])}
        return [found[level + 2, False], found[level + 1, False], found[level + 1, True]]

    def network_maps(self, index: int) -> F32:
        """What the trunk of a luma slice's network sees, [B, C, h, w] on the grid of its phases.

        Energies and then values of the luma of two coarser levels, energies of the chroma of one, the picture.
        """
        assert self._picture is not None
        shape = self.phase_shape(index)[1:]
        *luma, chroma = self.seen(index)
        maps = [*(self.whole(j) for j in luma), *(_joined(self._signs[j]) for j in luma), self.whole(chroma)]
        planes = [_batch_first(align(m, *shape)) for m in maps]
        return np.concatenate([*planes, self._picture.maps(index, self.slices[index].level)], 1)

    def own_maps(self, index: int) -> F32 | None:
        """What the next phase's head sees of those before it: energies, then values, [B, C, h, w]."""
        if index >= len(self._energy):
            return None
        parts = [*self._energy[index], *self._signs[index]]
        return np.concatenate([_batch_first(part[:, 1:-1, 1:-1]) for part in parts], 1)

    def added(self, index: int, p: int, step: I64) -> F32 | None:
        """What a network adds to the next phase of a slice, [B, h, w, 2 g]."""
        if self._sight is None or index not in self._sight.networks:
            return None
        network = self._sight.networks[index]
        if self._features[0] != index:
            self._features = index, network.features(self.network_maps(index), step)
        features = self._features[1]
        assert features is not None
        return network.added(p, self.own_maps(index), features, step).transpose(0, 2, 3, 1)

    def stack(self, index: int) -> F32 | None:
        """Context of the next phase of a slice: that of :func:`context_stack`."""
        if self._others[0] != index:
            shape = self.phase_shape(index)[1:]
            self._others = index, [padded(align(self.whole(j), *shape)) for j in self.others(index)]
        own = self._energy[index] if index < len(self._energy) else []
        parts = [*own, *self._others[1]]
        return join_stacks(parts) if parts else None

    def sign_stack(self, index: int) -> F32 | None:
        """Signed context of the next phase of a slice."""
        own = self._signs[index] if index < len(self._signs) else []
        return join_stacks(own) if own else None

    def rows(self, index: int, p: int, step: I64) -> tuple[I32, F32 | None]:
        """What :func:`predict_rows` says of the next phase of a slice."""
        shape, added = self.phase_shape(index), self.added(index, p, step)
        return predict_rows(self.slices[index], p, step, self.stack(index), self.sign_stack(index), shape, added)

    def add_low(self, low: I32, step: I64) -> None:
        """Take in the low band's values [B, h, w, 3], which come before all slices."""
        if self._picture is not None:
            _, height, width = self.shape
            self._picture.start(low[:, :height, :width, 0], step)

    def add_whole(self, index: int, codes: I32) -> None:
        """Take in all codes [B, h, w, g] of a slice."""
        for p in range(self.phases(index)):
            self.add(index, codes if self.phases(index) == 1 else phase(codes, p))

    def add(self, index: int, codes: I32) -> None:
        """Take in the codes [B, h, w, g] of the next phase."""
        s = self.slices[index]
        while len(self._energy) <= index:
            self._energy.append([])
            self._signs.append([])
        at = planes_first(codes) + np.arange(0, s.groups * s.codewords, s.codewords)[:, None, None, None]
        self._energy[index].append(padded(_maps(s.energy, at)))
        if s.sign_bins > 1:
            self._signs[index].append(padded(_maps(s.signed, at)))
        if self._picture is not None and not s.chroma:
            self._picture.add(index, codes)


def _joined(parts: Sequence[F32]) -> F32:
    """Map of a finished slice on its own grid from those of its phases, padded."""
    inner = [part[:, 1:-1, 1:-1] for part in parts]
    return inner[0] if len(inner) == 1 else join_phases(inner)


def _batch_first(x: F32) -> F32:
    """[B, h, w, C] as [B, C, h, w] (a view)."""
    return x.transpose(0, 3, 1, 2)


def _maps(table: F32, at: I64) -> F32:
    """Map values [B, h, w, g * d] from a table [g, K, d] at flat places [g, B, h, w] of its first two axes."""
    flat = table.reshape(-1, table.shape[2])
    out = np.empty((at.shape[0], flat.shape[1], *at.shape[1:]), np.float32)
    for k in range(flat.shape[1]):
        np.take(np.ascontiguousarray(flat[:, k]), at, out=out[:, k], mode="clip")  # "raise" would copy the result
    return planes_last(out.reshape(-1, *at.shape[1:]))
