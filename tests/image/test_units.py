"""Pixels to planes: the colour rotation, gray, edges."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.image.units import to_planes

ROTATION = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0].astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (65, 63), (5, 130), (70, 2000)])
def test_planes_are_rotated_and_edges_repeat(height: int, width: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    planes = to_planes(pixels, ROTATION, 64)
    assert planes.shape[2] % 64 == planes.shape[3] % 64 == 0
    assert planes.shape[2] - height < 64 > planes.shape[3] - width
    want = np.einsum("dc,bhwc->dbhw", ROTATION.astype(np.float64), pixels - 128.0)
    assert np.allclose(planes[:, :, :height, :width], want, atol=1e-3)
    assert np.array_equal(planes[:, :, -1, :width], planes[:, :, height - 1, :width])
    assert np.array_equal(planes[..., -1], planes[..., width - 1])


def test_gray_is_three_equal_colours() -> None:
    gray = np.random.default_rng(2).integers(0, 256, (1, 9, 14, 1), dtype=np.uint8)
    assert np.allclose(to_planes(gray, ROTATION), to_planes(gray.repeat(3, 3), ROTATION), atol=1e-3)
