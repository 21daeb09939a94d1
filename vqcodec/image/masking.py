"""Where errors show less: the encoder spends bits where they are seen. Steps and decoder know nothing of it.

In place: the weight of a bit in the search is scaled by a power of the local variance, normalised over the picture. The
form follows SSIM, where an error counts in relation to the local variance plus a constant (Z. Wang et al., "Image
quality assessment: from error visibility to structural similarity", 2004).

In scale: the finest details count little in MS-SSIM (Z. Wang et al., "Multi-scale structural similarity", 2003), and
what is given up there costs the squared error little, since it is spent again on the coarser levels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["COARSEST", "LEVELS", "MASKING", "SCALES", "bit_weight", "masking_levels"]

MASKING = 0.5  # exponent on the local variance; this and the weights were measured on training photographs (model card)
LEVEL_WEIGHTS = (1.8, 0.8, 0.45, 0.3, 0.3, 0.3)  # of a bit, finest level first
CHROMA_WEIGHT = 1.6
LEVELS = 5  # scales of the weight of a bit: 2^(-1), 2^(-1/2) ... 2^1
SCALES = tuple(2.0 ** ((k - LEVELS // 2) / 2) for k in range(LEVELS))
COARSEST = 3  # wavelet level; coarser details reach further than the window and are left alone
RADIUS = 8  # of the window of the variance, in pixels
CONSTANT = 58.5  # SSIM's C2 = (0.03 * 255)^2


def bit_weight(level: int, chroma: bool) -> float:
    """Weight of a bit in the search at a wavelet level, where 1 serves the squared error alone."""
    return LEVEL_WEIGHTS[level - 1] * (CHROMA_WEIGHT if chroma else 1.0)


def masking_levels(luma: Tensor, strength: float = MASKING) -> Tensor:
    """Log2 of the scale of a bit's weight at every pixel, times two, unclamped.

    Args:
        luma: first plane of the colour rotation [B, H, W]; its variance is three times that of gray.
        strength: exponent on the variance; 0 is the plain mean squared error.
    """
    x = F.pad(luma[:, None], (RADIUS,) * 4, mode="replicate")
    variance = (_window_mean(x.square()) - _window_mean(x).square()).clamp(min=0)[:, 0]
    log = torch.log2(variance / 3 + CONSTANT)
    return 2 * strength * (log - log.mean((1, 2), keepdim=True))


def _window_mean(x: Tensor) -> Tensor:
    """Mean over the window, along one axis after the other."""
    size = 2 * RADIUS + 1
    return F.avg_pool2d(F.avg_pool2d(x, (size, 1), 1), (1, size), 1)
