"""Samples of 8 bits as lossless WebP streams and back (SPEC.md, Exact chunks of a picture)."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, WebPImagePlugin

from vqcodec.bitstream.arrays import U8
from vqcodec.errors import CorruptError

__all__ = ["Ways", "from_webp", "to_webp"]

Ways = tuple[tuple[int, int], ...]
"""Methods and qualities of libwebp, of which the smallest stream is kept."""


def to_webp(samples: U8, ways: Ways) -> bytes:
    """What follows the header in a lossless WebP stream (RFC 9649, 3.4) of samples [H, W, 1 to 4].

    Size and use of alpha are known to who reads it.
    """
    image = Image.fromarray(_expanded(samples))
    return min((_stream(image, *way) for way in ways), key=len)


def _stream(image: Image.Image, method: int, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exact=True, method=method, quality=quality)
    content = buffer.getvalue()
    assert content[12:16] == b"VP8L"
    (size,) = struct.unpack_from("<I", content, 16)
    return content[25 : 20 + size]


def _expanded(samples: U8) -> U8:
    """Samples [H, W, 1 to 4] as [H, W, 3 or 4]: WebP has no gray."""
    if samples.shape[2] > 2:
        return np.ascontiguousarray(samples)
    return np.ascontiguousarray(samples[:, :, [0, 0, 0, 1][: 2 + samples.shape[2]]])


def from_webp(body: bytes, shape: tuple[int, int, int]) -> U8:
    """Samples of a stream.

    Raises:
        CorruptError: it is none of this shape.
    """
    height, width, channels = shape
    alpha = channels in (2, 4)
    stream = struct.pack("<BI", 0x2F, width - 1 | height - 1 << 14 | alpha << 28) + body
    padded = stream + b"\0" * (len(stream) % 2)
    content = struct.pack("<4sI8sI", b"RIFF", 12 + len(padded), b"WEBPVP8L", len(stream)) + padded
    try:
        # as Image.open does it, but without its check of the size, which is known
        with WebPImagePlugin.WebPImageFile(io.BytesIO(content)) as image:
            assert image.size == (width, height)
            samples = np.asarray(image.convert("RGBA" if alpha else "RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's reader raises several kinds
        raise CorruptError("no lossless WebP stream") from error
    return samples if channels > 2 else np.ascontiguousarray(samples[:, :, [1, 3][:channels]])
