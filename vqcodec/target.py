"""Which quantiser step an encoder uses: from a quality, or searched for a target of size, rate or PSNR.

The search relies on size and PSNR falling as the step index rises, nearly evenly, so that few tries suffice. Where that
fails locally, the step found still keeps the promise (the file is not larger, the PSNR not lower than asked
for) but a neighbour may come closer.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vqcodec.errors import UsageError
from vqcodec.quality import COARSEST, PICTURE_QUALITY, quality_of_step, step_of_quality

__all__ = [
    "Aim",
    "Curve",
    "choose_step",
    "finest_within",
    "likely_step",
    "make_aim",
    "psnr",
    "rounded_up",
    "smallest_step",
    "strip_hint",
]

Curve = npt.NDArray[np.float64]
"""A value for each of the 256 steps."""

_STEPS = np.arange(COARSEST + 1)
_USUAL = 103  # the step of the usual quality of pictures
# What a step changes the logarithm of the size by, and the PSNR in decibels: means over the example photographs.
_SIZE_SLOPE, _PSNR_SLOPE = -0.018, -0.09
_TINY = 1e-9
_MOST_BYTES = 2.0**63  # of any file
_NEAR = 4  # steps
_SMOOTH_BYTES, _SMOOTH_PIXELS = 4096, 65_536  # below, a byte or a pixel shows in the curve
_LOOKED = 6  # steps that are looked at beyond the smallest file found; of 20 little ones all were within 5
_ENOUGH = 3  # tries, after which it is enough to be near: 1 % of the size, a tenth of a decibel
_NEAR_SIZE, _NEAR_PSNR = 0.01, 0.1
_MOST_TRIES = 5  # after which the estimate is given up


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

    def most_of_picture(self, pixels: int) -> float | None:
        """Bytes that the file of a picture may have; None where nothing is said of them."""
        return self.size if self.bpp is None else self.bpp * pixels / 8

    def most_of_sound(self, seconds: float) -> float | None:
        """Bytes that the file of a sound may have; None likewise."""
        return self.size if self.kbps is None else self.kbps * 125 * seconds

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
    *,
    usual: float = PICTURE_QUALITY,
) -> Aim:
    """The aim that at most one of these options sets; the quality ``usual`` without any.

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
        return Aim(step=step_of_quality(usual if quality is None else quality))
    return Aim(bpp=target_bpp, size=target_size, psnr=target_psnr, kbps=target_kbps)


def choose_step(
    aim: Aim,
    pixels: int,
    size_at: Callable[[int], int],
    psnr_at: Callable[[int], float],
    estimates: tuple[Curve, Curve] | None = None,
    metadata: Mapping[str, bytes] | None = None,
) -> int:
    """The step index that meets the aim for a picture; each candidate costs an encode, mostly two or three are tried.

    Args:
        aim: what to meet.
        pixels: width x height, for bits per pixel.
        size_at: bytes of the file at a step; asked again for a step only if cheap, so cache it.
        psnr_at: decibels at a step; likewise.
        estimates: of the same two, at every step.
        metadata: what the file keeps beside its pixels.

    Raises:
        UsageError: out of reach; the message names the nearest value that is not.
    """
    if aim.step is not None:
        return aim.step
    sizes, decibels = estimates or (None, None)
    if aim.psnr is not None:
        return _coarsest_reaching(aim.psnr, pixels, psnr_at, decibels)
    limit = aim.most_of_picture(pixels) or 0.0
    step = finest_within(limit, size_at, sizes)
    if step > COARSEST:
        step = smallest_step(size_at)
        smallest = size_at(step)
        if smallest > limit:
            rate = rounded_up(8 * smallest / pixels, 3, lambda bpp: smallest <= bpp * pixels / 8)
            raise UsageError(
                f"the target is out of reach: the smallest file of this picture has {smallest:,} bytes "
                f"({rate} bits per pixel, quality {quality_of_step(step):g}); ask for that or more"
                + strip_hint(smallest, limit, metadata or {})
            )
    return step


def smallest_step(size_at: Callable[[int], float]) -> int:
    """The step of the smallest file, which of few bytes may be finer than the coarsest.

    Nothing else is asked, so that who is told of this size and asks for it gets it.
    """
    best = at = COARSEST
    while size_at(best) < _SMOOTH_BYTES and 0 < at > best - _LOOKED:
        at -= 1
        best = at if size_at(at) < size_at(best) else best
    return best


def rounded_up(value: float, digits: int, meets: Callable[[float], bool]) -> str:
    """A figure that messages name, of so many decimals: rounded up, so that it is enough when it is given back."""
    units = math.ceil(value * 10**digits)
    while not meets(float(f"{units / 10**digits:.{digits}f}")):
        units += 1
    return f"{units / 10**digits:.{digits}f}"


def likely_step(aim: Aim, pixels: int, sizes: Curve, decibels: Curve) -> int:
    """The step that estimates at every step lead to; arguments as of :func:`choose_step`."""
    if aim.psnr is not None:
        return max(int(np.count_nonzero(decibels >= aim.psnr)) - 1, 0)
    limit = aim.most_of_picture(pixels) or 0.0
    return min(int(np.count_nonzero(sizes > limit)), COARSEST)


def finest_within(
    limit: float,
    size_at: Callable[[int], float],
    estimate: Curve | None = None,
    *,
    enough: int = _ENOUGH,
    near: float = _NEAR_SIZE,
) -> int:
    """The lowest step whose size is within the limit, which was asked for; 256 if there is none.

    Args:
        limit: bytes.
        size_at: bytes of the file at a step; asked again for a step only if cheap, so cache it.
        estimate: of these at every step.
        enough: tries after which it suffices to be as near below the limit as ``near``, a share of it.
    """
    limit = min(limit, _MOST_BYTES)
    about: Curve = _SIZE_SLOPE * (_STEPS - _USUAL).astype(np.float64)
    if estimate is not None:
        about = np.log(np.maximum(estimate, 1) / limit)
    smooth = limit >= _SMOOTH_BYTES
    search = _Search(
        lambda step: math.log(max(size_at(step), 1) / limit), about, smooth=smooth, near=near, enough=enough
    )
    return search.run(keep_high=True)


def _coarsest_reaching(target: float, pixels: int, psnr_at: Callable[[int], float], estimate: Curve | None) -> int:
    about: Curve = _PSNR_SLOPE * (_STEPS - _USUAL).astype(np.float64)
    if estimate is not None:
        about = estimate - target
    # what just reaches the target counts as above it
    smooth = pixels >= _SMOOTH_PIXELS
    search = _Search(lambda step: psnr_at(step) - target + _TINY, about, smooth=smooth, near=_NEAR_PSNR, enough=_ENOUGH)
    step = search.run(keep_high=False) - 1
    if step < 0:
        raise UsageError(
            f"the target is out of reach: at quality 100 this picture has {math.floor(100 * psnr_at(0)) / 100:.2f} dB; "
            "ask for that or less, or for lossless"
        )
    return step


class _Search:
    """Where a curve that falls with the step index crosses zero, in few tries: each costs an encode.

    Attributes:
        excess: the curve.
        about: an estimate of it at all steps, whose shape is better known than its height.
        smooth: the curve is of so much data that it has no steps of its own.
        near: an excess that is as good as none, after ``enough`` tries.
        known: what was found so far.
        miss: how far off the estimate was at the last try, in steps.
        stalled: the estimate is of no use; halve the interval instead.
    """

    def __init__(self, excess: Callable[[int], float], about: Curve, *, smooth: bool, near: float, enough: int) -> None:
        self.excess = excess
        self.about = about
        self.smooth = smooth
        self.near = near
        self.enough = enough
        self.known: dict[int, float] = {}
        self.miss = math.inf
        self.stalled = False

    def _estimate(self) -> Curve:
        """The estimate, shifted to pass through what is known."""
        if not self.known:
            return self.about
        steps = sorted(self.known)
        shift: Curve = np.interp(_STEPS, steps, [self.known[step] - self.about[step] for step in steps])
        return self.about + shift

    def _slope(self, step: int) -> float:
        """How much the curve falls in a step, about."""
        low, high = max(step - 2, 0), min(step + 2, COARSEST)
        return max(float(self.about[low] - self.about[high]) / (high - low), _TINY)

    def _take(self, step: int) -> None:
        expected = self._estimate()[step]
        best = min((abs(value) for value in self.known.values()), default=math.inf)
        value = self.known[step] = self.excess(step)
        self.miss = abs(value - expected) / self._slope(step)
        lost = self.miss > 2 and abs(value) > best / 2
        self.stalled = self.stalled or lost or len(self.known) >= _MOST_TRIES

    def run(self, *, keep_high: bool) -> int:
        """The step ``high`` where the curve is at or below zero while it is above at ``high`` - 1; 0 to 256.

        Args:
            keep_high: ``high`` itself was tried; otherwise the step before it was. The other one may be inferred.
        """
        while True:
            high = min((s for s, value in self.known.items() if value <= 0), default=COARSEST + 1)
            low = max((s for s, value in self.known.items() if value > 0 and s < high), default=-1)
            if high - low == 1 or (not keep_high and self._will_do(low)):
                return low + 1
            if keep_high and self._will_do(high):
                return high
            curve = self._estimate()
            guess = next((s for s in range(low + 1, high) if curve[s] <= 0), high)
            wanted, other = (guess, guess - 1) if keep_high else (guess - 1, guess)
            if wanted in self.known and self._certain(other, curve):
                return guess
            self._take((low + high) // 2 if self.stalled else min(max(wanted, low + 1), high - 1))

    def _will_do(self, step: int) -> bool:
        """Whether a step that was tried comes near enough, and enough were tried."""
        enough = self.smooth and len(self.known) >= self.enough
        return enough and step in self.known and abs(self.known[step]) <= self.near

    def _certain(self, step: int, curve: Curve) -> bool:
        """Whether the sign at a step that was not tried is beyond doubt.

        The last try must have been foreseen to within a step and lie near: the shape between neighbours is then exact
        to far less than the share of a step that is asked for here.
        """
        near = min(abs(step - other) for other in self.known) <= _NEAR
        return self.smooth and near and self.miss < 1 and abs(curve[step]) > 0.15 * self._slope(step)


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


def psnr(a: npt.NDArray[np.unsignedinteger[Any]], b: npt.NDArray[np.unsignedinteger[Any]]) -> float:
    """Peak signal-to-noise ratio in decibels over all samples of two uint8 [H, W, C] pictures; infinite where equal."""
    total = 0.0
    for row_a, row_b in zip(a, b, strict=True):  # row by row: the differences of a large picture would fill memory
        total += float(np.square(row_a.astype(np.float64) - row_b).sum())
    return 10 * math.log10(255**2 * a.size / total) if total else math.inf
