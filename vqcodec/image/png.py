"""PNG's chunks, as far as Pillow does not tell them (PNG, third edition): colours, depth, and which are damaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

__all__ = ["PNG_SIGNATURE", "PngFacts", "png_chunks", "png_facts", "without_bad_chunks"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_INFLATED = 2**20  # what Pillow accepts of a compressed text or profile
# Of an unreadable file these are kept where they are whole; everything else that is not critical is left out.
_USEFUL = (b"cHRM", b"cICP", b"eXIf", b"gAMA", b"iCCP", b"pHYs", b"sRGB", b"tRNS")
_XMP = b"XML:com.adobe.xmp\0"
_FIXED = {b"cHRM": 32, b"cICP": 4, b"gAMA": 4, b"pHYs": 9, b"sRGB": 1}


@dataclass(frozen=True)
class PngFacts:
    """What stands before the pixels.

    Attributes:
        depth: bits per sample, 1 to 16; 0 where that is not known.
        cicp: code points for primaries, transfer, matrix and range, or None.
    """

    depth: int = 0
    cicp: bytes | None = None


def png_facts(file: IO[bytes]) -> PngFacts:
    """Facts of an open PNG file, whose position is left where it was; the default of each where it cannot be read."""
    before = file.tell()
    depth, cicp = 0, None
    try:
        file.seek(len(PNG_SIGNATURE))
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            length = int.from_bytes(head[:4], "big")
            body = file.read(length) if length <= 13 else b""
            if head[4:] == b"IHDR" and length == 13:
                depth = body[8]
            elif head[4:] == b"cICP" and length == 4 and file.read(4) == _crc(b"cICP" + body):
                cicp = body
                continue
            file.seek(length - len(body) + 4, 1)
    finally:
        file.seek(before)
    return PngFacts(depth, cicp)


def without_bad_chunks(content: bytes) -> tuple[bytes, list[str]]:
    """A PNG file without the chunks that keep it from being read, and the names of those that are to blame.

    A chunk is to blame that is not critical, and is damaged, has a wrong length, or inflates beyond all measure.
    """
    kept, bad = [content[:8]], []
    for kind, start, stop in png_chunks(content):
        critical = not kind[0] & 0x20
        whole = critical or _is_sound(kind, content[start + 8 : stop - 4], content[stop - 4 : stop])
        if not whole and kind.isalpha():
            bad.append(kind.decode("ascii"))
        if critical or (whole and (kind in _USEFUL or content[start + 8 :].startswith(_XMP))):
            kept.append(content[start:stop])
    return b"".join(kept), sorted(set(bad))


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, stop) of each chunk, length and CRC included; a last one that is cut counts as it is."""
    at = 8
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        yield kind, at, min(at + 12 + length, len(content))
        at += 12 + length


def _is_sound(kind: bytes, body: bytes, crc: bytes) -> bool:
    if crc != _crc(kind + body) or len(body) < _FIXED.get(kind, 0):
        return False
    if kind in (b"iCCP", b"zTXt"):
        name, _, rest = body.partition(b"\0")
        return bool(name) and rest[:1] == b"\0" and _inflates(rest[1:])
    if kind == b"iTXt":
        flag, method, packed = _packed_text(body)
        return not flag or (method == 0 and _inflates(packed))
    return True


def _packed_text(body: bytes) -> tuple[int, int, bytes]:
    """Flag and method of compression of an iTXt chunk, and its text."""
    rest = body.partition(b"\0")[2]
    return (rest[0], rest[1], rest[2:].split(b"\0", 2)[-1]) if len(rest) > 2 else (0, 0, b"")


def _inflates(packed: bytes) -> bool:
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(packed, _MOST_INFLATED)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")
