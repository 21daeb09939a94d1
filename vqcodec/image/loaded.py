"""A picture in memory: upright gray or RGB samples of 8 or 16 bits, alpha apart; at another depth, and as Pillow's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import UsageError
from vqcodec.image.exif import exif_with_prefix
from vqcodec.image.icc import profile_space, to_srgb
from vqcodec.image.metadata import parse_exif
from vqcodec.image.samples import dithered, join_equal, reduce16, spread

__all__ = ["Picture", "at_depth", "for_pillow", "stripped", "to_image", "to_pil"]

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A picture ready for the codec.

    Attributes:
        pixels: uint8 or uint16 [H, W, 3], or [H, W, 1] where all channels are equal.
        alpha: [H, W] of the same type (0 is transparent), or None where every pixel is opaque.
        metadata: bytes under the keys ``icc``, ``exif``, ``xmp``; any orientation is already applied to the pixels.
        notes: what was lost on the way, one sentence each, for the user to read.
    """

    pixels: Samples
    alpha: Samples | None
    metadata: dict[str, bytes]
    notes: tuple[str, ...] = ()

    @property
    def deep(self) -> bool:
        """Whether the samples have 16 bits."""
        return self.pixels.dtype == np.uint16


def stripped(picture: Picture, *, exact: bool = False) -> Picture:
    """The picture without metadata, its colours in sRGB, as which everybody reads a picture that has no profile.

    Colours are converted at 8 bits.

    Args:
        exact: whether nothing was to be lost, so that it is said that something is.
    """
    icc = picture.metadata.get("icc")
    if icc is None:
        return replace(picture, metadata={})
    pixels, alpha, notes = picture.pixels, picture.alpha, list(picture.notes)
    if picture.deep:
        notes.append("16 bits per sample are reduced to 8, at which its colours are converted to sRGB")
        pixels, alpha = reduce16(pixels), None if alpha is None else reduce16(alpha)
    converted = to_srgb(pixels.astype(np.uint8, copy=False), icc)
    if converted is None:
        notes.append("its colour profile cannot be used for a conversion; its colours are taken as sRGB")
        return replace(picture, metadata={}, notes=tuple(notes))
    if exact and not np.array_equal(converted, np.broadcast_to(pixels, converted.shape)):
        notes.append("its colours are converted to sRGB, which is not without loss; leave out strip to keep them")
    return Picture(join_equal(converted), alpha, {}, tuple(notes))


def at_depth(picture: Picture, depth: int | None) -> Picture:
    """The picture with 8 or 16 bits per sample; None: as it is."""
    if depth in (None, 16 if picture.deep else 8):
        return picture
    pixels, alpha = picture.pixels, picture.alpha
    change = dithered if picture.deep else spread
    return replace(picture, pixels=change(pixels), alpha=None if alpha is None else change(alpha[:, :, None])[:, :, 0])


def for_pillow(picture: Picture) -> tuple[Picture, list[str]]:
    """The picture at a depth that Pillow has an image for, and what is lost by that."""
    if not picture.deep or (picture.alpha is None and picture.pixels.shape[2] == 1):
        return picture, []
    note = "16 bits per sample are reduced to 8: Pillow has no such image; vqcodec.decompress_samples keeps them"
    return at_depth(picture, 8), [note]


def to_image(picture: Picture) -> Image.Image:
    """A decoded picture as a Pillow image.

    Raises:
        UsageError: Pillow has none of these: 16 bits with colours or alpha.
    """
    if not picture.deep:
        alpha = None if picture.alpha is None else picture.alpha.astype(np.uint8, copy=False)
        return to_pil(picture.pixels.astype(np.uint8, copy=False), alpha, picture.metadata)
    if picture.alpha is not None or picture.pixels.shape[2] > 1:
        raise UsageError(
            "Pillow has no image of 16 bits per sample but gray; give depth=8, or take vqcodec.decompress_samples"
        )
    image = Image.fromarray(picture.pixels[:, :, 0])
    image.info = to_pil(np.zeros((1, 1, 1), np.uint8), None, picture.metadata).info
    return image


def to_pil(pixels: UInt8, alpha: UInt8 | None, metadata: dict[str, bytes]) -> Image.Image:
    """Join decoded parts to a Pillow image, the metadata in ``.info`` as Pillow itself would leave it.

    Args:
        pixels: uint8 [H, W, 3] or [H, W, 1].
        alpha: uint8 [H, W] or None.
        metadata: bytes under ``icc``, ``exif``, ``xmp``.
    """
    icc = metadata.get("icc")
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if image.mode == "L" and icc is not None and profile_space(icc) != "GRAY":
        image = image.convert("RGB")  # the profile that came with the picture is for three channels
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    if icc is not None:
        image.info["icc_profile"] = icc
    if "exif" in metadata:
        image.info["exif"] = exif_with_prefix(metadata["exif"])
        exif = parse_exif(metadata["exif"])
        if exif is not None and exif.resolution is not None:
            image.info["dpi"] = exif.resolution
    if "xmp" in metadata:
        image.info["xmp"] = metadata["xmp"]
    return image
