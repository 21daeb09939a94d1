"""Pictures out: the format by the suffix of the name, with the metadata that it can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin

from vqcodec.errors import OutputError, UsageError
from vqcodec.image.metadata import exif_with_prefix
from vqcodec.sources import write_atomic

__all__ = ["SUFFIXES", "OutputFormat", "format_for", "save_picture", "write_picture"]


@dataclass(frozen=True)
class OutputFormat:
    """One way to store a picture: Pillow's name of it, what it can hold, and Pillow's options."""

    name: str
    alpha: bool
    metadata: bool
    options: dict[str, Any] = field(default_factory=dict)


_PNG = OutputFormat("PNG", alpha=True, metadata=True)
_TIFF = OutputFormat("TIFF", alpha=True, metadata=True, options={"compression": "tiff_adobe_deflate"})
# 4:4:4, because what JPEG would lose in colour has already been lost once.
_JPEG = OutputFormat("JPEG", alpha=False, metadata=True, options={"quality": 95, "subsampling": 0})
_WEBP = OutputFormat("WEBP", alpha=True, metadata=True, options={"lossless": True, "exact": True})
_PPM = OutputFormat("PPM", alpha=False, metadata=False)
SUFFIXES: dict[str, OutputFormat] = {
    ".bmp": OutputFormat("BMP", alpha=False, metadata=False),
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


def format_for(path: Path) -> OutputFormat:
    """The format that a name's suffix asks for.

    Raises:
        UsageError: we do not write such files; the message lists those that we do.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        what = f"the suffix {path.suffix}" if path.suffix else "a name without suffix"
        raise UsageError(f"{path}: cannot write {what}; use one of {' '.join(SUFFIXES)}") from None


def save_picture(image: Image.Image, path: Path, *, force: bool, parents: bool = False) -> list[str]:
    """Save a picture by the suffix of its name, whole or not at all.

    Args:
        image: L, LA, RGB or RGBA, metadata in ``.info``.
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


def write_picture(image: Image.Image, file: BinaryIO) -> None:
    """Write a picture as PNG, which keeps everything, to an open file."""
    _write(image, _PNG, [], "standard output", file)


def _write(image: Image.Image, target: OutputFormat, notes: list[str], name: str, file: BinaryIO) -> None:
    info: dict[str, Any] = {key: image.info[key] for key in ("icc_profile", "exif", "xmp") if key in image.info}
    if image.mode in ("LA", "RGBA") and not target.alpha:
        image = _on_white(image)
        notes.append(f"{target.name} keeps no transparency: the picture was laid on white")
    if info and not target.metadata:
        notes.append(f"{target.name} keeps no metadata: {', '.join(info)} dropped")
        info = {}
    options = {**target.options, **_metadata_options(target.name, info, notes)}
    if target.name == "TIFF" and "exif" in options:
        del options["compression"]  # Pillow writes EXIF's own directory only where libtiff is not asked to compress
    plain = image.copy()
    plain.info = {}  # what Pillow would pick up by itself differs from format to format
    try:
        plain.save(file, target.name, **options)
    except (ValueError, OverflowError, KeyError) as error:
        raise OutputError(f"{name}: cannot be stored as {target.name} ({error}); use .png") from error
    except OSError as error:
        if error.errno is None:  # the encoder's own refusal, such as too many pixels a side
            raise OutputError(f"{name}: cannot be stored as {target.name} ({error}); use .png") from error
        raise


def _on_white(image: Image.Image) -> Image.Image:
    plain = Image.new(image.mode.removesuffix("A"), image.size, "white")
    plain.paste(image.convert(plain.mode), mask=image.getchannel("A"))
    return plain


def _metadata_options(name: str, info: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Pillow's keyword arguments for the metadata; how XMP is handed over differs from format to format."""
    options = dict(info)
    if name == "JPEG":
        for key in ("exif", "xmp"):
            if len(options.get(key, b"")) > 65_502:  # one APP1 marker with the longer of the two names
                del options[key]
                notes.append(f"JPEG keeps at most 64 KiB of {key.upper()}: dropped")
    xmp = options.get("xmp")
    if name == "PNG" and xmp is not None:
        del options["xmp"]
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    if name == "TIFF" and (xmp is not None or "exif" in options):
        exif = Image.Exif()
        if "exif" in options:
            exif.load(exif_with_prefix(options["exif"]))
        if xmp is not None:
            del options["xmp"]
            exif[700] = xmp
        options["exif"] = exif
    return options
