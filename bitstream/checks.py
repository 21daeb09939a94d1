"""Checks of bytes (CRC-32) and of decoded codes (16-bit hash)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vqcodec.errors import ChecksumError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["check_written", "code_hash", "crc32", "sample_hash"]


def crc32(*parts: bytes) -> bytes:
    """CRC-32 (zlib, PNG) of the parts one after the other, as four little-endian bytes."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc.to_bytes(4, "little")


def code_hash(arrays: Iterable[npt.NDArray[np.integer[Any]]]) -> int:
    """16-bit hash of all codes of a chunk, arrays in coding order, each in C order (SPEC.md, Chunk).

    Sixteen bits are enough: the bytes have passed a CRC-32 already, so this only has to catch a prior that went wrong.

    Raises:
        ValueError: a code outside 0..65535.
    """
    crc = 0
    for array in arrays:
        if array.size and not (array.min() >= 0 and array.max() <= 0xFFFF):
            raise ValueError("a code is outside 0..65535")
        crc = zlib.crc32(array.astype("<u2", order="C", copy=False).data, crc)
    return _folded(crc)


def sample_hash(samples: npt.NDArray[np.integer[Any]]) -> int:
    """16-bit hash of exact samples, in C order, each in as many bytes as its type has (SPEC.md, Exact chunks)."""
    plain = samples.astype(samples.dtype.newbyteorder("<"), order="C", copy=False)
    return _folded(zlib.crc32(plain.data))


def check_written(found: int, wanted: int, what: str, place: str) -> None:
    """Compare the hash of what a chunk decodes to with that of what was encoded.

    Args:
        what: was hashed: codes or samples.
        place: of the chunk, for the error.

    Raises:
        ChecksumError: they differ.
    """
    if found != wanted:
        raise ChecksumError(
            f"the decoded {what} are not those that were written; the file was made by other software or is damaged",
            place,
        )


def _folded(crc: int) -> int:
    return (crc ^ crc >> 16) & 0xFFFF
