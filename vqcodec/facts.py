"""What a .vqc file says about itself, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vqcodec.bitstream import AudioHeader, FileInfo, ImageHeader
from vqcodec.target import quality_of_step

__all__ = ["facts", "kbps"]


def facts(file: FileInfo) -> dict[str, Any]:
    """Facts from header and directory; ``kind`` is ``image`` or ``audio``, and decides which there are."""
    header = file.header
    common = {
        "step": header.step,
        "quality": round(quality_of_step(header.step), 2),
        "model_id": header.model_id.hex(),
        "model_name": _model_name(header),
        "bytes": file.file_size,
    }
    own, rates = _picture(file, header) if isinstance(header, ImageHeader) else _sound(file, header)
    return {
        "format_version": ".".join(map(str, file.version)),
        **own,
        **common,
        **rates,
        "chunks": len(file.payload_sizes),
        "metadata": [key for key in file.section_sizes if key != "alpha"],
    }


def _picture(file: FileInfo, header: ImageHeader) -> tuple[dict[str, Any], dict[str, float]]:
    own = {
        "kind": "image",
        "width": header.width,
        "height": header.height,
        "colour": "gray" if header.gray else "rgb",
        "alpha": header.alpha,
    }
    return own, {"bpp": round(8 * file.file_size / (header.width * header.height), 4)}


def _sound(file: FileInfo, header: AudioHeader) -> tuple[dict[str, Any], dict[str, float]]:
    seconds = header.samples / header.sample_rate
    own = {
        "kind": "audio",
        "duration": round(seconds, 6),
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": header.samples,
    }
    payload = sum(file.payload_sizes)
    return own, {
        "kbps": round(kbps(file.file_size, seconds), 4),
        "payload_kbps": round(kbps(payload, seconds), 4),
    }


def kbps(size: int, seconds: float) -> float:
    """Thousands of bits per second of so many bytes."""
    return size * 8 / 1000 / seconds


def _model_name(header: ImageHeader | AudioHeader) -> str | None:
    """The model that the file's hint points at; the identity is compared when it is loaded."""
    from vqcodec import registry as models

    names = models.IMAGE_MODELS if isinstance(header, ImageHeader) else models.AUDIO_MODELS
    return Path(names[header.model_hint]).stem if header.model_hint < len(names) else None
