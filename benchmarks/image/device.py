"""One picture on a device against the CPU: times of encoding and decoding, sizes, how far apart the pixels are."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

import vqcodec
from vqcodec.benchmarks.files import make_folder, write_json
from vqcodec.options import Device

__all__ = ["run"]

ROUNDS = 7
QUALITY = 60


def run(picture: Path, out: Path, device: Device = "cuda") -> dict[str, Any]:
    """Measure, and write ``picture-DEVICE.json`` into ``out``: medians in seconds, on one thread beside the device.

    Args:
        picture: any that :func:`vqcodec.compress` takes; a photograph, since graphics are work for the CPU.

    Raises:
        DeviceError: the device is not there.
    """
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else device,
        "torch": torch.__version__,
        "size": [pixels.shape[1], pixels.shape[0]],
        "quality": QUALITY,
    }
    files, decoded = {}, {}
    for where in dict.fromkeys(("cpu", device)):  # once, where they are the same
        files[where] = vqcodec.compress(pixels, quality=QUALITY, device=where, threads=1)
        decoded[where] = _decoded(files["cpu"], where)
        facts[where] = {
            "encode": _time(lambda where=where: vqcodec.compress(pixels, quality=QUALITY, device=where, threads=1)),
            "decode": _time(lambda where=where: _decoded(files["cpu"], where)),
            "bytes": len(files[where]),
        }
    facts["same file"] = files["cpu"] == files[device]
    facts["largest difference"] = int(np.abs(decoded["cpu"] - decoded[device]).max())
    facts["pixels that differ"] = float((decoded["cpu"] != decoded[device]).any(2).mean())
    make_folder(out)
    write_json(out / f"picture-{device}.json", facts)
    return facts


def _decoded(data: bytes, device: Device) -> np.ndarray[Any, np.dtype[np.int64]]:
    return vqcodec.decompress_samples(io.BytesIO(data), device=device, threads=1).pixels.astype(np.int64)


def _time(work: Callable[[], object]) -> float:
    """Median of some rounds after a first one, which compiles and loads what is used."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])
