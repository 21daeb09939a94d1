"""Codes to coefficients, level by level: steps that follow what is decoded, chroma predicted from luma.

Chroma details follow luma details wherever an edge is an edge of one colour change. How strongly, and with which sign,
is read off the decoded details of the level above, in a window of 3 x 3 positions: the least-squares slope of chroma on
luma there, shrunk by how well the slope explains them (a fitted, piecewise linear function of the squared correlation).
Nothing is sent for it. The prediction is a float and moves only what is added to a codeword; the prior never sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32
from vqcodec.image.activity import activity_factor, coarse_luma, finer
from vqcodec.image.bands import from_vectors, image_gains, to_vectors
from vqcodec.image.config import ImageConfig
from vqcodec.image.units import low_steps, steps_tensor

__all__ = ["TRUST_KNOTS", "Dequantiser", "lookup"]

TRUST_KNOTS = 6  # of the shrinkage, over squared correlations 0..1
SLOPE_FLOOR = 0.5  # energy (in squared steps) below which luma says nothing about a slope


def lookup(codebook: Tensor, codes: I32) -> Tensor:
    """Codewords [B, h, w, g, d] of codes [B, h, w, g] under a codebook [g, K, d]."""
    return codebook[torch.arange(codebook.shape[0]), torch.from_numpy(codes).long()]


def _window(x: Tensor) -> Tensor:
    """Mean over 3 x 3 positions, edges repeated: [B, h, w, C]."""
    padded = F.pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(padded, 3, 1).permute(0, 2, 3, 1)


class Dequantiser:
    """Takes the slices of a batch of tiles in coding order; details are in units of the picture's step.

    Args:
        codebooks: per slice [g, K, d], in the slice's own units.
        trust: per level from the second coarsest on, [3, 2, TRUST_KNOTS]: shrinkage by orientation and colour.
        low: values of the low band [B, h, w, 3]; looked at when the activity is first needed.
        step: [B] step indices.
    """

    def __init__(
        self, config: ImageConfig, codebooks: Sequence[Tensor], trust: Sequence[Tensor], low: I32, step: Tensor
    ) -> None:
        self.config, self.codebooks, self.trust = config, codebooks, trust
        self._low, self._step = low, step
        self._factors: dict[int, Tensor] = {}  # by level, [B, h, w]
        self._gains = image_gains(config)[1]
        self._luma: Tensor | None = None  # of the level at hand, [B, h, w, 3, 1]
        self._predicted: Tensor | None = None  # chroma of the level at hand
        self.details: list[Tensor] = []  # finished levels, coarse first, [B, h, w, 3, 3]

    def factor(self, index: int) -> Tensor | None:
        """What vectors of a slice are multiplied by before quantisation, [B, h, w, 1, d]; None where nothing is.

        All levels above ``activity_level`` must have been added, for finer slices all coarser levels.
        """
        s = self.config.slices[index]
        if s.level > self.config.activity_level:
            return None
        factor = self.activity(s.level)
        return factor.reshape(*factor.shape[:2], -1, 1, s.d)

    def activity(self, level: int) -> Tensor:
        """Factor of image.activity by position of a level, [B, h, w]."""
        config = self.config
        if level not in self._factors:
            if level < config.activity_level:
                self._factors[level] = finer(self.activity(level + 1))
            else:
                size = steps_tensor(self._step)[:, None, None, None, None]
                low = torch.from_numpy(self._low) * low_steps(config, self._step)
                known = self.details[: config.levels - level]
                self._factors[level] = activity_factor(config, coarse_luma(config, low, [d * size for d in known]))
        return self._factors[level]

    def slopes(self) -> Tensor:
        """What the level above says of chroma here: luma times slope, split by trust, [B, h, w, 3, 2, knots]."""
        assert self._luma is not None
        parent = self.details[-1]
        luma, chroma = parent[..., :1], parent[..., 1:]
        products = torch.cat([luma * chroma, chroma * chroma, luma * luma], -1).sum(3)
        covariance, chroma_energy, luma_energy = torch.split(_window(products), [2, 2, 1], -1)
        chroma_energy, luma_energy = chroma_energy + SLOPE_FLOOR, luma_energy + SLOPE_FLOOR
        slope = covariance / luma_energy
        position = covariance * slope / chroma_energy * (TRUST_KNOTS - 1)
        weights = (1 - (position[..., None] - torch.arange(TRUST_KNOTS)).abs()).clamp(min=0)
        split = (slope[..., None] * weights).repeat_interleave(2, 1).repeat_interleave(2, 2)  # [B, h, w, 2, knots]
        return self._luma[..., None] * split[..., None, :, :]

    def prediction(self, index: int) -> Tensor | None:
        """Prediction of a slice's vectors in its own units, [B, h, w, g, d]; None where there is none.

        The luma slice of the level and all coarser levels must have been added.
        """
        s = self.config.slices[index]
        if not s.chroma or not self.details:
            return None
        if self._predicted is not None:
            return self._predicted
        assert self._luma is not None
        chroma = (self.slopes() * self.trust[len(self.details) - 1]).sum(-1)
        self._predicted = to_vectors(torch.cat([self._luma, chroma], -1), s) * self._gains[index]
        factor = self.factor(index)
        if factor is not None:
            self._predicted = self._predicted * factor
        return self._predicted

    def residual(self, index: int, vectors: F32) -> F32:
        """What is left to code of the vectors [B, h, w, g, d] of the next slice, in units."""
        factor, prediction = self.factor(index), self.prediction(index)
        if factor is not None:
            vectors = vectors * factor.numpy()
        return vectors if prediction is None else vectors - prediction.numpy()

    def add(self, index: int, codes: I32) -> None:
        """Take in the codes [B, h, w, g] of the next slice."""
        vectors = lookup(self.codebooks[index], codes)
        prediction = self.prediction(index)
        if prediction is not None:
            vectors = vectors + prediction
        vectors = vectors / self._gains[index]
        factor = self.factor(index)
        if factor is not None:
            vectors = vectors / factor
        if not self.config.slices[index].chroma:
            self._luma = vectors
            return
        assert self._luma is not None
        self.details.append(from_vectors(self._luma, vectors))
        self._predicted = None
