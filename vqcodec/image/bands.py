"""Pictures to vectors and back: colour rotation, wavelet levels, band sets on their own grids."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from vqcodec.image.config import ImageConfig, SliceConfig
from vqcodec.image.wavelet import analyse, synthesise

__all__ = ["band_gains", "from_bands", "from_vectors", "image_gains", "pad", "to_bands", "to_vectors"]


def pad(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples: [B, H, W, C]."""
    height, width = -x.shape[1] % multiple, -x.shape[2] % multiple
    if height:
        x = torch.cat([x, x[:, -1:].expand(-1, height, -1, -1)], 1)
    if width:
        x = torch.cat([x, x[:, :, -1:].expand(-1, -1, width, -1)], 2)
    return x


def to_bands(x: Tensor, levels: int) -> list[Tensor]:
    """Planes [B, H, W, 3] to low band [B, h, w, 3] and, coarse first, details [B, h, w, 3, 3] (orientation, colour)."""
    out: list[Tensor] = []
    for _ in range(levels):
        x, details = analyse(x)
        out.append(details)
    return [x, *reversed(out)]


def from_bands(bands: list[Tensor]) -> Tensor:
    """Inverse of :func:`to_bands`."""
    x = bands[0]
    for details in bands[1:]:
        x = synthesise(x, details)
    return x


def to_vectors(details: Tensor, s: SliceConfig) -> Tensor:
    """Details [B, h, w, 3, 3] of a slice's level to its vectors [B, h, w / d, g, d]."""
    if not s.chroma:
        return details[..., 0:1]
    x = details[..., 1:].transpose(3, 4).flatten(3)
    if s.d == 1:
        return x[..., None]
    return x.reshape(*x.shape[:2], -1, s.d, x.shape[3]).transpose(3, 4)


def from_vectors(luma: Tensor, chroma: Tensor) -> Tensor:
    """Vectors of both slices of a level to its details [B, h, w, 3, 3]; inverse of :func:`to_vectors`."""
    d = chroma.shape[-1]
    if d > 1:
        chroma = chroma.transpose(3, 4).flatten(2, 3)[..., None]
    c = chroma.reshape(*chroma.shape[:3], 2, 3).transpose(3, 4)
    return torch.cat([luma, c], -1)


@lru_cache
def band_gains(levels: int) -> tuple[tuple[float, ...], ...]:
    """Norm of a unit coefficient's picture: per level from 1 on, (horizontal, vertical, diagonal) details, low band.

    The transform is nearly, not exactly, orthonormal; steps divided by these norms make every band's error count alike.
    """
    size = 2 ** (levels + 3)
    gains = []
    for level in range(1, levels + 1):
        grid = size >> level
        row = []
        for o in range(4):
            impulse = torch.zeros(1, grid, grid, 3, 1)
            low = torch.zeros(1, grid, grid, 1)
            (low if o == 3 else impulse[..., o, :])[:, grid // 2, grid // 2] = 1.0
            y = synthesise(low, impulse)
            for _ in range(level - 1):
                y = synthesise(y, torch.zeros(1, *y.shape[1:3], 3, 1))
            row.append(float(y.square().sum().sqrt()))
        gains.append(tuple(row))
    return tuple(gains)


def image_gains(config: ImageConfig) -> tuple[Tensor, list[Tensor]]:
    """Picture steps per step of the low band (a scalar) and of each slice [g, 1]: norms, for slices times weights."""
    gains = band_gains(config.levels)
    per_slice = []
    for s in config.slices:
        three = torch.tensor(gains[s.level - 1][:3])
        per_slice.append(s.weight * (three.repeat(2) if s.chroma else three)[:, None])
    return torch.tensor(gains[-1][3]), per_slice
