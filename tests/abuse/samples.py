"""Small files for the tests of the container."""

from __future__ import annotations

import numpy as np

from vqcodec.bitstream import AudioHeader, Chunk, ImageHeader, VqcFile

MODEL = b"\x01\x23\x45\x67"


def image(width: int = 48, height: int = 40, payload: bytes = b"coded symbols") -> VqcFile:
    """One chunk, nothing else."""
    return VqcFile(ImageHeader(width, height, 90, False, False, MODEL, 3), [Chunk(payload, (), 0xBEEF)])


def rich_image() -> VqcFile:
    """Four chunks, one of them with stages, metadata of every kind of an image, a plane of alpha."""
    header = ImageHeader(100, 70, 7, True, True, MODEL, 300, 6)
    chunks = [Chunk(bytes([i + 1]) * (10 * i), (), i) for i in range(3)]
    long = np.random.default_rng(5).integers(1, 256, 2100, dtype=np.uint8).tobytes()
    stages = Chunk(long, (9, 9, 300, 1000, 2100), 65535)
    metadata = {"icc": b"profile " * 40, "exif": b"II*\0", "xmp": b"<x/>"}
    alpha = np.add.outer(np.arange(70), np.arange(100)).astype(np.uint8)
    return VqcFile(header, [*chunks, stages], metadata, alpha)


def audio() -> VqcFile:
    """Two chunks of sound with tags and a picture."""
    header = AudioHeader(44_100, 2, 123_456, 31, MODEL, 0, 150)
    metadata = {"tags": b"artist=nobody", "picture": bytes(300)}
    return VqcFile(header, [Chunk(b"first", (), 1), Chunk(b"", (), 0)], metadata)
