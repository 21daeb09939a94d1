"""Shared by all tests: small pictures, and an environment in which only the installed package is found."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

# Processes that tests start must not find the checkout's own folder in place of the installed package.
os.environ["PYTHONSAFEPATH"] = "1"


def scene(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A smooth picture with an edge, uint8 [H, W, 3], the same every time."""
    y, x = np.mgrid[:height, :width]
    red = 40 + 160 * x / max(width, 2)
    green = 200 - 120 * y / max(height, 2)
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2, 220, 60 + 40 * np.sin(x / 5))
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


@pytest.fixture
def rgb() -> npt.NDArray[np.uint8]:
    return scene(40, 56)


@pytest.fixture
def photo(tmp_path: Path, rgb: npt.NDArray[np.uint8]) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(rgb).save(path)
    return path
