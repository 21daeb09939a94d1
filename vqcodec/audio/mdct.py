"""Modified discrete cosine transform with a sine window (Princen, Johnson and Bradley, 1987): orthonormal."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["HOP", "imdct", "mdct", "mdct_window"]

HOP = 480
"""Samples from frame to frame: 20 ms at 24 kHz; a frame's window covers twice as many."""


@cache
@torch.inference_mode(False)  # kept for training as well, whoever asks first
def _basis(device: torch.device) -> Tensor:
    """Windowed basis [2 * HOP, HOP]."""
    n = torch.arange(2 * HOP, dtype=torch.float64)[:, None]
    k = torch.arange(HOP, dtype=torch.float64)
    window = torch.sin(math.pi / (2 * HOP) * (n + 0.5))
    basis = window * torch.cos(math.pi / HOP * (n + 0.5 + HOP / 2) * (k + 0.5)) * math.sqrt(2 / HOP)
    return basis.float().to(device)


def mdct_window(samples: Tensor) -> Tensor:
    """Frames [B, T, HOP] whose windows lie within samples [B, (T + 1) * HOP]."""
    blocks = samples.reshape(len(samples), -1, HOP)
    return torch.cat([blocks[:, :-1], blocks[:, 1:]], 2) @ _basis(samples.device)


def mdct(samples: Tensor) -> Tensor:
    """Frames [B, T + 1, HOP] of samples [B, T * HOP]; the signal is zero outside."""
    return mdct_window(F.pad(samples, (HOP, HOP)))


def imdct(frames: Tensor) -> Tensor:
    """Samples [B, T * HOP] of frames [B, T + 1, HOP]: where windows overlap, so without the outer halves."""
    pieces = frames @ _basis(frames.device).T
    return (pieces[:, 1:, :HOP] + pieces[:, :-1, HOP:]).flatten(1)
