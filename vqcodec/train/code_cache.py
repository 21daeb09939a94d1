"""Codes of training crops on disk: what the prior learns from, without transform and search in its loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqcodec.models.store import ImageModel
from vqcodec.quantize.search import rate_tables, search
from vqcodec.quantize.units import to_units
from vqcodec.train.data import CropSource

__all__ = ["CodeCache", "cache_codes", "load_cache", "save_cache"]

BATCH = 16  # crops searched at a time


@dataclass(frozen=True)
class CodeCache:
    """Codes of N crops of one size.

    Attributes:
        step: [N] step indices.
        size: side of a crop in pixels.
        codes: the low band's values, then the codes of every slice, [N, h, w, g] int16.
    """

    step: npt.NDArray[np.int64]
    size: int
    codes: list[npt.NDArray[np.int16]]

    @property
    def pixels(self) -> int:
        return len(self.step) * self.size**2


def _codes_of(
    model: ImageModel, rates: list[Tensor], crops: Tensor, step: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.int16]]:
    config = model.config
    planes = (crops.float() - 128.0) @ model.colour.T
    low, vectors = to_units(config, planes, torch.from_numpy(step))
    codes = search(config, model.codes, rates, model.codebooks, model.trust, low, vectors, step)
    return [c.astype(np.int16) for c in codes]


@torch.inference_mode()
def cache_codes(model: ImageModel, source: CropSource, count: int, seed: int = 0) -> CodeCache:
    """Code ``count`` crops, each at a random step index, with the encoder's own search under the model's prior."""
    step = np.random.default_rng(seed).integers(0, 256, count)
    rates = rate_tables(model.codes)
    parts = [
        _codes_of(model, rates, source.batch(len(step[k : k + BATCH])), step[k : k + BATCH])
        for k in range(0, count, BATCH)
    ]
    return CodeCache(step, source.size, [np.concatenate(p) for p in zip(*parts, strict=True)])


def save_cache(cache: CodeCache, path: Path) -> None:
    """Write a cache as compressed npz."""
    arrays: dict[str, Any] = {f"codes{i:02}": c for i, c in enumerate(cache.codes)}
    with path.open("wb") as f:
        np.savez_compressed(f, step=cache.step, size=np.array(cache.size), **arrays)


def load_cache(path: Path) -> CodeCache:
    """Read what :func:`save_cache` wrote."""
    with np.load(path) as f:
        names = sorted(k for k in f.files if k.startswith("codes"))
        return CodeCache(f["step"], int(f["size"]), [f[k] for k in names])
