"""The image codecs that the benchmark compares: how each is asked for a quality, and how it is called.

Sizes are those of whole files. Every classical encoder runs on one thread, so that sizes do not depend on the
machine (libavif chooses its tiles by the number of threads).
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from vqcodec.errors import UsageError
from vqcodec.options import Tune

__all__ = [
    "ANCHOR",
    "MODERN",
    "OURS",
    "Codec",
    "available_codecs",
    "decode",
    "encode",
    "encoder_version",
    "select_codecs",
]

Pixels = NDArray[np.uint8]
Option = str | int | bool

OURS = "vqcodec"
ANCHOR = "jpeg-420"
MODERN = "avif-420"
"""The second anchor, where it can be made: what a new codec has to beat."""


@dataclass(frozen=True)
class Codec:
    """One codec with one set of encoder options.

    Attributes:
        name: short name for the command line and for file names.
        label: what tables and plots print.
        qualities: the encoder's quality settings to measure, in rising order.
        format: Pillow's name of the file format; empty for our own codec, which is called directly.
        options: encoder options apart from the quality; for our own, also those of the decoder.
        suffix: file name suffix, with the dot.
        browser: every current browser shows the file as it is.
    """

    name: str
    label: str
    qualities: tuple[float, ...]
    format: str = ""
    options: tuple[tuple[str, Option], ...] = ()
    suffix: str = ".vqc"
    browser: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is this project's, whose results are never cached."""
        return not self.format


# Settings chosen to cover 0.08 to 3 bits per pixel on photographs, evenly in log rate, as far as each codec reaches.
_JPEG = (4, 6, 8, 11, 15, 20, 27, 35, 45, 55, 65, 75, 82, 88, 92, 95)
_WEBP = (0, 2, 5, 10, 18, 28, 40, 52, 64, 75, 83, 90, 95)
_AVIF = (8, 14, 20, 26, 32, 38, 44, 50, 56, 62, 68, 74, 80, 86, 91)
_JXL = (5, 10, 15, 20, 26, 33, 41, 50, 60, 68, 76, 83, 88, 92, 95)
_OURS = (1, 7, 14, 21, 28, 35, 42, 49, 56, 63, 70, 77, 84, 91, 98)


def _jpeg(name: str, label: str, **options: Option) -> Codec:
    return Codec(name, label, _JPEG, "JPEG", tuple(options.items()), ".jpg", browser=True)


def _avif(name: str, subsampling: str) -> Codec:
    options = (("speed", 6), ("subsampling", subsampling), ("max_threads", 1), ("autotiling", False))
    return Codec(name, f"AVIF {subsampling}, speed 6", _AVIF, "AVIF", options, ".avif", browser=True)


def available_codecs() -> list[Codec]:
    """Every codec that this installation can run, ours first, the anchor second."""
    codecs = [
        Codec(OURS, "vqcodec", _OURS),
        Codec("vqcodec-psnr", "vqcodec, tune psnr, faithful", _OURS, options=(("tune", "psnr"), ("faithful", True))),
        _jpeg(ANCHOR, "JPEG 4:2:0, optimised progressive", subsampling="4:2:0", optimize=True, progressive=True),
        _jpeg("jpeg-444", "JPEG 4:4:4, optimised progressive", subsampling="4:4:4", optimize=True, progressive=True),
        _jpeg("jpeg", "JPEG, Pillow's defaults"),
    ]
    if features.check("webp"):
        codecs.append(Codec("webp", "WebP, method 6", _WEBP, "WEBP", (("method", 6),), ".webp", browser=True))
    if features.check("avif"):
        codecs += [_avif("avif-420", "4:2:0"), _avif("avif-444", "4:4:4")]
    if importlib.util.find_spec("pillow_jxl") is not None:
        codecs.append(Codec("jxl", "JPEG XL, effort 7", _JXL, "JXL", (("effort", 7), ("num_threads", 1)), ".jxl"))
    return codecs


def select_codecs(names: Sequence[str], qualities: Sequence[float] = ()) -> list[Codec]:
    """The codecs of these names (all that are available if there is none), ours at ``qualities`` if given.

    Raises:
        UsageError: a name that is unknown or whose plugin is not installed.
    """
    known = {codec.name: codec for codec in available_codecs()}
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"no codec named {', '.join(missing)} here; choose from {', '.join(known)}")
    # The anchor is always measured: every delta rate refers to it.
    chosen = [known[name] for name in known if name in (*names, ANCHOR) or not names]
    own = tuple(sorted(set(qualities)))
    return [replace(codec, qualities=own) if codec.ours and own else codec for codec in chosen]


def encode(codec: Codec, picture: Image.Image, quality: float) -> bytes:
    """The whole file that ``codec`` makes of an RGB picture."""
    if codec.ours:
        import vqcodec

        tune: Tune = "psnr" if ("tune", "psnr") in codec.options else "visual"
        return vqcodec.compress(picture, quality=quality, tune=tune)
    _register(codec.format)
    buffer = io.BytesIO()
    picture.save(buffer, format=codec.format, quality=int(quality), **dict(codec.options))
    return buffer.getvalue()


def decode(codec: Codec, data: bytes) -> Pixels:
    """The picture in a file that ``encode`` made, uint8 [H, W, 3]."""
    if codec.ours:
        import vqcodec

        faithful = ("faithful", True) in codec.options
        return np.asarray(vqcodec.decompress(data, kind="image", faithful=faithful).convert("RGB"))
    _register(codec.format)
    with Image.open(io.BytesIO(data), formats=[codec.format]) as picture:
        return np.asarray(picture.convert("RGB"))


@cache
def _register(name: str) -> None:
    """Load the plugin of a format that Pillow does not hold itself."""
    if name == "JXL":
        importlib.import_module("pillow_jxl")


def encoder_version(codec: Codec) -> str:
    """Name and version of the library behind a codec: another version may make other files."""
    if codec.ours:
        return f"vqcodec {version('vqcodec')}"
    if codec.format == "JXL":
        return f"pillow-jxl-plugin {version('pillow-jxl-plugin')}"
    feature = {"JPEG": "libjpeg_turbo", "WEBP": "webp", "AVIF": "avif"}[codec.format]
    return f"Pillow {version('pillow')}, {feature} {features.version(feature)}"
