"""AVIF's boxes, as far as Pillow does not tell them (ISO/IEC 14496-12, 23008-12): the colours, and EXIF's item."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["is_avif", "nclx", "without_exif"]

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6}
"""Boxes that hold boxes, and the bytes before the first of them (version 0 of iinf)."""
_DEPTH = 3  # of a box that is of interest: colr in ipco in iprp in meta


def is_avif(head: bytes) -> bool:
    """Whether the first 12 bytes are those of a picture in this container."""
    return head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"mif1", b"msf1")


def nclx(content: bytes) -> bytes | None:
    """Code points for primaries, transfer, matrix and range (the sample's, which is full once Pillow made it RGB)."""
    for kind, start, stop in _boxes(content, 0, len(content)):
        if kind == b"colr" and content[start : start + 4] == b"nclx" and stop - start >= 11:
            primaries, transfer, matrix = (content[start + at + 1] for at in (4, 6, 8))
            return bytes((primaries, transfer, matrix, 1))
    return None


def without_exif(content: bytes) -> bytes:
    """The same file with its EXIF item of a type that nobody knows."""
    patched = bytearray(content)
    for kind, start, stop in _boxes(content, 0, len(content)):
        if kind == b"infe" and b"Exif" in content[start:stop]:
            at = content.index(b"Exif", start, stop)
            patched[at : at + 4] = b"skip"
    return bytes(patched)


def _boxes(content: bytes, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, stop) of the bodies of all boxes, those inside others too."""
    while at + 8 <= end:
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        stop = end if size == 0 else at + size
        if stop > end or stop < at + head:
            return
        yield kind, at + head, stop
        if kind in _CONTAINERS and depth < _DEPTH:
            yield from _boxes(content, at + head + _CONTAINERS[kind], stop, depth + 1)
        at = stop
