"""What the filter is trained for: errors relative to those before it, so that every quality and crop counts alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqcodec.image.config import step_size
from vqcodec.image.train.similarity import dissimilarity
from vqcodec.image.train.visibility import visible_error
from vqcodec.stlpips import PerceptualDistance

__all__ = ["Errors", "RestoreLoss", "Weights"]

MIDDLE = 128  # side of what ST-LPIPS is taken of, at most


@dataclass(frozen=True)
class Weights:
    """Of the terms of the visual loss; the faithful one is the squared error alone.

    Attributes:
        squared: mean squared error.
        similarity: 1 - MS-SSIM.
        visible: terms of SSIMULACRA2.
        perceptual: ST-LPIPS with AlexNet; of half the crops, cut to their middle: it costs more than all else.
    """

    squared: float = 1.0
    similarity: float = 0.7
    visible: float = 1.0
    perceptual: float = 0.35


@dataclass(frozen=True)
class Errors:
    """Four distances of decoded planes to the original [B], named as in :class:`Weights`."""

    squared: Tensor
    similarity: Tensor
    visible: Tensor
    perceptual: Tensor


class RestoreLoss(nn.Module):
    """Errors of planes [B, 3, H, W], and the loss made of them.

    Args:
        to_rgb: inverse of the model's colour rotation.
    """

    def __init__(self, to_rgb: Tensor, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.to_rgb = nn.Buffer(to_rgb)
        self.usual = nn.Buffer(torch.zeros(3, 2))  # polynomial of the step: logs of the last two before the filter
        self.network = PerceptualDistance() if weights.perceptual else None

    def rgb(self, planes: Tensor) -> Tensor:
        """RGB on the scale 0..255."""
        return torch.einsum("bchw,dc->bdhw", planes, self.to_rgb) + 128

    def errors(self, planes: Tensor, original: Tensor) -> Errors:
        """All four; those whose weight is zero are not computed."""
        a, b = self.rgb(planes), self.rgb(original)
        none = planes.new_zeros(len(planes))
        return Errors(
            squared=(planes - original).square().mean((1, 2, 3)),
            similarity=dissimilarity(a, b) if self.weights.similarity else none,
            visible=visible_error(b, a) if self.weights.visible else none,
            perceptual=none if self.network is None else self.network(a, b),
        )

    def _perceptual(self, planes: Tensor, original: Tensor) -> Tensor:
        """Of the first half of the batch, in the middle."""
        assert self.network is not None
        count, side = -(-len(planes) // 2), min(planes.shape[2], MIDDLE)
        at = (planes.shape[2] - side) // 2
        a, b = (self.rgb(x[:count, :, at : at + side, at : at + side]) for x in (planes, original))
        found: Tensor = self.network(a, b)
        return found

    @torch.no_grad()
    def learn_usual(self, step: Tensor, before: Errors) -> None:
        """Take the usual error before the filter, by step, from a sample of crops."""
        log = torch.stack([before.visible, before.perceptual], 1).clamp(min=1e-5).log()
        self.usual.copy_(torch.linalg.lstsq(_powers(step), log).solution)

    def faithful(self, planes: Tensor, decoded: Tensor, original: Tensor, step: Tensor) -> Tensor:
        """Squared error relative to that of the decoded planes."""
        before = (decoded - original).square().mean((1, 2, 3))
        return ((planes - original).square().mean((1, 2, 3)) / (before + self._floor(step))).mean()

    def visual(self, planes: Tensor, decoded: Tensor, original: Tensor, step: Tensor) -> Tensor:
        """All terms; the first two relative to the crop's own error before, the others to what is usual at its step."""
        w = self.weights
        a, b = self.rgb(planes), self.rgb(original)
        with torch.no_grad():
            before = (decoded - original).square().mean((1, 2, 3))
            similarity = dissimilarity(self.rgb(decoded), b)
            usual = (_powers(step) @ self.usual).exp()
        squared = (planes - original).square().mean((1, 2, 3))
        loss = w.squared * (squared / (before + self._floor(step))).mean()
        if w.similarity:
            loss = loss + w.similarity * (dissimilarity(a, b) / (similarity + 1e-4)).mean()
        if w.visible:
            loss = loss + w.visible * (visible_error(b, a) / usual[:, 0]).mean()
        if w.perceptual:
            found = self._perceptual(planes, original)
            loss = loss + w.perceptual * (found / usual[: len(found), 1]).mean()
        return loss

    def _floor(self, step: Tensor) -> Tensor:
        """Keeps blank crops from ruling."""
        delta = torch.tensor([step_size(int(s)) for s in step.tolist()], device=self.to_rgb.device)
        return 0.005 * delta**2


def _powers(step: Tensor) -> Tensor:
    """1, s and s squared of step indices [B] as shares of the largest, [B, 3]."""
    return (step[:, None] / 255.0) ** torch.arange(3, device=step.device)
