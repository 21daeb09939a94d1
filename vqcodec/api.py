"""The public functions: bytes from pictures or sound and back. What is heavy is imported on first use."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from warnings import warn

from vqcodec.bitstream import AudioHeader, Chunk, ImageHeader, Limits, VqcFile, read_header, read_vqc, write_vqc
from vqcodec.errors import CorruptError, InputError, UsageError, VqcWarning
from vqcodec.facts import facts
from vqcodec.inputs import head_of, name_of, naming, read_content
from vqcodec.target import Aim, choose_step, make_aim, psnr

if TYPE_CHECKING:
    from PIL import Image

    from vqcodec.codec import ImageCodec
    from vqcodec.media import Picture

__all__ = ["compress", "compress_picture", "decode_file", "decompress", "info", "verify"]

_EFFORTS = range(1, 10)
_TUNES = ("visual", "psnr")


def compress(
    source: Any,
    *,
    sample_rate: int | None = None,
    quality: float | None = None,
    target_bpp: float | None = None,
    target_kbps: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    effort: int = 5,
    tune: str = "visual",
    strip: bool = False,
    device: str = "auto",
    max_pixels: int = 100_000_000,
    max_seconds: int = 86_400,
) -> bytes:
    """Compress a picture or a sound to the bytes of a .vqc file.

    At most one of quality and targets is given; without any, ``quality`` is 60.

    Args:
        source: a path, the bytes of a file, or a file open for reading bytes, of either kind. A picture may also be a
            Pillow image or an array (uint8 [H, W] or [H, W, 1 to 4]); a sound may be a :class:`vqcodec.Sound`, or with
            ``sample_rate`` an array [T] or [T, C], or a torch tensor [T] or [C, T] (floats with full scale 1, int16 or
            int32).
        sample_rate: Hz, of an array or tensor that is sound.
        quality: 1 (smallest) to 100 (best); fractions are allowed.
        target_bpp: bits of the file per pixel, at most; the finest step that stays within is chosen. Pictures only.
        target_kbps: thousands of bits of the file per second, at most; likewise. Sound only.
        target_size: bytes of the file, at most; likewise.
        target_psnr: decibels over all colour samples, at least; the coarsest step that reaches it is chosen. Pictures
            only.
        effort: 1 (fast) to 9 (thorough), for pictures; there is one way to encode sound.
        tune: ``visual``, or ``psnr`` for the least squared error of a picture. Both make files of the same kind, which
            ``faithful`` of :func:`decompress` decodes to the picture of the least squared error.
        strip: leave out the colour profile, EXIF and XMP of a picture, the tags and the cover of a sound.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        max_pixels: larger pictures are refused.
        max_seconds: longer sounds are refused.

    Warns:
        VqcWarning: something about the input cannot be kept, such as 16-bit pixels or further frames.

    Raises:
        InputError, LimitError, UsageError, DeviceError, ModelError: see :mod:`vqcodec.errors`.
    """
    from vqcodec.media import is_sound, load_picture

    aim = make_aim(quality, target_bpp, target_size, target_psnr, target_kbps)
    _check_effort(effort)
    if tune not in _TUNES:
        raise UsageError(f"tune {tune!r} is not known; give {' or '.join(_TUNES)}")
    name, head = name_of(source), head_of(source)
    with naming(name):
        if sample_rate is not None or hasattr(source, "sample_rate") or is_sound(head, name):
            from vqcodec.audio_api import compress_sound, open_source

            with open_source(source, sample_rate, head, max_seconds) as sound:
                _warn(name, sound.notes)
                return compress_sound(sound, aim, strip=strip, device=device)
        if hasattr(source, "numpy"):
            raise UsageError("a tensor is taken as sound, so give its sample_rate; give a picture as a uint8 array")
        picture = load_picture(head + source.read() if hasattr(source, "read") else source, max_pixels=max_pixels)
        _warn(name, picture.notes)
        return compress_picture(picture, aim, effort=effort, tune=tune, strip=strip, device=device)


def _check_effort(effort: int) -> None:
    if effort not in _EFFORTS:
        raise UsageError(f"effort {effort} is out of range; give {_EFFORTS[0]} (fast) to {_EFFORTS[-1]} (thorough)")


def _warn(name: str, notes: tuple[str, ...]) -> None:
    for note in notes:
        warn(f"{name}: {note}" if name else note, VqcWarning, stacklevel=3)


def compress_picture(
    picture: Picture, aim: Aim, *, effort: int, strip: bool, device: str, tune: str = "visual"
) -> bytes:
    """Compress a loaded picture; the step is searched where a target asks for it.

    Raises:
        UsageError: the target is out of reach (the message names the nearest that is not), or is one for sound.
    """
    from vqcodec.models import load_image_codec

    aim.check_picture()
    _check_effort(effort)
    codec = load_image_codec(device)
    metadata = {} if strip else picture.metadata

    @cache
    def encode(step: int) -> tuple[list[Chunk], bytes]:
        chunks = codec.encode(picture.pixels, step, effort=effort, tune=tune)
        file = VqcFile(_header(picture, step, codec, tune), list(chunks), metadata, picture.alpha)
        return chunks, write_vqc(file)

    @cache
    def psnr_at(step: int) -> float:
        chunks, _ = encode(step)
        decoded = codec.decode(_header(picture, step, codec, tune), chunks, faithful=tune == "psnr")
        return psnr(decoded, picture.pixels)

    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    step = choose_step(aim, pixels, lambda step: len(encode(step)[1]), psnr_at)
    return encode(step)[1]


def _header(picture: Picture, step: int, codec: ImageCodec, tune: str) -> ImageHeader:
    height, width, channels = picture.pixels.shape
    return ImageHeader(
        width=width,
        height=height,
        step=step,
        gray=channels == 1,
        alpha=picture.alpha is not None,
        model_id=codec.model_id,
        model_hint=codec.model_hint,
        even=tune == "psnr",
    )


def decompress(
    data: bytes | str | os.PathLike[str],
    *,
    start: float | None = None,
    end: float | None = None,
    device: str = "auto",
    allow_truncated: bool = False,
    conceal: bool = False,
    faithful: bool = False,
    max_pixels: int = 100_000_000,
    max_seconds: int = 86_400,
) -> Any:
    """Decompress a .vqc file to a Pillow image of mode L, LA, RGB or RGBA, or to a :class:`vqcodec.Sound`.

    Colour profile, EXIF and XMP are in the image's ``.info`` under ``icc_profile``, ``exif`` and ``xmp``; tags and
    cover are attributes of the sound.

    Args:
        data: the bytes of the file, or its path.
        start, end: seconds of a sound; only what lies between is decoded. None: as far as it goes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        allow_truncated: decode what a cut file still holds.
        conceal: fill damaged tiles or stretches instead of refusing the file.
        faithful: the picture of the least squared error, where by default it is the one that looks best; no matter for
            sound.
        max_pixels: larger pictures are refused before anything is allocated.
        max_seconds: longer sounds likewise.

    Warns:
        VqcWarning: parts of a sound are damaged or missing, and were concealed as asked.

    Raises:
        DecodeError, InputError, LimitError, UsageError, DeviceError, ModelError: see :mod:`vqcodec.errors`.
    """
    content, name = read_content(data)
    limits = Limits(pixels=max_pixels, seconds=max_seconds)
    with naming(name):
        file = read_vqc(content, limits=limits, allow_truncated=allow_truncated, conceal=conceal)
        if isinstance(file.header, AudioHeader):
            from vqcodec.audio_api import collect, decode_sound

            return collect(decode_sound(file, file.header, device=device, start=start, end=end, name=name))
        if start is not None or end is not None:
            raise UsageError("holds a picture, which has no start and end in seconds; leave them out")
        return decode_file(file, device, faithful=faithful)


def decode_file(file: VqcFile, device: str, *, faithful: bool = False) -> Image.Image:
    """Decode a parsed file to a Pillow image."""
    from vqcodec.media import to_pil

    header = file.header
    if not isinstance(header, ImageHeader):
        raise InputError("holds sound, not a picture; use vqcodec.decompress")
    pixels = _image_codec(header, device).decode(header, file.chunks, faithful=faithful)
    return to_pil(pixels, file.alpha, file.metadata)


def _image_codec(header: ImageHeader, device: str) -> ImageCodec:
    from vqcodec.models import load_by_id

    codec: Any = load_by_id(header.model_id, header.model_hint, device)
    if hasattr(codec, "core_rate"):
        raise CorruptError(f"model {header.model_id.hex()} is not for pictures", "header.model_id")
    return cast("ImageCodec", codec)


def verify(
    data: bytes | str | os.PathLike[str],
    *,
    device: str = "auto",
    max_pixels: int = 100_000_000,
    max_seconds: int = 86_400,
) -> None:
    """Check a .vqc file completely: every byte is accounted for, and its codes decode to what was encoded.

    Raises:
        DecodeError, InputError, LimitError, DeviceError, ModelError: the first thing found wrong.
    """
    content, name = read_content(data)
    with naming(name):
        file = read_vqc(content, limits=Limits(pixels=max_pixels, seconds=max_seconds))
        header = file.header
        if isinstance(header, AudioHeader):
            from vqcodec.audio_api import verify_sound

            verify_sound(file, header, device)
        else:
            _image_codec(header, device).decode_codes(header, file.chunks)


def info(data: bytes | str | os.PathLike[str]) -> dict[str, Any]:
    """Facts about a .vqc file from its header alone: no model is needed, no chunk is read.

    Raises:
        DecodeError, InputError: the bytes are not a .vqc file, or there is no such file.
    """
    content, name = read_content(data)
    with naming(name):
        return facts(read_header(content))
