"""Variable-length integers: LEB128, at most five bytes, shortest form only (SPEC.md, Conventions)."""

from __future__ import annotations

from vqcodec.errors import CorruptError, TruncatedError

__all__ = ["VARINT_MAX", "read_varint", "write_varint"]

_MAX_BYTES = 5
VARINT_MAX = 2 ** (7 * _MAX_BYTES) - 1


def write_varint(value: int) -> bytes:
    """Bytes of ``value`` (0 to 2^35-1).

    Raises:
        ValueError: outside that range.
    """
    if not 0 <= value <= VARINT_MAX:
        raise ValueError(f"varint {value} is outside 0..{VARINT_MAX}")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, pos: int, place: str) -> tuple[int, int]:
    """The integer at ``pos`` and the position after it; ``place`` names the field in errors.

    Raises:
        TruncatedError: the bytes end inside it.
        CorruptError: more than five bytes, or not the shortest form.
    """
    value = 0
    for i in range(_MAX_BYTES):
        if pos + i >= len(data):
            raise TruncatedError("the file ends inside this number", place)
        byte = data[pos + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            # One file, one spelling: a zero on top adds nothing and could hide data.
            if byte == 0 and i > 0:
                raise CorruptError("number not in its shortest form", place)
            return value, pos + i + 1
    raise CorruptError(f"number longer than {_MAX_BYTES} bytes", place)
