"""What the networks of the prior see of the picture, and the networks by slice."""

from __future__ import annotations

from dataclasses import dataclass

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.level_network import LevelNetwork, Running
from vqcodec.image.seen import PictureMaps, seen_details, seen_low, synthesised
from vqcodec.prior.integer import join_phases

__all__ = ["Picture", "Sight"]


@dataclass(frozen=True)
class Sight:
    """Networks, and what codes stand for in the picture that they see.

    Attributes:
        units: what a step of the low band stands for, [256] by step index (see :func:`vqcodec.image.seen.low_units`).
        codewords: by luma slice, coarse first, what its codewords stand for, [3, K].
        networks: by slice.
        maps: by slice that has a network.
    """

    units: I32
    codewords: dict[int, I32]
    networks: dict[int, Running]
    maps: dict[int, PictureMaps]

    @classmethod
    def of(cls, units: I32, codewords: dict[int, I32], networks: dict[int, LevelNetwork]) -> Sight:
        """Ready to be used."""
        running = {index: Running(network) for index, network in networks.items()}
        maps = {index: PictureMaps(network.fine, network.edges) for index, network in networks.items()}
        return cls(units, codewords, running, maps)


class Picture:
    """The luma of one batch of pictures (or tiles) as far as it is decoded."""

    def __init__(self, sight: Sight, levels: int) -> None:
        self._sight, self._level = sight, levels
        self._low: I32 | None = None
        self._waiting: list[tuple[int, list[I32]]] = []  # slices that the low band lacks, and their phases

    def start(self, low: I32, step: I64) -> None:
        """Take in the values of the low band, [B, h, w]."""
        self._low = seen_low(self._sight.units, low, step)

    def add(self, index: int, codes: I32) -> None:
        """Take in the codes [B, h, w, 3] of the next phase of a luma slice."""
        if index in self._sight.codewords:
            if not self._waiting or self._waiting[-1][0] != index:
                self._waiting.append((index, []))
            self._waiting[-1][1].append(codes)

    def maps(self, index: int, level: int) -> F32:
        """Maps for the network of a luma slice of a level, [B, CHANNELS, h, w]; all coarser ones are there."""
        assert self._low is not None
        while self._level > level:
            (coarser, parts), *self._waiting = self._waiting
            codes = parts[0] if len(parts) == 1 else join_phases(parts)
            self._low = synthesised(self._low, seen_details(self._sight.codewords[coarser], codes))
            self._level -= 1
        return self._sight.maps[index](self._low)
