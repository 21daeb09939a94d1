"""Is a sound what a file holds: sample by sample where it is lossless, else how far away."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from vqcodec.audio.files import Float32, SoundSource
from vqcodec.audio.stream import SoundStream
from vqcodec.errors import MismatchError

__all__ = ["compared"]


def compared(decoded: SoundStream, original: SoundSource, *, lossless: bool) -> float:
    """Decibels, full scale being 1, between a decoded sound and the one that it is said to be; infinite where equal.

    Raises:
        MismatchError: another rate, length or number of channels; or, of a lossless file, another sample.
    """
    ours = (decoded.sample_rate, decoded.channels)
    theirs = (original.sample_rate, original.channels)
    if ours != theirs:
        raise MismatchError(
            f"has {ours[1]} channels at {ours[0]:,} Hz, the original {theirs[1]} at {theirs[0]:,} Hz; "
            "it was made of another one"
        )
    total, count = 0.0, 0
    for a, b in _together(iter(decoded.blocks), original.blocks()):
        if len(a) != len(b):
            raise MismatchError(
                f"ends {'after' if len(a) > len(b) else 'before'} the original; it was made of another one"
            )
        if lossless and not np.array_equal(a, b):
            place = count + int(np.argwhere(a != b)[0, 0])
            raise MismatchError(
                f"differs from the original, first at {place / ours[0]:.4f} s; it was made of another one, or rounded"
            )
        total += float(np.square(a.astype(np.float64) - b).sum())
        count += len(a)
    return -10 * math.log10(total / (count * ours[1])) if total else math.inf


def _together(a: Iterator[Float32], b: Iterator[Float32]) -> Iterator[tuple[Float32, Float32]]:
    """Blocks of two sounds cut at the same places; of the last pair one may be longer."""
    first, second = next(a, None), next(b, None)
    while first is not None and second is not None:
        size = min(len(first), len(second))
        yield first[:size], second[:size]
        first = first[size:] if len(first) > size else next(a, None)
        second = second[size:] if len(second) > size else next(b, None)
    rest = first if first is not None else second
    if rest is not None and len(rest):
        yield (rest, rest[:0]) if first is not None else (rest[:0], rest)
