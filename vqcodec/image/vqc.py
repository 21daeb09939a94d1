"""A picture to the bytes of a .vqc file and back: all that lies between the files of pictures and the codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vqcodec.bitstream import ImageHeader, VqcFile, write_vqc
from vqcodec.image.damage import losses, only_useful
from vqcodec.image.files import Picture, load_picture, to_pil
from vqcodec.image.tries import Tries, header_of
from vqcodec.options import CompressSettings, DecompressSettings, Progress, Tune
from vqcodec.sources import read_all, warn_all
from vqcodec.target import Aim

if TYPE_CHECKING:
    from PIL import Image

    from vqcodec.image.codec import ImageCodec

__all__ = ["compress_picture", "decode_picture", "encode_picture"]


def compress_picture(
    source: Any, head: bytes, settings: CompressSettings, load: Callable[[], ImageCodec], name: str
) -> bytes:
    """Read a picture and compress it.

    Args:
        source: see :func:`vqcodec.api.compress`; ``head`` is what was already read of an open file.
        load: gives the codec, once the picture was read.
        name: of the source, for warnings.

    Raises:
        InputError, LimitError: the picture cannot be read.
        UsageError: the options are not for pictures, or a target is out of reach.
    """
    aim = settings.aim
    aim.check_picture()
    content = head + read_all(source, "the input") if hasattr(source, "read") else source
    picture = load_picture(content, max_pixels=settings.max_pixels, strip=settings.strip, name=name)
    warn_all(picture.notes, name)
    return encode_picture(picture, aim, load(), settings.progress, tune=settings.tune)


def encode_picture(
    picture: Picture, aim: Aim, codec: ImageCodec, progress: Progress | None = None, *, tune: Tune = "visual"
) -> bytes:
    """Compress a loaded picture; the step is searched where a target asks for it.

    Raises:
        UsageError: the target is out of reach; the message names the nearest that is not.
    """
    if aim.step is not None:
        chunks = codec.encode(picture.pixels, aim.step, tune=tune, progress=progress)
        return write_vqc(
            VqcFile(header_of(picture, aim.step, codec, tune), list(chunks), picture.metadata, picture.alpha)
        )
    return Tries(picture, codec, tune, progress).file(aim)


def decode_picture(
    file: VqcFile, header: ImageHeader, codec: ImageCodec, settings: DecompressSettings, name: str = ""
) -> Image.Image:
    """A parsed file as a Pillow image of mode L, LA, RGB or RGBA; what is lost of it is warned of.

    Args:
        settings: whether tiles whose codes are wrong are filled instead of refusing the file, which of the two
            pictures is wanted, and who is told of the progress.
        name: of the file, for warnings.

    Raises:
        ChecksumError, CorruptError: see :meth:`ImageCodec.decode`.
        ChecksumError, TruncatedError: nothing can be recovered.
    """
    failed: list[int] = []
    chunks = only_useful(file.chunks)
    losses(file, header, chunks)  # raises where nothing is left, before anything is computed
    told = failed if settings.conceal else None
    pixels = codec.decode(header, chunks, told, faithful=settings.faithful, progress=settings.progress)
    for i in failed:
        chunks[i] = None
    warn_all(losses(file, header, chunks), name)
    return to_pil(pixels, file.alpha, file.metadata)
