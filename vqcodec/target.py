"""Which quantiser step an encoder uses: from a quality, or searched for a target of size, rate or PSNR.

The search relies on size and PSNR falling as the step index rises. Where that fails locally, the step found still keeps
the promise (the file is not larger, the PSNR not lower than asked for) but a neighbour may come closer.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vqcodec.errors import UsageError

__all__ = [
    "COARSEST",
    "DEFAULT_QUALITY",
    "Aim",
    "choose_step",
    "kbps",
    "lowest_step",
    "make_aim",
    "psnr",
    "quality_of_step",
    "step_of_quality",
    "strip_hint",
]

DEFAULT_QUALITY = 60.0
COARSEST = 255


@dataclass(frozen=True)
class Aim:
    """What the encoder is to meet: a step index, or one of the targets; the others are None.

    Attributes:
        step: 0 (finest) to 255.
        bpp: bits of the file per pixel, at most (pictures).
        size: bytes of the file, at most.
        psnr: decibels, at least (pictures).
        kbps: thousands of bits of the file per second, at most (sound).
    """

    step: int | None = None
    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None
    kbps: float | None = None

    def check_picture(self) -> None:
        """Raise UsageError if this can be asked of sound only."""
        if self.kbps is not None:
            raise UsageError("target_kbps is for sound, and this is a picture; give target_bpp or target_size")

    def check_sound(self) -> None:
        """Raise UsageError if this can be asked of a picture only."""
        for name, value in (("target_bpp", self.bpp), ("target_psnr", self.psnr)):
            if value is not None:
                raise UsageError(f"{name} is for pictures, and this is sound; give target_kbps or target_size")


def make_aim(
    quality: float | None = None,
    target_bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    target_kbps: float | None = None,
) -> Aim:
    """The aim that at most one of these options sets; the default quality without any.

    Raises:
        UsageError: two of them, or a value out of range.
    """
    targets = {"target_bpp": target_bpp, "target_size": target_size, "target_psnr": target_psnr}
    options = {"quality": quality, **targets, "target_kbps": target_kbps}
    given = {key: value for key, value in options.items() if value is not None}
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other; give only one of them")
    for key, value in given.items():
        if not 0 < value < math.inf:
            raise UsageError(f"{key} {value:g} is out of range; give a number above 0")
    if quality is not None or not given:
        return Aim(step=step_of_quality(DEFAULT_QUALITY if quality is None else quality))
    return Aim(bpp=target_bpp, size=target_size, psnr=target_psnr, kbps=target_kbps)


def step_of_quality(quality: float) -> int:
    """Step index 0 (finest) to 255 of a quality from 1 to 100.

    Raises:
        UsageError: out of range.
    """
    if not 1 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range; give 1 (smallest) to 100 (best)")
    return round((100 - quality) * COARSEST / 99)


def quality_of_step(step: int) -> float:
    """Quality from 1 to 100 of a step index, the inverse of :func:`step_of_quality`."""
    return 100 - step * 99 / COARSEST


def choose_step(
    aim: Aim,
    pixels: int,
    size_at: Callable[[int], int],
    psnr_at: Callable[[int], float],
    metadata: Mapping[str, bytes] | None = None,
) -> int:
    """The step index that meets the aim for a picture; each candidate costs an encode, at most ten of 256 are tried.

    Args:
        aim: what to meet.
        pixels: width x height, for bits per pixel.
        size_at: bytes of the file at a step; asked again for a step only if cheap, so cache it.
        psnr_at: decibels at a step; likewise.
        metadata: what the file keeps beside its pixels.

    Raises:
        UsageError: out of reach; the message names the nearest value that is not.
    """
    if aim.step is not None:
        return aim.step
    if aim.psnr is not None:
        return _coarsest_reaching(aim.psnr, psnr_at)
    limit = aim.size if aim.size is not None else (aim.bpp or 0.0) * pixels / 8
    smallest = size_at(COARSEST)
    if smallest > limit:
        raise UsageError(
            f"the target is out of reach: the smallest file of this picture has {smallest:,} bytes "
            f"({8 * smallest / pixels:.3f} bits per pixel, quality 1); ask for that or more"
            + strip_hint(smallest, limit, metadata or {})
        )
    return lowest_step(lambda step: size_at(step) <= limit)


def _coarsest_reaching(target: float, psnr_at: Callable[[int], float]) -> int:
    best = psnr_at(0)
    if best < target:
        raise UsageError(
            f"the target is out of reach: the best of this picture is {best:.2f} dB (quality 100); ask for that or less"
        )
    if psnr_at(COARSEST) >= target:
        return COARSEST
    return lowest_step(lambda step: psnr_at(step) < target) - 1


def lowest_step(holds: Callable[[int], bool]) -> int:
    """By bisection in eight tries, the lowest step of a condition that holds at the coarsest step.

    It must hold above any step where it holds. The last step for which it was asked and held is the result, if any was.
    """
    low, high = 0, COARSEST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high


def strip_hint(smallest: int, limit: float, metadata: Mapping[str, bytes]) -> str:
    """What to add to the message that a target is out of reach, where metadata are the reason; else nothing.

    Args:
        smallest: bytes of the smallest file, with the metadata.
        limit: bytes that were asked for.
        metadata: what the file keeps beside its pixels or samples.
    """
    size = sum(min(len(value), len(zlib.compress(value, 9))) for value in metadata.values())
    if not size or smallest - size > limit:
        return ""
    return f", or leave out its {' and '.join(metadata)} ({size:,} bytes) by --strip (strip=True)"


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in decibels over all samples of two uint8 [H, W, C] pictures; infinite where equal."""
    total = 0.0
    for row_a, row_b in zip(a, b, strict=True):  # row by row: the differences of a large picture would fill memory
        total += float(np.square(row_a.astype(np.float64) - row_b).sum())
    return 10 * math.log10(255**2 * a.size / total) if total else math.inf


def kbps(size: int, seconds: float) -> float:
    """Thousands of bits per second of so many bytes."""
    return size * 8 / 1000 / seconds
