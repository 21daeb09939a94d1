"""Training crops from a folder of photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, from_numpy
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vqcodec.bitstream.arrays import U8
from vqcodec.errors import InputError
from vqcodec.threads import cores

__all__ = ["CropSource", "batches", "photographs", "photographs_key"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
SCALED, SCALE = 0.6, 1.7  # share of crops that are scaled down, and by how much at most
JITTER = 0.05
MOST_WORKERS = 10  # processes that cut crops for a GPU


def photographs(folder: Path) -> list[Path]:
    """Pictures in a folder and its sub-folders, in order of name."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


def photographs_key(folder: Path) -> str:
    """Short hash of names and sizes of a folder's pictures: what is cached of them is of these files only."""
    listing = "\n".join(f"{p.relative_to(folder)} {p.stat().st_size}" for p in photographs(folder))
    return hashlib.sha256(listing.encode()).hexdigest()[:8]


class CropSource:
    """Random crops: pictures in proportion to their area, scaled down, flipped, transposed, colours moved a little.

    Args:
        folder: searched with its sub-folders; pictures smaller than a crop are left out.
        size: side of a crop.

    Raises:
        InputError: no picture is large enough, or one cannot be read.
    """

    def __init__(self, folder: Path, size: int, seed: int = 0) -> None:
        self.size, self.seed = size, seed
        self.rng = np.random.default_rng(seed)
        self.pictures: list[U8] = []
        for path in photographs(folder):
            try:
                with Image.open(path) as im:
                    picture = np.asarray(im.convert("RGB"))
            except (OSError, ValueError, SyntaxError) as e:  # as Pillow's readers do on what is damaged, or no picture
                raise InputError(f"{path}: cannot be read ({e}); take it out of the training pictures") from e
            if min(picture.shape[:2]) >= size:
                self.pictures.append(picture)
        if not self.pictures:
            raise InputError(f"{folder}: no picture of at least {size} x {size} pixels; give a folder of photographs")
        area = np.array([p.shape[0] * p.shape[1] for p in self.pictures], float)
        self.weights = area / area.sum()

    def crop(self) -> U8:
        """One crop [size, size, 3]."""
        rng, size = self.rng, self.size
        picture = self.pictures[rng.choice(len(self.pictures), p=self.weights)]
        height, width = picture.shape[:2]
        scale = rng.uniform(1.0, min(SCALE, min(height, width) / size)) if rng.random() < SCALED else 1.0
        span = round(size * scale)
        y, x = rng.integers(0, height - span + 1), rng.integers(0, width - span + 1)
        crop = picture[y : y + span, x : x + span]
        if span != size:
            crop = np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.LANCZOS))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        if rng.random() < 0.5:
            crop = crop.transpose(1, 0, 2)
        return np.ascontiguousarray(self._moved(crop) if rng.random() < 0.5 else crop)

    def _moved(self, crop: U8) -> U8:
        """Saturation and the gain of each colour moved by a few per cent; a smooth map, so that no level is lost."""
        gray = crop.mean(2, keepdims=True)
        x = gray + (crop - gray) * self.rng.uniform(0.8, 1.1)
        x = x * self.rng.uniform(1 - JITTER, 1 + JITTER, 3)
        moved: U8 = np.clip(np.round(x), 0, 255).astype(np.uint8)
        return moved

    def batch(self, count: int) -> U8:
        """[count, size, size, 3]."""
        return np.stack([self.crop() for _ in range(count)])


class _Batches(IterableDataset[Tensor]):
    """Batches of crops without an end; each process that takes part draws others."""

    def __init__(self, source: CropSource, count: int) -> None:
        self.source, self.count = source, count

    def __iter__(self) -> Iterator[Tensor]:
        if (worker := get_worker_info()) is not None:
            self.source.rng = np.random.default_rng((self.source.seed, worker.id))
        while True:
            yield from_numpy(self.source.batch(self.count))


def batches(source: CropSource, count: int, *, ahead: bool) -> Iterator[Tensor]:
    """Batches [count, size, size, 3] without an end.

    Args:
        ahead: cut them in other processes, before they are asked for: a GPU would wait for them.
    """
    workers = min(MOST_WORKERS, max(1, cores() - 2)) if ahead else 0
    # a batch comes whole from the data set: the loader itself makes none
    return iter(DataLoader(_Batches(source, count), batch_size=None, num_workers=workers))
