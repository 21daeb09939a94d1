"""Small real files, one of each kind, that hostile ones are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from conftest import EXAMPLES, scene
from PIL import Image, ImageDraw

import vqcodec
from vqcodec.bitstream import VqcFile, read_vqc, write_vqc

__all__ = ["Base", "bases"]


@dataclass(frozen=True)
class Base:
    """A file, its parts, and what it decodes to."""

    name: str
    data: bytes
    file: VqcFile
    values: np.ndarray

    def same(self, result: Image.Image | vqcodec.Sound) -> bool:
        return np.array_equal(values_of(result), self.values)


def values_of(result: Image.Image | vqcodec.Sound) -> np.ndarray:
    """Samples [T, C], or pixels without alpha [H, W] or [H, W, 3]."""
    if isinstance(result, vqcodec.Sound):
        return result.samples
    if result.mode == "I;16":
        return np.asarray(result)
    return np.asarray(result.convert("RGB" if result.mode.startswith("RGB") else "L"))


def _tones(channels: int, length: int) -> np.ndarray:
    t = np.arange(length)[:, None] / 24_000
    return (0.3 * np.sin(2 * np.pi * 300 * (1 + np.arange(channels)) * t)).astype(np.float32)


def _rich_picture() -> bytes:
    image = Image.fromarray(np.dstack([scene(30, 20), np.tile(np.arange(20, dtype=np.uint8) * 12, (30, 1))]))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.info = {"exif": exif.tobytes(), "xmp": b"<x/>" * 30}
    return vqcodec.compress(image, quality=40)


def _collage() -> np.ndarray:
    """Text with a photograph in it."""
    image = Image.new("RGB", (120, 100), "white")
    for y in range(4, 90, 12):
        ImageDraw.Draw(image).text((4, y), "quick brown fox jumps", fill="black")
    out = np.asarray(image).copy()
    with Image.open(EXAMPLES / "lake.png") as photo:
        out[20:84, 36:100] = np.asarray(photo.convert("RGB"))[300:364, 200:264]
    return out


def _wide_noise() -> np.ndarray:
    """16-bit gray that is best predicted."""
    return np.add.outer(np.arange(64) * 300, np.arange(66) * 200).astype(np.uint16) + np.random.default_rng(1).integers(
        0, 3_000, (64, 66), dtype=np.uint16
    )


def _letters() -> np.ndarray:
    """Text of which no line is like another."""
    rng = np.random.default_rng(2)
    image = Image.new("L", (300, 120), "white")
    for y in range(2, 110, 18):
        ImageDraw.Draw(image).text((4, y), "".join(rng.choice(list("abcdefg "), 34)), fill="black", font_size=14)
    return np.asarray(image)


@cache
def bases() -> list[Base]:
    """Pictures gray and in colour, with alpha and metadata, of both models, without loss; sounds, with tags."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    tagged = vqcodec.Sound(_tones(2, 2000), 24_000, {"TITLE": ["abuse"], "ARTIST": ["a", "b"]})
    made = {
        "gray": vqcodec.compress(scene(9, 13)[..., 0], quality=20),
        "colour": vqcodec.compress(scene(40, 56), quality=70),
        "rich": _rich_picture(),
        "noisy": vqcodec.compress(noise, quality=60),
        "exact": vqcodec.compress(scene(40, 56), lossless=True),
        "exact wide": vqcodec.compress(np.arange(2000, dtype=np.uint16).reshape(40, 50) ** 2, lossless=True),
        "predicted": vqcodec.compress(_wide_noise(), kind="image", lossless=True),
        "pieces": vqcodec.compress(_letters(), lossless=True),
        "layers": vqcodec.compress(_collage()),
        "tokens": vqcodec.compress(scene(70, 90), model="tokens"),
        "exact sound": vqcodec.compress(
            np.round(_tones(2, 900) * 2**15).astype(np.int16), sample_rate=8_000, lossless=True
        ),
        "mono": vqcodec.compress(_tones(1, 700)[:, 0], sample_rate=8_000, quality=50),
        "stereo": vqcodec.compress(tagged, quality=20),
    }
    made["table last"] = write_vqc(read_vqc(made["rich"]), table_last=True)
    return [Base(name, data, read_vqc(data), values_of(vqcodec.decompress(data))) for name, data in made.items()]
