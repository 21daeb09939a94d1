"""What gradient stages do beside their own step: fade the learning rate, average weights, keep a checkpoint, log."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["faded", "follow", "log_line", "save_checkpoint"]


def faded(share: float) -> float:
    """Factor of the learning rate: from 1 at share 0 of the way by a cosine to 2 % at share 1."""
    return 0.49 * (1 + math.cos(math.pi * share)) + 0.02


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, done: int, most: float) -> None:
    """Move averaged weights towards the network's; early in a run they follow closely, later they keep ``most``."""
    keep = min(most, 1 - 1 / (done / 4 + 1))
    for a, b in zip(average.parameters(), network.parameters(), strict=True):
        a.lerp_(b, 1 - keep)


def save_checkpoint(path: Path, state: dict[Any, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def log_line(run: Path, line: dict[str, Any]) -> None:
    """Append a line to the run's log and print it."""
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
