"""Samples of any of Pillow's modes as bytes: gray or RGB, with alpha apart."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import InputError
from vqcodec.image.fill import fill_invisible
from vqcodec.image.icc import profile_space
from vqcodec.image.tiff import PHOTOMETRIC

__all__ = ["dithered", "eight_bit", "join_equal", "reduce16", "split_alpha", "spread", "white_is_zero", "wide_gray"]

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]


def eight_bit(image: Image.Image, name: str, depth: int, metadata: dict[str, bytes], notes: list[str]) -> UInt8:
    """Samples of any of Pillow's modes as uint8 [H, W, 1 to 4].

    Args:
        name: of the file, for errors.
        depth: bits per sample in a PNG file, in which a transparent colour is stated; 0 where that is not known.
        metadata: a profile that only served the conversion is taken out.
        notes: what is lost is appended.

    Raises:
        InputError: samples without a known range.
    """
    if image.mode.startswith("I"):
        return reduce16(wide_gray(image, name))
    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} is converted to RGB")
        return _channels(_convert_by_profile(image, metadata.pop("icc", None)))
    if image.mode == "F":
        raise InputError(f"{name}: holds floating-point samples of unknown range; convert it to 8 bits first")
    key = image.info.get("transparency")
    if isinstance(key, int) and image.mode in ("1", "L"):
        gray = _channels(image.convert("L"))
        return _with_key(gray, np.array([_eight_bit_gray(key, gray, 8 if image.mode == "1" else depth)]))
    if isinstance(key, tuple) and image.mode == "RGB":
        return _with_key(_channels(image), np.array(key) >> 8 if depth == 16 else np.array(key) & 255)
    if not image.has_transparency_data:
        return _channels(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    samples = _channels(image.convert("LA" if image.mode in ("La", "LA") else "RGBA"))
    if white_is_zero(image) and samples.shape[2] == 2:
        samples = np.dstack([255 - samples[:, :, 0], samples[:, :, 1]])
    return samples


def _channels(image: Image.Image) -> UInt8:
    samples = np.asarray(image, dtype=np.uint8)
    return samples[:, :, None] if samples.ndim == 2 else samples


def _eight_bit_gray(key: int, gray: UInt8, depth: int) -> int:
    """A transparent gray as Pillow leaves it, in the file's bits, as one of the samples, which were spread to 8 bits.

    An image that was loaded before it came here no longer knows its depth. Then it is the greatest at which any of
    these samples is transparent, which no writer would declare for nothing.
    """
    for bits in (depth,) if depth in (2, 4, 8) else (8, 4, 2):
        step = 255 // (2**bits - 1)
        value: int = (key & (2**bits - 1)) * step
        if depth or (key < 2**bits and (gray == value).any() and not (gray % step).any()):
            return value
    return key


def _with_key(samples: UInt8, key: npt.NDArray[np.int64]) -> UInt8:
    """Samples [H, W, C] with alpha: 0 where they equal the key [C]."""
    alpha = np.where((samples == key).all(axis=2), 0, 255).astype(np.uint8)
    return np.dstack([samples, alpha])


def white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF's samples rise from white."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(PHOTOMETRIC) == 0


def wide_gray(image: Image.Image, name: str) -> UInt16:
    """16-bit gray (Pillow's modes I;16 and I) [H, W, 1], with alpha [H, W, 2] where one value is declared transparent.

    Raises:
        InputError: samples beyond 16 bits.
    """
    wide = np.asarray(image).astype(np.int64)
    if wide.min() < 0 or wide.max() > 65_535:
        raise InputError(f"{name}: holds samples beyond 16 bits; convert it to 8 bits first")
    if white_is_zero(image):
        wide = 65_535 - wide
    transparent = image.info.get("transparency")
    planes = [wide] if not isinstance(transparent, int) else [wide, np.where(wide == transparent, 0, 65_535)]
    return np.dstack(planes).astype(np.uint16)


def reduce16(samples: npt.NDArray[Any]) -> UInt8:
    """16-bit samples as the nearest of 8 bits."""
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def spread(samples: Samples) -> UInt16:
    """8-bit samples as 16-bit ones of the same brightness."""
    return (samples * np.uint16(257)).astype(np.uint16, copy=False)


def dithered(samples: Samples) -> UInt8:
    """16-bit samples [H, W, C] with 8 bits: rounded up at as many places as the brightness in between asks for.

    So gradients stay free of bands, and what 8 bits can say stays what it is. The places are those of Bayer's ordered
    dither (1973), on 8 x 8 pixels.
    """
    height, width = samples.shape[:2]
    tile = np.zeros((1, 1), np.int64)
    for _ in range(3):
        tile = np.block([[4 * tile, 4 * tile + 2], [4 * tile + 3, 4 * tile + 1]])
    out = np.empty(samples.shape, np.uint8)
    for top in range(0, height, 8):
        rows = samples[top : top + 8]
        places = np.tile(tile, (1, -(-width // 8)))[: len(rows), :width, None]
        out[top : top + 8] = (rows + (places * 257 + 128) // 64) // 257
    return out


def _convert_by_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK or LAB to sRGB, through the picture's own profile where it has one."""
    from PIL import ImageCms

    source: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
    if icc and profile_space(icc).upper() == image.mode:
        source = io.BytesIO(icc)
    if source is None:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    assert converted is not None
    return converted


def split_alpha(samples: Samples, *, fill: bool = True) -> tuple[Samples, Samples | None]:
    """Samples [H, W, 1 to 4] as pixels [H, W, 1 or 3] and alpha [H, W], where not all is opaque.

    Args:
        fill: whether colours of invisible pixels are filled in from those around.
    """
    colours = 1 if samples.shape[2] < 3 else 3
    pixels, rest = np.ascontiguousarray(samples[:, :, :colours]), samples[:, :, colours:]
    if not rest.shape[2] or rest.min() == np.iinfo(samples.dtype).max:
        return pixels, None
    alpha = np.ascontiguousarray(rest[:, :, 0])
    return np.ascontiguousarray(fill_invisible(pixels, alpha)) if fill else pixels, alpha


def join_equal(pixels: Samples) -> Samples:
    """Pixels [H, W, 1 or 3] as [H, W, 1] where all channels are equal."""
    if pixels.shape[2] == 3 and all(np.array_equal(pixels[:, :, 0], pixels[:, :, c]) for c in (1, 2)):
        return np.ascontiguousarray(pixels[:, :, :1])
    return pixels
