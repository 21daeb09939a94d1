"""Training crops from a folder of photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from vqcodec.bitstream.arrays import U8

__all__ = ["CropSource"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class CropSource:
    """Random crops: pictures in proportion to their area, flipped, transposed, a third of them scaled down.

    Args:
        folder: searched with its sub-folders; pictures smaller than a crop are left out.
        size: side of a crop.

    Raises:
        ValueError: no picture is large enough.
    """

    def __init__(self, folder: Path, size: int, seed: int = 0) -> None:
        self.size = size
        self.rng = np.random.default_rng(seed)
        self.pictures: list[U8] = []
        for path in sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES):
            with Image.open(path) as im:
                picture = np.asarray(im.convert("RGB"))
            if min(picture.shape[:2]) >= size:
                self.pictures.append(picture)
        if not self.pictures:
            raise ValueError(f"{folder}: no picture of at least {size} x {size} pixels")
        area = np.array([p.shape[0] * p.shape[1] for p in self.pictures], float)
        self.weights = area / area.sum()

    def crop(self) -> U8:
        """One crop [size, size, 3]."""
        rng, size = self.rng, self.size
        picture = self.pictures[rng.choice(len(self.pictures), p=self.weights)]
        height, width = picture.shape[:2]
        scale = 1.0
        if rng.random() < 0.35:
            scale = rng.uniform(1.0, min(2.0, min(height, width) / size))
        span = round(size * scale)
        y, x = rng.integers(0, height - span + 1), rng.integers(0, width - span + 1)
        crop = picture[y : y + span, x : x + span]
        if span != size:
            crop = np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.LANCZOS))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        if rng.random() < 0.5:
            crop = crop.transpose(1, 0, 2)
        return np.ascontiguousarray(crop)

    def batch(self, count: int) -> U8:
        """[count, size, size, 3]."""
        return np.stack([self.crop() for _ in range(count)])
