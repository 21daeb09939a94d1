"""Codes to coefficients, level by level: steps that follow what is decoded, chroma predicted from luma.

Chroma details follow luma details wherever an edge is an edge of one colour change. How strongly, and with which sign,
is read off the decoded details of the level above, in a window of 3 x 3 positions: the least-squares slope of chroma on
luma there, shrunk by how well the slope explains them (a fitted, piecewise linear function of the squared correlation).
Nothing is sent for it. The prediction is a float and moves only what is added to a codeword; the prior never sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.activity import activity_factor, coarse_luma, finer, window_mean
from vqcodec.image.bands import image_gains, slice_of
from vqcodec.image.config import ImageConfig
from vqcodec.image.units import low_steps, step_sizes
from vqcodec.prior.integer import planes_first

__all__ = ["TRUST_KNOTS", "Dequantiser", "lookup", "repeated"]

TRUST_KNOTS = 6  # of the shrinkage, over squared correlations 0..1
SLOPE_FLOOR = 0.5  # energy (in squared steps) below which luma says nothing about a slope


def lookup(codebook: F32, codes: I32) -> F32:
    """Codewords of codes [B, h, w, g] under a codebook [g, K, d], side by side: [g, B, h, w * d]."""
    groups, size, d = codebook.shape
    at = planes_first(codes) + np.arange(0, groups * size, size)[:, None, None, None]
    flat = np.ascontiguousarray(codebook, np.float32).reshape(-1)
    if d == 1:
        return flat.take(at)
    pairs: F32 = flat.view(np.complex64).take(at).view(np.float32)  # two numbers at one look-up
    return pairs


def repeated(x: F32, height: int, width: int) -> F32:
    """Every position of [..., h, w] as a block of [..., height, width], sides multiples."""
    out: F32 = x.repeat(height // x.shape[-2], -2).repeat(width // x.shape[-1], -1)
    return out


class Dequantiser:
    """Takes the slices of a batch of tiles in coding order; all details are in units of the picture's step.

    Args:
        codebooks: per slice [g, K, d], in the slice's own units.
        trust: per level from the second coarsest on, [3, 2, TRUST_KNOTS]: shrinkage by orientation and colour.
        low: values of the low band [B, h, w, 3]; looked at when the activity is first needed.
        step: [B] step indices.
    """

    def __init__(
        self, config: ImageConfig, codebooks: Sequence[F32], trust: Sequence[F32], low: I32, step: I64
    ) -> None:
        self.config, self.codebooks, self.trust = config, codebooks, trust
        self._low, self._step = low, step
        self._factors: dict[int, F32] = {}  # by level, [B, h, w]
        self._gains = image_gains(config)[1]
        self._level: F32 | None = None  # the level at hand, [3, 3, B, h, w]; its chroma is still to come
        self._predicted: F32 | None = None  # chroma of the level at hand
        self.details: list[F32] = []  # finished levels, coarse first, [3, 3, B, h, w]

    def factor(self, index: int) -> F32 | None:
        """What details of a slice are multiplied by before quantisation, [B, h, w]; None where nothing is.

        All levels above ``activity_level`` must have been added, for finer slices all coarser levels.
        """
        level = self.config.slices[index].level
        return None if level > self.config.activity_level else self.activity(level)

    def activity(self, level: int) -> F32:
        """Factor of image.activity by position of a level, [B, h, w]."""
        config = self.config
        if level not in self._factors:
            if level < config.activity_level:
                self._factors[level] = finer(self.activity(level + 1))
            else:
                low = planes_first(self._low).astype(np.float32) * low_steps(config, self._step)[:, None, None]
                size = step_sizes(self._step)[:, None, None]
                known = [d[:1] * size for d in self.details[: config.levels - level]]
                self._factors[level] = activity_factor(config, coarse_luma(config, low, known))
        return self._factors[level]

    @property
    def luma(self) -> F32:
        """Luma of the level at hand, whose chroma is still to come, [3, B, h, w]."""
        assert self._level is not None
        out: F32 = self._level[0]
        return out

    def slopes(self) -> tuple[F32, F32]:
        """What the level above says of chroma: slope on luma and squared correlation times (knots - 1), [2, B, h, w].

        On the grid of that level; each position stands for 2 x 2 of the level at hand.
        """
        luma, chroma = self.details[-1][0], self.details[-1][1:]
        products = [(luma * c).sum(0) for c in chroma] + [(c * c).sum(0) for c in chroma] + [(luma * luma).sum(0)]
        means = window_mean(np.stack(products))
        covariance, chroma_energy, luma_energy = means[:2], means[2:4] + SLOPE_FLOOR, means[4] + SLOPE_FLOOR
        slope: F32 = covariance / luma_energy
        return slope, covariance * slope / chroma_energy * (TRUST_KNOTS - 1)

    def prediction(self, index: int) -> F32 | None:
        """Prediction of a slice's details, [g, B, h, w]; None where there is none.

        The luma slice of the level and all coarser levels must have been added.
        """
        if not self.config.slices[index].chroma or not self.details:
            return None
        if self._predicted is not None:
            return self._predicted
        luma = self.luma
        slope, position = self.slopes()
        below = position.astype(np.int32)  # never the last knot: the floors keep correlations below 1
        share = position - below
        trust = np.append(self.trust[len(self.details) - 1], np.zeros((3, 2, 1), np.float32), 2)
        out = np.empty((2, *luma.shape), np.float32)
        for c in range(2):
            for o in range(3):
                knots = trust[o, c]
                trusted = np.diff(knots).take(below[c])
                trusted *= share[c]
                trusted += knots.take(below[c])
                trusted *= slope[c]
                np.multiply(luma[o], repeated(trusted, *luma.shape[-2:]), out=out[c, o])
        self._predicted = out.reshape(6, *luma.shape[1:])
        return self._predicted

    def residual(self, index: int, vectors: F32) -> F32:
        """What is left to code of the details [g, B, h, w] of the next slice, in the slice's own units."""
        factor, prediction = self.factor(index), self.prediction(index)
        gain = self._gains[index][:, None, None, None]
        left = vectors * gain if prediction is None else (vectors - prediction) * gain
        return left if factor is None else left * factor

    def add(self, index: int, codes: I32) -> None:
        """Take in the codes [B, h, w, g] of the next slice."""
        s = self.config.slices[index]
        found = lookup(self.codebooks[index] / self._gains[index][:, None, None], codes)
        factor, prediction = self.factor(index), self.prediction(index)
        if factor is not None:
            found /= factor
        if prediction is not None:
            found += prediction
        if not s.chroma:
            self._level = np.empty((3, *found.shape), np.float32)
        assert self._level is not None
        slice_of(self._level, s)[...] = found
        if s.chroma:
            self.details.append(self._level)
            self._level = self._predicted = None
