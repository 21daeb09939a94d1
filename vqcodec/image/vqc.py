"""A picture to the bytes of a .vqc file and back: all that lies between the files of pictures and the codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vqcodec.bitstream import ImageHeader, VqcFile, read_header
from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import UsageError
from vqcodec.image.damage import losses, only_useful
from vqcodec.image.files import load_picture
from vqcodec.image.layers import check_layers, lay_over, present
from vqcodec.image.loaded import Picture, at_depth
from vqcodec.image.lossless import decode_lossless, encode_lossless
from vqcodec.image.metadata import Given
from vqcodec.image.mixed import Mixed
from vqcodec.image.samples import reduce16, split_alpha, spread
from vqcodec.image.tries import Tries, file_of
from vqcodec.image.whole import Whole
from vqcodec.options import EFFORT, CompressSettings, DecompressSettings, Progress, Tune
from vqcodec.quality import PICTURE_QUALITY
from vqcodec.sources import read_all, warn_all
from vqcodec.target import Aim
from vqcodec.threads import Workers

if TYPE_CHECKING:
    from vqcodec.image.codec import ImageCodec
    from vqcodec.image.tokens.codec import TokensCodec
    from vqcodec.image.tries import PictureCodec

__all__ = ["compress_picture", "decode_picture", "encode_picture", "open_picture", "verify_picture"]

_FEW_PIXELS = 1024  # up to which codes may come to more bytes than the picture itself
_BARGAIN = 100  # pixels for a byte, from which on nobody need look for a smaller file than the exact one


def compress_picture(
    source: Any,
    head: bytes,
    settings: CompressSettings,
    load: Callable[[], PictureCodec],
    name: str,
    given: Given | None = None,
) -> bytes:
    """Read a picture and compress it.

    Args:
        source: see :func:`vqcodec.api.compress`; ``head`` is what was already read of an open file.
        load: gives the codec, once the picture was read.
        name: of the source, for warnings.
        given: metadata that replaces those of a Pillow image.

    Raises:
        InputError, LimitError: the picture cannot be read.
        UsageError: the options are not for pictures, or a target is out of reach.
    """
    settings.check_picture()
    aim = settings.aim(PICTURE_QUALITY)
    picture = open_picture(
        source, head, settings.max_pixels, name, exact=settings.lossless, strip=settings.strip, given=given
    )
    warn_all(picture.notes, name)
    if settings.lossless:
        return encode_lossless(
            picture,
            exact_alpha=settings.exact_alpha,
            care=Whole(picture, settings.effort, settings.threads).care,
            threads=settings.threads,
            progress=settings.progress,
        )
    codec = load()
    if settings.model == "tokens":
        return _tokens(picture, cast("TokensCodec", codec), aim, settings.progress, name)
    codec = cast("ImageCodec", codec)
    data = encode_picture(picture, aim, codec, settings.progress, tune=settings.tune, effort=settings.effort)
    if not read_header(data).header.lossless:
        warn_all(_lost_alpha(picture), name)
    return data


def _tokens(picture: Picture, codec: TokensCodec, aim: Aim, progress: Progress | None, name: str) -> bytes:
    """A file of tokens, which have 8 bits."""
    from vqcodec.image.tokens.tries import file_of_tokens  # only here: other pictures need none of it

    if picture.deep:
        warn_all(["16 bits per sample are reduced to 8: tokens have no more"], name)
    return file_of_tokens(at_depth(picture, 8), codec, aim, progress)


def open_picture(
    source: Any,
    head: bytes,
    max_pixels: int,
    name: str,
    *,
    exact: bool,
    strip: bool = False,
    deep: bool = True,
    given: Given | None = None,
) -> Picture:
    """Whatever :func:`vqcodec.compress` takes as a picture, 16 bits where it has them; else as :func:`load_picture`."""
    content = head + read_all(source, name or "the input") if hasattr(source, "read") else source
    return load_picture(content, max_pixels=max_pixels, strip=strip, given=given, name=name, deep=deep, exact=exact)


def _lost_alpha(picture: Picture) -> list[str]:
    """What a file of codes does not keep of alpha."""
    alpha = picture.alpha
    if alpha is None or not picture.deep or np.array_equal(spread(reduce16(alpha)), alpha):
        return []
    return ["16 bits of alpha are reduced to 8; lossless keeps them"]


def encode_picture(
    picture: Picture,
    aim: Aim,
    codec: ImageCodec,
    progress: Progress | None = None,
    *,
    tune: Tune = "visual",
    effort: int = EFFORT,
) -> bytes:
    """Compress a loaded picture; the step is searched where a target asks for it.

    Raises:
        UsageError: the target is out of reach; the message names the nearest that is not.
    """
    whole = Whole(picture, effort, codec.threads)
    pixels = picture.pixels[:, :, 0].size
    limit, early = aim.most_of_picture(pixels), whole.early
    if limit is not None and pixels <= _FEW_PIXELS:
        early = whole.file
    # what is within a limit without loss: nothing can be nearer to the picture than it is itself
    if early is not None and ((limit is not None and len(early) <= limit) or len(early) * _BARGAIN <= pixels):
        found = early
    else:
        try:
            if early is not None or whole.mask is not None:
                found = Mixed(picture, codec, tune, early, whole.mask, progress, effort=effort).file(aim)
            else:
                found = _coded(picture, aim, codec, progress, tune, effort)
        except UsageError:
            if aim.psnr is None:
                raise
            # out of reach of codes; where the best quality is without loss, that reaches everything
            found = encode_picture(picture, Aim(step=0), codec, tune=tune, effort=effort)
            if not read_header(found).header.lossless:
                raise
            return found
    return whole.unless_larger(found)


def _coded(picture: Picture, aim: Aim, codec: ImageCodec, progress: Progress | None, tune: Tune, effort: int) -> bytes:
    """The file of codes that meets an aim."""
    if aim.step is not None:
        chunks = codec.encode(picture.pixels, aim.step, tune=tune, effort=effort, progress=progress)
        return file_of(picture, aim.step, codec, tune, chunks)
    return Tries(picture, codec, tune, progress, effort=effort).file(aim)


def verify_picture(file: VqcFile, header: ImageHeader, find: Callable[[], PictureCodec], threads: int | None) -> None:
    """Check that all of a file decodes to what was encoded.

    Raises:
        CorruptError, ChecksumError: it does not.
    """
    if header.lossless:
        decode_lossless(header, file.chunks, threads)
        return
    find().decode_codes(header, present(file.chunks, header))
    check_layers(file.layers, header, Workers(threads))


def decode_picture(
    file: VqcFile,
    header: ImageHeader,
    find: Callable[[], PictureCodec],
    settings: DecompressSettings,
    name: str = "",
) -> Picture:
    """A parsed file as samples of 8 or 16 bits; what is lost of it is warned of.

    Args:
        find: gives the codec that the file was made with, where it needs one.
        settings: whether tiles whose codes are wrong are filled instead of refusing the file, which of the two
            pictures is wanted, at how many bits, and who is told of the progress.
        name: of the file, for warnings.

    Raises:
        ChecksumError, CorruptError: see :meth:`ImageCodec.decode`.
        ChecksumError, TruncatedError: nothing can be recovered.
    """
    failed: list[int] = []
    thin: list[int] = []
    chunks = only_useful(file.chunks)
    losses(file, header, chunks)  # raises where nothing is left, before anything is computed
    told = failed if settings.conceal else None
    alpha: Samples | None = file.alpha
    pixels: Samples
    if header.lossless:
        samples = decode_lossless(header, chunks, settings.threads, told, settings.progress)
        pixels, alpha = split_alpha(samples, fill=False)
    else:
        codec = find()
        pixels = codec.decode(
            header, present(chunks, header), told, faithful=settings.faithful, progress=settings.progress
        )
        lay_over(pixels, file.layers, header, Workers(settings.threads), thin if settings.conceal else None)
    for i in failed:
        chunks[i] = None
    layers = [None if i in thin else layer for i, layer in enumerate(file.layers)]
    warn_all(losses(file, header, chunks, layers), name)
    if header.deep and alpha is not None and not header.lossless:
        alpha = spread(alpha)
    return at_depth(Picture(pixels, alpha, file.metadata), settings.depth)
