"""Distances between sounds that training minimises: samples [B, N] at 48 kHz, in 16-bit units at the model's level."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from vqcodec.audio.transform import LOUD

__all__ = ["bin_distance", "complex_distance", "loudness_distance", "mel_distance", "spectrum"]

RATE = 48000
LISTENING_DB = 79.0  # sound pressure level that P.862 plays speech at


def spectrum(samples: Tensor, size: int) -> Tensor:
    """Short-time spectrum [B, size/2 + 1, frames] in units of the loud level; hop a quarter of the window."""
    window = torch.hann_window(size, device=samples.device)
    scale = 1 / (LOUD * math.sqrt(size))
    return torch.stft(samples * scale, size, size // 4, window=window, return_complex=True)


@cache
def _mel_bands(size: int, count: int) -> Tensor:
    """Triangular bands [count, size/2 + 1] even on the mel scale (O'Shaughnessy, 1987), each with unit sum.

    torchaudio's where it can be loaded: its wheels need a CUDA build of torch beside them.
    """
    try:
        from torchaudio.functional import melscale_fbanks

        bands: Tensor = melscale_fbanks(size // 2 + 1, 0.0, RATE / 2, count, RATE).T
    except (ImportError, OSError):
        bands = _triangles(size, count)
    return bands / bands.sum(1, keepdim=True).clamp(min=1e-6)


def _triangles(size: int, count: int) -> Tensor:
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    ends = 700 * (10 ** (torch.linspace(0, top, count + 2) / 2595) - 1)
    hertz = torch.linspace(0, RATE / 2, size // 2 + 1)
    rise = (hertz - ends[:-2, None]) / (ends[1:-1] - ends[:-2])[:, None]
    fall = (ends[2:, None] - hertz) / (ends[2:] - ends[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0)


def mel_distance(a: Tensor, b: Tensor, size: int) -> Tensor:
    """Mean absolute difference of log mel magnitudes in nepers, [B], of two spectra (:func:`spectrum`)."""
    bands = _mel_bands(size, {1024: 48, 4096: 112}.get(size, 64)).to(a.device)
    x, y = (torch.log((bands @ s.abs().square()) + 1e-6) for s in (a, b))
    return 0.5 * (x - y).abs().mean((1, 2))


def bin_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of log magnitudes in nepers, [B]; unlike bands, bins tell a tone from noise."""
    x, y = (torch.log(s.abs().square() + 1e-6) for s in (a, b))
    return 0.5 * (x - y).abs().mean((1, 2))


def complex_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared difference of spectra with magnitudes to the power 0.3, relative to b's; [B]."""
    x, y = (s * (s.abs().square() + 1e-7).pow(-0.35) for s in (a, b))
    power = torch.view_as_real(y).square().sum((1, 2, 3))
    return torch.view_as_real(x - y).square().sum((1, 2, 3)) / (power + 1)


@cache
def _bark_bands(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bands [49, size/2 + 1] of equal width in Bark (Traunmueller, 1990) up to 8 kHz, hearing threshold, widths."""
    hertz = torch.linspace(0, RATE / 2, size // 2 + 1)
    bark = 26.81 * hertz / (1960 + hertz) - 0.53
    ends = torch.linspace(0.3, 26.81 * 8000 / 9960 - 0.53, 50)
    # bands narrower than the bins share them by overlap of intervals
    half = (bark[1:] - bark[:-1]).mean() / 2
    low, high = torch.maximum(ends[:-1, None], bark - half), torch.minimum(ends[1:, None], bark + half)
    bands = (high - low).clamp(min=0)
    bands = bands / bands.sum(0, keepdim=True).clamp(min=1e-6) * (bands.sum(0, keepdim=True) > 0)
    middle = (ends[1:] + ends[:-1]) / 2
    kilo = 1.96 * (middle + 0.53) / (26.28 - middle)
    threshold = 3.64 * kilo**-0.8 - 6.5 * torch.exp(-0.6 * (kilo - 3.3) ** 2) + 1e-3 * kilo**4
    return bands, 10 ** (threshold / 10), ends[1:] - ends[:-1]


def loudness_distance(a: Tensor, b: Tensor, size: int = 1536) -> Tensor:
    """Loss of opinion score, [B], of spectra a against b, after the model of hearing in ITU-T P.862.

    Loudness in Bark bands (Zwicker's law), a dead zone for what is masked, and a second term that counts what was added
    more than what was left out. Time alignment and equalisation of P.862 are left out; constants are not its tables.
    """
    bands, threshold, width = (t.to(a.device) for t in _bark_bands(size))
    level = 10 ** (LISTENING_DB / 10) * 2 / (size * 0.375)  # a loud frame has the listening level in all
    x, y = ((bands @ s.abs().square()) * (level * size / 2) / size * 2 for s in (a, b))
    t = threshold[:, None]
    loud_x, loud_y = (((t / 0.5) ** 0.23 * ((0.5 + 0.5 * p / t) ** 0.23 - 1)).clamp(min=0) for p in (x, y))
    raw = loud_x - loud_y
    masked = (raw.abs() - 0.25 * torch.minimum(loud_x, loud_y)).clamp(min=0)
    added = (((x + 50 * t) / (y + 50 * t)) ** 1.2).clamp(max=12)
    added = torch.where(added > 3, added, added * (added / 3).detach() ** 2)
    w = width[:, None]
    symmetric = ((masked * w).square().sum(1) * width.sum() + 1e-6).sqrt()
    asymmetric = (masked * added * w).sum(1)
    weight = ((y.sum(1) + 1e5) / 1e7) ** -0.04
    return (0.1 * _norm(symmetric * weight, 3) + 0.0309 * _norm(asymmetric * weight, 2)) * 0.5


def _norm(frames: Tensor, p: float) -> Tensor:
    return (frames.clamp(max=45) ** p).mean(1).clamp(min=1e-6) ** (1 / p)
