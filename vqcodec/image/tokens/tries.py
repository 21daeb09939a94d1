"""A picture of tokens that is to meet a target: coded at several weights of a bit, each no more than once."""

from __future__ import annotations

from functools import cache

from vqcodec.bitstream import Chunk
from vqcodec.image.loaded import Picture
from vqcodec.image.tokens.codec import TokensCodec
from vqcodec.image.tries import file_of, header_of
from vqcodec.options import Progress
from vqcodec.target import Aim, choose_step, psnr

__all__ = ["file_of_tokens"]


def file_of_tokens(picture: Picture, codec: TokensCodec, aim: Aim, progress: Progress | None = None) -> bytes:
    """The file that meets an aim.

    Raises:
        UsageError: out of reach; the message names the nearest that is not.
    """
    height, width = picture.pixels.shape[:2]
    tried = 0

    def tell(share: float) -> None:
        if progress is not None:
            progress(min((tried + share) / 8, 0.95))  # nobody knows how many tries it will be

    @cache
    def chunks_at(step: int) -> list[Chunk]:
        nonlocal tried
        chunks = codec.encode(picture.pixels, step, progress=tell)
        tried += 1
        return chunks

    def file_at(step: int) -> bytes:
        return file_of(picture, step, codec, "visual", chunks_at(step))

    @cache
    def psnr_at(step: int) -> float:
        return psnr(codec.decode(header_of(picture, step, codec, "visual"), chunks_at(step)), picture.pixels)

    step = choose_step(aim, height * width, lambda s: len(file_at(s)), psnr_at, metadata=picture.metadata)
    return file_at(step)
