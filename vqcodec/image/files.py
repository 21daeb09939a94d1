"""Pictures in: whatever Pillow opens, or an array, as upright 8-bit gray or RGB samples with alpha split off."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vqcodec.errors import InputError, LimitError, UsageError, VqcError
from vqcodec.image.metadata import collect, exif_with_prefix, profile_space, without_orientation

__all__ = ["INPUT_SUFFIXES", "MAX_PIXELS", "MAX_SIDE", "Picture", "Source", "load_picture", "to_pil"]

MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535
# What is taken from a folder; a file named by itself may have any suffix that Pillow knows.
INPUT_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".jxl", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
_SIGNATURE = b"\x89VQC"

# Pillow's limit on pixels and Python's warning filters are state of the whole process, so only one picture at a time.
_LOCK = threading.Lock()

UInt8 = npt.NDArray[np.uint8]
Source = Image.Image | npt.NDArray[Any] | str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class Picture:
    """A picture ready for the codec.

    Attributes:
        pixels: uint8 [H, W, 3], or [H, W, 1] where all channels are equal.
        alpha: uint8 [H, W] (0 is transparent), or None where every pixel is opaque.
        metadata: bytes under the keys ``icc``, ``exif``, ``xmp``; any orientation is already applied to the pixels.
        notes: what was lost on the way, one sentence each, for the user to read.
    """

    pixels: UInt8
    alpha: UInt8 | None
    metadata: dict[str, bytes]
    notes: tuple[str, ...] = ()


def load_picture(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture.

    Args:
        source: a path, the bytes of a picture file, a Pillow image, or an array: uint8 or uint16 [H, W] or
            [H, W, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha).
        max_pixels: larger pictures are refused before their pixels are allocated.

    Raises:
        InputError: there is no such file, or it is not a picture that can be read.
        LimitError: the picture is larger than ``max_pixels`` or 65,535 a side.
        UsageError: an array of another shape or type.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        with _pillow_limit(max_pixels), _reading("the image"):
            return _from_pil(source, "the image", max_pixels)
    name = "the input" if isinstance(source, bytes) else os.fspath(source)
    with _pillow_limit(max_pixels), _reading(name), _open(source) as file:
        if file.read(len(_SIGNATURE)) == _SIGNATURE:
            raise InputError(f"{name}: is a .vqc file already; decompress it instead")
        file.seek(0)
        with Image.open(file) as image:
            return _from_pil(image, name, max_pixels)


def _open(source: str | os.PathLike[str] | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


@contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Our limit instead of Pillow's, as an error instead of a warning, and Pillow's other warnings silenced."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Everything that reading a picture file can raise, as one error of our tree that names the file."""
    try:
        yield
    except (VqcError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(f"{name}: more pixels than allowed; raise the limit by --max-pixels (max_pixels)") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder; name a picture file") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read; check its permissions") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name}: not a picture that can be read; convert it to PNG, JPEG, WebP or TIFF first"
        ) from error
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: cannot be read as a picture ({detail}); is the file whole?") from error


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{name}: the picture has no pixels ({width}x{height})")
    if max(width, height) > MAX_SIDE:
        raise LimitError(f"{name}: {width}x{height} is more than {MAX_SIDE:,} pixels a side; scale it down or cut it")
    if width * height > max_pixels:
        raise LimitError(
            f"{name}: {width}x{height} is more than {max_pixels:,} pixels; raise the limit by --max-pixels (max_pixels)"
        )


def _from_pil(image: Image.Image, name: str, max_pixels: int) -> Picture:
    _check_size(*image.size, name, max_pixels)
    notes: list[str] = []
    # A JPEG of a phone often carries a preview or gain map as a second frame: nothing that anybody would miss.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append(f"only one of its {getattr(image, 'n_frames', 1)} frames is kept")
    if any(";16" in str(tile.args) for tile in getattr(image, "tile", ())) or image.mode.startswith("I"):
        notes.append("16 bits per sample are reduced to 8")
    image.load()
    _check_size(*image.size, name, max_pixels)  # a few formats learn their size while loading
    metadata = collect(image)
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
        metadata = without_orientation(metadata, notes.append)
    samples = _eight_bit(image, name, metadata, notes)
    pixels, alpha = _split(samples)
    _drop_foreign_profile(metadata, gray=pixels.shape[2] == 1, notes=notes)
    return Picture(pixels, alpha, metadata, tuple(notes))


def _eight_bit(image: Image.Image, name: str, metadata: dict[str, bytes], notes: list[str]) -> UInt8:
    """Samples of any of Pillow's modes as uint8 [H, W, 1 to 4]."""
    if image.mode.startswith("I"):
        return _from_wide(image, name)
    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} is converted to RGB")
        return _channels(_convert_by_profile(image, metadata.pop("icc", None)))
    if image.mode == "F":
        raise InputError(f"{name}: holds floating-point samples of unknown range; convert it to 8 bits first")
    if image.has_transparency_data:
        return _channels(image.convert("LA" if image.mode in ("La", "LA") else "RGBA"))
    return _channels(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _channels(image: Image.Image) -> UInt8:
    samples = np.asarray(image, dtype=np.uint8)
    return samples[:, :, None] if samples.ndim == 2 else samples


def _from_wide(image: Image.Image, name: str) -> UInt8:
    """16-bit gray (Pillow's modes I;16 and I) as gray, with alpha where one value is declared transparent."""
    wide = np.asarray(image).astype(np.int64)
    if wide.min() < 0 or wide.max() > 65_535:
        raise InputError(f"{name}: holds samples beyond 16 bits; convert it to 8 bits first")
    gray = _reduce16(wide)[:, :, None]
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return gray
    return np.concatenate([gray, np.where(wide == transparent, 0, 255).astype(np.uint8)[:, :, None]], axis=2)


def _reduce16(samples: npt.NDArray[Any]) -> UInt8:
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _convert_by_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK or LAB to sRGB, through the picture's own profile where it has one."""
    from PIL import ImageCms

    source: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
    if icc and profile_space(icc) == image.mode:
        source = io.BytesIO(icc)
    if source is None:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError:
        return image.convert("RGB")
    assert converted is not None
    return converted


def _split(samples: UInt8) -> tuple[UInt8, UInt8 | None]:
    """Samples [H, W, 1 to 4] as pixels [H, W, 1 or 3] and alpha; equal channels become gray, full opacity vanishes."""
    colours = 1 if samples.shape[2] < 3 else 3
    pixels, rest = samples[:, :, :colours], samples[:, :, colours:]
    if colours == 3 and all(np.array_equal(pixels[:, :, 0], pixels[:, :, c]) for c in (1, 2)):
        pixels = pixels[:, :, :1]
    alpha = np.ascontiguousarray(rest[:, :, 0]) if rest.shape[2] and rest.min() < 255 else None
    return np.ascontiguousarray(pixels), alpha


def _drop_foreign_profile(metadata: dict[str, bytes], *, gray: bool, notes: list[str]) -> None:
    """Keep a profile only where it describes these samples (a gray picture may have been RGB with an RGB profile)."""
    icc = metadata.get("icc")
    if icc is not None and profile_space(icc) not in (("RGB", "GRAY") if gray else ("RGB",)):
        del metadata["icc"]
        notes.append(f"its {profile_space(icc) or 'damaged'} colour profile does not fit the samples and was dropped")


def _from_array(array: npt.NDArray[Any], max_pixels: int) -> Picture:
    samples = array[:, :, None] if array.ndim == 2 else array
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4:
        raise UsageError(f"the array has shape {array.shape}; give [H, W] or [H, W, 1 to 4]")
    if samples.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"the array has type {array.dtype}; give uint8 samples (for sound, give sample_rate)")
    _check_size(samples.shape[1], samples.shape[0], "the array", max_pixels)
    wide = samples.dtype == np.uint16
    pixels, alpha = _split(_reduce16(samples) if wide else samples)
    return Picture(pixels, alpha, {}, ("16 bits per sample are reduced to 8",) if wide else ())


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
    if "xmp" in metadata:
        image.info["xmp"] = metadata["xmp"]
    return image
