"""Files of 16 bits per sample: PNG and TIFF that Pillow writes with other pixels, into which ours are put."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from vqcodec.image.png import PNG_SIGNATURE, png_chunks

__all__ = ["WIDE_FORMATS", "wide_file"]

UInt16 = npt.NDArray[np.uint16]

WIDE_FORMATS = ("PNG", "TIFF")

_LEVEL = 6  # of deflate
_ROWS = 64  # filtered at a time
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG, 11.2.1: colour type by number of channels
_WIDTH_TAG, _BITS_TAG = 256, 258  # TIFF 6.0
_SHORT = 3
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

Write = Callable[[Image.Image], bytes]
"""Pillow's writer, metadata and all."""


def wide_file(kind: str, samples: UInt16, write: Write) -> bytes:
    """A PNG or TIFF file of samples [H, W, 1 to 4].

    Args:
        write: makes the file of a Pillow image of 8 bits.
    """
    return _png(samples, write) if kind == "PNG" else _tiff(samples, write)


def _png(samples: UInt16, write: Write) -> bytes:
    height, width, channels = samples.shape
    shell = write(Image.new(_MODES[channels], (1, 1)))
    out = [PNG_SIGNATURE]
    done = False
    for kind, start, stop in png_chunks(shell):
        if kind == b"IHDR":
            out.append(_chunk(kind, struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)))
        elif kind != b"IDAT":
            out.append(shell[start:stop])
        elif not done:
            out += [_chunk(kind, part) for part in _deflated(samples)]
            done = True
    return b"".join(out)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _deflated(samples: UInt16) -> Iterator[bytes]:
    """The zlib stream of all rows, in pieces."""
    packer = zlib.compressobj(_LEVEL)
    reach = 2 * samples.shape[2]
    above = np.zeros((1, samples[0].size * 2), np.int16)
    for top in range(0, len(samples), _ROWS):
        rows = samples[top : top + _ROWS].astype(">u2").view(np.uint8).reshape(-1, above.size).astype(np.int16)
        yield packer.compress(_filtered(rows, np.vstack([above, rows[:-1]]), reach))
        above = rows[-1:]
    yield packer.flush()


def _filtered(rows: npt.NDArray[np.int16], up: npt.NDArray[np.int16], reach: int) -> bytes:
    """Rows of bytes, each under the filter that leaves the least sum (PNG, 12.7), the filter's number in front."""
    left, corner = (np.pad(part[:, :-reach], ((0, 0), (reach, 0))) for part in (rows, up))
    to_left, to_up, to_corner = np.abs(up - corner), np.abs(left - corner), np.abs(left + up - 2 * corner)
    nearest = np.where(to_up <= to_corner, up, corner)
    paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
    ways = np.stack([(rows - guess).astype(np.uint8) for guess in (np.zeros_like(rows), left, up, paeth)])
    best = np.abs(ways.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64).argmin(axis=0)
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = np.array([0, 1, 2, 4])[best]
    out[:, 1:] = ways[best, np.arange(len(rows))]
    return out.tobytes()


def _tiff(samples: UInt16, write: Write) -> bytes:
    """A picture of twice the width and 8 bits, said to be of the right width and 16 bits afterwards."""
    height, width, channels = samples.shape
    plain = np.ascontiguousarray(samples, "<u2")
    mode = _MODES[channels]
    file = bytearray(write(Image.frombuffer(mode, (2 * width, height), plain.tobytes(), "raw", mode, 0, 1)))
    assert file[:4] == b"II*\0"
    (start,) = struct.unpack_from("<I", file, 4)
    (count,) = struct.unpack_from("<H", file, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from("<HHI", file, at)
        if tag == _WIDTH_TAG:
            struct.pack_into("<H" if kind == _SHORT else "<I", file, at + 8, width)
        elif tag == _BITS_TAG:
            place = at + 8 if number <= 2 else struct.unpack_from("<I", file, at + 8)[0]
            struct.pack_into(f"<{number}H", file, place, *[16] * number)
    return bytes(file)
