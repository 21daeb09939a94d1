"""Bodies of metadata sections: stored or deflated, whichever is shorter (SPEC.md, Section)."""

from __future__ import annotations

import zlib

from vqcodec.bitstream.limits import Limits
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import CorruptError, TruncatedError

__all__ = ["ALPHA", "FILLER", "METADATA", "decode_metadata", "encode_metadata", "inflated_size", "section_place"]

METADATA = {0x01: "icc", 0x02: "exif", 0x03: "xmp", 0x04: "tags", 0x05: "picture"}
FILLER = 0x7F
"""Zeros in the file of a large picture that is nearly all flat, or of a long silence: see Limits.pixels_of."""
ALPHA = 0x81
_NAMES = METADATA | {FILLER: "filler", ALPHA: "alpha"}
_STORED, _DEFLATED = 0, 1
_MAX_RATIO = 1024  # what zlib can reach at all is 1032


def section_place(kind: int) -> str:
    """Name of a section in errors."""
    return f"section {_NAMES.get(kind, f'{kind:#04x}')}"


def encode_metadata(value: bytes) -> bytes:
    """Section body of one piece of metadata."""
    packed = zlib.compress(value, 9)
    deflated = bytes([_DEFLATED]) + write_varint(len(value)) + packed
    if len(deflated) <= len(value) and len(value) <= _MAX_RATIO * len(packed):
        return deflated
    return bytes([_STORED]) + value


def inflated_size(body: bytes, place: str) -> int:
    """Bytes that a body claims to hold, before anything is inflated.

    Raises:
        CorruptError: unknown method, or a claim beyond 1,024 times the bytes there are.
    """
    if body[0] == _STORED:
        return len(body) - 1
    if body[0] != _DEFLATED:
        raise CorruptError(f"unknown method {body[0]}", place)
    try:
        size, start = read_varint(body, 1, place)
    except TruncatedError:
        raise CorruptError("body too short", place) from None
    if not 1 <= size <= _MAX_RATIO * (len(body) - start):
        raise CorruptError(f"{size} bytes cannot come from {len(body) - start}", place)
    return size


def decode_metadata(bodies: dict[int, bytes], limits: Limits) -> dict[str, bytes]:
    """Metadata by name from the bodies by kind; sizes are checked together before anything is inflated.

    Raises:
        CorruptError: a body breaks a rule of SPEC.md.
        LimitError: more than ``limits.metadata_bytes`` in all.
    """
    sizes = {kind: inflated_size(body, section_place(kind)) for kind, body in bodies.items()}
    limits.check_metadata(sum(sizes.values()))
    return {METADATA[kind]: _value(body, sizes[kind], section_place(kind)) for kind, body in bodies.items()}


def _value(body: bytes, size: int, place: str) -> bytes:
    if body[0] == _STORED:
        return body[1:]
    _, start = read_varint(body, 1, place)
    inflater = zlib.decompressobj()
    try:
        value = inflater.decompress(body[start:], size + 1)
    except zlib.error:
        raise CorruptError("deflated bytes are damaged", place) from None
    if len(value) != size or not inflater.eof or inflater.unused_data:
        raise CorruptError(f"does not inflate to {size} bytes", place)
    return value
