"""Picture files made byte by byte, for what Pillow cannot write."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

CASES = Path(__file__).parent / "cases"


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG file with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def gray_png(values: npt.NDArray[np.int64], depth: int, *chunks: bytes) -> bytes:
    """A gray PNG of 1, 2, 4, 8 or 16 bits, values [H, W], width x depth a multiple of 8."""
    height, width = values.shape
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def tiff(
    order: str, samples: npt.NDArray[np.generic], photometric: int, *, form: int = 1, alpha: bool = False
) -> bytes:
    """An uncompressed TIFF of one strip, samples [H, W, C], in the byte order II or MM."""
    sign = "<" if order == "II" else ">"
    height, width, count = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(sign)).tobytes()
    bits = [8 * samples.dtype.itemsize] * count
    tags = [(256, [width]), (257, [height]), (258, bits), (259, [1]), (262, [photometric]), (273, [0])]
    tags += [(277, [count]), (278, [height]), (279, [len(data)])]
    tags += [(338, [2])] if alpha else []
    tags += [(339, [form] * count)]
    far = 8 + 2 + 12 * len(tags) + 4
    table, values = b"", b""
    room = sum(2 * len(v) for _, v in tags if len(v) > 2)
    for tag, value in tags:
        value = [far + room] if tag == 273 else value
        packed = struct.pack(f"{sign}{len(value)}H", *value)
        if len(packed) > 4:
            packed, values = struct.pack(sign + "I", far + len(values)), values + packed
        table += struct.pack(sign + "HHI", tag, 3, len(value)) + packed.ljust(4, b"\0")
    return order.encode() + struct.pack(sign + "HIH", 42, 8, len(tags)) + table + bytes(4) + values + data
