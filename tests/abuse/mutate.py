"""Damaged copies of a file, and the promise about them: each is an error of our tree that names its place, or harmless.

For end-to-end tests too: ``check_mutations(data, decode)`` with a decoder of whole files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqcodec.errors import DecodeError

__all__ = ["Mutant", "bit_flips", "check_mutations", "truncations"]


@dataclass(frozen=True)
class Mutant:
    """A damaged file and what was done to it.

    Attributes:
        same_codes: the check of the codes is still that of the original: what decodes must be the original.
        metadata: it is the metadata that was changed.
    """

    what: str
    data: bytes
    same_codes: bool = False
    metadata: bool = False


def bit_flips(data: bytes, count: int | None = None, seed: int = 0) -> Iterator[Mutant]:
    """Copies with one bit flipped: every bit, or ``count`` different bits drawn at random."""
    bits = 8 * len(data)
    chosen = range(bits) if count is None or count >= bits else _draw(bits, count, seed)
    for bit in chosen:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield Mutant(f"bit {bit % 8} of byte {bit // 8} flipped", bytes(damaged))


def truncations(data: bytes, count: int | None = None, seed: int = 0) -> Iterator[Mutant]:
    """Proper prefixes: every one, or ``count`` different ones drawn at random."""
    chosen = range(len(data)) if count is None or count >= len(data) else _draw(len(data), count, seed)
    for size in chosen:
        yield Mutant(f"cut after {size} of {len(data)} bytes", data[:size])


def _draw(total: int, count: int, seed: int) -> list[int]:
    return sorted(np.random.default_rng(seed).choice(total, count, replace=False).tolist())


def check_mutations(
    data: bytes, decode: Callable[[bytes], Any], flips: int | None = None, cuts: int | None = None, seed: int = 0
) -> int:
    """Assert that ``decode`` raises DecodeError with a place for every mutant; None: all there are.

    Returns:
        The number of mutants tried.
    """
    tried = 0
    for mutants in (bit_flips(data, flips, seed), truncations(data, cuts, seed)):
        for mutant in mutants:
            tried += 1
            try:
                decode(mutant.data)
            except DecodeError as error:
                if not error.place:
                    raise AssertionError(f"{mutant.what}: {error!r} names no place") from error
            except Exception as error:
                raise AssertionError(f"{mutant.what}: {error!r} is not a DecodeError") from error
            else:
                raise AssertionError(f"{mutant.what}: not detected")
    return tried
