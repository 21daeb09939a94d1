"""Distances between two 8-bit RGB pictures, uint8 [H, W, 3].

PSNR is over all three channels together. MS-SSIM is Wang, Simoncelli and Bovik (2003) on RGB, as CompressAI reports
it (``pytorch-msssim``). SSIMULACRA2 is J. Sneyers' metric in the Python port ``ssimulacra2``.
ST-LPIPS is that of Ghildyal and Liu (2022) with VGG.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.stlpips import PerceptualDistance

__all__ = ["PSNR_CAP", "decibels", "ms_ssim", "mse", "psnr", "ssimulacra2", "st_lpips"]

Pixels = NDArray[np.uint8]

# Identical pictures have no finite PSNR, and JSON has no infinity.
PSNR_CAP = 100.0
MS_SSIM_LEAST_SIDE = 161  # five scales with an 11-tap window: 10 * 2**4 < shorter side


def mse(original: Pixels, decoded: Pixels) -> float:
    """Mean squared error in units of squared 8-bit sample values."""
    if original.shape != decoded.shape:
        raise ValueError(f"pictures differ in shape: {original.shape} and {decoded.shape}")
    difference = original.astype(np.int32) - decoded.astype(np.int32)
    return float(np.mean(difference * difference, dtype=np.float64))


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, at most ``PSNR_CAP``."""
    if squared_error <= 0:
        return PSNR_CAP
    return min(PSNR_CAP, float(10 * np.log10(255.0**2 / squared_error)))


def decibels(similarity: float) -> float:
    """An MS-SSIM value on the usual scale -10 log10(1 - MS-SSIM), at most ``PSNR_CAP``."""
    return psnr(255.0**2 * max(0.0, 1.0 - similarity))


def ms_ssim(original: Pixels, decoded: Pixels) -> float | None:
    """MS-SSIM in 0..1, or None where a side is too short for its five scales."""
    if min(original.shape[:2]) < MS_SSIM_LEAST_SIDE:
        return None
    import torch
    from pytorch_msssim import ms_ssim as measure

    def tensor(pixels: Pixels) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).unsqueeze(0).float()

    with torch.inference_mode():
        return float(measure(tensor(original), tensor(decoded), data_range=255))


def ssimulacra2(original: Pixels, decoded: Pixels) -> float:
    """SSIMULACRA2 score: 100 identical, 90 visually lossless, 70 high, 50 medium, 30 low quality."""
    from ssimulacra2 import compute_ssimulacra2

    # The package takes file names only; uncompressed files cost a few milliseconds.
    with tempfile.TemporaryDirectory(prefix="vqcodec-bench-") as folder:
        paths = [Path(folder) / name for name in ("original.ppm", "decoded.ppm")]
        for path, pixels in zip(paths, (original, decoded), strict=True):
            Image.fromarray(pixels).save(path)
        return float(compute_ssimulacra2(str(paths[0]), str(paths[1])))


@cache
def _judge() -> PerceptualDistance:
    return PerceptualDistance("vgg")  # the models are trained with AlexNet, so this is a witness


def st_lpips(original: Pixels, decoded: Pixels) -> float:
    """ST-LPIPS with VGG (vqcodec.stlpips), 0 for equal pictures; in tiles of 256 x 256, which bounds the memory."""
    import torch

    total, area = 0.0, 0
    height, width = original.shape[:2]
    with torch.inference_mode():
        for y in range(0, max(height - 64, 1), 256):
            for x in range(0, max(width - 64, 1), 256):
                parts = [p[y : y + 256, x : x + 256] for p in (decoded, original)]
                if min(parts[0].shape[:2]) < 64:  # too small for the network's five scales
                    continue
                a, b = (torch.from_numpy(p.transpose(2, 0, 1).copy())[None].float() for p in parts)
                size = a.shape[2] * a.shape[3]
                total, area = total + size * float(_judge()(a, b)), area + size
    return total / max(area, 1)
