"""Shared by all tests: small pictures, and a codec."""

from __future__ import annotations

import fake_codec
import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def codec(monkeypatch):
    import vqcodec.models

    monkeypatch.setattr(vqcodec.models, "load_image_codec", fake_codec.load_image_codec, raising=False)
    monkeypatch.setattr(vqcodec.models, "load_by_id", fake_codec.load_by_id, raising=False)
    return fake_codec.FakeCodec()


def scene(height: int, width: int) -> np.ndarray:
    """A smooth picture with an edge, uint8 [H, W, 3], the same every time."""
    y, x = np.mgrid[:height, :width]
    red = 40 + 160 * x / max(width, 2)
    green = 200 - 120 * y / max(height, 2)
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2, 220, 60 + 40 * np.sin(x / 5))
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


@pytest.fixture
def rgb() -> np.ndarray:
    return scene(40, 56)


@pytest.fixture
def photo(tmp_path, rgb):
    path = tmp_path / "photo.png"
    Image.fromarray(rgb).save(path)
    return path
