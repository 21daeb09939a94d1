"""Codes to coefficients, level by level, chroma predicted from luma.

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

from vqcodec.bitstream.arrays import I32
from vqcodec.image.bands import from_vectors, image_gains, to_vectors
from vqcodec.image.config import ImageConfig

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
    """Takes the slices of a batch of tiles in coding order; everything is in units of the quantiser step.

    Args:
        codebooks: per slice [g, K, d], in the slice's own units.
        trust: per level from the second coarsest on, [3, 2, TRUST_KNOTS]: shrinkage by orientation and colour.
    """

    def __init__(self, config: ImageConfig, codebooks: Sequence[Tensor], trust: Sequence[Tensor]) -> None:
        self.config, self.codebooks, self.trust = config, codebooks, trust
        self._gains = image_gains(config)[1]
        self._luma: Tensor | None = None  # of the level at hand, [B, h, w, 3, 1]
        self._predicted: Tensor | None = None  # chroma of the level at hand
        self.details: list[Tensor] = []  # finished levels, coarse first, [B, h, w, 3, 3]

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
        return self._predicted

    def add(self, index: int, codes: I32) -> None:
        """Take in the codes [B, h, w, g] of the next slice."""
        vectors = lookup(self.codebooks[index], codes)
        prediction = self.prediction(index)
        if prediction is not None:
            vectors = vectors + prediction
        vectors = vectors / self._gains[index]
        if not self.config.slices[index].chroma:
            self._luma = vectors
            return
        assert self._luma is not None
        self.details.append(from_vectors(self._luma, vectors))
        self._predicted = None
