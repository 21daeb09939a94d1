"""BMP's description of its colours, which Pillow does not read (BITMAPV4HEADER and BITMAPV5HEADER of Windows' GDI)."""

from __future__ import annotations

import struct
from typing import IO

__all__ = ["bmp_colours"]

_START = 14  # of the header: behind that of the file
_V4, _V5 = 108, 124  # sizes of the headers, and the first thing that each of them says
_TYPE, _POINTS, _GAMMAS, _PROFILE = 56, 60, 96, 112  # offsets in the header
_CALIBRATED, _EMBEDDED = b"\0\0\0\0", b"DEBM"  # as stored, lowest byte first


def bmp_colours(file: IO[bytes]) -> dict[str, object]:
    """What an open BMP file says of its colours, by Pillow's names: ``icc_profile``, or ``gamma`` and ``chromaticity``.

    The position of the file is left where it was. What it links to or says with zeros is nothing.
    """
    before = file.tell()
    try:
        file.seek(_START)
        head = file.read(_V5)
        size = int.from_bytes(head[:4], "little")
        if size < _V4 or len(head) < _V5:
            return {}
        kind = head[_TYPE : _TYPE + 4]
        if kind == _EMBEDDED and size >= _V5:
            at, length = struct.unpack_from("<II", head, _PROFILE)
            file.seek(_START + at)
            return {"icc_profile": file.read(length)} if length else {}
        return _calibrated(head) if kind == _CALIBRATED else {}
    finally:
        file.seek(before)


def _calibrated(head: bytes) -> dict[str, object]:
    points = [value / 2**30 for value in struct.unpack_from("<9i", head, _POINTS)]
    gammas = [value / 2**16 for value in struct.unpack_from("<3I", head, _GAMMAS)]
    red, green, blue = points[:3], points[3:6], points[6:]
    white = [sum(part) for part in zip(red, green, blue, strict=True)]
    found: dict[str, object] = {}
    if all(sum(point) > 0 for point in (red, green, blue)):
        found["chromaticity"] = tuple(value / sum(point) for point in (white, red, green, blue) for value in point[:2])
    if min(gammas) > 0:
        found["gamma"] = 3 / sum(gammas)  # PNG's exponent is that of the camera, this that of the screen
    return found
