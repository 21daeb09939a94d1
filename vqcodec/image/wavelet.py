"""The 9/7 wavelet by lifting, channels last, differentiable.

Source: A. Cohen, I. Daubechies, J.-C. Feauveau, "Biorthogonal bases of compactly supported wavelets", 1992; lifting
steps as in I. Daubechies, W. Sweldens, "Factoring wavelet transforms into lifting steps", 1998 (the irreversible filter
of JPEG 2000).
Scaling is nearly orthonormal: a squared error of the coefficients is about the squared error of the picture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["analyse", "synthesise"]

_STEPS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_LOW = math.sqrt(2.0) / 1.230174104914001


def _next(x: Tensor, dim: int) -> Tensor:
    """Neighbour at i+1 along dim, the last one mirrored."""
    n = x.shape[dim]
    return torch.cat([x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)], dim)


def _previous(x: Tensor, dim: int) -> Tensor:
    """Neighbour at i-1 along dim, the first one mirrored."""
    n = x.shape[dim]
    return torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)], dim)


def _split(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    even, odd = x.reshape(*x.shape[:dim], -1, 2, *x.shape[dim + 1 :]).unbind(dim + 1)
    a, b, c, d = _STEPS
    odd = torch.add(odd, even + _next(even, dim), alpha=a)
    even = torch.add(even, odd + _previous(odd, dim), alpha=b)
    odd = torch.add(odd, even + _next(even, dim), alpha=c)
    even = torch.add(even, odd + _previous(odd, dim), alpha=d)
    return even * _LOW, odd * (1.0 / _LOW)


def _join(low: Tensor, high: Tensor, dim: int) -> Tensor:
    even, odd = low * (1.0 / _LOW), high * _LOW
    a, b, c, d = _STEPS
    even = torch.add(even, odd + _previous(odd, dim), alpha=-d)
    odd = torch.add(odd, even + _next(even, dim), alpha=-c)
    even = torch.add(even, odd + _previous(odd, dim), alpha=-b)
    odd = torch.add(odd, even + _next(even, dim), alpha=-a)
    return torch.stack([even, odd], dim + 1).flatten(dim, dim + 1)


def analyse(x: Tensor) -> tuple[Tensor, Tensor]:
    """One level of the transform.

    Args:
        x: [B, H, W, C], H and W even.

    Returns:
        The low band [B, H/2, W/2, C] and the detail bands [B, H/2, W/2, 3, C] in the order
        horizontal detail (vertical edges), vertical detail (horizontal edges), diagonal.
    """
    low, high = _split(x, 1)
    ll, lh = _split(low, 2)
    hl, hh = _split(high, 2)
    return ll, torch.stack([lh, hl, hh], 3)


def synthesise(ll: Tensor, details: Tensor) -> Tensor:
    """Inverse of :func:`analyse`: [B, H, W, C] and [B, H, W, 3, C] give [B, 2H, 2W, C]."""
    lh, hl, hh = details.unbind(3)
    return _join(_join(ll, lh, 2), _join(hl, hh, 2), 1)
