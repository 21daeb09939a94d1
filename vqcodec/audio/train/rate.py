"""Length of audio codes while the transform is trained: a small differentiable stand-in for the prior.

Lines and envelope are Laplacian with scales that follow neighbours already coded; the real prior is fitted afterwards
on the codes and knows more.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["AudioRate", "laplace_bits"]

NEIGHBOURS = ((-1, -2), (-1, -1), (-1, 0), (-1, 1), (-1, 2), (-2, -1), (-2, 0), (-2, 1), (0, -1), (0, -2), (0, -3))


def laplace_bits(x: Tensor, scale: Tensor) -> Tensor:
    """Bits of the unit interval around x under a zero-mean Laplace density."""
    size = x.abs()
    inside = 1 - torch.exp(-0.5 / scale) * torch.cosh(torch.clamp(size, max=0.5) / scale)
    outside = 0.5 * torch.exp(-(size - 0.5).clamp(min=0) / scale) * -torch.expm1(-1 / scale)
    return -torch.log2(torch.where(size < 0.5, inside, outside).clamp(min=1e-7))


class AudioRate(nn.Module):
    """Bits of envelopes and lines."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.neighbours = nn.Parameter(torch.full((KNOTS, len(NEIGHBOURS)), -3.0))
        self.envelope = nn.Parameter(torch.tensor([[-1.0, -3.0]]).repeat(KNOTS, 1))
        self.predict = nn.Parameter(torch.tensor([0.6, 0.5, -0.3]).repeat(bands, 1))
        self.mean = nn.Parameter(torch.zeros(bands))
        self.spread = nn.Parameter(torch.zeros(KNOTS, bands))

    def lines(self, noisy: Tensor, rounded: Tensor, expected: Tensor, step: Tensor) -> Tensor:
        """Bits of every line.

        Args:
            noisy: lines plus uniform noise, in steps [B, T, F].
            rounded: the codes.
            expected: log2 of amplitude over step, from the decoded envelope.
        """
        size = F.pad(rounded.abs().clamp(max=40), (3, 2, 2, 0))
        frames, lines = rounded.shape[1:]
        knots = step_knots(step)
        weight = F.softplus(knots @ self.neighbours)
        share = knots @ self.envelope
        scale = F.softplus(share[:, 0])[:, None, None] * torch.exp2(expected.clamp(-8, 8))
        scale = scale + F.softplus(share[:, 1])[:, None, None]
        for i, (dt, df) in enumerate(NEIGHBOURS):
            part = size[:, 2 + dt : 2 + dt + frames, 3 + df : 3 + df + lines]
            scale = torch.addcmul(scale, weight[:, i, None, None], part)
        return laplace_bits(noisy, scale.clamp(min=0.03))

    def bands(self, noisy: Tensor, rounded: Tensor, step: Tensor) -> Tensor:
        """Bits of every envelope value [B, T, bands], in units of its step."""
        before = F.pad(rounded, (1, 0, 1, 0))
        centre = self.mean / torch.ones_like(rounded)
        around = torch.stack([before[:, :-1, 1:], before[:, 1:, :-1], before[:, :-1, :-1]], -1)
        prediction = (around * self.predict).sum(-1) + centre
        scale = torch.exp2(step_knots(step) @ self.spread)[:, None]
        return laplace_bits(noisy - prediction, scale.clamp(min=0.05))
