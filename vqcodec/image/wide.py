"""16 bits per sample in and out, for which Pillow has no mode but that of gray.

Its decoders do the work all the same: a file is read twice, once for the high byte of every sample and once for the low
one, and written as one of twice the width, or with other pixels put into it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from vqcodec.bitstream.arrays import Samples
from vqcodec.image.samples import white_is_zero, wide_gray

__all__ = ["disguised", "has_wide_samples", "only_wide", "turned", "wide_samples"]

UInt16 = npt.NDArray[np.uint16]

_NATIVE, _OTHER = ("L", "B") if sys.byteorder == "little" else ("B", "L")
# Of a raw mode that gives the high bytes, the one that gives the low ones.
_LOW = {"16B": "16L", "16L": "16B", "16N": f"16{_OTHER}"}
_FIRST = {"16B": 1, "16L": 0}  # which byte of a sample comes first: the high one, the low one
_RGB = ("RGB", "RGBA", "RGBX")
_DISGUISED = ("LA;16B", "LA;16L")


def has_wide_samples(image: Image.Image) -> bool:
    """Whether an image, not yet loaded, has more than 8 bits per sample in its file."""
    tiles = getattr(image, "tile", ())
    return image.mode.startswith("I") or any(";16" in str(tile.args) or _ppm_range(tile) > 255 for tile in tiles)


def only_wide(image: Image.Image) -> bool:
    """Whether an image, not yet loaded, is one that Pillow cannot load by itself; see :func:`disguised`."""
    return any(_raw_mode(tile.args) in _DISGUISED for tile in getattr(image, "tile", ()) if image.format == "TIFF")


def disguised(image: Image.Image, first: str) -> None:
    """Say of a TIFF of gray and alpha that was opened by :func:`vqcodec.image.tiff.as_bytes` what its samples are."""
    tiles = image.tile  # type: ignore[attr-defined]  # of a file
    tiles[:] = [tile._replace(args=(f"LA;16{first}", *tile.args[1:])) for tile in tiles]


def _ppm_range(tile: ImageFile._Tile) -> int:
    """The greatest sample of a PPM file; 0 of others."""
    return int(tile.args[-1]) if tile.codec_name.startswith("ppm") and isinstance(tile.args, tuple) else 0


def wide_samples(image: Image.Image, content: bytes, again: Callable[[], Image.Image], name: str) -> UInt16 | None:
    """Samples uint16 [H, W, 1 to 4] of an image with 16 of its bits; None where only 8 of them are to be had.

    Args:
        image: as it was opened; it is loaded.
        content: of the file; empty where that is not known.
        again: opens the same file once more.
        name: of the file, for errors.

    Raises:
        InputError: samples beyond 16 bits.
    """
    tiles = list(getattr(image, "tile", ()))
    kinds = {_raw_mode(tile.args) for tile in tiles}
    if image.mode.startswith("I"):
        image.load()
        return wide_gray(image, name)
    if not content or len(kinds) != 1:
        return None
    if _ppm_range(tiles[0]):
        return _ppm_samples(image, tiles[0], content)
    (kind,) = kinds
    colours, _, bits = kind.partition(";")
    if colours == "LA" and bits in _FIRST:  # four bytes a pixel, whose filters are those of 8-bit RGBA
        four, high = np.asarray(_loaded(image, "RGBA")).astype(np.uint16), 1 - _FIRST[bits]
        two: UInt16 = (four[:, :, high::2] << 8 | four[:, :, 1 - high :: 2]).astype(np.uint16, copy=False)
        if white_is_zero(image):
            two[:, :, 0] = 65_535 - two[:, :, 0]
        return two
    if colours not in _RGB or bits not in _LOW:
        return None
    low = np.asarray(_loaded(again(), f"{colours};{_LOW[bits]}"))
    image.load()
    wide: UInt16 = np.asarray(image).astype(np.uint16) << 8 | low
    key = image.info.get("transparency")
    if isinstance(key, tuple) and wide.shape[2] == 3:
        alpha = np.where((wide == np.array(key)).all(axis=2), 0, 65_535)
        wide = np.dstack([wide, alpha]).astype(np.uint16)
    return wide


def _ppm_samples(image: Image.Image, tile: ImageFile._Tile, content: bytes) -> UInt16 | None:
    """Of a PPM file with colours; they are there as they are."""
    if tile.codec_name != "ppm" or image.mode != "RGB":
        return None
    image.load()
    count, top = image.width * image.height * 3, _ppm_range(tile)
    wide = np.frombuffer(content, ">u2", count, tile.offset).astype(np.uint32)
    return ((wide * 65_535 + top // 2) // top).astype(np.uint16).reshape(image.height, image.width, 3)


def _raw_mode(args: object) -> str:
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def _loaded(image: Image.Image, raw_mode: str) -> Image.Image:
    """The image, its samples unpacked in another way."""
    tiles = image.tile  # type: ignore[attr-defined]  # of a file
    for i, tile in enumerate(tiles):
        args = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
        tiles[i] = tile._replace(args=args)
    image.load()
    return image


def turned(samples: Samples, orientation: int) -> Samples:
    """Samples [H, W, C] upright, by the orientation that they have (TIFF 6.0, tag 274: 1 to 8)."""
    if orientation > 4:
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)
