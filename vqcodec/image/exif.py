"""EXIF blocks as bytes: the few values that say how a picture is to be shown, and patches that move nothing.

A block is a TIFF structure (EXIF 3.0, 4.6.2): directories of 12-byte entries, whose longer values lie anywhere in the
block. It is never written anew, because maker notes hold offsets of their own.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["EXIF_PREFIX", "Exif", "exif_body", "exif_with_prefix", "with_resolution", "without_orientation"]

EXIF_PREFIX = b"Exif\0\0"

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
WHITE_POINT, PRIMARIES = 0x013E, 0x013F
COLOUR_SPACE, GAMMA, INTEROPERABILITY = 0xA001, 0xA500, 0x0001
_SUBDIRECTORIES = (0x8769, 0xA005)  # EXIF's own, and inside it that of interoperability
_FORMATS = {
    1: "B",
    3: "H",
    4: "I",
    5: "II",
    9: "i",
    10: "ii",
    11: "f",
    12: "d",
}  # the kinds of entries whose numbers are read here
_MOST = 64  # values of an entry that are looked at; chromaticities have six
_INCH, _CENTIMETRE = 2, 3
_RESOLUTION_TAGS = frozenset((X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT))


@dataclass(frozen=True)
class Exif:
    """What a block says, as far as it matters here.

    Attributes:
        order: ``<`` or ``>``, as struct has it.
        directory: offset of the first directory.
        numbers: values by tag, of the first directory, of EXIF's own and of interoperability; rationals as floats.
        tags: tags of the first directory.
    """

    order: str
    directory: int
    numbers: dict[int, tuple[float, ...]]
    tags: frozenset[int]

    @classmethod
    def parse(cls, data: bytes) -> Exif:
        """Read a block; sub-directories and values that cannot be read are left out.

        Raises:
            ValueError: it has no first directory that could be read.
        """
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
        if order is None or len(data) < 8:
            raise ValueError("no TIFF header")
        (directory,) = struct.unpack_from(order + "I", data, 4)
        entries = _entries(order, data, directory)
        numbers = {entry.tag: entry.numbers(order, data) for entry in entries}
        for pointer in _SUBDIRECTORIES:
            try:
                inner = _entries(order, data, int(numbers[pointer][0]))
            except (KeyError, IndexError, ValueError):
                break
            numbers = {entry.tag: entry.numbers(order, data) for entry in inner} | numbers
        return cls(order, directory, numbers, frozenset(entry.tag for entry in entries))

    def number(self, tag: int) -> float | None:
        """The one value of a tag, if it has a finite one."""
        value = self.numbers.get(tag, ())
        return value[0] if len(value) == 1 and math.isfinite(value[0]) else None

    @property
    def orientation(self) -> int | None:
        """1 to 8 (TIFF 6.0), or None where the block says nothing or nonsense."""
        value = self.number(ORIENTATION)
        return int(value) if value is not None and value in range(1, 9) else None

    @property
    def resolution(self) -> tuple[float, float] | None:
        """Dots per inch, across and down; None where it has no unit or is not positive."""
        x, y = self.number(X_RESOLUTION), self.number(Y_RESOLUTION)
        stated = self.number(RESOLUTION_UNIT)
        unit = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(_INCH if stated is None else int(stated), 0.0)
        return (x * unit, y * unit) if x and y and x > 0 and y > 0 and unit else None

    @property
    def only_resolution(self) -> bool:
        """Whether the block says nothing else."""
        return self.tags <= _RESOLUTION_TAGS


@dataclass(frozen=True)
class _Entry:
    """One entry of a directory; ``at``: offset of its value."""

    tag: int
    kind: int
    count: int
    at: int

    def numbers(self, order: str, data: bytes) -> tuple[float, ...]:
        form = _FORMATS.get(self.kind)
        if form is None and self.tag == INTEROPERABILITY and self.kind == 2:
            form = "B"  # text: R98, R03 or THM
        try:
            if form is None or self.count > _MOST:
                return ()
            values = struct.unpack_from(order + form * self.count, data, self.at)
        except struct.error:
            return ()
        if len(form) == 1:
            return tuple(map(float, values))
        return tuple(a / b if b else math.nan for a, b in zip(values[::2], values[1::2], strict=True))


def _entries(order: str, data: bytes, at: int) -> list[_Entry]:
    if not 8 <= at <= len(data) - 2:
        raise ValueError("a directory lies outside the block")
    (count,) = struct.unpack_from(order + "H", data, at)
    if at + 2 + 12 * count > len(data):
        raise ValueError("a directory reaches beyond the block")
    entries = []
    for start in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, start)
        size = struct.calcsize("=" + _FORMATS.get(kind, "B")) * number
        inside = start + 8
        entries.append(
            _Entry(tag, kind, number, inside if size <= 4 else struct.unpack_from(order + "I", data, inside)[0])
        )
    return entries


def exif_body(data: bytes) -> bytes:
    """EXIF from its TIFF header on; some writers put JPEG's name of it in front twice."""
    return data.removeprefix(EXIF_PREFIX).removeprefix(EXIF_PREFIX)


def exif_with_prefix(data: bytes) -> bytes:
    """EXIF as JPEG stores it and Pillow hands it around."""
    return data if data.startswith(EXIF_PREFIX) else EXIF_PREFIX + data


def without_orientation(data: bytes) -> bytes:
    """The same block with every orientation of its first directory set to 1 ("as stored").

    Raises:
        ValueError: it does not parse.
    """
    exif = Exif.parse(data)
    patched = bytearray(data)
    for entry in _entries(exif.order, data, exif.directory):
        if entry.tag == ORIENTATION and entry.count == 1 and _FORMATS.get(entry.kind) in ("B", "H", "I"):
            struct.pack_into(exif.order + _FORMATS[entry.kind], patched, entry.at, 1)
    return bytes(patched)


def with_resolution(data: bytes | None, dpi: tuple[float, float]) -> bytes | None:
    """The block with the resolution in it; what is there stays where it is, its first directory is copied to the end.

    Args:
        data: a block, or None to make one of nothing else.
        dpi: dots per inch, across and down.

    Returns:
        The new block; None where these are no numbers that EXIF can hold.

    Raises:
        ValueError: the block does not parse.
    """
    rationals = []
    for value in dpi:
        if not 0 < value < 2**18:  # so that a denominator of up to 10,000 keeps it below 2^32
            return None
        part = Fraction(value).limit_denominator(10_000)  # 299.9994, PNG's 300 dpi, comes back as it was
        if not part:
            return None
        rationals.append((part.numerator, part.denominator))
    block = data if data is not None else b"II*\0\x08\0\0\0" + bytes(6)
    exif = Exif.parse(block)
    order, end = exif.order, len(block) + len(block) % 2
    (count,) = struct.unpack_from(order + "H", block, exif.directory)
    table = exif.directory + 2
    old = [block[at : at + 12] for at in range(table, table + 12 * count, 12)]
    follows = block[table + 12 * count : table + 12 * count + 4].ljust(4, b"\0")
    if data is None:
        block, end = block[:8], 8
    kept = [entry for entry in old if struct.unpack_from(order + "H", entry)[0] not in _RESOLUTION_TAGS]
    values = end + 2 + 12 * (len(kept) + 3) + 4
    kept += [
        struct.pack(order + "HHII", X_RESOLUTION, 5, 1, values),
        struct.pack(order + "HHII", Y_RESOLUTION, 5, 1, values + 8),
        struct.pack(order + "HHIHH", RESOLUTION_UNIT, 3, 1, _INCH, 0),
    ]
    kept.sort(key=lambda entry: struct.unpack_from(order + "H", entry)[0])
    packed = b"".join(struct.pack(order + "II", *pair) for pair in rationals)
    body = struct.pack(order + "H", len(kept)) + b"".join(kept) + follows + packed
    return block[:4] + struct.pack(order + "I", end) + block[8:].ljust(end - 8, b"\0") + body
