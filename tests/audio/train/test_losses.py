"""Distances between sounds: nothing for equal ones, more for more noise, and a gradient that points back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from vqcodec.audio.train import losses
from vqcodec.audio.train.losses import bin_distance, complex_distance, loudness_distance, mel_distance, spectrum
from vqcodec.audio.train.transform import distances
from vqcodec.audio.transform import LOUD

Distance = Callable[[Tensor, Tensor], Tensor]

DISTANCES: dict[str, Distance] = {
    "loudness": lambda a, b: loudness_distance(spectrum(a, 1536), spectrum(b, 1536)),
    "mel 1024": lambda a, b: mel_distance(spectrum(a, 1024), spectrum(b, 1024), 1024),
    "mel 4096": lambda a, b: mel_distance(spectrum(a, 4096), spectrum(b, 4096), 4096),
    "bins": lambda a, b: bin_distance(spectrum(a, 2048), spectrum(b, 2048)),
    "complex": lambda a, b: complex_distance(spectrum(a, 1536), spectrum(b, 1536)),
}


def sounds() -> tuple[Tensor, Tensor]:
    """Two sounds [2, N] at the loud level and noise of the same power."""
    t = torch.arange(48_000) / 48_000
    tones = [sum(torch.sin(2 * torch.pi * f * k * t) / k for k in range(1, 9)) for f in (140, 410)]
    x = torch.stack([tone * (1.1 + torch.sin(2 * torch.pi * 3 * t)) for tone in tones])
    noise = torch.randn(2, 48_000, generator=torch.Generator().manual_seed(0))
    return LOUD * x / x.square().mean().sqrt(), LOUD * noise


@pytest.mark.parametrize("name", DISTANCES)
def test_none_for_equal_sounds_and_more_for_more_noise(name: str) -> None:
    distance = DISTANCES[name]
    x, noise = sounds()
    values = [distance(x + share * noise, x) for share in (0.0, 0.01, 0.03, 0.1, 0.3)]
    assert values[0].shape == (2,)
    assert float(values[0].abs().max()) < 2e-3
    for less, more in pairwise(values):
        assert (more > less + 1e-3).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_lead_back_to_the_sound(name: str) -> None:
    x, noise = sounds()
    y = (x + 0.1 * noise).requires_grad_()
    before = DISTANCES[name](y, x).sum()
    before.backward()
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()
    moved = y.detach() - LOUD * y.grad / y.grad.norm()
    assert float(DISTANCES[name](moved, x).sum()) < float(before.detach())


def test_missing_sound_counts() -> None:
    """Half the level is further away than nine tenths of it."""
    x, _ = sounds()
    for distance in DISTANCES.values():
        assert (distance(0.5 * x, x) > distance(0.9 * x, x)).all()


def test_what_training_adds_up() -> None:
    x, noise = sounds()
    y = x + 0.1 * noise
    total = distances(y, x)
    assert total.shape == (4, 2)
    assert torch.allclose(total[0], DISTANCES["loudness"](y, x))
    assert torch.allclose(total[1], DISTANCES["mel 1024"](y, x) + DISTANCES["mel 4096"](y, x))
    assert torch.allclose(total[2], DISTANCES["bins"](y, x))
    assert torch.allclose(total[3], DISTANCES["complex"](y, x))


@pytest.mark.parametrize(("size", "count"), [(1024, 48), (2048, 64), (4096, 112)])
def test_mel_bands_are_those_of_torchaudio(size: int, count: int) -> None:
    try:
        from torchaudio.functional import melscale_fbanks
    except (ImportError, OSError):
        pytest.skip("torchaudio cannot be loaded here")
    assert torch.allclose(losses._triangles(size, count), melscale_fbanks(size // 2 + 1, 0.0, 24000.0, count, 48000).T)
