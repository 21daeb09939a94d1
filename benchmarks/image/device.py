"""One picture on a device against the CPU: times of encoding and decoding, sizes, how far apart the pixels are."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

import vqcodec
from vqcodec.benchmarks.files import make_folder, write_json
from vqcodec.bitstream.arrays import I64
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
    files: dict[Device, bytes] = {}
    decoded: dict[Device, I64] = {}
    places: tuple[Device, Device] = ("cpu", device)
    for where in places:
        encode = partial(vqcodec.compress, pixels, quality=QUALITY, device=where, threads=1)
        files[where] = encode()
        decode = partial(_decoded, files["cpu"], where)
        decoded[where] = decode()
        facts[where] = {"encode": _time(encode), "decode": _time(decode), "bytes": len(files[where])}
    facts["same file"] = files["cpu"] == files[device]
    facts["largest difference"] = int(np.abs(decoded["cpu"] - decoded[device]).max())
    facts["pixels that differ"] = float((decoded["cpu"] != decoded[device]).any(2).mean())
    make_folder(out)
    write_json(out / f"picture-{device}.json", facts)
    return facts


def _decoded(data: bytes, device: Device) -> I64:
    return vqcodec.decompress_samples(io.BytesIO(data), device=device, threads=1).pixels.astype(np.int64)


def _time(work: Callable[[], object]) -> float:
    """Median of some rounds; what is used is loaded and compiled already."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return median(seconds)
