"""The alpha plane, lossless: one filter per row as in PNG, then deflate or LZMA (SPEC.md, Section).

Only filters that numpy undoes a row at a time are used (no Paeth): masks are mostly flat, so little is lost.
"""

from __future__ import annotations

import lzma
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from vqcodec.errors import CorruptError

__all__ = ["decode_alpha", "encode_alpha"]

_UNIFORM, _DEFLATE, _LZMA = 0, 1, 2
_NONE, _SUB, _UP, _GRADIENT = 0, 1, 2, 3
_LZMA_FILTERS: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]
_THOROUGH_PIXELS = 4_000_000  # LZMA packs at 1-2 MB/s: above this one quick deflate has to do

_Plane = npt.NDArray[np.uint8]


def encode_alpha(plane: _Plane) -> bytes:
    """Section body of a plane [H, W] uint8; a uniform plane takes two bytes."""
    first = int(plane.flat[0])
    if (plane == first).all():
        return bytes([_UNIFORM, first])
    if plane.size > _THOROUGH_PIXELS:
        return bytes([_DEFLATE]) + zlib.compress(_filtered(plane, None), 6, -15)
    candidates = [_filtered(plane, None), _filtered(plane, _NONE), _filtered(plane, _UP)]
    deflated = [zlib.compress(rows, 9, -15) for rows in candidates]
    best = min(range(len(candidates)), key=lambda i: len(deflated[i]))
    packed = lzma.compress(candidates[best], lzma.FORMAT_RAW, filters=_LZMA_FILTERS)
    return min(bytes([_DEFLATE]) + deflated[best], bytes([_LZMA]) + packed, key=len)


def _filtered(plane: _Plane, kind: int | None) -> bytes:
    """Rows with their filter bytes; ``kind`` None picks the one with the least sum of sizes per row, as PNG."""
    up = np.zeros_like(plane)
    up[1:] = plane[:-1]
    by_kind = {_NONE: plane, _UP: plane - up, _SUB: _minus_left(plane), _GRADIENT: _minus_left(plane - up)}
    out = np.empty((plane.shape[0], plane.shape[1] + 1), np.uint8)
    if kind is not None:
        out[:, 0] = kind
        out[:, 1:] = by_kind[kind]
        return out.tobytes()
    costs = [np.abs(by_kind[k].view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64) for k in range(4)]
    out[:, 0] = np.argmin(costs, axis=0)
    for k in range(4):
        out[out[:, 0] == k, 1:] = by_kind[k][out[:, 0] == k]
    return out.tobytes()


def _minus_left(rows: _Plane) -> _Plane:
    out = rows.copy()
    out[:, 1:] -= rows[:, :-1]
    return out


def decode_alpha(body: bytes, height: int, width: int) -> _Plane:
    """Plane [H, W] uint8 of a section body. The caller has checked height x width against its limits.

    Raises:
        CorruptError: the body breaks a rule of SPEC.md, or gives more or less than H rows.
    """
    place = "section alpha"
    if len(body) < 2:
        raise CorruptError("body too short", place)
    if body[0] == _UNIFORM:
        if len(body) != 2:
            raise CorruptError("bytes after the value of a uniform plane", place)
        return np.full((height, width), body[1], np.uint8)
    rows = np.frombuffer(_inflate(body, height * (width + 1), place), np.uint8).reshape(height, width + 1)
    if rows[:, 0].max() > _GRADIENT:
        raise CorruptError("unknown row filter", place)
    return _unfiltered(rows)


def _inflate(body: bytes, size: int, place: str) -> bytes:
    packed = body[1:]
    try:
        if body[0] == _DEFLATE:
            inflater = zlib.decompressobj(-15)
            # One byte more than wanted, so that a longer stream shows.
            out = inflater.decompress(packed, size + 1)
            whole = inflater.eof and not inflater.unused_data
        elif body[0] == _LZMA:
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA_FILTERS)
            out = unpacker.decompress(packed, size + 1)
            whole = unpacker.eof and not unpacker.unused_data
        else:
            raise CorruptError(f"unknown method {body[0]}", place)
    except (zlib.error, lzma.LZMAError, EOFError):
        raise CorruptError("packed rows are damaged", place) from None
    if len(out) != size or not whole:
        raise CorruptError("wrong number of rows", place)
    return out


def _unfiltered(rows: _Plane) -> _Plane:
    kinds = rows[:, 0]
    plane = rows[:, 1:].copy()
    summed = (kinds == _SUB) | (kinds == _GRADIENT)
    plane[summed] = np.cumsum(plane[summed], axis=1, dtype=np.uint8)
    for y in np.flatnonzero(kinds >= _UP).tolist():
        if y:
            plane[y] += plane[y - 1]
    return plane
