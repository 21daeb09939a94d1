"""Pictures for the report: every codec at about the same file size, beside the original."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.benchmarks import files
from vqcodec.benchmarks.image import metrics
from vqcodec.benchmarks.image.codecs import Codec, decode, encode
from vqcodec.benchmarks.image.measure import cache_path, load_picture
from vqcodec.sources import write_atomic

__all__ = ["GalleryWork", "show_picture"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class GalleryWork:
    """One picture for the report, at these targets in bits per pixel."""

    path: Path
    codecs: tuple[Codec, ...]
    targets: tuple[float, ...]
    cache: Path


def _file(work: GalleryWork, codec: Codec, pixels: Pixels, target: float) -> bytes:
    path = cache_path(work.cache, codec, pixels, f"nearest to {target:g} bpp", codec.suffix)
    if not codec.ours and path.exists():
        return path.read_bytes()
    picture = Image.fromarray(pixels)
    size = target * pixels.shape[0] * pixels.shape[1] / 8
    data = files.nearest_size(lambda quality: encode(codec, picture, quality), 1, 100, size)
    if not codec.ours:
        write_atomic(path, data, force=True, parents=True)
    return data


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _visually_exact(pixels: Pixels) -> str:
    """Pixels for the browser: JPEG 4:4:4 at quality 93, far finer than anything compared here."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=93, subsampling="4:4:4", optimize=True, progressive=True)
    return _uri(buffer.getvalue(), "jpeg")


def _entry(codec: Codec, data: bytes, pixels: Pixels) -> dict[str, object]:
    decoded = decode(codec, data)
    similarity = metrics.ms_ssim(pixels, decoded)
    return {
        # A file that browsers know is shown as it is; it is also the smallest form of its own picture.
        "image": _uri(data, codec.format.lower()) if codec.browser else _visually_exact(decoded),
        "bytes": len(data),
        "bpp": round(8 * len(data) / (pixels.shape[0] * pixels.shape[1]), 4),
        "psnr": round(metrics.psnr(metrics.mse(pixels, decoded)), 2),
        "ms_ssim": None if similarity is None else round(metrics.decibels(similarity), 2),
    }


def show_picture(work: GalleryWork) -> dict[str, object]:
    """One picture as the report's page wants it: the original, and per target and codec an image and its figures."""
    pixels = load_picture(work.path)
    return {
        "name": work.path.stem,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "original": _visually_exact(pixels),
        "sizes": [
            {
                "target": target,
                "codecs": {
                    codec.name: _entry(codec, _file(work, codec, pixels, target), pixels) for codec in work.codecs
                },
            }
            for target in work.targets
        ],
    }
