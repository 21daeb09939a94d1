"""ICC profiles: made from primaries and a curve, checked, and used to convert samples to sRGB (ICC.1:2022)."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["SRGB_CURVE", "make_profile", "power_curve", "profile_fault", "profile_space", "sampled_curve", "to_srgb"]

UInt8 = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# A profile whose samples differ from sRGB's by no more than this is sRGB under another name.
_SAME = 2


def profile_space(icc: bytes) -> str:
    """Colour space that an ICC profile describes: ``RGB``, ``GRAY``, ``CMYK`` ... (header bytes 16 to 19)."""
    return icc[16:20].decode("latin-1").strip()


def profile_fault(icc: bytes, *spaces: str) -> str:
    """Why a profile is dropped from samples of these colour spaces, as a sentence; nothing where it describes them."""
    damaged = "its colour profile is damaged and was dropped"
    space = profile_space(icc)
    if icc[36:40] != b"acsp":
        return damaged
    if space not in spaces:
        plain = space.isprintable() and space.isascii()
        return f"its {space} colour profile does not fit the samples and was dropped" if plain else damaged
    try:
        from PIL import ImageCms

        ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except ImportError:
        return ""  # a Pillow without LittleCMS cannot tell, and whoever shows the picture will
    except Exception:  # LittleCMS and its binding have several ways to say that it is none
        return damaged
    return ""


def _parametric(kind: int, *values: float) -> bytes:
    head = b"para" + bytes(4) + struct.pack(">HH", kind, 0)
    return head + np.round(np.array(values) * 65_536).astype(">i4").tobytes()


SRGB_CURVE = _parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""The curve of IEC 61966-2-1 as a tag."""


def power_curve(exponent: float) -> bytes:
    """The tag of a curve: light = value ^ exponent."""
    return _parametric(0, exponent)


def sampled_curve(light: Float64) -> bytes:
    """The tag of a curve through samples [N], 0 to 1, of evenly spaced encoded values."""
    return b"curv" + bytes(4) + struct.pack(">I", len(light)) + np.round(light * 65_535).astype(">u2").tobytes()


def make_profile(xy: Float64, curve: bytes, name: str, cicp: bytes = b"") -> bytes:
    """An RGB display profile.

    Args:
        xy: [4, 2] chromaticities of white, red, green and blue.
        curve: tag of the curve that all channels share.
        name: what it is called.
        cicp: four bytes of the tag of that name (ITU-T H.273), for those who know more than the curve.

    Raises:
        ValueError: these chromaticities span no colours.
    """
    white = _xyz(xy[:1])[0]
    primaries = _xyz(xy[1:]).T
    if abs(np.linalg.det(primaries)) < 1e-6:
        raise ValueError("primaries on one line")
    scaled = primaries * np.linalg.solve(primaries, white)
    cones = _BRADFORD @ white
    if not (cones > 0).all():
        raise ValueError("a white point that is no light")
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD
    columns = (adapt @ scaled).T
    if np.abs(columns).max() > 4:
        raise ValueError("colours beyond all measure")
    tags = {b"desc": _text(name), b"cprt": _text("no copyright, use freely"), b"wtpt": _numbers(b"XYZ ", _D50)}
    tags |= {b"chad": _numbers(b"sf32", adapt.ravel())}
    tags |= {key: _numbers(b"XYZ ", value) for key, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    if cicp:
        tags[b"cicp"] = b"cicp" + bytes(4) + cicp
    return _assemble(tags)


def _xyz(xy: Float64) -> Float64:
    """Tristimulus values [N, 3] of luminance 1 of chromaticities [N, 2]."""
    x, y = xy[:, 0], xy[:, 1]
    if not (y > 1e-6).all() or not np.isfinite(xy).all():
        raise ValueError("a chromaticity without light")
    out: Float64 = np.stack([x / y, np.ones_like(x), (1 - x - y) / y], axis=1)
    return out


def _numbers(kind: bytes, values: Float64) -> bytes:
    return kind + bytes(4) + np.round(values * 65_536).astype(">i4").tobytes()


def _text(text: str) -> bytes:
    body = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(body), 28) + body


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    """Header, table and bodies; equal bodies are stored once."""
    start = 128 + 4 + 12 * len(tags)
    bodies, table = b"", struct.pack(">I", len(tags))
    places: dict[bytes, int] = {}
    for key, value in tags.items():
        if value not in places:
            places[value] = start + len(bodies)
            bodies += value.ljust(-(-len(value) // 4) * 4, b"\0")
        table += struct.pack(">4sII", key, places[value], len(value))
    head = struct.pack(">I4sI4s4s4s", start + len(bodies), b"\0\0\0\0", 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(24)
    head += bytes(4) + np.round(_D50 * 65_536).astype(">i4").tobytes()
    return head.ljust(128, b"\0") + table + bodies


def to_srgb(pixels: UInt8, icc: bytes) -> UInt8 | None:
    """Samples [H, W, 1 or 3] that a profile describes, in sRGB; what sRGB cannot show is clipped.

    Returns:
        The samples, unchanged where the profile is sRGB itself; None where it cannot be used.
    """
    gray = pixels.shape[2] == 1
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        mode = "L" if profile_space(icc) == "GRAY" else "RGB"
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform: Any = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", renderingIntent=intent, flags=flags
        )
    except Exception:  # LittleCMS and its binding have several ways to refuse a profile
        return None
    if gray:  # the neutral axis stays neutral, so one table does
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
        table = np.asarray(transform.apply(ramp))[0, :, 1]
        return pixels if _close(table, np.arange(256)) else table[pixels]
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 17)] * 3), axis=-1).reshape(16, -1, 3).astype(np.uint8)
    if _close(np.asarray(transform.apply(Image.fromarray(cube))), cube):
        return pixels
    return np.asarray(transform.apply(Image.fromarray(pixels)))


def _close(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max()) <= _SAME
