"""A picture to the bytes of a .vqc file and back: all that lies between the files of pictures and the codec."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from vqcodec.bitstream import Chunk, ImageHeader, VqcFile, write_vqc
from vqcodec.image.damage import losses, only_useful
from vqcodec.image.files import Picture, load_picture, to_pil
from vqcodec.options import CompressSettings
from vqcodec.sources import warn_all
from vqcodec.target import Aim, choose_step, psnr

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
    content = head + source.read() if hasattr(source, "read") else source
    picture = load_picture(content, max_pixels=settings.max_pixels, strip=settings.strip, name=name)
    warn_all(picture.notes, name)
    return encode_picture(picture, aim, load())


def encode_picture(picture: Picture, aim: Aim, codec: ImageCodec) -> bytes:
    """Compress a loaded picture; the step is searched where a target asks for it.

    Raises:
        UsageError: the target is out of reach; the message names the nearest that is not.
    """

    @cache
    def encode(step: int) -> tuple[list[Chunk], bytes]:
        chunks = codec.encode(picture.pixels, step)
        file = VqcFile(_header(picture, step, codec), list(chunks), picture.metadata, picture.alpha)
        return chunks, write_vqc(file)

    @cache
    def psnr_at(step: int) -> float:
        chunks, _ = encode(step)
        return psnr(codec.decode(_header(picture, step, codec), chunks), picture.pixels)

    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    step = choose_step(aim, pixels, lambda step: len(encode(step)[1]), psnr_at, picture.metadata)
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


def decode_picture(
    file: VqcFile, header: ImageHeader, codec: ImageCodec, *, conceal: bool = False, name: str = ""
) -> Image.Image:
    """A parsed file as a Pillow image of mode L, LA, RGB or RGBA; what is lost of it is warned of.

    Args:
        conceal: fill tiles whose codes are wrong instead of refusing the file.
        name: of the file, for warnings.

    Raises:
        ChecksumError, CorruptError: see :meth:`ImageCodec.decode`.
        ChecksumError, TruncatedError: nothing can be recovered.
    """
    failed: list[int] = []
    chunks = only_useful(file.chunks)
    losses(file, header, chunks)  # raises where nothing is left, before anything is computed
    pixels = codec.decode(header, chunks, failed if conceal else None)
    for i in failed:
        chunks[i] = None
    warn_all(losses(file, header, chunks), name)
    return to_pil(pixels, file.alpha, file.metadata)
