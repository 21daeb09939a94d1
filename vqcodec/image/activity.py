"""Steps that follow local activity: finer where a picture is quiet, coarser where it is busy.

SSIM counts an error in relation to the local variance plus a constant (Z. Wang et al., "Image quality assessment: from
error visibility to structural similarity", 2004): faint structure in quiet places is what a step of one size for all
places loses first. The fine details are therefore multiplied by a factor before quantisation and divided by it after.
The factor comes from the picture as decoded up to there, so that nothing is sent for it. It is a float and moves values
only: no code depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.image.bands import from_bands
from vqcodec.image.config import ImageConfig

__all__ = ["LIMIT", "activity_factor", "coarse_luma", "finer"]

LIMIT = 2.0  # the factor stays between 1 / LIMIT and LIMIT
MIDDLE = 128.0  # variance plus floor where the factor is 1
WINDOW = 3  # side of the window of the variance, in positions of the coarse picture
SMOOTH = 3  # side of the mean over the factor's logarithm, likewise


def coarse_luma(config: ImageConfig, low: Tensor, details: Sequence[Tensor]) -> Tensor:
    """Luma of the picture at 2**-activity_level of its size, in sample values.

    Args:
        low: low band [B, h, w, 3] in coefficients.
        details: of the levels above ``activity_level``, coarse first, [B, h, w, 3, 3] in coefficients.

    Returns:
        [B, H, W]; first plane of the colour rotation, whose variance is three times that of gray.
    """
    luma: Tensor = from_bands([low[..., :1], *(d[..., :1] for d in details)])[..., 0]
    return luma * 2.0**-config.activity_level


def activity_factor(config: ImageConfig, luma: Tensor) -> Tensor:
    """Factor of the details by position, [B, H, W], from :func:`coarse_luma`."""
    variance = (_mean(luma.square(), WINDOW) - _mean(luma, WINDOW).square()).clamp(min=0) / 3
    log = torch.log2((variance + config.activity_floor) / MIDDLE) * (-config.activity_exponent / 2)
    factor: Tensor = torch.exp2(_mean(log, SMOOTH)).clamp(1 / LIMIT, LIMIT)
    return factor


def finer(factor: Tensor) -> Tensor:
    """The factor on the grid of the next finer level: [B, H, W] to [B, 2H, 2W], linear in between."""
    return F.interpolate(factor[:, None], scale_factor=2, mode="bilinear", align_corners=False)[:, 0]


def _mean(x: Tensor, side: int) -> Tensor:
    """Mean over a window, edges repeated: [B, H, W]."""
    return F.avg_pool2d(F.pad(x[:, None], (side // 2,) * 4, mode="replicate"), side, 1)[:, 0]
