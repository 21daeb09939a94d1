"""Stage "restore": the filter after the inverse wavelet, trained on cached decoded planes.

Nothing but the filter is in the loop, so that a step costs only the network and its losses. Two networks learn side by
side: what looks best, and the least squared error. (One trunk with two last layers was tried: the second
took three times as many steps.)
"""

from __future__ import annotations

import copy
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32
from vqcodec.image.config import ImageConfig
from vqcodec.image.model import load_model, model_id, save_model
from vqcodec.image.train.data import photographs, photographs_key
from vqcodec.image.train.decoded_cache import Crops, build_cache
from vqcodec.image.train.filter import Conditions, Restore, load_arrays, to_arrays
from vqcodec.image.train.loss import Errors, RestoreLoss, Weights
from vqcodec.train.loop import Length, continuing, follow, log_line, read_checkpoint, save_checkpoint, schedule
from vqcodec.train.processes import Processes, join_processes

__all__ = ["RestoreOptions", "train_restore"]

SAVE_EVERY, SHOW_EVERY = 180.0, 300.0  # seconds


@dataclass(frozen=True)
class RestoreOptions:
    """Options of the stage; what the shipped weights were made with is in their file and card.

    Attributes:
        crops: cached crops of 256 x 256.
        batch, side: crops per step and their side; cut at random from the cached ones.
        weights: of the terms of the visual loss.
        learning_rate: constant, then a cosine to 2 % from ``decay_from`` of the run on.
        held_out: crops kept for the figures in the log.
    """

    crops: int = 1200
    batch: int = 4
    side: int = 160
    weights: Weights = field(default_factory=Weights)
    learning_rate: float = 1e-3
    decay_from: float = 0.3
    averaging: float = 0.999
    held_out: int = 48
    seed: int = 11

    @classmethod
    def here(cls) -> RestoreOptions:
        """The defaults; on a machine with a GPU larger steps, which take it hardly longer, and more crops for them."""
        return cls(crops=4000, batch=32, side=192, decay_from=0.2) if torch.cuda.is_available() else cls()


class Pair(nn.Module):
    """Both networks."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.restore, self.faithful = (
            Restore(width, config.restore_layers) for width in (config.restore_width, config.faithful_width)
        )

    def forward(self, planes: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Planes that look best, and those of the least squared error."""
        return self.restore(planes, conditions), self.faithful(planes, conditions)

    def load(self, restore: dict[str, F32], faithful: dict[str, F32]) -> None:
        """Start from a model's arrays."""
        load_arrays(self.restore, restore)
        load_arrays(self.faithful, faithful or restore)

    def arrays(self) -> tuple[dict[str, F32], dict[str, F32]]:
        """What a model stores of each."""
        return to_arrays(self.restore), to_arrays(self.faithful)


def train_restore(
    run: Path, data: Path, length: Length, *, resume: bool, options: RestoreOptions | None = None
) -> None:
    """Train the filter of ``run/model.safetensors``; the model is replaced by the better one at the end.

    Args:
        run: folder of the run: model, cache, checkpoint and log.
        data: folder of training photographs, used where the cache is not there yet.
        length: of the run.
        resume: go on from the checkpoint, with its optimiser and its place in the schedule.

    Raises:
        InputError: a resume without a checkpoint.
    """
    options = options or RestoreOptions.here()
    processes = join_processes()
    model = load_model(run / "model.safetensors")
    torch.manual_seed(options.seed)
    network = Pair(model.config)
    if model.restore:
        network.load(model.restore, model.faithful)
    loss = RestoreLoss(torch.linalg.inv(torch.from_numpy(model.colour)), options.weights)
    trainer = _Trainer(network, loss, options, processes)
    checkpoint = run / "restore.ckpt"
    share = trainer.load(checkpoint) if resume else 0.0
    key = f"{model_id(model).hex()}-{photographs_key(data)}-{options.crops}-{options.seed}"
    cache = run / f"restore-cache-{key}"
    if processes.first and not cache.exists():
        build_cache(run / "model.safetensors", data, cache, options.crops, options.seed)
    processes.wait()
    trainer.crops = Crops(cache, options.seed + processes.rank)
    trainer.learn_usual()
    _train(trainer, length, share, run, checkpoint)
    if processes.first:
        model.restore, model.faithful = trainer.average.arrays()
        facts = {"steps": trainer.done, "photographs": len(photographs(data))}
        model.training["restore"] = asdict(options) | facts
        save_model(model, run / "model.safetensors")
    processes.wait()


def _train(trainer: _Trainer, length: Length, before: float, run: Path, checkpoint: Path) -> None:
    """All steps, with a checkpoint and a line in the log now and then."""
    first = trainer.processes.first
    began = saved = shown = time.monotonic()
    losses = []
    while True:
        now = time.monotonic()
        share = trainer.processes.agreed(length.share(began, trainer.done, before))
        if share < 1:
            losses.append(trainer.step(share))
        if first and (now - saved > SAVE_EVERY or share >= 1):
            saved = now
            trainer.save(checkpoint, share)
        if first and (now - shown > SHOW_EVERY or share >= 1):
            shown = now
            line = {"stage": "restore", "step": trainer.done, "seconds": round(now - began), "share": round(share, 4)}
            means = {"loss": np.round(np.mean(losses, 0), 5).tolist()} if losses else {}
            log_line(run, line | means | trainer.figures())
            losses.clear()
        if share >= 1:
            break


class _Trainer:
    """Network, its average, optimiser and losses; one step, figures and checkpoints."""

    crops: Crops

    def __init__(self, network: Pair, loss: RestoreLoss, options: RestoreOptions, processes: Processes) -> None:
        device = processes.device
        self.network, self.loss = network.to(device), loss.to(device)
        self.average = copy.deepcopy(self.network)
        self.optimiser = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
        self.options, self.processes, self.device, self.done = options, processes, device, 0

    @torch.inference_mode()
    def _before(self, pick: Any) -> tuple[Errors, Tensor]:
        decoded, original, told = self.crops.take(pick, self.device)
        return self.loss.errors(decoded, original), told.step

    def learn_usual(self) -> None:
        """Errors before the filter by step, from the held-out crops."""
        parts = [self._before(k) for k in self._held_out()]
        every = Errors(*(torch.cat([getattr(e, name) for e, _ in parts]) for name in Errors.__annotations__))
        self.loss.learn_usual(torch.cat([step for _, step in parts]), every)

    def _held_out(self) -> list[Any]:
        return list(np.array_split(np.arange(count := self.crops.held_out(self.options.held_out)), -(-count // 8)))

    def step(self, share: float) -> tuple[float, float]:
        """One step; the two losses."""
        o = self.options
        for group in self.optimiser.param_groups:
            group["lr"] = o.learning_rate * schedule(self.done, share, o.decay_from)
        pick = self.crops.rng.integers(self.crops.held_out(o.held_out), len(self.crops.step), o.batch)
        decoded, original, told = self.crops.take(pick, self.device, o.side)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            visual, faithful = self.network(decoded, told)
        losses = (
            self.loss.visual(visual.float(), decoded, original, told.step),
            self.loss.faithful(faithful.float(), decoded, original, told.step),
        )
        self.optimiser.zero_grad(set_to_none=True)
        (losses[0] + losses[1]).backward()  # type: ignore[no-untyped-call]
        self.processes.share_gradients(self.network.parameters())
        for one in (self.network.restore, self.network.faithful):
            nn.utils.clip_grad_norm_(one.parameters(), 1.0)
        self.optimiser.step()
        self.done += 1
        follow(self.average, self.network, self.done, o.averaging)
        return float(losses[0].detach()), float(losses[1].detach())

    @torch.inference_mode()
    def figures(self) -> dict[str, Any]:
        """Errors after the filter as shares of those before, in dB, on held-out crops by quarter of the step range."""
        rows, faithful, steps = [], [], []
        for k in self._held_out():
            decoded, original, told = self.crops.take(k, self.device)
            visual, exact = self.average(decoded, told)
            before, after = (self.loss.errors(x, original) for x in (decoded, visual))
            rows.append(torch.stack([_decibels(getattr(before, n), getattr(after, n)) for n in Errors.__annotations__]))
            faithful.append(_decibels(before.squared, (exact - original).square().mean((1, 2, 3))))
            steps.append(told.step)
        table = torch.cat([torch.cat(rows, 1), torch.cat(faithful)[None]])
        quarter = torch.cat(steps) // 64
        names = (*Errors.__annotations__, "faithful")
        return {
            name: [round(float(row[quarter == q].mean()), 3) for q in range(4) if (quarter == q).any()]
            for name, row in zip(names, table, strict=True)
        }

    def save(self, path: Path, share: float) -> None:
        """Write a checkpoint."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "done": self.done, "share": share,
        }  # fmt: skip
        save_checkpoint(path, state)

    def load(self, path: Path) -> float:
        """Go on from a checkpoint; returns its place in the schedule."""
        state = read_checkpoint(path, self.device)
        with continuing(path):
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done = state["done"]
            return float(state["share"])


def _decibels(before: Tensor, after: Tensor) -> Tensor:
    return 10 * torch.log10((before + 1e-6) / (after + 1e-6))
