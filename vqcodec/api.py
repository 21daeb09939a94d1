"""The public functions: bytes from pictures and back. Pillow and torch are imported on first use only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from vqcodec.bitstream import ImageHeader, Limits, VqcFile, read_header, read_vqc, write_vqc
from vqcodec.errors import InputError, UsageError, VqcError, VqcWarning
from vqcodec.target import Aim, choose_step, make_aim, psnr, quality_of_step

if TYPE_CHECKING:
    from PIL import Image

    from vqcodec.codec import ImageCodec
    from vqcodec.media import Picture, Source

__all__ = ["compress", "compress_picture", "decode_file", "decompress", "info", "verify"]

_EFFORTS = range(1, 10)


def compress(
    image: Source,
    *,
    quality: float | None = None,
    target_bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    effort: int = 5,
    strip: bool = False,
    device: str = "auto",
    max_pixels: int = 100_000_000,
) -> bytes:
    """Compress a picture to the bytes of a .vqc file.

    At most one of the first four options is given; without any, ``quality`` is 60.

    Args:
        image: a path, the bytes of a picture file, a Pillow image, or an array (uint8 [H, W] or [H, W, 1 to 4]).
        quality: 1 (smallest) to 100 (best); fractions are allowed.
        target_bpp: bits of the file per pixel, at most; the finest step that stays within is chosen.
        target_size: bytes of the file, at most; likewise.
        target_psnr: decibels over all colour samples, at least; the coarsest step that reaches it is chosen.
        effort: 1 (fast) to 9 (thorough).
        strip: leave out the colour profile, EXIF and XMP.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        max_pixels: larger pictures are refused.

    Warns:
        VqcWarning: something about the picture cannot be kept, such as 16-bit samples or further frames.

    Raises:
        InputError, LimitError, UsageError, DeviceError, ModelError: see :mod:`vqcodec.errors`.
    """
    from vqcodec.media import load_picture

    aim = make_aim(quality, target_bpp, target_size, target_psnr)
    picture = load_picture(image, max_pixels=max_pixels)
    name = _name_of(image)
    for note in picture.notes:
        warn(f"{name}: {note}" if name else note, VqcWarning, stacklevel=2)
    with _naming(name):
        return compress_picture(picture, aim, effort=effort, strip=strip, device=device)


def compress_picture(picture: Picture, aim: Aim, *, effort: int, strip: bool, device: str) -> bytes:
    """Compress a loaded picture; the step is searched where a target asks for it.

    Raises:
        UsageError: the target is out of reach; the message names the nearest that is not.
    """
    from vqcodec.models import load_image_codec

    if effort not in _EFFORTS:
        raise UsageError(f"effort {effort} is out of range; give {_EFFORTS[0]} (fast) to {_EFFORTS[-1]} (thorough)")
    codec = load_image_codec(device)
    metadata = {} if strip else picture.metadata

    @cache
    def encode(step: int) -> tuple[VqcFile, bytes]:
        chunks = codec.encode(picture.pixels, step, effort=effort)
        file = VqcFile(_header(picture, step, codec), list(chunks), metadata, picture.alpha)
        return file, write_vqc(file)

    @cache
    def psnr_at(step: int) -> float:
        file, _ = encode(step)
        return psnr(codec.decode(_image_header(file), file.chunks), picture.pixels)

    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    step = choose_step(aim, pixels, lambda step: len(encode(step)[1]), psnr_at)
    return encode(step)[1]


def _header(picture: Picture, step: int, codec: ImageCodec) -> ImageHeader:
    height, width, channels = picture.pixels.shape
    return ImageHeader(
        width=width,
        height=height,
        step=step,
        gray=channels == 1,
        alpha=picture.alpha is not None,
        model_id=codec.model_id,
        model_hint=codec.model_hint,
    )


def decompress(
    data: bytes | str | os.PathLike[str],
    *,
    device: str = "auto",
    allow_truncated: bool = False,
    conceal: bool = False,
    max_pixels: int = 100_000_000,
) -> Image.Image:
    """Decompress a .vqc file to a Pillow image of mode L, LA, RGB or RGBA.

    Colour profile, EXIF and XMP are in the image's ``.info`` under ``icc_profile``, ``exif`` and ``xmp``.

    Args:
        data: the bytes of the file, or its path.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        allow_truncated: decode what a cut file still holds.
        conceal: fill damaged tiles instead of refusing the file.
        max_pixels: larger pictures are refused before anything is allocated.

    Raises:
        DecodeError, InputError, LimitError, DeviceError, ModelError: see :mod:`vqcodec.errors`.
    """
    content, name = _read(data)
    with _naming(name):
        file = read_vqc(content, limits=Limits(pixels=max_pixels), allow_truncated=allow_truncated, conceal=conceal)
        return decode_file(file, device)


def decode_file(file: VqcFile, device: str) -> Image.Image:
    """Decode a parsed file to a Pillow image."""
    from vqcodec.media import to_pil
    from vqcodec.models import load_by_id

    header = _image_header(file)
    codec = load_by_id(header.model_id, header.model_hint, device)
    return to_pil(codec.decode(header, file.chunks), file.alpha, file.metadata)


def _image_header(file: VqcFile) -> ImageHeader:
    if not isinstance(file.header, ImageHeader):
        raise InputError("holds sound, which this version cannot decode; update vqcodec")
    return file.header


def verify(data: bytes | str | os.PathLike[str], *, device: str = "auto", max_pixels: int = 100_000_000) -> None:
    """Check a .vqc file completely: every byte is accounted for, and its codes decode to what was encoded.

    Raises:
        DecodeError, InputError, LimitError, DeviceError, ModelError: the first thing found wrong.
    """
    from vqcodec.models import load_by_id

    content, name = _read(data)
    with _naming(name):
        file = read_vqc(content, limits=Limits(pixels=max_pixels))
        header = _image_header(file)
        load_by_id(header.model_id, header.model_hint, device).decode_codes(header, file.chunks)


def info(data: bytes | str | os.PathLike[str]) -> dict[str, Any]:
    """Facts about a .vqc file from its header alone: no model is needed, no chunk is read.

    Raises:
        DecodeError, InputError: the bytes are not a .vqc file, or there is no such file.
    """
    content, name = _read(data)
    with _naming(name):
        return _facts(content)


def _facts(content: bytes) -> dict[str, Any]:
    file = read_header(content)
    header = file.header
    if not isinstance(header, ImageHeader):
        raise InputError("holds sound, which this version cannot describe; update vqcodec")
    return {
        "format_version": ".".join(map(str, file.version)),
        "kind": "image",
        "width": header.width,
        "height": header.height,
        "colour": "gray" if header.gray else "rgb",
        "alpha": header.alpha,
        "step": header.step,
        "quality": round(quality_of_step(header.step), 2),
        "model_id": header.model_id.hex(),
        "model_name": _model_name(header.model_hint),
        "bytes": file.file_size,
        "bpp": round(8 * file.file_size / (header.width * header.height), 4),
        "chunks": len(file.payload_sizes),
        "metadata": [key for key in file.section_sizes if key != "alpha"],
    }


def _model_name(hint: int) -> str | None:
    """The model that the file's hint points at; the identity is compared when it is loaded."""
    from vqcodec.models import IMAGE_MODELS

    return Path(IMAGE_MODELS[hint]).stem if hint < len(IMAGE_MODELS) else None


def _name_of(source: Source) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""


def _read(data: bytes | str | os.PathLike[str]) -> tuple[bytes, str]:
    """Content and name of a file given by its bytes or its path."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), ""
    name = os.fspath(data)
    try:
        return Path(name).read_bytes(), name
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); name a .vqc file") from error


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the file's name in front of errors that come from layers which know bytes only."""
    try:
        yield
    except VqcError as error:
        if name and not str(error).startswith(f"{name}: "):
            error.args = (f"{name}: {error}", *error.args[1:])
        raise
