"""A picture to the bytes of a .vqc file and back: all that lies between the files of pictures and the codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vqcodec.bitstream import Chunk, ImageHeader, VqcFile, write_vqc
from vqcodec.image.damage import losses, only_useful
from vqcodec.image.estimate import estimate
from vqcodec.image.files import Picture, load_picture, to_pil
from vqcodec.options import CompressSettings, DecompressSettings, Progress, Tune
from vqcodec.sources import read_all, warn_all
from vqcodec.target import Aim, Curve, choose_step, psnr

if TYPE_CHECKING:
    from PIL import Image

    from vqcodec.image.codec import ImageCodec

__all__ = ["compress_picture", "decode_picture", "encode_picture"]

_PLAUSIBLE = 256  # bytes that the container takes for the payload of any tile


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
            VqcFile(_header(picture, aim.step, codec, tune), list(chunks), picture.metadata, picture.alpha)
        )
    tries = _Tries(picture, codec, tune, progress)
    height, width = picture.pixels.shape[:2]
    step = choose_step(aim, height * width, tries.size_at, tries.psnr_at, tries.estimates(), picture.metadata)
    return tries.file_at(step)


class _Tries:
    """One picture coded at several steps, each no more than once."""

    def __init__(self, picture: Picture, codec: ImageCodec, tune: Tune, progress: Progress | None = None) -> None:
        self.picture = picture
        self.codec = codec
        self.tune = tune
        self.progress = progress
        self.chunks: dict[int, list[Chunk]] = {}
        self.decoded: dict[int, float] = {}

    def _encode(self, step: int) -> list[Chunk]:
        """Chunks at a step."""
        if step not in self.chunks:
            self.chunks[step] = self.codec.encode(self.picture.pixels, step, tune=self.tune, progress=self._tell)
        return self.chunks[step]

    def _tell(self, share: float) -> None:
        """Nobody knows how many tries it will be; mostly three."""
        if self.progress is not None:
            self.progress(min((len(self.chunks) + share) / 4, 0.95))

    def _pack(self, step: int, chunks: list[Chunk]) -> bytes:
        header = _header(self.picture, step, self.codec, self.tune)
        return write_vqc(VqcFile(header, list(chunks), self.picture.metadata, self.picture.alpha))

    def size_at(self, step: int) -> int:
        """Bytes of the file."""
        return len(self._pack(step, self._encode(step)))

    def psnr_at(self, step: int) -> float:
        """Decibels."""
        if step not in self.decoded:
            header = _header(self.picture, step, self.codec, self.tune)
            decoded = self.codec.decode(header, self._encode(step), faithful=self.tune == "psnr")
            self.decoded[step] = psnr(decoded, self.picture.pixels)
        return self.decoded[step]

    def file_at(self, step: int) -> bytes:
        """The file."""
        return self._pack(step, self._encode(step))

    def estimates(self) -> tuple[Curve, Curve]:
        """Of size and PSNR, at every step."""
        sizes, decibels = estimate(self.picture.pixels)
        tiles = _header(self.picture, 0, self.codec, self.tune).grid
        count = tiles[0] * tiles[1]
        empty = len(self._pack(0, [Chunk(b"\1" * _PLAUSIBLE, (), 0)] * count)) - _PLAUSIBLE * count
        return sizes + empty, decibels


def _header(picture: Picture, step: int, codec: ImageCodec, tune: Tune) -> ImageHeader:
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
