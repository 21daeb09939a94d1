"""What may be compressed: rates and channels within bounds, sounds that are not too long, samples that are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vqcodec.bitstream import Limits
from vqcodec.bitstream.arrays import F32
from vqcodec.errors import InputError, LimitError, VqcError
from vqcodec.sources import warn_all

__all__ = ["SampleCheck", "check_layout", "repaired"]

_LOUDEST = 64.0  # 36 dB above full scale: beyond, it is not a loud sound but integers that were not divided
_MAX_CHANNELS = 8
_MAX_RATE = 2**20 - 1
_MIN_RATE = 1_000


def check_layout(sample_rate: int, channels: int, kind: type[VqcError]) -> None:
    """Refuse a rate (with an error of ``kind``) or a number of channels (LimitError) that a file cannot keep."""
    if not _MIN_RATE <= sample_rate <= _MAX_RATE:
        raise kind(f"a sample rate of {sample_rate} Hz is out of range; {_MIN_RATE:,} to {_MAX_RATE:,} can be kept")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise LimitError(
            f"{channels:,} channels are more than {_MAX_CHANNELS}; split them (arrays are [time, channels])"
        )


@dataclass
class SampleCheck:
    """Refuses sounds that are empty or too long, and samples that are no samples, or replaces those."""

    name: str
    sample_rate: int
    channels: int
    max_seconds: int
    repair: bool
    told: bool = False  # what was replaced is told once, however often the sound is read

    def length(self, samples: int) -> None:
        if samples > self.max_seconds * self.sample_rate:
            raise LimitError(
                f"{self.name}: {samples / self.sample_rate:,.0f} s are longer than {self.max_seconds:,} s; "
                "raise the limit by --max-seconds (max_seconds)"
            )
        try:
            Limits(seconds=self.max_seconds).check_audio(self.sample_rate, self.channels, samples)
        except LimitError as error:
            raise LimitError(f"{self.name}: {error}") from error

    def blocks(self, blocks: Iterator[F32]) -> Iterator[F32]:
        count = bad = 0
        first = 0.0
        for block in blocks:
            if not max(-float(block.min()), float(block.max())) <= _LOUDEST:  # also for NaN
                seconds = self._samples(block, count)
                first = first if bad else seconds
                bad += int((~np.isfinite(block)).sum())
                block = repaired(block)
            count += len(block)
            self.length(count)
            yield block
        if not count:
            raise InputError(f"{self.name}: holds no samples")
        if bad and not self.told:
            self.told = True
            what = (
                "1 sample that is no finite number was"
                if bad == 1
                else f"{bad:,} samples that are no finite numbers were"
            )
            warn_all([f"{what} replaced, the first at {first:.3f} s"], self.name)

    def _samples(self, block: F32, before: int) -> float:
        """Refuse a block with samples that are none, or tell the time of the first one that can be replaced."""
        numbers = np.isfinite(block)
        wrong = np.abs(block, where=numbers, out=np.zeros_like(block)) > _LOUDEST
        if not self.repair:
            wrong |= ~numbers
        place, channel = np.argwhere(wrong if wrong.any() else ~numbers)[0]
        seconds = (before + int(place)) / self.sample_rate
        if not wrong.any():
            return seconds
        if np.isfinite(value := block[place, channel]):
            what, remedy = f"is {value:g}", "full scale is 1, so scale the samples first"
        else:
            what, remedy = (
                "is not a finite number",
                "clean the samples, or let --repair (repair=True) replace them",
            )
        raise InputError(f"{self.name}: the sample at {seconds:.3f} s {what}; {remedy}")


def repaired(block: F32) -> F32:
    """Samples [n, C] with those that are no finite numbers on a straight line between their neighbours."""
    out = block.copy()
    places = np.arange(len(block))
    for channel in out.T:
        good = np.isfinite(channel)
        channel[~good] = np.interp(places[~good], places[good], channel[good]) if good.any() else 0
    return out
