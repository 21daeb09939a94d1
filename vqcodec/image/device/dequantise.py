"""Codes to coefficients on a device; see image.dequantise and image.activity, whose formulas these are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.activity import LIMIT, MIDDLE
from vqcodec.image.bands import image_gains
from vqcodec.image.config import ImageConfig
from vqcodec.image.dequantise import SLOPE_FLOOR, TRUST_KNOTS
from vqcodec.image.device.bands import from_bands
from vqcodec.image.model import ImageModel
from vqcodec.image.units import low_steps, step_sizes
from vqcodec.prior.device import to_device

__all__ = ["DeviceDequantiser", "DeviceWords"]


class DeviceWords:
    """What dequantising needs of a model, on a device.

    Attributes:
        words: per slice [g, K, d], in the slice's own units.
        gains: per slice [g, 1, 1, 1].
        trust: per level from the second coarsest on, [2, 3, TRUST_KNOTS + 1], the last knot twice.
    """

    def __init__(self, model: ImageModel, config: ImageConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.words = [to_device(codebook, device, torch.float32) for codebook in model.codebooks]
        self.gains = [to_device(gain, device)[:, None, None, None] for gain in image_gains(config)[1]]
        self.trust = [F.pad(to_device(t, device, torch.float32).transpose(0, 1), (0, 1)) for t in model.trust]


class DeviceDequantiser:
    """Takes the slices of a batch of tiles in coding order; see :class:`vqcodec.image.dequantise.Dequantiser`.

    Attributes:
        details: finished levels, coarse first, [3, 3, B, h, w].
    """

    def __init__(self, known: DeviceWords, low: I32, step: I64) -> None:
        self.known = known
        self._low, self._step = low, step
        self._factors: dict[int, Tensor] = {}
        self._level: list[Tensor] = []  # luma of the level at hand [3, B, h, w]
        self._predicted: Tensor | None = None
        self.details: list[Tensor] = []

    def activity(self, level: int) -> Tensor:
        """Factor by position of a level, [B, h, w]."""
        if level not in self._factors:
            if level < self.known.config.activity_level:
                coarse = self.activity(level + 1)[:, None]
                # bilinear: the quarters and three quarters of image.activity.finer
                self._factors[level] = F.interpolate(coarse, scale_factor=2, mode="bilinear")[:, 0]
            else:
                self._factors[level] = self._coarse_activity(level)
        return self._factors[level]

    def _coarse_activity(self, level: int) -> Tensor:
        config, device = self.known.config, self.known.device
        steps = to_device(low_steps(config, self._step), device)[:, None, None]
        size = to_device(step_sizes(self._step), device)[:, None, None]
        low = to_device(self._low, device)[..., 0].float() * steps
        bands = [low[None], *(d[:1] * size for d in self.details[: config.levels - level])]
        luma = from_bands(bands)[0] * 2.0**-config.activity_level
        mean = _window_mean(luma)
        variance = (_window_mean(luma.square()) - mean.square()).clamp(min=0) / 3
        log = ((variance + config.activity_floor) / MIDDLE).log2() * (-config.activity_exponent / 2)
        return _window_mean(log).exp2().clamp(1 / LIMIT, LIMIT)

    def _factor(self, index: int) -> Tensor | None:
        level = self.known.config.slices[index].level
        return None if level > self.known.config.activity_level else self.activity(level)

    def _prediction(self, index: int) -> Tensor | None:
        """Prediction of a slice's details, [g, B, h, w]; None where there is none."""
        if not self.known.config.slices[index].chroma or not self.details:
            return None
        if self._predicted is None:
            luma, chroma = self.details[-1][0], self.details[-1][1:]
            products = [(luma * chroma).sum(1), chroma.square().sum(1), luma.square().sum(0, keepdim=True)]
            means = _window_mean(torch.cat(products))
            covariance, chroma_energy, luma_energy = means[:2], means[2:4] + SLOPE_FLOOR, means[4] + SLOPE_FLOOR
            slope = covariance / luma_energy
            position = covariance * slope / chroma_energy * (TRUST_KNOTS - 1)
            below = position.long()  # never the last knot: the floors keep correlations below 1
            knots = self.known.trust[len(self.details) - 1]
            colour = torch.arange(2, device=knots.device)[:, None, None, None]
            # [2, B, h, w, 3]
            first, second = (knots.transpose(1, 2)[colour, below + k] for k in (0, 1))
            trusted = (first + (second - first) * (position - below)[..., None]) * slope[..., None]
            trusted = trusted.movedim(4, 1).repeat_interleave(2, 3).repeat_interleave(2, 4)
            self._predicted = (self._level[0] * trusted).flatten(0, 1)
        return self._predicted

    def residual(self, index: int, vectors: F32) -> F32:
        """What is left to code of the details [g, B, h, w] of the next slice, in the slice's own units."""
        factor, prediction = self._factor(index), self._prediction(index)
        left = to_device(vectors, self.known.device)
        left = (left if prediction is None else left - prediction) * self.known.gains[index]
        out: F32 = (left if factor is None else left * factor).cpu().numpy()
        return out

    def add(self, index: int, codes: I32) -> None:
        """Take in the codes [B, h, w, g] of the next slice."""
        words = self.known.words[index] / self.known.gains[index][..., 0]
        at = to_device(codes, words.device).movedim(3, 0).long()  # [g, B, h, w]
        found = words[torch.arange(len(words), device=words.device)[:, None, None, None], at].flatten(3)
        factor, prediction = self._factor(index), self._prediction(index)
        if factor is not None:
            found = found / factor
        if prediction is not None:
            found = found + prediction
        self._level.append(found)
        if self.known.config.slices[index].chroma:
            self.details.append(torch.cat(self._level).reshape(3, 3, *found.shape[1:]))
            self._level, self._predicted = [], None


def _window_mean(x: Tensor) -> Tensor:
    """Mean over 3 x 3 positions, edges repeated: [N, H, W]."""
    return F.avg_pool2d(F.pad(x.flatten(0, -3)[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0].reshape(x.shape)
