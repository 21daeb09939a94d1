"""The public functions: which medium is it? The rest is that wing's. What is heavy is imported on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack, overload

from vqcodec import registry
from vqcodec.bitstream import AudioHeader, ImageHeader, VqcFile, read_vqc
from vqcodec.errors import InputError, MismatchError, UsageError
from vqcodec.kinds import takes_for_sound
from vqcodec.options import (
    CompressOptions,
    CompressSettings,
    DecompressOptions,
    DecompressSettings,
    Device,
    Kind,
    ReadOptions,
    ReadSettings,
    settle,
)
from vqcodec.sources import Compressed, Stream, head_of, larger_than, name_of, naming, opened, read_content, warn_all

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image
    from torch import Tensor

    from vqcodec.audio.codec import AudioCodec
    from vqcodec.audio.files import Sound
    from vqcodec.audio.stream import SoundStream
    from vqcodec.image.codec import ImageCodec
    from vqcodec.image.loaded import Picture
    from vqcodec.image.tokens.codec import TokensCodec

    Source = Compressed | BinaryIO | Stream | Image.Image | npt.NDArray[np.generic] | Tensor | Sound

__all__ = ["compress", "decompress", "decompress_samples", "stream_sound", "verify"]


def compress(source: Source, *, kind: Kind | None = None, **options: Unpack[CompressOptions]) -> bytes:
    """Compress a picture or a sound to the bytes of a .vqc file.

    Args:
        source: a path, the bytes of a file, or a file open for reading bytes, of either kind. A picture may also be a
            Pillow image, an array (uint8 or uint16 [H, W] or [H, W, 1 to 4]), or with ``kind="image"`` a torch tensor
            [1 to 4, H, W] (uint8, or floats from 0 to 1); a sound may be a :class:`vqcodec.Sound`, or with
            ``sample_rate`` an array [T] or [T, C], or a torch tensor [T] or [C, T] (floats with full scale 1, int16 or
            int32).
        kind: ``image`` or ``audio``, where it is not to be told from the source.
        options: see :class:`vqcodec.options.CompressOptions`.

    Warns:
        VqcWarning: something about the input cannot be kept, such as 16-bit pixels or further frames; or the result is
            larger than the file it was made from.

    Raises:
        InputError, LimitError, UsageError, ModelError: see :mod:`vqcodec.errors`.
    """
    settings = settle(CompressSettings, options)
    name = name_of(source)
    with naming(name), opened(source) as content:
        head = head_of(content)
        if takes_for_sound(content, head, name, kind, settings.sample_rate):
            from vqcodec.audio.vqc import compress_sound

            data = compress_sound(
                content, head, settings, lambda: registry.limited(registry.load_audio_codec(), settings.threads)
            )
        else:
            from vqcodec.image.vqc import compress_picture

            data = compress_picture(
                content,
                head,
                settings,
                lambda: registry.picture_codec(settings.model, settings.threads, settings.device),
                name,
            )
        warn_all(larger_than(content, data, lossless=settings.lossless), name)
        return data


@overload
def decompress(data: Compressed, *, kind: Literal["image"], **options: Unpack[DecompressOptions]) -> Image.Image: ...
@overload
def decompress(data: Compressed, *, kind: Literal["audio"], **options: Unpack[DecompressOptions]) -> Sound: ...
@overload
def decompress(data: Compressed, **options: Unpack[DecompressOptions]) -> Image.Image | Sound: ...
def decompress(
    data: Compressed, *, kind: Kind | None = None, **options: Unpack[DecompressOptions]
) -> Image.Image | Sound:
    """Decompress a .vqc file to a Pillow image of mode L, LA, RGB, RGBA or I;16, or to a :class:`vqcodec.Sound`.

    Colour profile, EXIF and XMP are in the image's ``.info`` under ``icc_profile``, ``exif`` and ``xmp``; tags and
    cover are attributes of the sound.

    Args:
        data: the bytes of the file, its path, or the file open for reading bytes.
        kind: ``image`` or ``audio`` refuses the other kind, and tells a type checker what comes back.
        options: see :class:`vqcodec.options.DecompressOptions`.

    Warns:
        VqcWarning: parts are damaged or missing, and were concealed as asked: regions of a picture, stretches of a
            sound, sections such as alpha and metadata.

    Raises:
        DecodeError, InputError, LimitError, UsageError, ModelError: see :mod:`vqcodec.errors`.
    """
    settings = settle(DecompressSettings, options)
    with _opened(data, settings) as (file, name):
        header = file.header
        if kind is not None and (kind == "audio") != isinstance(header, AudioHeader):
            raise InputError(f"holds {_what(file)}, but kind={kind!r} was asked for; leave kind out")
        if isinstance(header, AudioHeader):
            from vqcodec.audio.vqc import collect

            return collect(_stream(file, header, settings, name), file.chunks)
        from vqcodec.image.loaded import for_pillow, to_image

        picture = _picture(file, header, settings, name)
        if settings.depth is None:
            picture, notes = for_pillow(picture)
            warn_all(notes, name)
        return to_image(picture)


def decompress_samples(data: Compressed, **options: Unpack[DecompressOptions]) -> Picture:
    """Decompress a .vqc picture to arrays of samples, which may have 16 bits.

    Options, warnings and errors are those of :func:`decompress`.
    """
    settings = settle(DecompressSettings, options)
    with _opened(data, settings) as (file, name):
        if isinstance(file.header, AudioHeader):
            raise InputError("holds sound, not a picture; use vqcodec.decompress")
        return _picture(file, file.header, settings, name)


def _picture(file: VqcFile, header: ImageHeader, settings: DecompressSettings, name: str) -> Picture:
    if settings.stretch != (None, None):
        raise UsageError("holds a picture, which has no start and end in seconds; leave them out")
    from vqcodec.image.vqc import decode_picture

    return decode_picture(file, header, lambda: _image_codec(header, settings.threads, settings.device), settings, name)


def _image_codec(header: ImageHeader, threads: int | None, device: Device = "cpu") -> ImageCodec | TokensCodec:
    return registry.limited(registry.placed(registry.image_codec_for(header), device), threads)


def stream_sound(data: Compressed, **options: Unpack[DecompressOptions]) -> SoundStream:
    """Decompress a .vqc sound block by block, for sounds that are too long for memory.

    Options, warnings and errors are those of :func:`decompress`; damage inside a chunk shows when its block is read.
    """
    settings = settle(DecompressSettings, options)
    with _opened(data, settings) as (file, name):
        if not isinstance(file.header, AudioHeader):
            raise InputError(f"holds {_what(file)}, not sound; use vqcodec.decompress")
        return _stream(file, file.header, settings, name)


def _stream(file: VqcFile, header: AudioHeader, settings: DecompressSettings, name: str) -> SoundStream:
    from vqcodec.audio.vqc import decode_exact_sound, decode_sound, telling

    settings.check_sound(lossless=header.lossless)
    if header.lossless:
        stream = decode_exact_sound(file, header, settings.stretch, name, conceal=settings.conceal)
    else:
        codec = _audio_codec(header, settings.threads)
        stream = decode_sound(file, header, codec, settings.stretch, name, conceal=settings.conceal)
    return telling(stream, settings.progress)


def _audio_codec(header: AudioHeader, threads: int | None) -> AudioCodec:
    return registry.limited(registry.audio_codec_for(header), threads)


@contextmanager
def _opened(data: Compressed, settings: ReadSettings) -> Iterator[tuple[VqcFile, str]]:
    content, name = read_content(data)
    with naming(name):
        yield read_vqc(content, **settings.reading), name


def _what(file: VqcFile) -> str:
    return "sound" if isinstance(file.header, AudioHeader) else "a picture"


def verify(
    data: Compressed, *, against: Source | None = None, sample_rate: int | None = None, **options: Unpack[ReadOptions]
) -> float | None:
    """Check a .vqc file completely: every byte is accounted for, and its codes decode to what was encoded.

    Args:
        against: the original, whatever :func:`compress` takes, which the file must hold: exactly if it is lossless,
            else at the same size. Of a picture that are its pixels and its colour profile, of a sound its samples.
        sample_rate: Hz, of an original that is an array or tensor of sound; the file's own unless told.

    Returns:
        Decibels between what :func:`decompress` gives, without ``faithful``, and the original, infinite where they are
        the same; None without one. Colours that nobody sees do not count.

    Warns:
        VqcWarning: not all of the original is compared; a lossless file does not keep the colours of invisible pixels.

    Raises:
        DecodeError, InputError, LimitError, ModelError: the first thing found wrong.
        MismatchError: it does not hold the original.
    """
    settings = settle(ReadSettings, options)
    if sample_rate is not None and against is None:
        raise UsageError("sample_rate is for an original to compare with, and there is none; leave it out")
    with _opened(data, settings) as (file, name):
        header = file.header
        if isinstance(header, AudioHeader):
            from vqcodec.audio.vqc import verify_sound

            verify_sound(file, header, lambda: _audio_codec(header, settings.threads))
        else:
            from vqcodec.image.vqc import verify_picture

            verify_picture(file, header, lambda: _image_codec(header, settings.threads), settings.threads)
        return None if against is None else _compared(file, name, against, sample_rate, settings)


def _samples_of_sound(array: Any) -> bool:
    """Whether an array or a tensor holds sound rather than a picture, by its shape and type."""
    return array.ndim < 3 and getattr(array.dtype, "kind", "") != "u"


def _compared(file: VqcFile, name: str, original: Source, sample_rate: int | None, settings: ReadSettings) -> float:
    decoding = DecompressSettings(settings.max_pixels, settings.max_seconds, settings.threads)
    header = file.header
    with opened(original) as content:
        head = head_of(content)
        bare = hasattr(content, "dtype")
        sound = _samples_of_sound(content) if bare else takes_for_sound(content, head, name_of(original), None, None)
        if sound != isinstance(header, AudioHeader):
            raise MismatchError(f"holds {_what(file)}, and the original is none; it was made of another one")
        if isinstance(header, AudioHeader):
            from vqcodec.audio import against as sounds
            from vqcodec.audio.vqc import open_source

            rate = header.sample_rate if bare and sample_rate is None else sample_rate
            with open_source(content, rate, head, settings.max_seconds) as source:
                warn_all(source.notes, name_of(original))
                stream = _stream(file, header, decoding, name)
                return sounds.compared(stream, source, lossless=header.lossless)
        if sample_rate is not None:
            raise UsageError("sample_rate is for sound, and this is a picture; leave it out")
        from vqcodec.image import against as pictures
        from vqcodec.image.vqc import open_picture

        given = open_picture(content, head, settings.max_pixels, name_of(original), exact=header.lossless)
        warn_all(given.notes, name_of(original))
        decibels, notes = pictures.compared(_picture(file, header, decoding, name), given, lossless=header.lossless)
        warn_all(notes, name)
        return decibels
