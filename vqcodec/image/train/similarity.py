"""Multi-scale structural similarity as a loss (Wang, Simoncelli and Bovik, 2003), scale by scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["dissimilarity"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _blur(x: Tensor) -> Tensor:
    """Gaussian means of [B, C, H, W] where the window fits."""
    channels = x.shape[1]
    at = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    tap = torch.exp(-(at**2) / (2 * SIGMA**2))
    tap = tap / tap.sum()
    column = tap.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    return F.conv2d(F.conv2d(x, column, groups=channels), column.transpose(2, 3), groups=channels)


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """One minus MS-SSIM of pictures [B, C, H, W] on the scale 0..255; [B].

    Pictures too small for all five scales use those that fit, their weights scaled to sum to one.
    """
    scales = max(1, min(len(WEIGHTS), (min(a.shape[2:]) // WINDOW).bit_length()))
    weights = torch.tensor(WEIGHTS[:scales], device=a.device)
    weights = weights / weights.sum()
    log = a.new_zeros(a.shape[:2])
    for scale in range(scales):
        mean_a, mean_b, aa, bb, ab = _blur(torch.cat([a, b, a * a, b * b, a * b], 1)).chunk(5, 1)
        contrast = (2 * (ab - mean_a * mean_b) + C2) / (aa - mean_a**2 + bb - mean_b**2 + C2)
        if scale == scales - 1:
            contrast = contrast * (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
        log = log + weights[scale] * contrast.mean((2, 3)).clamp(min=1e-3).log()
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return 1 - log.exp().mean(1)
