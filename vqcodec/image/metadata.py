"""Metadata of pictures: colour profile, EXIF and XMP as plain bytes, and the orientation they may hold.

Everything is kept byte for byte as it was found, but for two things: the EXIF of a TIFF is gathered from its tags and
written anew, and an orientation that has been applied to the pixels is set to 1.
EXIF bytes here start with the TIFF header (``II*\\0`` or ``MM\\0*``), without JPEG's ``Exif\\0\\0`` in front.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from PIL import ExifTags, Image

__all__ = ["collect", "exif_body", "exif_with_prefix", "profile_space", "without_orientation"]

_EXIF_PREFIX = b"Exif\0\0"
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:\s*=\s*["\']|>)\s*)[2-8]')
# In a TIFF file the EXIF tags sit among those that describe the storage (strips, compression), which must not travel.
_TIFF_KEPT = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)


def collect(image: Image.Image) -> dict[str, bytes]:
    """The metadata of an opened picture under the keys ``icc``, ``exif`` and ``xmp``; absent or empty ones left out."""
    found = {"icc": image.info.get("icc_profile"), "exif": _exif(image), "xmp": image.info.get("xmp")}
    kept: dict[str, bytes] = {}
    for key, value in found.items():
        data = value.encode() if isinstance(value, str) else value
        if isinstance(data, bytes) and data:
            kept[key] = data
    return kept


def _exif(image: Image.Image) -> bytes | None:
    raw = image.info.get("exif")
    if isinstance(raw, bytes):
        return exif_body(raw)
    exif = image.getexif()
    if image.format == "TIFF":
        exif = _descriptive(exif)
    elif not isinstance(raw, Image.Exif) and "Raw profile type exif" not in image.info:
        return None
    return exif_body(exif.tobytes()) if len(exif) else None


def _descriptive(tiff: Image.Exif) -> Image.Exif:
    """Of a TIFF file's tags those that describe the picture rather than how it is stored."""
    kept = Image.Exif()
    for tag in _TIFF_KEPT:
        if tag in tiff:
            kept[tag] = tiff[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if directory in tiff and (entries := tiff.get_ifd(directory)):
            kept[directory] = dict(entries)
    return kept


def exif_body(data: bytes) -> bytes:
    """EXIF from its TIFF header on."""
    return data.removeprefix(_EXIF_PREFIX)


def exif_with_prefix(data: bytes) -> bytes:
    """EXIF as JPEG stores it and Pillow hands it around."""
    return data if data.startswith(_EXIF_PREFIX) else _EXIF_PREFIX + data


def profile_space(icc: bytes) -> str:
    """Colour space that an ICC profile describes: ``RGB``, ``GRAY``, ``CMYK`` ... (ICC.1, header bytes 16 to 19)."""
    return icc[16:20].decode("latin-1").strip()


def without_orientation(metadata: dict[str, bytes], note: Callable[[str], None]) -> dict[str, bytes]:
    """The same metadata with every orientation set to 1 ("as stored"); EXIF that cannot be patched is dropped."""
    kept = dict(metadata)
    if "exif" in kept:
        try:
            kept["exif"] = _reset_exif_orientation(kept["exif"])
        except (struct.error, KeyError):
            del kept["exif"]
            note("its EXIF is damaged and was dropped")
    if "xmp" in kept:
        kept["xmp"] = _XMP_ORIENTATION.sub(rb"\g<1>1", kept["xmp"])
    return kept


def _reset_exif_orientation(exif: bytes) -> bytes:
    """Patch the one value in place (EXIF 3.0, 4.6.2), because writing the directories anew would break maker notes."""
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    data = bytearray(exif)
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag == ExifTags.Base.Orientation:
            struct.pack_into(order + ("I" if kind == 4 else "HH"), data, entry + 8, *((1,) if kind == 4 else (1, 0)))
    return bytes(data)
