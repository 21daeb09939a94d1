"""Steps that follow local activity: finer where a picture is quiet, coarser where it is busy.

SSIM counts an error in relation to the local variance plus a constant (Z. Wang et al., "Image quality assessment: from
error visibility to structural similarity", 2004): faint structure in quiet places is what a step of one size for all
places loses first. The fine details are therefore multiplied by a factor before quantisation and divided by it after.
The factor comes from the picture as decoded up to there, so that nothing is sent for it. It is a float and moves values
only: no code depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.image.bands import from_bands
from vqcodec.image.config import ImageConfig

__all__ = ["LIMIT", "activity_factor", "coarse_luma", "finer", "window_mean"]

LIMIT = 2.0  # the factor stays between 1 / LIMIT and LIMIT
MIDDLE = 128.0  # variance plus floor where the factor is 1


def coarse_luma(config: ImageConfig, low: F32, details: Sequence[F32]) -> F32:
    """Luma of the picture at 2**-activity_level of its size, in sample values.

    Args:
        low: low band [3, B, h, w] in coefficients.
        details: of the levels above ``activity_level``, coarse first, [3, 3, B, h, w] in coefficients.

    Returns:
        [B, H, W]; first plane of the colour rotation, whose variance is three times that of gray.
    """
    luma = from_bands([low[:1], *(d[:1] for d in details)])[0]
    out: F32 = (luma * 2.0**-config.activity_level).astype(np.float32)
    return out


def activity_factor(config: ImageConfig, luma: F32) -> F32:
    """Factor of the details by position, [B, H, W], from :func:`coarse_luma`."""
    mean = window_mean(luma)
    variance = np.maximum(window_mean(luma * luma) - mean * mean, 0) / 3
    log = np.log2((variance + config.activity_floor) / MIDDLE) * (-config.activity_exponent / 2)
    return np.clip(np.exp2(window_mean(log.astype(np.float32))), 1 / LIMIT, LIMIT).astype(np.float32)


def finer(factor: F32) -> F32:
    """The factor on the grid of the next finer level: [B, H, W] to [B, 2H, 2W], linear in between."""
    for axis in (1, 2):
        padded = np.pad(factor, [(int(a == axis),) * 2 for a in range(3)], mode="edge")
        behind, here, ahead = (
            np.take(padded, range(k, k + factor.shape[axis]), axis) * np.float32(w)
            for k, w in ((0, 0.25), (1, 0.75), (2, 0.25))
        )
        shape = [n * (1 + (a == axis)) for a, n in enumerate(factor.shape)]
        factor = np.stack([here + behind, here + ahead], axis + 1).reshape(shape)
    return factor


def window_mean(x: F32) -> F32:
    """Mean over 3 x 3 positions, edges repeated: [..., H, W]."""
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    rows = padded[..., :-2, :] + padded[..., 1:-1, :]
    rows += padded[..., 2:, :]
    out: F32 = rows[..., :-2] + rows[..., 1:-1]
    out += rows[..., 2:]
    out *= x.dtype.type(1 / 9)
    return out
