"""Metrics against independent computations."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import correlate1d

from vqcodec.benchmarks.image import metrics


def noisy(pixels: np.ndarray, spread: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, spread, pixels.shape)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)


def pattern(height: int = 192, width: int = 208) -> np.ndarray:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (height // 16, width // 16, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def msssim_in_float64(first: np.ndarray, second: np.ndarray) -> float:
    """Wang, Simoncelli and Bovik (2003), written from the paper: valid windows, 2x2 means between scales."""
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(plane: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(plane, window, 0), window, 1)[5:-5, 5:-5]

    def one_channel(x: np.ndarray, y: np.ndarray) -> float:
        result = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            mean_x, mean_y = blur(x), blur(y)
            var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
            structure = (2 * (blur(x * y) - mean_x * mean_y) + 58.5225) / (var_x + var_y + 58.5225)
            luminance = (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
            if scale == 4:
                return result * float((structure * luminance).mean()) ** weight
            result *= float(structure.mean()) ** weight
            x, y = (p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3)) for p in (x, y))
        raise AssertionError("the last scale returns")

    pair = (first.astype(np.float64), second.astype(np.float64))
    return float(np.mean([one_channel(pair[0][..., c], pair[1][..., c]) for c in range(3)]))


@pytest.mark.parametrize("spread", [3, 20])
def test_ms_ssim_equals_the_papers_formula(spread):
    original = pattern()
    decoded = noisy(original, spread)
    assert metrics.ms_ssim(original, decoded) == pytest.approx(msssim_in_float64(original, decoded), abs=2e-5)


def test_ms_ssim_needs_161_samples():
    assert metrics.ms_ssim(pattern(160, 208), pattern(160, 208)) is None
    assert metrics.ms_ssim(pattern(192, 208)[:161, :161], pattern(192, 208)[:161, :161]) == pytest.approx(1)


def test_mse_and_psnr_by_hand():
    first = np.zeros((1, 2, 3), np.uint8)
    second = np.array([[[255, 0, 0], [0, 3, 4]]], np.uint8)
    error = (255**2 + 9 + 16) / 6
    assert metrics.mse(first, second) == metrics.mse(second, first) == pytest.approx(error)
    assert metrics.psnr(error) == pytest.approx(20 * math.log10(255) - 10 * math.log10(error))


def test_identical_pictures_have_finite_figures():
    assert metrics.psnr(0.0) == metrics.PSNR_CAP
    assert metrics.decibels(1.0) == metrics.PSNR_CAP


def test_decibels():
    assert metrics.decibels(0.99) == pytest.approx(20.0)
    assert metrics.decibels(0.0) == pytest.approx(0.0)


def test_pictures_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        metrics.mse(np.zeros((2, 2, 3), np.uint8), np.zeros((1, 2, 3), np.uint8))


def test_ssimulacra2_follows_quality():
    pytest.importorskip("ssimulacra2")
    original = pattern()
    scores = [metrics.ssimulacra2(original, original)]
    for quality in (95, 50, 10):
        buffer = io.BytesIO()
        Image.fromarray(original).save(buffer, "JPEG", quality=quality)
        scores.append(metrics.ssimulacra2(original, np.asarray(Image.open(buffer))))
    assert scores[0] == pytest.approx(100)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 60
