"""A picture of which parts are graphics: at each step the smaller of codes, codes under layers, and no loss at all."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream import Chunk, ImageHeader, Limits, VqcFile, read_vqc
from vqcodec.bitstream.arrays import Samples
from vqcodec.image.estimate import estimate
from vqcodec.image.exact import care_of, is_smooth
from vqcodec.image.layers import encode_layers, lay_over, only_needed, present, without
from vqcodec.image.loaded import Picture
from vqcodec.image.tries import bytes_beside_codes, decibels, file_of, header_of
from vqcodec.image.webp import Ways
from vqcodec.options import EFFORT, Progress, Tune
from vqcodec.target import Aim, Curve, choose_step

if TYPE_CHECKING:
    from vqcodec.image.codec import ImageCodec

__all__ = ["Mixed"]

Mask = npt.NDArray[np.bool_]

# How many times larger a file may be with exact graphics than with codes for them, which show at a step up to _SEEN:
# at coarser ones what is asked for is a small file.
_LOOK, _SEEN = 1.3, 155
_DOUBT = 1.5  # how many times larger than an exact file codes must be estimated not to be tried
# Of 16 bits codes make ripples of some 50 in 65,536, which nobody sees, but somebody may measure, up to this step
# (quality 95); without loss slopes take at most so many bits per sample, an eighth of what they are.
_FINE, _FEW_BITS = 13, 2
_NO_ERROR = 200.0  # decibels that stand for infinity, with which a search cannot reckon
_ANY = Limits(pixels=2**40, side=2**31)


class Mixed:
    """One picture coded at several steps, each no more than once.

    Attributes:
        exact: the file of the picture without loss, where it is of graphics or small, so that this may be the smaller.
    """

    def __init__(
        self,
        picture: Picture,
        codec: ImageCodec,
        tune: Tune,
        exact: bytes | None,
        graphics: Mask | None,
        progress: Progress | None = None,
        *,
        effort: int = EFFORT,
    ) -> None:
        self.picture = picture
        self.codec = codec
        self.tune: Tune = tune
        self.effort = effort
        self.progress = progress
        self.files: dict[int, bytes] = {}
        self.decoded: dict[int, float] = {}
        self.exact, self.graphics = exact, graphics

    def file(self, aim: Aim) -> bytes:
        """The file that meets an aim.

        Raises:
            UsageError: out of reach; the message names the nearest that is not.
        """
        if aim.step is not None:
            return self._encode(aim.step)
        pixels = self.picture.pixels[:, :, 0].size
        step = choose_step(aim, pixels, self.size_at, self.psnr_at, self._estimates, self.picture.metadata)
        found = self._encode(step)
        return self.exact if self.exact and len(self.exact) <= len(found) else found

    @cached_property
    def _layered(self) -> tuple[Samples, list[Chunk]] | None:
        """What is left to codes under the layers, and these; None without graphics."""
        if self.graphics is None:
            return None
        header = header_of(self.picture, 0, self.codec, self.tune, layers=True)
        pixels = self.picture.pixels
        layers = encode_layers(pixels, self.graphics, header, self._ways, self.codec.workers)
        return without(pixels, self.graphics), layers

    @property
    def _ways(self) -> Ways:
        """How layers are coded: as large graphics, for most of a layer is empty."""
        return care_of(self.effort, drawn=True, pixels=math.inf).ways

    def _encode(self, step: int) -> bytes:
        """The file at a step: the smallest, but what is exact may be somewhat larger."""
        if step not in self.files and self.exact and self._is_gradient(step):
            self.files[step] = self.exact
        if step not in self.files:
            sharp = [self.exact] if self.exact else []
            if self._layered is not None:
                pixels, layers = self._layered
                header = header_of(self.picture, step, self.codec, self.tune, layers=True)
                chunks = self.codec.encode(pixels, step, tune=self.tune, effort=self.effort, progress=self._tell)
                sharp.append(
                    file_of(
                        self.picture, step, self.codec, self.tune, only_needed(chunks, self.graphics, header), layers
                    )
                )
            best = min(sharp, key=len, default=None)
            if best is None or self._estimates[0][step] < _DOUBT * len(best):
                chunks = self.codec.encode(
                    self.picture.pixels, step, tune=self.tune, effort=self.effort, progress=self._tell
                )
                plain = file_of(self.picture, step, self.codec, self.tune, chunks)
                look = _LOOK if step <= _SEEN and self.tune == "visual" else 1.0
                best = plain if best is None or len(best) > look * len(plain) else best
            self.files[step] = best
        return self.files[step]

    def _is_gradient(self, step: int) -> bool:
        """Whether slopes of 16 bits are asked for so fine that none may be wider than it was, and cost little so."""
        pixels = self.picture.pixels
        few = self.exact is not None and 8 * len(self.exact) <= _FEW_BITS * pixels.size
        return self.picture.deep and step <= _FINE and few and is_smooth(pixels)

    def _tell(self, share: float) -> None:
        """Nobody knows how many tries it will be; mostly three."""
        if self.progress is not None:
            self.progress(min((len(self.files) + share) / 4, 0.95))

    def size_at(self, step: int) -> int:
        """Bytes of the file."""
        return len(self._encode(step))

    def psnr_at(self, step: int) -> float:
        """Decibels."""
        if step not in self.decoded:
            file = read_vqc(self._encode(step), limits=_ANY)
            header = file.header
            assert isinstance(header, ImageHeader)
            self.decoded[step] = _NO_ERROR
            if not header.lossless:
                decoded = _decoded(file, header, self.codec, self.tune == "psnr")
                self.decoded[step] = decibels(decoded, self.picture.pixels)
        return self.decoded[step]

    @cached_property
    def _estimates(self) -> tuple[Curve, Curve]:
        sizes, curve = estimate(self.picture.pixels, self.tune)
        return sizes + bytes_beside_codes(self.picture, self.codec, self.tune), curve


def _decoded(file: VqcFile, header: ImageHeader, codec: ImageCodec, faithful: bool) -> Samples:
    """Samples of a whole file of codes."""
    pixels = codec.decode(header, present(file.chunks, header), faithful=faithful)
    lay_over(pixels, file.layers, header, codec.workers)
    return pixels
