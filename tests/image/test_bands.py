"""The wavelet and the band sets: perfect reconstruction, nearly orthonormal, vectors and back."""

from __future__ import annotations

import pytest
import torch

from vqcodec.image.bands import band_gains, from_bands, from_vectors, image_gains, pad, to_bands, to_vectors
from vqcodec.image.config import IMAGE
from vqcodec.image.wavelet import analyse, synthesise


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 2, 2, 1), (2, 4, 6, 3), (1, 2, 64, 3), (1, 30, 18, 2)])
def test_one_level_comes_back(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    low, details = analyse(x)
    assert low.shape == (shape[0], shape[1] // 2, shape[2] // 2, shape[3])
    assert details.shape == (*low.shape[:3], 3, shape[3])
    assert torch.allclose(synthesise(low, details), x, atol=1e-10)


def test_orientations() -> None:
    """Vertical edges are in the first detail band, horizontal ones in the second, checkerboards in the third."""
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    for want, pattern in enumerate((x % 2, y % 2, (x + y) % 2)):
        _, details = analyse(pattern.double()[None, ..., None])
        energy = details[:, 4:-4, 4:-4].square().sum((0, 1, 2, 4))
        assert int(energy.argmax()) == want
        assert float(energy.max() / energy.sum()) > 0.999


def test_constants_have_no_details() -> None:
    low, details = analyse(torch.full((1, 8, 8, 1), 100.0, dtype=torch.float64))
    assert float(details.abs().max()) < 1e-9
    assert low.flatten().tolist() == pytest.approx([200.0] * 16)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 192), (128, 64)])
def test_six_levels_come_back(height: int, width: int) -> None:
    x = noise(1, height, width, 3)
    bands = to_bands(x, 6)
    assert len(bands) == 7
    assert bands[0].shape == (1, height // 64, width // 64, 3)
    assert torch.allclose(from_bands(bands), x, atol=1e-9)


def test_nearly_orthonormal() -> None:
    """White noise in the coefficients, scaled by the gains, is white noise of the same energy in the picture."""
    gains = band_gains(6)
    assert all(0.7 < g < 1.45 for row in gains for g in row)
    size = 256
    for level in range(1, 5):
        details = noise(1, size >> level, size >> level, 3, 1)
        unit = details / torch.tensor(gains[level - 1][:3], dtype=torch.float64)[:, None]
        y = synthesise(torch.zeros(1, size >> level, size >> level, 1, dtype=torch.float64), unit)
        for _ in range(level - 1):
            y = synthesise(y, torch.zeros(1, *y.shape[1:3], 3, 1, dtype=torch.float64))
        assert float(y.square().sum() / details.square().sum()) == pytest.approx(1, abs=0.1)


def test_gains_fit_the_groups() -> None:
    low, per_slice = image_gains(IMAGE)
    assert low.ndim == 0
    for s, gain in zip(IMAGE.slices, per_slice, strict=True):
        assert gain.shape == (s.groups, 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (65, 63), (5, 130)])
def test_pad_repeats_the_edges(height: int, width: int) -> None:
    x = noise(1, height, width, 2)
    y = pad(x, 64)
    assert y.shape[1] % 64 == y.shape[2] % 64 == 0
    assert y.shape[1] - height < 64 > y.shape[2] - width
    assert torch.equal(y[:, :height, :width], x)
    assert torch.equal(y[:, -1, :width], x[:, -1])
    assert torch.equal(y[:, :, -1], y[:, :, width - 1])


def test_vectors_are_the_details_in_another_order() -> None:
    for level in range(1, 7):
        luma, chroma = (s for s in IMAGE.slices if s.level == level)
        details = noise(2, 4, 8, 3, 3)
        a, b = to_vectors(details, luma), to_vectors(details, chroma)
        assert a.shape == (2, 4, 8, 3, 1)
        assert b.shape == (2, 4, 8 // chroma.d, 6, chroma.d)
        assert torch.equal(from_vectors(a, b), details)
        # group: colour by orientation; pairs lie side by side
        assert torch.equal(b[:, :, :, 3 + 1], details[..., 1, 2].unflatten(2, (-1, chroma.d)))
