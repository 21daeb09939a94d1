"""Stage "restore": the filter after the inverse wavelet, trained on cached decoded planes.

Nothing but the filter is in the loop: crops are coded once under the model at hand and their decoded planes kept, so
that a step costs only the network. The loss is each crop's error relative to its error before the filter, so that every
quality and every kind of picture counts alike (in decibels, as it is measured); squared error and 1 - MS-SSIM share it.
"""

from __future__ import annotations

import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vqcodec.bitstream.arrays import F32, I64, U8
from vqcodec.image.bands import from_bands
from vqcodec.image.config import step_size
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.model import ImageModel, load_model, save_model
from vqcodec.image.search import Search
from vqcodec.image.train.data import CropSource
from vqcodec.image.train.filter import Restore
from vqcodec.image.train.similarity import dissimilarity
from vqcodec.image.units import low_steps, step_sizes, to_planes, to_units
from vqcodec.prior.integer import planes_first, planes_last
from vqcodec.train.loop import faded, follow, log_line, save_checkpoint

__all__ = ["RestoreOptions", "build_cache", "decode_crops", "train_restore"]


@dataclass(frozen=True)
class RestoreOptions:
    """Options of the stage; the defaults made the shipped weights.

    Attributes:
        crops: cached crops of 256 x 256.
        batch, side: crops per step and their side; cut at random from the cached ones.
        similarity: share of MS-SSIM in the loss, 0..1; the rest is the squared error.
        learning_rate: constant, then a cosine to 2 % from ``decay_from`` of the run on.
        held_out: crops kept for the figures in the log.
    """

    crops: int = 1500
    batch: int = 6
    side: int = 176
    similarity: float = 0.5
    learning_rate: float = 2e-3
    decay_from: float = 0.4
    averaging: float = 0.999
    held_out: int = 60
    seed: int = 11


def decode_crops(search: Search, crops: U8, step: I64) -> tuple[F32, F32]:
    """Planes of crops [B, H, W, 3] before coding and after decoding (without the filter), both [3, B, H, W]."""
    model = search.model
    planes = to_planes(crops, model.colour)
    low, vectors = to_units(model.config, planes, step)
    codes = search(low, vectors, step)
    height, width = low.shape[1:3]
    known = Dequantiser(model.config, model.codebooks, model.trust, codes[0][:, :height, :width], step)
    for i, code in enumerate(codes[1:]):
        known.add(i, code)
    size = step_sizes(step)[:, None, None]
    decoded = planes_first(codes[0][:, :height, :width]) * low_steps(model.config, step)[:, None, None]
    return planes, from_bands([decoded.astype(np.float32), *(d * size for d in known.details)])


def build_cache(model: ImageModel, data: Path, folder: Path, options: RestoreOptions) -> None:
    """Code random crops at random step indices and keep original and decoded planes (half precision) in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = CropSource(data, 256, seed=options.seed)
    rng = np.random.default_rng(options.seed + 1)
    shape = (options.crops, 256, 256, 3)
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, shape) for name in ("original", "decoded")
    ]
    step = rng.integers(0, 256, options.crops)
    search = Search(model)
    for start in range(0, options.crops, 25):
        part = slice(start, min(start + 25, options.crops))
        found = decode_crops(search, source.batch(part.stop - start), step[part])
        for array, planes in zip(arrays, found, strict=True):
            array[part] = planes_last(planes)
    np.save(folder / "step.npy", step)


class Crops:
    """Cached crops; random windows of them as tensors [B, 3, side, side]."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.original = np.load(folder / "original.npy", mmap_mode="r")
        self.decoded = np.load(folder / "decoded.npy", mmap_mode="r")
        self.step: I64 = np.load(folder / "step.npy")
        self.rng = np.random.default_rng(seed)

    def held_out(self, wanted: int) -> int:
        """Crops kept for the figures: the first so many, a quarter at most."""
        return min(wanted, len(self.step) // 4)

    def take(self, pick: I64, side: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Decoded and original planes and step indices of the crops picked, cut to a random window and flipped."""
        pairs = []
        for i in pick:
            pair = np.stack([self.decoded[i], self.original[i]])
            if side is not None:
                y, x = self.rng.integers(0, (pair.shape[1] - side) // 2 + 1, 2) * 2
                pair = pair[:, y : y + side, x : x + side]
                pair = pair[:, :, ::-1] if self.rng.random() < 0.5 else pair
            pairs.append(np.ascontiguousarray(pair))
        both = torch.from_numpy(np.stack(pairs)).float().permute(1, 0, 4, 2, 3)
        return both[0].contiguous(), both[1].contiguous(), torch.from_numpy(self.step[pick])


def _gain(network: nn.Module, crops: Crops, to_rgb: Tensor, wanted: int) -> tuple[list[float], list[float]]:
    """Mean gains in dB of squared error and of 1 - MS-SSIM on held-out crops, by quarter of the step range."""
    held_out = crops.held_out(wanted)
    gains = []
    with torch.inference_mode():
        for start in range(0, held_out, 10):
            decoded, original, step = crops.take(np.arange(start, min(start + 10, held_out)))
            before, after = (_losses(x, original, to_rgb) for x in (decoded, network(decoded, step)))
            gains.append(10 * torch.log10(before / after))
    quarter = crops.step[:held_out] // 64
    squared, similar = (
        [round(float(gain[quarter == q].mean()), 4) if (quarter == q).any() else 0.0 for q in range(4)]
        for gain in torch.cat(gains, 1).numpy()
    )
    return squared, similar


def _losses(decoded: Tensor, original: Tensor, to_rgb: Tensor) -> Tensor:
    """Mean squared error and 1 - MS-SSIM of planes [B, 3, H, W]; [2, B]."""
    rgb_a, rgb_b = (torch.einsum("bchw,dc->bdhw", x, to_rgb) + 128 for x in (decoded, original))
    return torch.stack([(decoded - original).square().mean((1, 2, 3)), dissimilarity(rgb_a, rgb_b)])


def train_restore(
    run: Path,
    data: Path,
    *,
    minutes: float | None,
    steps: int | None,
    resume: bool,
    options: RestoreOptions | None = None,
) -> None:
    """Train the filter of ``run/model.safetensors``; the model is replaced by the better one at the end.

    Args:
        run: folder of the run: model, cache, checkpoint and log.
        data: folder of training photographs, used where the cache is not there yet.
        minutes, steps: length of the run, one of the two.
        resume: go on from the checkpoint, with its optimiser and its place in the schedule.
    """
    options = options or RestoreOptions()
    rank, world = _join_processes()
    device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
    model = load_model(run / "model.safetensors")
    cache = run / "restore-cache"
    if rank == 0 and not (cache / "step.npy").exists():
        build_cache(model, data, cache, options)
    if world > 1:
        dist.barrier()
    crops = Crops(cache, options.seed + rank)
    torch.manual_seed(options.seed)
    network = Restore(model.config.restore_width, model.config.restore_layers)
    if model.restore:
        network.load_arrays(model.restore)
    network.to(device)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    done, share = 0, 0.0
    checkpoint = run / "restore.ckpt"
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        done, share = state["done"], state["share"]
    to_rgb = torch.linalg.inv(torch.from_numpy(model.colour)).to(device)
    trained: nn.Module = DistributedDataParallel(network) if world > 1 else network
    began, shown = time.monotonic(), time.monotonic()
    start_share = share
    losses: list[float] = []
    while True:
        share = done / steps if steps else start_share + (time.monotonic() - began) / (60 * (minutes or 10))
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * _schedule(done, share, options.decay_from)
        losses.append(_step(trained, optimiser, crops, to_rgb, options, device))
        done += 1
        follow(average, network, done, options.averaging)
        if rank == 0 and time.monotonic() - shown > 60:
            shown = time.monotonic()
            line = {
                "stage": "restore",
                "step": done,
                "seconds": round(shown - began),
                "loss": round(float(np.mean(losses)), 5),
            }
            line["gain_db"], line["similarity_db"] = _gain(average.to("cpu"), crops, to_rgb.cpu(), options.held_out)
            average.to(device)
            losses.clear()
            log_line(run, line)
            _save(checkpoint, network, average, optimiser, done, share)
    if rank == 0:
        _save(checkpoint, network, average, optimiser, done, share)
        model.restore = average.arrays()
        save_model(model, run / "model.safetensors")


def _schedule(done: int, share: float, decay_from: float) -> float:
    warm = min(1.0, (done + 1) / 100)
    if share < decay_from:
        return warm
    return warm * faded(min((share - decay_from) / (1 - decay_from), 1.0))


def _step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    crops: Crops,
    to_rgb: Tensor,
    options: RestoreOptions,
    device: torch.device,
) -> float:
    pick = crops.rng.integers(crops.held_out(options.held_out), len(crops.step), options.batch)
    decoded, original, step = crops.take(pick, options.side)
    decoded, original = decoded.to(device), original.to(device)
    delta = torch.tensor([step_size(int(s)) for s in step.tolist()], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        restored = network(decoded, step)
    with torch.no_grad():
        before = _losses(decoded, original, to_rgb)
    after = _losses(restored.float(), original, to_rgb)
    # the floors keep blank crops from ruling
    squared = (after[0] / (before[0] + 0.005 * delta**2)).mean()
    similar = (after[1] / (before[1] + 1e-4)).mean()
    loss = torch.lerp(squared, similar, options.similarity)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _save(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, done: int, share: float
) -> None:
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
    save_checkpoint(path, {**state, "done": done, "share": share})


def _join_processes() -> tuple[int, int]:
    """Rank and size of the group that torchrun started, or a group of one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return (dist.get_rank(), world) if world > 1 else (0, 1)
