"""A folder with two small pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


def scene(seed: int, height: int = 176, width: int = 192) -> np.ndarray:
    """Soft blobs and a little noise, uint8 [H, W, 3]."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 255, (height // 16, width // 16, 3)).astype(np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(np.float64)
    return np.clip(soft + generator.normal(0, 4, soft.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate(("first", "second")):
        Image.fromarray(scene(seed)).save(folder / f"{name}.png")
    return folder
