"""Codes of training crops on disk: what the prior learns from, without transform and search in its loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import F32, I32, I64, U8
from vqcodec.image.model import ImageModel
from vqcodec.image.search import Search
from vqcodec.image.train.data import CropSource
from vqcodec.image.units import to_planes, to_units
from vqcodec.sources import write_atomic

__all__ = ["CodeCache", "cache_codes", "code_crops", "load_cache", "save_cache"]

BATCH = 16  # crops searched at a time


@dataclass(frozen=True)
class CodeCache:
    """Codes of N crops of one size.

    Attributes:
        step: [N] step indices.
        size: side of a crop in pixels.
        codes: the low band's values, then the codes of every slice, [N, h, w, g] int16.
    """

    step: I64
    size: int
    codes: list[npt.NDArray[np.int16]]

    def __add__(self, other: CodeCache) -> CodeCache:
        """Crops of both, which are of the same size."""
        codes = [np.concatenate(pair) for pair in zip(self.codes, other.codes, strict=True)]
        return CodeCache(np.concatenate([self.step, other.step]), self.size, codes)

    @property
    def pixels(self) -> int:
        return len(self.step) * self.size**2


def code_crops(search: Search, crops: U8, step: I64) -> tuple[F32, list[I32]]:
    """Planes [3, B, H, W] of crops [B, H, W, 3], and their codes by the encoder's own search."""
    planes = to_planes(crops, search.model.colour)
    return planes, search(*to_units(search.config, planes, step), step)


def cache_codes(model: ImageModel, source: CropSource, count: int, seed: int = 0, *, even: bool = False) -> CodeCache:
    """Code ``count`` crops, each at a random step index, with the encoder's own search under the model's prior.

    Args:
        even: with steps that are the same for all bands and places.
    """
    step = np.random.default_rng(seed).integers(0, 256, count)
    search = Search(model, even=even)
    parts = []
    for k in range(0, count, BATCH):
        _, codes = code_crops(search, source.batch(len(step[k : k + BATCH])), step[k : k + BATCH])
        parts.append([c.astype(np.int16) for c in codes])
    return CodeCache(step, source.size, [np.concatenate(p) for p in zip(*parts, strict=True)])


def save_cache(cache: CodeCache, path: Path) -> None:
    """Write a cache as compressed npz, whole or not at all."""
    arrays: dict[str, Any] = {f"codes{i:02}": c for i, c in enumerate(cache.codes)}

    def write(file: BinaryIO) -> None:
        np.savez_compressed(file, step=cache.step, size=np.array(cache.size), **arrays)

    write_atomic(path, write, force=True)


def load_cache(path: Path) -> CodeCache:
    """Read what :func:`save_cache` wrote."""
    with np.load(path) as f:
        names = sorted(k for k in f.files if k.startswith("codes"))
        return CodeCache(f["step"], int(f["size"]), [f[k] for k in names])
