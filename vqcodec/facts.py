"""What a .vqc file says about itself, as plain values."""

from __future__ import annotations

from typing import Literal, TypedDict

from vqcodec.bitstream import AudioHeader, FileInfo, ImageHeader, read_header
from vqcodec.quality import kbps, quality_of_step
from vqcodec.registry import release_of
from vqcodec.sources import Compressed, naming, read_content

__all__ = ["AudioFacts", "ImageFacts", "info"]


class _Facts(TypedDict):
    """Of both.

    ``model_name`` is None for a model that this version does not have, both where none is needed; ``step`` and
    ``quality`` are None of a lossless file, which has none.
    """

    format_version: str
    step: int | None
    quality: float | None
    lossless: bool
    model_id: str | None
    model_name: str | None
    bytes: int
    missing_bytes: int
    chunks: int
    metadata: list[str]


class ImageFacts(_Facts):
    """Of a picture; ``depth`` is bits per sample, ``layers`` the number of tiles with a layer of exact pixels."""

    kind: Literal["image"]
    width: int
    height: int
    colour: Literal["gray", "rgb"]
    depth: int
    layers: int
    alpha: bool
    bpp: float


class AudioFacts(_Facts):
    """Of a sound; ``payload_kbps`` counts the coded symbols alone."""

    kind: Literal["audio"]
    duration: float
    sample_rate: int
    channels: int
    samples: int
    kbps: float
    payload_kbps: float


def info(data: Compressed) -> ImageFacts | AudioFacts:
    """Facts about a .vqc file from header and directory: no model is needed, no code is decoded.

    Raises:
        DecodeError, InputError: the bytes are not a .vqc file, or there is no such file.
    """
    content, name = read_content(data)
    with naming(name):
        file = read_header(content)
        return _picture(file, file.header) if isinstance(file.header, ImageHeader) else _sound(file, file.header)


def _common(file: FileInfo) -> _Facts:
    header = file.header
    release = release_of(header.model_id)
    return {
        "format_version": ".".join(map(str, file.version)),
        "step": None if header.lossless else header.step,
        "quality": None if header.lossless else quality_of_step(header.step),
        "lossless": header.lossless,
        "model_id": None if header.lossless else header.model_id.hex(),
        "model_name": release.name if release else None,
        "bytes": file.file_size,
        "missing_bytes": file.missing,
        "chunks": len(file.payload_sizes),
        "metadata": [key for key in file.section_sizes if key not in ("alpha", "filler")],
    }


def _picture(file: FileInfo, header: ImageHeader) -> ImageFacts:
    tiles = header.grid[0] * header.grid[1]
    return {
        "kind": "image",
        "width": header.width,
        "height": header.height,
        "colour": "gray" if header.gray else "rgb",
        "depth": 16 if header.deep else 8,
        "layers": sum(size > 0 for size in file.payload_sizes[tiles:]),
        "alpha": header.alpha,
        "bpp": round(8 * file.file_size / (header.width * header.height), 4),
        **_common(file),
        "chunks": tiles,
    }


def _sound(file: FileInfo, header: AudioHeader) -> AudioFacts:
    seconds = header.samples / header.sample_rate
    return {
        "kind": "audio",
        "duration": round(seconds, 6),
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": header.samples,
        "kbps": round(kbps(file.file_size, seconds), 4),
        "payload_kbps": round(kbps(sum(file.payload_sizes), seconds), 4),
        **_common(file),
    }
