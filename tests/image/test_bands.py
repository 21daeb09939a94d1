"""The wavelet and the band sets: perfect reconstruction, nearly orthonormal, slices of the details."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.image.bands import band_gains, from_bands, image_gains, pad, slice_of, to_bands
from vqcodec.image.config import IMAGE
from vqcodec.image.wavelet import analyse, synthesise


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 2, 4, 6), (3, 1, 2, 64), (2, 1, 30, 18), (1, 1, 600, 800)])
def test_one_level_comes_back(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    low, details = analyse(x)
    assert low.shape == (*shape[:2], shape[2] // 2, shape[3] // 2)
    assert details.shape == (shape[0], 3, shape[1], *low.shape[2:])
    assert np.allclose(synthesise(low, details), x, atol=1e-10)


def test_blocks_do_not_show() -> None:
    """A wide plane goes through the cache in pieces; the same rows alone, and transposed, give the same bands."""
    x = noise(1, 1, 16, 20_000)
    low, details = analyse(x)
    turned_low, turned = analyse(x.swapaxes(2, 3))
    assert np.allclose(turned_low.swapaxes(2, 3), low, atol=1e-12)
    assert np.allclose(turned[:, [1, 0, 2]].swapaxes(3, 4), details, atol=1e-12)


def test_orientations() -> None:
    """Vertical edges are in the first detail band, horizontal ones in the second, checkerboards in the third."""
    y, x = np.mgrid[:32, :32]
    for want, pattern in enumerate((x % 2, y % 2, (x + y) % 2)):
        _, details = analyse(pattern.astype(float)[None, None])
        energy = np.square(details[..., 4:-4, 4:-4]).sum((0, 2, 3, 4))
        assert int(energy.argmax()) == want
        assert energy.max() / energy.sum() > 0.999


def test_constants_have_no_details() -> None:
    low, details = analyse(np.full((1, 1, 8, 8), 100.0))
    assert np.abs(details).max() < 1e-9
    assert low == pytest.approx(200.0)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 192), (128, 64)])
def test_six_levels_come_back(height: int, width: int) -> None:
    x = noise(3, 1, height, width)
    bands = to_bands(x, 6)
    assert len(bands) == 7
    assert bands[0].shape == (3, 1, height // 64, width // 64)
    assert np.allclose(from_bands(bands), x, atol=1e-9)


def test_nearly_orthonormal() -> None:
    """White noise in the coefficients, scaled by the gains, is white noise of the same energy in the picture."""
    gains = band_gains(6)
    assert all(0.7 < g < 1.45 for row in gains for g in row)
    size = 256
    for level in range(1, 5):
        details = noise(1, 3, 1, size >> level, size >> level)
        unit = details / np.array(gains[level - 1][:3])[:, None, None, None]
        y = synthesise(np.zeros((1, 1, size >> level, size >> level)), unit)
        for _ in range(level - 1):
            y = synthesise(y, np.zeros((1, 3, *y.shape[1:])))
        assert np.square(y).sum() / np.square(details).sum() == pytest.approx(1, abs=0.1)


def test_gains_are_norms_of_pictures() -> None:
    for level, gains in enumerate(band_gains(3), 1):
        grid = 64 >> level
        for o, gain in enumerate(gains):
            low, details = np.zeros((1, 1, grid, grid)), np.zeros((1, 3, 1, grid, grid))
            (low if o == 3 else details[:, o])[..., grid // 2, grid // 2] = 1
            y = synthesise(low, details)
            for _ in range(level - 1):
                y = synthesise(y, np.zeros((1, 3, *y.shape[1:])))
            assert np.sqrt(np.square(y).sum()) == pytest.approx(gain, rel=1e-9)


def test_gains_fit_the_groups() -> None:
    low, per_slice = image_gains(IMAGE)
    assert low > 0
    for s, gain in zip(IMAGE.slices, per_slice, strict=True):
        assert gain.shape == (s.groups,)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (65, 63), (5, 130)])
def test_pad_repeats_the_edges(height: int, width: int) -> None:
    x = noise(2, 1, height, width)
    y = pad(x, 64)
    assert y.shape[2] % 64 == y.shape[3] % 64 == 0
    assert y.shape[2] - height < 64 > y.shape[3] - width
    assert np.array_equal(y[:, :, :height, :width], x)
    assert np.array_equal(y[:, :, -1, :width], x[:, :, -1])
    assert np.array_equal(y[..., -1], y[..., width - 1])


def test_slices_are_views_of_the_details() -> None:
    for level in range(1, 7):
        luma, chroma = (s for s in IMAGE.slices if s.level == level)
        details = noise(3, 3, 2, 4, 8)
        assert np.array_equal(slice_of(details, luma), details[0])
        groups = slice_of(details, chroma)
        assert np.array_equal(groups[3 + 1], details[2, 1])  # group: colour by orientation
        groups[...] = 0
        assert not details[1:].any()
