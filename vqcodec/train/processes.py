"""Where a training runs: in one process, or in several that torchrun started and that share every step."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Processes", "join_processes"]


@dataclass(frozen=True)
class Processes:
    """The group that this process belongs to.

    Attributes:
        rank: number of this process; process 0 logs, keeps checkpoints and decides when all stop.
        world: how many there are.
        device: where this one computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come here: process 0 may have made files that the others read."""
        if self.world > 1:
            dist.barrier()

    def agreed(self, value: float) -> float:
        """Process 0's value in all of them: clocks differ, and all must stop after the same step."""
        if self.world == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(box, 0)
        return float(box)

    def share_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Mean of everybody's gradients, so that all take the same step."""
        if self.world == 1:
            return
        self.share_means(p.grad for p in parameters if p.grad is not None)

    def share_means(self, tensors: Iterable[Tensor]) -> None:
        """Everybody's mean of tensors, in place of them."""
        if self.world == 1:
            return
        own = list(tensors)
        flat = torch.cat([t.flatten() for t in own])
        dist.all_reduce(flat)
        for t, part in zip(own, torch.split(flat, [t.numel() for t in own]), strict=True):
            t.copy_(part.view_as(t) / self.world)

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Process 0's tensors in all of them."""
        if self.world > 1:
            for t in tensors:
                dist.broadcast(t, 0)


def join_processes() -> Processes:
    """The group that torchrun made, or a group of one; on a GPU of its own where there are any."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    rank = dist.get_rank() if world > 1 else 0
    return Processes(rank, world, torch.device("cuda", rank) if cuda else torch.device("cpu"))
