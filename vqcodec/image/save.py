"""Pictures out: the format by the suffix of the name, with the metadata that it can hold."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from vqcodec.errors import OutputError, UsageError
from vqcodec.image.exif import exif_body, exif_with_prefix
from vqcodec.image.icc import profile_fault, to_srgb
from vqcodec.image.loaded import Picture, at_depth, to_image, to_pil
from vqcodec.image.metadata import parse_exif
from vqcodec.image.wide_files import WIDE_FORMATS, wide_file
from vqcodec.sources import write_atomic

UInt16 = npt.NDArray[np.uint16]

__all__ = ["SUFFIXES", "OutputFormat", "format_for", "save_picture", "write_picture"]

# The longest that is written, because Pillow and other readers refuse more.
_MOST_PNG_PROFILE = 2**20
# Of JPEG: one APP1 marker with the longer of the two names; 255 APP2 markers of a profile.
_MOST_JPEG_APP1, _MOST_JPEG_PROFILE = 65_502, 255 * 65_519


@dataclass(frozen=True)
class OutputFormat:
    """One way to store a picture: Pillow's name of it, what it can hold, and Pillow's options.

    Attributes:
        resolution: whether it has a place for dots per inch beside EXIF.
    """

    name: str
    alpha: bool
    metadata: bool
    resolution: bool = False
    options: dict[str, Any] = field(default_factory=dict)


_PNG = OutputFormat("PNG", alpha=True, metadata=True, resolution=True)
_TIFF = OutputFormat("TIFF", alpha=True, metadata=True, resolution=True, options={"compression": "tiff_adobe_deflate"})
# 4:4:4, because what JPEG would lose in colour has already been lost once.
_JPEG = OutputFormat("JPEG", alpha=False, metadata=True, resolution=True, options={"quality": 95, "subsampling": 0})
_WEBP = OutputFormat("WEBP", alpha=True, metadata=True, options={"lossless": True, "exact": True})
_PPM = OutputFormat("PPM", alpha=False, metadata=False)
SUFFIXES: dict[str, OutputFormat] = {
    ".bmp": OutputFormat("BMP", alpha=False, metadata=False, resolution=True),
    ".jpeg": _JPEG,
    ".jpg": _JPEG,
    ".pgm": _PPM,
    ".png": _PNG,
    ".pnm": _PPM,
    ".ppm": _PPM,
    ".tga": OutputFormat("TGA", alpha=True, metadata=False),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": _WEBP,
}
if find_spec("PIL._avif"):
    # 4:4:4 for the same reason; AVIF's matrix of colours keeps it from being lossless in Pillow
    _AVIF_OPTIONS = {"quality": 95, "subsampling": "4:4:4"}
    SUFFIXES[".avif"] = OutputFormat("AVIF", alpha=True, metadata=True, options=_AVIF_OPTIONS)
if find_spec("pillow_jxl"):
    SUFFIXES[".jxl"] = OutputFormat("JXL", alpha=True, metadata=True, options={"lossless": True, "effort": 7})


def format_for(path: Path) -> OutputFormat:
    """The format that a name's suffix asks for.

    Raises:
        UsageError: we do not write such files; the message lists those that we do.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        what = f"the suffix {path.suffix}" if path.suffix else "a name without suffix"
        remedy = ", or pip install pillow-jxl-plugin" if path.suffix.lower() == ".jxl" else ""
        raise UsageError(f"{path}: cannot write {what}; use one of {' '.join(SUFFIXES)}{remedy}") from None


def save_picture(image: Image.Image | Picture, path: Path, *, force: bool, parents: bool = False) -> list[str]:
    """Save a picture by the suffix of its name, whole or not at all.

    Args:
        image: L, LA, RGB or RGBA, metadata in ``.info``; or samples, which may have 16 bits.
        path: where.
        force: whether an existing file may be replaced.
        parents: whether missing folders are made.

    Returns:
        What was lost, one sentence each.

    Raises:
        UsageError: unknown suffix.
        OutputError: the file exists and ``force`` is not set, or it cannot be written.
    """
    target = format_for(path)
    notes: list[str] = []
    write_atomic(path, partial(_write, image, target, notes, str(path)), force=force, parents=parents)
    return notes


def write_picture(image: Image.Image | Picture, file: BinaryIO) -> list[str]:
    """Write a picture as PNG, which keeps nearly everything, to an open file; what was lost, one sentence each."""
    notes: list[str] = []
    _write(image, _PNG, notes, "standard output", file)
    return notes


def _write(picture: Image.Image | Picture, target: OutputFormat, notes: list[str], name: str, file: BinaryIO) -> None:
    image, samples = (picture, None) if isinstance(picture, Image.Image) else _shell(picture, target, notes)
    info = _sound_info(image, notes)
    if image.mode in ("LA", "RGBA") and not target.alpha:
        image = _on_white(image)
        notes.append(f"{target.name} keeps no transparency: the picture was laid on white")
    image = _without_profile_that_does_not_fit(image, info, target, notes)
    if not target.metadata:
        info = _without_metadata(info, target, notes)
    options = {**target.options, **_metadata_options(target.name, info, notes)}
    if target.name == "TIFF" and "exif" in options:
        del options["compression"]  # Pillow writes EXIF's own directory only where libtiff is not asked to compress

    def encoded(of: Image.Image) -> bytes:
        plain = of.copy()
        plain.info = {}  # what Pillow would pick up by itself differs from format to format
        return _encoded(plain, target, options, notes)

    try:
        content = encoded(image) if samples is None else wide_file(target.name, samples, encoded)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's writers raise almost anything; mostly a size that a format cannot have
        raise OutputError(f"{name}: cannot be stored as {target.name} ({error}); use .png") from error
    file.write(content)


def _shell(picture: Picture, target: OutputFormat, notes: list[str]) -> tuple[Image.Image, UInt16 | None]:
    """A picture as an image; or where it has 16 bits that the format keeps, as one of a pixel with the metadata, and
    its samples [H, W, C]."""
    fits = len(picture.metadata.get("icc", b"")) <= _MOST_PNG_PROFILE
    if picture.deep and not (target.name in WIDE_FORMATS and fits):
        why = "keeps 8 bits per sample" if fits else "cannot hold its colour profile at 16 bits per sample"
        notes.append(f"{target.name} {why}: reduced from 16; .tiff keeps them")
    if not (picture.deep and target.name in WIDE_FORMATS and fits):
        return to_image(at_depth(picture, 8)), None
    alpha = None if picture.alpha is None else np.zeros((1, 1), np.uint8)
    image = to_pil(np.zeros((1, 1, picture.pixels.shape[2]), np.uint8), alpha, picture.metadata)
    if image.mode == "LA" and target.name == "TIFF":
        image = image.convert("RGBA")  # Pillow and others read no TIFF of gray and alpha at 16 bits
    colours = 3 if image.mode.startswith("RGB") else 1  # gray with a profile for colours becomes RGB
    planes = [np.broadcast_to(picture.pixels, (*picture.pixels.shape[:2], colours))]
    return image, np.dstack(planes if picture.alpha is None else [*planes, picture.alpha]).astype(np.uint16, copy=False)


def _encoded(image: Image.Image, target: OutputFormat, options: dict[str, Any], notes: list[str]) -> bytes:
    """The file; without the metadata where they are what it fails at."""
    if target.name == "JXL":
        import_module("pillow_jxl")  # which makes it known to Pillow
    buffer = io.BytesIO()
    try:
        image.save(buffer, target.name, **options)
    except MemoryError:
        raise
    except Exception:
        if options == target.options:
            raise
        buffer = io.BytesIO()
        image.save(buffer, target.name, **target.options)
        notes.append(f"{target.name} cannot hold these metadata: they were dropped")
    return buffer.getvalue()


def _sound_info(image: Image.Image, notes: list[str]) -> dict[str, Any]:
    """What is to be stored beside the pixels, by Pillow's names; what does not parse is dropped."""
    info: dict[str, Any] = {key: image.info[key] for key in ("icc_profile", "exif", "xmp", "dpi") if key in image.info}
    if "exif" in info and parse_exif(exif_body(info["exif"])) is None:
        del info["exif"]
        notes.append("its EXIF is damaged and was dropped")
    fault = profile_fault(info["icc_profile"], "RGB", "GRAY") if "icc_profile" in info else ""
    if fault:
        del info["icc_profile"]
        notes.append(fault)
    # PNG counts dots per metre in 32 bits, JPEG dots per inch in 16
    if "dpi" in info and not all(0.01 < value < 65_535 and math.isfinite(value) for value in info["dpi"]):
        del info["dpi"]
    return info


def _without_profile_that_does_not_fit(
    image: Image.Image, info: dict[str, Any], target: OutputFormat, notes: list[str]
) -> Image.Image:
    """The picture in sRGB, and no profile, where the format cannot hold it: then everybody reads it as sRGB."""
    icc = info.get("icc_profile")
    # the writer of JPEG XL takes none
    most = {"PNG": _MOST_PNG_PROFILE, "JPEG": _MOST_JPEG_PROFILE, "JXL": 0}.get(target.name, math.inf)
    if icc is None or (target.metadata and len(icc) <= most):
        return image
    del info["icc_profile"]
    samples = np.asarray(image)
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    colours = 1 if samples.shape[2] < 3 else 3
    converted = to_srgb(np.ascontiguousarray(samples[:, :, :colours]), icc)
    if converted is None:
        notes.append(f"{target.name} cannot hold its colour profile: dropped")
        return image
    notes.append(f"{target.name} cannot hold its colour profile: the colours were converted to sRGB")
    out = Image.fromarray(converted[:, :, 0] if colours == 1 else converted)
    if samples.shape[2] > colours:
        out.putalpha(image.getchannel("A"))
    return out


def _without_metadata(info: dict[str, Any], target: OutputFormat, notes: list[str]) -> dict[str, Any]:
    """What a format without metadata keeps of them: the resolution, where it has a place for it."""
    exif = parse_exif(exif_body(info["exif"])) if "exif" in info else None
    dropped: list[str] = [key for key in ("exif", "xmp") if key in info]
    if exif is not None and exif.only_resolution:
        dropped[0] = "resolution"
        if target.resolution:
            del dropped[0]
    if dropped:
        notes.append(f"{target.name} keeps no metadata: {', '.join(dropped)} dropped")
    return {"dpi": info["dpi"]} if target.resolution and "dpi" in info else {}


def _on_white(image: Image.Image) -> Image.Image:
    plain = Image.new(image.mode.removesuffix("A"), image.size, "white")
    plain.paste(image.convert(plain.mode), mask=image.getchannel("A"))
    return plain


def _metadata_options(name: str, info: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Pillow's keyword arguments for the metadata; how XMP is handed over differs from format to format."""
    options = dict(info)
    if name == "JPEG":
        for key in ("exif", "xmp"):
            if len(options.get(key, b"")) > _MOST_JPEG_APP1:
                del options[key]
                notes.append(f"JPEG keeps at most 64 KiB of {key.upper()}: dropped")
    xmp = options.get("xmp")
    if name == "PNG" and xmp is not None:
        del options["xmp"]
        try:
            text = xmp.decode()
        except UnicodeDecodeError:
            notes.append("its XMP is no UTF-8, as PNG wants it, and was dropped")
        else:
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", text)
    if name == "TIFF" and (xmp is not None or "exif" in options):
        options.pop("xmp", None)
        exif = _tiff_exif(options.pop("exif", None), xmp, notes)
        if exif is not None:
            options["exif"] = exif
    return options


def _tiff_exif(block: bytes | None, xmp: bytes | None, notes: list[str]) -> Image.Exif | None:
    """EXIF and XMP as tags of a TIFF file, which Pillow writes anew; EXIF that it cannot is dropped."""
    exif = Image.Exif()
    if block is not None:
        try:
            exif.load(exif_with_prefix(block))
            exif.tobytes()
        except Exception:  # it raises almost anything on values that do not fit their kind
            exif = Image.Exif()
            notes.append("its EXIF cannot be written to TIFF and was dropped")
    if xmp is not None:
        exif[700] = xmp
    return exif if len(exif) else None
