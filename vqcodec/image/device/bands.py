"""The wavelet of image.wavelet on a device."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.image.wavelet import LIFTS, LOW

__all__ = ["from_bands", "to_bands"]


def to_bands(x: Tensor, levels: int) -> list[Tensor]:
    """Planes [C, B, H, W] to the low band [C, B, h, w] and, coarse first, details [C, 3, B, h, w]."""
    out = []
    for _ in range(levels):
        (low, across), (along, both) = (_split(half, -1) for half in _split(x, -2))
        out.append(torch.stack([across, along, both], 1))
        x = low
    return [x, *reversed(out)]


def from_bands(bands: list[Tensor]) -> Tensor:
    """Inverse of :func:`to_bands`."""
    x = bands[0]
    for details in bands[1:]:
        across, along, both = details.unbind(1)
        x = _join(_join(x, across, -1), _join(along, both, -1), -2)
    return x


def _beside(x: Tensor, dim: int, *, ahead: bool) -> Tensor:
    """Each sample of a dimension and the next (``ahead``) or the previous one; beyond the edge it is itself again."""
    size = x.shape[dim]
    if ahead:
        return x + torch.cat([x.narrow(dim, 1, size - 1), x.narrow(dim, size - 1, 1)], dim)
    return x + torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, size - 1)], dim)


def _split(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """A dimension to its low and high band."""
    at = x.dim() + dim
    even, odd = x.reshape(*x.shape[:at], -1, 2, *x.shape[at + 1 :]).unbind(at + 1)
    for k in (0, 2):
        odd = odd + LIFTS[k] * _beside(even, dim, ahead=True)
        even = even + LIFTS[k + 1] * _beside(odd, dim, ahead=False)
    return even * LOW, odd * (1 / LOW)


def _join(low: Tensor, high: Tensor, dim: int) -> Tensor:
    """Inverse of :func:`_split`."""
    even, odd = low * (1 / LOW), high * LOW
    for k in (2, 0):
        even = even - LIFTS[k + 1] * _beside(odd, dim, ahead=False)
        odd = odd - LIFTS[k] * _beside(even, dim, ahead=True)
    return torch.stack([even, odd], dim).flatten(dim - 1, dim)
