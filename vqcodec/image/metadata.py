"""Metadata of pictures: colour profile, EXIF and XMP as plain bytes, and what of them decides how a picture is shown.

Everything is kept byte for byte as it was found, except: an orientation that has been applied to the pixels is set to
1, a resolution that a file keeps elsewhere goes into EXIF, and of a TIFF file's tags those that describe the picture
make up its EXIF. EXIF bytes here start with the TIFF header (``II*\\0`` or ``MM\\0*``). What does not parse, or
announces what is not kept, is dropped with a note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, SupportsFloat, cast

from PIL import ExifTags, Image

from vqcodec.image.exif import Exif, exif_body, with_resolution, without_orientation

if TYPE_CHECKING:
    Note = Callable[[str], None]

__all__ = ["Given", "collect", "keep_resolution", "parse_exif", "take_orientation"]

Given = Mapping[str, object]
"""Metadata that a caller hands over, by Pillow's names: ``icc_profile``, ``exif``, ``xmp``; empty: left out."""

MOST = 16 * 2**20
"""Bytes of all metadata together: what a reader accepts by default (SPEC.md, Section)."""

_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:\s*=\s*["\']|>)\s*)([2-8])')
# Names in XMP that point at what lies behind the first picture of a file, or in another part of it: gain maps, depth,
# motion, and the rest of XMP itself.
_ELSEWHERE = (
    (b"ns.adobe.com/hdr-gain-map/", "a gain map"),
    (b"ns.apple.com/HDRGainMap/", "a gain map"),
    (b"ns.google.com/photos/1.0/container/", "further pictures"),
    (b"ns.google.com/photos/1.0/depthmap/", "a depth map"),
    (b"ns.google.com/photos/1.0/image/", "a further picture"),
    (b":MotionPhoto", "a motion photo"),
    (b":MicroVideo", "a motion photo"),
    (b":HasExtendedXMP", "a second part of itself"),
)
# In a TIFF file the EXIF tags sit among those that describe the storage (strips, compression), which must not travel.
_TIFF_KEPT = (
    ExifTags.Base.DocumentName,
    ExifTags.Base.PageName,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.RatingPercent,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.WhitePoint,
    ExifTags.Base.PrimaryChromaticities,
)
_IPTC_RESOURCE, _IPTC_TAG = 0x0404, 0x83BB  # Photoshop's number of it in JPEG, and TIFF's
# Dots per inch of files that state none, by format: what Pillow reports, or writes (in BMP rounded, per metre).
_UNSTATED = {"JPEG": 72, "MPO": 72, "BMP": 96, "TIFF": 1}


def collect(image: Image.Image, given: Given, note: Note) -> dict[str, bytes]:
    """The metadata of an opened and loaded picture under the keys ``icc``, ``exif`` and ``xmp``, as far as it is sound.

    Args:
        given: what replaces the image's own.
        note: told what is dropped.
    """
    found: dict[str, object] = {
        "icc": given.get("icc_profile", image.info.get("icc_profile")),
        "xmp": given.get("xmp", image.info.get("xmp")),
    }
    if found["icc"] is None and "icc_profile" in image.info and "icc_profile" not in given:
        note("its colour profile is damaged and was dropped")  # Pillow leaves the name without a value
    try:
        found["exif"] = _exif(image, given)
    except Exception:  # Pillow's writer of EXIF raises almost anything on what its reader let pass
        note("its EXIF is damaged and was dropped")
    kept: dict[str, bytes] = {}
    for key, value in found.items():
        data = value.encode() if isinstance(value, str) else value
        if isinstance(data, (bytes, bytearray, memoryview)) and len(data):
            kept[key] = bytes(data)
    if _has_iptc(image):
        note("its IPTC data are not kept; XMP would be")
    if "exif" in kept and parse_exif(kept["exif"]) is None:
        del kept["exif"]
        note("its EXIF is damaged and was dropped")
    announced = sorted({what for name, what in _ELSEWHERE if name in kept.get("xmp", b"")})
    if announced:
        del kept["xmp"]
        note(f"its XMP announces {' and '.join(announced)}, which cannot be kept, and was dropped with it")
    while sum(map(len, kept.values())) > MOST:
        largest = max(kept, key=lambda key: len(kept[key]))
        note(f"its {largest.upper()} of {len(kept.pop(largest)):,} bytes is over the limit of {MOST:,} and was dropped")
    return kept


def _has_iptc(image: Image.Image) -> bool:
    """Whether a JPEG or TIFF file holds words on the picture in IPTC's own form (IIM), which .vqc has no place for."""
    photoshop = image.info.get("photoshop")
    if isinstance(photoshop, dict) and photoshop.get(_IPTC_RESOURCE):
        return True
    return bool(getattr(image, "tag_v2", {}).get(_IPTC_TAG))


def parse_exif(data: bytes | None) -> Exif | None:
    """What a block says, or None where there is none or it does not parse."""
    try:
        return Exif.parse(data) if data else None
    except ValueError:
        return None


def _exif(image: Image.Image, given: Given) -> bytes | None:
    raw = given["exif"] if "exif" in given else image.info.get("exif")
    if isinstance(raw, Image.Exif):
        return exif_body(raw.tobytes()) if len(raw) else None
    if isinstance(raw, (bytes, bytearray, memoryview)):
        return exif_body(bytes(raw))
    if "exif" in given:
        return None
    if image.format == "TIFF" and hasattr(image, "tag_v2"):
        exif = _descriptive(image.getexif())
        return exif_body(exif.tobytes()) if len(exif) else None
    if text := image.info.get("Raw profile type exif"):  # ImageMagick's way before PNG had a chunk for it
        return exif_body(bytes.fromhex("".join(text.split("\n")[3:])))
    return None


def _descriptive(tiff: Image.Exif) -> Image.Exif:
    """Of a TIFF file's tags those that describe the picture rather than how it is stored."""
    kept = Image.Exif()
    for tag in _TIFF_KEPT:
        if tag in tiff:
            kept[tag] = tiff[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if directory in tiff and (entries := dict(tiff.get_ifd(directory))):
            inner = entries.pop(ExifTags.IFD.Interop, None)  # the offset of a directory in the TIFF file
            if inner is not None and (own := dict(tiff.get_ifd(ExifTags.IFD.Interop))):
                entries[ExifTags.IFD.Interop] = own
            kept[directory] = entries
    return kept


def take_orientation(metadata: dict[str, bytes]) -> int:
    """The orientation that EXIF states, or else XMP, 1 to 8; both are set to 1 ("as stored") in place."""
    exif = parse_exif(metadata.get("exif"))
    stated = exif.orientation if exif is not None else None
    if exif is not None:
        metadata["exif"] = without_orientation(metadata["exif"])
    if "xmp" in metadata:
        match = _XMP_ORIENTATION.search(metadata["xmp"])
        if stated is None and match:
            stated = int(match[2])
        metadata["xmp"] = _XMP_ORIENTATION.sub(rb"\g<1>1", metadata["xmp"])
    return stated or 1


def keep_resolution(metadata: dict[str, bytes], image: Image.Image, *, turned: bool) -> None:
    """Put the resolution that a file states outside EXIF into its EXIF, which states none.

    Args:
        turned: whether the picture was turned on its side since it was read.
    """
    exif = parse_exif(metadata.get("exif"))
    stated = image.info.get("dpi")
    if (exif is not None and exif.resolution) or not isinstance(stated, tuple) or len(stated) != 2:
        return
    try:
        x, y = (float(cast("SupportsFloat", value)) for value in (stated[::-1] if turned else stated))
    except (TypeError, ValueError, ZeroDivisionError):
        return
    if x == y and image.format in _UNSTATED and abs(x - _UNSTATED[image.format]) < 0.02:
        return
    block = with_resolution(metadata.get("exif"), (x, y))
    if block is not None:
        metadata["exif"] = block
