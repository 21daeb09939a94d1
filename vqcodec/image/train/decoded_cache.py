"""What the filter is trained on: crops coded once under the model at hand, original and decoded planes on disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I64, U8
from vqcodec.image.bands import from_bands
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.model import load_model
from vqcodec.image.search import Search
from vqcodec.image.synthesis import BLOCK
from vqcodec.image.train.code_cache import code_crops
from vqcodec.image.train.data import CropSource
from vqcodec.image.train.filter import Conditions
from vqcodec.image.units import low_steps, step_sizes
from vqcodec.prior.integer import planes_first, planes_last
from vqcodec.threads import cores
from vqcodec.workers import in_processes

__all__ = ["Crops", "build_cache", "decode_crops"]

NAMES = ("original", "decoded", "factor")
BATCH = 10  # crops coded at a time
EVEN = 5
WORTH = 100  # crops that a process of its own is worth


def decode_crops(search: Search, crops: U8, step: I64) -> tuple[F32, F32, F32]:
    """Planes of crops [B, H, W, 3] before coding and after decoding without the filter, and what it needs beside.

    Returns:
        Original and decoded planes [3, B, H, W], and the factor of image.activity by block [B, H / 4, W / 4].
    """
    config, model = search.config, search.model
    planes, codes = code_crops(search, crops, step)
    height, width = (side >> config.levels for side in planes.shape[2:])
    values = codes[0][:, :height, :width]
    known = Dequantiser(config, model.codebooks, model.trust, values, step)
    for i, code in enumerate(codes[1:]):
        known.add(i, code)
    low = planes_first(values).astype(np.float32) * low_steps(config, step)[:, None, None]
    size = step_sizes(step)[:, None, None]
    return planes, from_bands([low, *(d * size for d in known.details)]), known.activity(BLOCK.bit_length() - 1)


def build_cache(model: Path, data: Path, folder: Path, count: int, seed: int) -> None:
    """Code random crops at random step indices, one batch in ``EVEN`` with even steps; planes in half precision.

    The work is spread over the processors. The folder appears whole or not at all.

    Raises:
        WorkerDiedError: one of the processes that share the work died.
    """
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    making.mkdir(parents=True)
    try:
        step = np.random.default_rng(seed + 1).integers(0, 256, count)
        np.save(making / "step.npy", step)
        np.save(making / "even.npy", np.arange(count) // BATCH % EVEN == EVEN - 1)
        for name, shape in zip(NAMES, ((256, 256, 3), (256, 256, 3), (256 // BLOCK,) * 2), strict=True):
            np.lib.format.open_memmap(making / f"{name}.npy", "w+", np.float16, (count, *shape))
        jobs = max(1, min(cores(), count // WORTH))
        shares = np.array_split(range(0, count, BATCH), jobs)
        parts = [_Part(model, data, making, seed, int(share[0]), int(share[-1])) for share in shares]
        for _ in in_processes(_fill, parts, jobs):
            pass
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


@dataclass(frozen=True)
class _Part:
    """What one process makes of a cache: batches from the one that begins with crop ``first`` to that with ``last``."""

    model: Path
    data: Path
    folder: Path
    seed: int
    first: int
    last: int


def _fill(part: _Part) -> None:
    """Write them into the files of the cache. Crops before them are drawn too: they are the same whoever draws them."""
    model, source = load_model(part.model), CropSource(part.data, 256, seed=part.seed)
    searches = {flag: Search(model, even=flag) for flag in (False, True)}
    step, even = (np.load(part.folder / f"{name}.npy") for name in ("step", "even"))
    arrays = [np.load(part.folder / f"{name}.npy", mmap_mode="r+") for name in NAMES]
    for start in range(0, part.last + 1, BATCH):
        place = slice(start, min(start + BATCH, len(step)))
        crops = source.batch(place.stop - start)
        if start >= part.first:
            original, decoded, factor = decode_crops(searches[bool(even[start])], crops, step[place])
            for array, values in zip(arrays, (planes_last(original), planes_last(decoded), factor), strict=True):
                array[place] = values


class Crops:
    """Cached crops; random windows of them as tensors [B, 3, side, side]."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.original, self.decoded, self.factor = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in NAMES)
        self.even: npt.NDArray[np.bool_] = np.load(folder / "even.npy")
        self.step: I64 = np.load(folder / "step.npy")
        self.rng = np.random.default_rng(seed)

    def held_out(self, wanted: int) -> int:
        """Crops kept for the figures: the first so many, a quarter at most."""
        return min(wanted, len(self.step) // 4)

    def take(self, pick: I64, device: torch.device, side: int | None = None) -> tuple[Tensor, Tensor, Conditions]:
        """Decoded and original planes of the crops picked, and what the filter is told of them.

        Args:
            side: of a random window in each, flipped at random; a multiple of a block. None takes whole crops.
        """
        pairs, factors = [], []
        for i in pick:
            pair, factor = np.stack([self.decoded[i], self.original[i]]), self.factor[i]
            if side is not None:
                blocks = side // BLOCK
                y, x = self.rng.integers(0, len(factor) - blocks + 1, 2)
                factor = factor[y : y + blocks, x : x + blocks]
                pair = pair[:, y * BLOCK : y * BLOCK + side, x * BLOCK : x * BLOCK + side]
                if self.rng.random() < 0.5:
                    pair, factor = pair[:, :, ::-1], factor[:, ::-1]
            pairs.append(np.ascontiguousarray(pair))
            factors.append(factor)
        both = torch.from_numpy(np.stack(pairs)).to(device).float().permute(1, 0, 4, 2, 3)
        step, even = (torch.from_numpy(told[pick]).to(device) for told in (self.step, self.even))
        conditions = Conditions(step, even, torch.from_numpy(np.stack(factors)).to(device).float())
        return both[0].contiguous(), both[1].contiguous(), conditions
