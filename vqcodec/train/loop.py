"""What gradient stages do beside their own step: fade the learning rate, average weights, keep a checkpoint, log."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vqcodec.errors import InputError, UsageError
from vqcodec.sources import write_atomic

__all__ = [
    "Length",
    "continuing",
    "faded",
    "follow",
    "keep_pages",
    "log_line",
    "model_to_begin_with",
    "read_checkpoint",
    "save_checkpoint",
    "schedule",
]

# Large tensors are mapped and unmapped at every operation by default; keeping the pages saves a third of a step.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@dataclass(frozen=True)
class Length:
    """How long to train: so many steps, or so many seconds."""

    seconds: float | None = None
    steps: int | None = None

    def share(self, began: float, steps: int, before: float = 0.0) -> float:
        """Share of the way gone.

        Args:
            began: time.monotonic() at the start of this sitting.
            steps: taken in all sittings.
            before: share that earlier sittings had gone.
        """
        return steps / self.steps if self.steps else before + (time.monotonic() - began) / (self.seconds or 60)

    def part(self, share: float) -> Length:
        """A share of it, one step at least."""
        seconds, steps = self.seconds, self.steps
        return Length(seconds and seconds * share, steps and max(1, round(steps * share)))

    @classmethod
    def of(cls, minutes: float | None, steps: int | None) -> Length:
        """As the command line has it.

        Raises:
            UsageError: neither is given.
        """
        if minutes is None and steps is None:
            raise UsageError("this stage needs a length; give --minutes or --steps")
        return cls(None if minutes is None else 60 * minutes, steps)


def faded(share: float) -> float:
    """Factor of the learning rate: from 1 at share 0 of the way by a cosine to 2 % at share 1."""
    return 0.49 * (1 + math.cos(math.pi * share)) + 0.02


def schedule(done: int, share: float, decay_from: float, warm: int = 100) -> float:
    """Factor of the learning rate: rises over the first steps, is 1, and fades from ``decay_from`` of the way on."""
    rise = min(1.0, (done + 1) / warm)
    return rise * faded(min(max(share - decay_from, 0.0) / (1 - decay_from), 1.0))


def model_to_begin_with(init: str, nothing: str) -> Path | None:
    """The file that ``--init`` names; None where it says ``nothing``.

    Raises:
        InputError: there is no such file.
    """
    if init == nothing:
        return None
    if not Path(init).is_file():
        raise InputError(f"{init}: no such model; give a .safetensors file of a run, or {nothing}")
    return Path(init)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, done: int, most: float) -> None:
    """Move averaged weights towards the network's; early in a run they follow closely, later they keep ``most``."""
    keep = min(most, 1 - 1 / (done / 4 + 1))
    for a, b in zip(average.parameters(), network.parameters(), strict=True):
        a.lerp_(b, 1 - keep)


def save_checkpoint(path: Path, state: dict[Any, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    write_atomic(path, lambda file: torch.save(state, file), force=True)


def read_checkpoint(path: Path, device: torch.device) -> dict[Any, Any]:
    """Inverse of :func:`save_checkpoint`.

    Raises:
        InputError: there is none, or it is damaged.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except MemoryError:
        raise
    except Exception as e:  # the readers of zip and of pickles raise almost anything on damaged files
        raise InputError(f"{path}: no checkpoint there, or a damaged one; begin without --resume") from e
    if not isinstance(state, dict):
        raise InputError(f"{path}: is no checkpoint; begin without --resume")
    return state


@contextmanager
def continuing(path: Path) -> Iterator[None]:
    """Within, what a checkpoint holds is put where it belongs.

    Raises:
        InputError: it does not fit.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as e:
        raise InputError(
            f"{path}: not a checkpoint of this stage and model; begin without --resume, or give the --preset that it "
            "was made with"
        ) from e


def log_line(run: Path, line: dict[str, Any]) -> None:
    """Append a line to the run's log and print it."""
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def keep_pages() -> None:
    """Start again with malloc settings that suit training, where the C library reads them."""
    if sys.platform == "linux" and "MALLOC_MMAP_MAX_" not in os.environ and sys.argv[0].endswith("vqcodec"):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MALLOC})  # noqa: S606 - ourselves
