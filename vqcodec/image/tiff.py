"""TIFF's tags, where Pillow does not know what to make of a file: white as zero, and what exactly is not supported."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["TIFF_STARTS", "as_bytes", "black_is_zero", "kind_of_samples", "without_range"]

TIFF_STARTS = (b"II*\0", b"MM\0*")
PHOTOMETRIC = 262
_BITS, _SAMPLES, _FORMAT = 258, 277, 339
_PLANAR, _PREDICTOR, _EXTRA = 284, 317, 338
_FORMATS = {1: "whole-number", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
_SHORT = 3


def black_is_zero(content: bytes) -> bytes | None:
    """The same file with its samples declared as rising from black, or None where it has no such tag with 0."""
    for at, tag, kind, value in _tags(content):
        if tag == PHOTOMETRIC and kind == _SHORT and value == [0]:
            order = "<H" if content[:2] == b"II" else ">H"
            return content[: at + 8] + struct.pack(order, 1) + content[at + 10 :]
    return None


def as_bytes(content: bytes) -> tuple[bytes, str] | None:
    """The same file with the two bytes of gray and the two of alpha declared as four samples, which Pillow reads.

    Returns:
        The file, and which byte of a sample comes first: the low one (L) or the high one (B); None where it has other
        samples, premultiplied ones, or those that are stored as differences or apart.
    """
    found = {tag: (at, value) for at, tag, _, value in _tags(content)}

    def says(tag: int, *values: list[int]) -> bool:
        return (found[tag][1] if tag in found else []) in values

    plain = says(_PLANAR, [], [1]) and says(_PREDICTOR, [], [1]) and says(_FORMAT, [], [1], [1, 1])
    if not (plain and says(_BITS, [16, 16]) and says(_SAMPLES, [2]) and says(PHOTOMETRIC, [1]) and says(_EXTRA, [2])):
        return None
    order = "<" if content[:2] == b"II" else ">"
    out = bytearray(content + bytes(len(content) % 2))
    bits = struct.pack(order + "4H", 8, 8, 8, 8)
    changes = [(_BITS, 4, struct.pack(order + "I", len(out))), (_SAMPLES, 1, struct.pack(order + "2H", 4, 0))]
    changes += [(PHOTOMETRIC, 1, struct.pack(order + "2H", 2, 0)), (_FORMAT, 1, struct.pack(order + "2H", 1, 0))]
    for tag, count, value in changes:
        if tag in found:
            struct.pack_into(order + "I4s", out, found[tag][0] + 4, count, value)
    return bytes(out + bits), "L" if order == "<" else "B"


def kind_of_samples(content: bytes) -> str:
    """What its samples are, in words: "32-bit floating-point samples, 3 per pixel"; nothing where that is not known."""
    tags = {tag: value for _, tag, _, value in _tags(content)}
    bits = sorted(set(tags.get(_BITS, [1])))
    if not bits or PHOTOMETRIC not in tags:
        return ""
    form = _FORMATS.get(tags.get(_FORMAT, [1])[0], "unknown")
    count = tags.get(_SAMPLES, [1])[0]
    return f"{' and '.join(map(str, bits))}-bit {form} samples, {count} per pixel"


def without_range(tags: Mapping[int, Any]) -> str:
    """What the samples are where nobody knows which of them is white, as Pillow gives the tags; else nothing.

    Pillow reads signed bytes as if they were not signed, and 32 bits as 16.
    """
    form, bits = _first(tags.get(_FORMAT, 1)), _first(tags.get(_BITS, 1))
    if form == 2 or (form == 1 and bits > 16):
        return f"{bits}-bit {_FORMATS[form]} samples"
    return ""


def _first(value: Any) -> int:
    found = value[0] if isinstance(value, tuple) and value else value
    return found if isinstance(found, int) else 1


def _tags(content: bytes) -> Iterator[tuple[int, int, int, list[int]]]:
    """(offset, tag, kind, values) of the entries with short whole numbers of the first directory."""
    order = "<" if content[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", content, at)
            if kind != _SHORT or not 1 <= number <= 16:
                continue
            value = at + 8 if number <= 2 else struct.unpack_from(order + "I", content, at + 8)[0]
            yield at, tag, kind, list(struct.unpack_from(f"{order}{number}H", content, value))
    except struct.error:
        return
