"""A picture that is to meet a target: coded at several steps, as few and as cheaply as can be.

Most of the time of a PSNR goes into the filter after the inverse wavelet, which adds about the same few tenths of a
decibel at neighbouring steps. So the search looks at pictures without it, and at what it does in some places; the
picture that it settles on is then made in full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vqcodec.bitstream import Chunk, ImageHeader, VqcFile, write_vqc
from vqcodec.bitstream.arrays import I32, Samples
from vqcodec.image.estimate import SEAMS, estimate, sample
from vqcodec.image.loaded import Picture
from vqcodec.image.samples import reduce16
from vqcodec.options import EFFORT, Progress, Tune
from vqcodec.target import Aim, Curve, choose_step, likely_step, psnr

if TYPE_CHECKING:
    from vqcodec.image.codec import ImageCodec
    from vqcodec.image.tokens.codec import TokensCodec

    PictureCodec = ImageCodec | TokensCodec

__all__ = ["Tries", "bytes_beside_codes", "decibels", "file_of", "header_of"]

_SPREAD_DECIBELS = 20 * math.log10(257)  # by which errors look smaller in units of 16-bit samples
_PLAUSIBLE = 256  # bytes that the container takes for the payload of any tile
_BLOCK = 128  # pixels a side of the places where the filter is tried
_SHARE = 7  # one place in so many, or some more
_LEAST, _MOST = 8, 64  # places
_DOUBT = 0.04  # decibels that a sample may be off; more, and a picture is made in full once more
_FAR = 6  # steps in which what the filter adds changes by a few hundredths of a decibel


def header_of(picture: Picture, step: int, codec: PictureCodec, tune: Tune, *, layers: bool = False) -> ImageHeader:
    """The header of a picture's file."""
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
        layers=layers,
        deep=picture.deep,
    )


def file_of(
    picture: Picture, step: int, codec: PictureCodec, tune: Tune, chunks: Sequence[Chunk], layers: Sequence[Chunk] = ()
) -> bytes:
    """The file of a picture whose chunks are these."""
    header = header_of(picture, step, codec, tune, layers=bool(layers))
    alpha = picture.alpha
    if alpha is not None:  # of which a file of codes has 8 bits
        alpha = reduce16(alpha) if alpha.dtype == np.uint16 else alpha.astype(np.uint8, copy=False)
    return write_vqc(VqcFile(header, list(chunks), layers=list(layers), metadata=picture.metadata, alpha=alpha))


def bytes_beside_codes(picture: Picture, codec: PictureCodec, tune: Tune) -> int:
    """Bytes of a picture's file that are not payloads."""
    rows, columns = header_of(picture, 0, codec, tune).grid
    stand_in = [Chunk(b"\1" * _PLAUSIBLE, (), 0)] * (rows * columns)
    return len(file_of(picture, 0, codec, tune, stand_in)) - _PLAUSIBLE * len(stand_in)


def decibels(a: Samples, b: Samples) -> float:
    """PSNR of two pictures of the same 8 or 16 bits."""
    return psnr(a, b) + (_SPREAD_DECIBELS if b.dtype == np.uint16 else 0.0)


class Tries:
    """One picture coded at several steps, each no more than once.

    Attributes:
        chunks: by step, where they were written.
        plain: decibels by step without the filter.
        exact: decibels by step.
        gains: decibels that the filter adds, by step, measured on a sample of places.
    """

    def __init__(
        self,
        picture: Picture,
        codec: ImageCodec,
        tune: Tune,
        progress: Progress | None = None,
        *,
        effort: int = EFFORT,
    ) -> None:
        self.picture = picture
        self.codec = codec
        self.tune: Tune = tune
        self.effort = effort
        self.progress = progress
        self.chunks: dict[int, list[Chunk]] = {}
        self.plain: dict[int, float] = {}
        self.exact: dict[int, float] = {}
        self.gains: dict[int, float] = {}
        self._codes: tuple[int, list[I32]] | None = None  # of the last step that was tried
        self._begun = 0

    def file(self, aim: Aim) -> bytes:
        """The file that meets an aim.

        Raises:
            UsageError: out of reach; the message names the nearest that is not.
        """
        height, width = self.picture.pixels.shape[:2]
        sizes, curve = self._estimates(aim)
        while True:
            about = _through(curve, {step: self.psnr_at(step) for step in self.plain})
            step = choose_step(aim, height * width, self.size_at, self.psnr_at, (sizes, about), self.picture.metadata)
            if aim.psnr is None or self._exact_at(step) >= aim.psnr:
                return self._pack(step, self._encode(step))
            self.gains = {step: self.exact[step] - self.plain[step]}

    def size_at(self, step: int) -> int:
        """Bytes of the file."""
        return len(self._pack(step, self._encode(step)))

    def psnr_at(self, step: int) -> float:
        """Decibels, as far as they are known without making the whole picture; exact at the finest step."""
        if step not in self.plain:
            self._try(step)
        if step == 0 or step in self.exact:
            return self._exact_at(step)
        return self.plain[step] + _between(self.gains, step) - _DOUBT

    def _try(self, step: int) -> None:
        """Code the picture at a step and learn what it is like without the filter, and what that adds."""
        codes: list[I32] = []
        if self.plain:
            self._encode(step, codes)
        else:  # the first try is seldom the last, and need not be written
            codes = self.codec.search(
                self.picture.pixels, step, tune=self.tune, effort=self.effort, progress=self._telling()
            )
        self._codes = step, codes
        pixels = self.picture.pixels
        header = header_of(self.picture, step, self.codec, self.tune)
        plain = self.codec.synthesise(header, list(codes), filtered=False)
        self.plain[step] = decibels(plain, pixels)
        if min((abs(step - other) for other in self.gains), default=_FAR) < _FAR:
            return
        places = _places(*pixels.shape[:2])
        part = self.codec.synthesise(header, list(codes), faithful=self.tune == "psnr", places=places)
        without, with_filter = (decibels(_mosaic(made, places), _mosaic(pixels, places)) for made in (plain, part))
        self.gains[step] = with_filter - without if math.isfinite(with_filter) and math.isfinite(without) else 0.0

    def _exact_at(self, step: int) -> float:
        """Decibels of the picture that the file gives."""
        if step not in self.exact:
            header = header_of(self.picture, step, self.codec, self.tune)
            faithful = self.tune == "psnr"
            if self._codes is not None and self._codes[0] == step:
                made = self.codec.synthesise(header, list(self._codes[1]), faithful=faithful)
            else:
                codes: list[I32] = []
                self._encode(step, codes)
                made = (
                    self.codec.synthesise(header, codes, faithful=faithful)
                    if codes
                    else self.codec.decode(header, self._encode(step), faithful=faithful)
                )
            self.exact[step] = decibels(made, self.picture.pixels)
        return self.exact[step]

    def _encode(self, step: int, codes: list[I32] | None = None) -> list[Chunk]:
        """Chunks at a step."""
        if step not in self.chunks:
            self.chunks[step] = self.codec.encode(
                self.picture.pixels,
                step,
                tune=self.tune,
                effort=self.effort,
                progress=self._telling(),
                codes=codes,
            )
        return self.chunks[step]

    def _telling(self) -> Progress | None:
        """Nobody knows how many tries it will be; mostly three."""
        tell, before = self.progress, self._begun
        self._begun += 1
        return None if tell is None else lambda share: tell(min((before + share) / 4, 0.95))

    def _pack(self, step: int, chunks: list[Chunk]) -> bytes:
        return file_of(self.picture, step, self.codec, self.tune, chunks)

    def _estimates(self, aim: Aim) -> tuple[Curve, Curve]:
        """Of size and decibels at every step, set right at the step that they lead to."""
        pixels = self.picture.pixels
        sizes, curve = estimate(pixels, self.tune)
        empty = bytes_beside_codes(self.picture, self.codec, self.tune)
        step = likely_step(aim, pixels.shape[0] * pixels.shape[1], sizes + empty, curve)
        if aim.psnr is None:
            weight = self.codec.weigh(pixels, step, tune=self.tune, effort=self.effort, progress=self._telling())
            return sizes * (weight / sizes[step]) + empty, curve
        part = sample(pixels)
        if part is not None:
            header = header_of(Picture(part, None, {}), step, self.codec, self.tune)
            codes = self.codec.search(part, step, tune=self.tune, effort=self.effort)
            made = self.codec.synthesise(header, codes, filtered=False)
            curve = curve + decibels(made, part) - estimate(part, self.tune)[1][step] + SEAMS
        return sizes + empty, curve


def _places(height: int, width: int) -> list[tuple[slice, slice]]:
    """Blocks from all over a picture, one in so many; all of a small one."""
    rows, columns = (range(0, size, _BLOCK) for size in (height, width))
    blocks = [(slice(y, min(y + _BLOCK, height)), slice(x, min(x + _BLOCK, width))) for y in rows for x in columns]
    # a stride that shares no factor with the columns, lest all lie one above the other
    least = max(_SHARE, len(blocks) // _MOST)
    least = min(least, max(len(blocks) // _LEAST, 1))
    stride = next(n for n in range(least, least + len(columns) + 1) if math.gcd(n, len(columns)) == 1)
    return blocks[stride // 2 :: stride]


def _mosaic(pixels: Samples, places: Sequence[tuple[slice, slice]]) -> Samples:
    """Pixels of these places in one row, [1, N, C]."""
    return np.concatenate([pixels[place].reshape(1, -1, pixels.shape[2]) for place in places], 1)


def _between(known: Mapping[int, float], step: int) -> float:
    steps = sorted(known)
    return float(np.interp(step, steps, [known[s] for s in steps]))


def _through(curve: Curve, known: Mapping[int, float]) -> Curve:
    """A curve shifted to pass through what is known of it."""
    if not known:
        return curve
    steps = sorted(known)
    shifted: Curve = curve + np.interp(np.arange(len(curve)), steps, [known[s] - curve[s] for s in steps])
    return shifted
