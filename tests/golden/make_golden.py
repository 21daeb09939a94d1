"""Make the golden files: run by hand, once for every released model, never by a test.

    python tests/golden/make_golden.py

Files that are there are left as they are: a golden file says what was written in the past and must go on decoding.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import vqcodec
from vqcodec.bitstream import ImageHeader, read_vqc, write_vqc
from vqcodec.models import load_by_id

HERE = Path(__file__).parent
DECODE, REJECT = HERE / "decode", HERE / "reject"
EXAMPLES = HERE.parent.parent / "examples"
THUMBNAIL = 8


def waves(height: int, width: int) -> np.ndarray:
    """Smooth colours with an edge, uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    red = 128 + 90 * np.sin(x / 17 + y / 29)
    green = np.where(x * 2 > y, 200, 40) + 30 * np.cos(y / 7)
    return np.stack([red, green, 255 - red / 2], 2).astype(np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo(name: str, height: int, width: int) -> np.ndarray:
    with Image.open(EXAMPLES / f"{name}.png") as im:
        return np.asarray(im.convert("RGB"))[100 : 100 + height, 200 : 200 + width]


def everything() -> Image.Image:
    """Alpha and metadata."""
    alpha = np.add.outer(np.arange(50), 3 * np.arange(70)).astype(np.uint8)
    image = Image.fromarray(np.dstack([waves(50, 70), alpha]))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.info = {"exif": exif.tobytes(), "xmp": b"<x:xmpmeta/>"}
    return image


CASES: dict[str, Callable[[], bytes]] = {
    "one-pixel": lambda: vqcodec.compress(np.array([[[200, 30, 90]]], np.uint8)),
    "one-gray-pixel": lambda: vqcodec.compress(np.array([[77]], np.uint8)),
    "black": lambda: vqcodec.compress(np.zeros((100, 100, 3), np.uint8), quality=100),
    "gray": lambda: vqcodec.compress(waves(130, 200)[..., 0], quality=70),
    "coarsest": lambda: vqcodec.compress(waves(130, 200), quality=1),
    "finest": lambda: vqcodec.compress(waves(64, 65), quality=100),
    "noise": lambda: vqcodec.compress(noise(90, 70), quality=60),
    "lake": lambda: vqcodec.compress(photo("lake", 192, 256), quality=60),
    "otters": lambda: vqcodec.compress(photo("otters", 120, 160), quality=90),
    "two-tiles": lambda: vqcodec.compress(waves(70, 1100), quality=40),
    "alpha-and-metadata": lambda: vqcodec.compress(everything(), quality=50),
}


def facts(data: bytes) -> dict[str, object]:
    """What a decoder must find: codes exactly, pixels nearly, everything else exactly."""
    file = read_vqc(data)
    assert isinstance(file.header, ImageHeader)
    codec = load_by_id(file.header.model_id, file.header.model_hint, "cpu")
    codes = codec.decode_codes(file.header, file.chunks)
    alpha = b"" if file.alpha is None else file.alpha.tobytes()
    return {
        "codes": hashlib.sha256(b"".join(c.astype("<i4").tobytes() for c in codes)).hexdigest(),
        "shape": [file.header.height, file.header.width],
        "alpha": hashlib.sha256(alpha).hexdigest(),
        "metadata": {key: hashlib.sha256(value).hexdigest() for key, value in sorted(file.metadata.items())},
        "thumbnail": thumbnail(codec.decode(file.header, file.chunks)).round(2).tolist(),
    }


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Means over 8 x 8 blocks, fewer where the picture is smaller: float [<= 8, <= 8, C]."""
    height, width = (min(THUMBNAIL, n) for n in pixels.shape[:2])
    rows = np.array_split(pixels.astype(float), height)
    return np.array([[cell.mean((0, 1)) for cell in np.array_split(row, width, 1)] for row in rows])


def rejects() -> dict[str, bytes]:
    """Files that must be refused, by the name of the error and what is wrong."""
    good = vqcodec.compress(waves(20, 30), quality=30)
    file = read_vqc(good)
    chunk = file.chunks[0]
    assert chunk is not None
    flipped = bytearray(good)
    flipped[-8] ^= 4
    older = bytearray(good)
    older[8] = 0x20
    return {
        "NotVqcError-png": (EXAMPLES / "lake.png").read_bytes()[:100],
        "TruncatedError-half": good[: len(good) // 2],
        "TruncatedError-signature": good[:5],
        "ChecksumError-chunk": bytes(flipped),
        "ChecksumError-codes": write_vqc(replace(file, chunks=[replace(chunk, code_hash=chunk.code_hash ^ 1)])),
        "UnsupportedVersionError-major": bytes(older),
        "UnknownModelError-id": write_vqc(replace(file, header=replace(file.header, model_id=b"none"))),
        "CorruptError-trailing": good + b"x",
        "CorruptError-tiles": write_vqc(replace(file, header=replace(file.header, tile_log2=9))),
    }


def main() -> None:
    for folder in (DECODE, REJECT):
        folder.mkdir(exist_ok=True)
    for name, make in CASES.items():
        path = DECODE / f"{name}.vqc"
        if path.exists():
            continue
        data = make()
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(facts(data), indent=1) + "\n")
        sys.stdout.write(f"{path.name}: {len(data)} bytes\n")
    for name, data in rejects().items():
        path = REJECT / f"{name}.vqc"
        if not path.exists():
            path.write_bytes(data)


if __name__ == "__main__":
    main()
