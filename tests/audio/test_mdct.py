"""The lapped transform: orthonormal, perfect reconstruction, and windows cut from a longer sound."""

from __future__ import annotations

import pytest
import torch

from vqcodec.audio import mdct as module
from vqcodec.audio.mdct import HOP, imdct, mdct, mdct_window


def noise(channels: int, samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_perfect_reconstruction(blocks: int) -> None:
    x = noise(2, blocks * HOP)
    frames = mdct(x)
    assert frames.shape == (2, blocks + 1, HOP)
    assert torch.allclose(imdct(frames), x, atol=2e-5)


def test_orthonormal() -> None:
    """Energy is kept, and the frames of a unit frame are that unit: the inverse is the transpose."""
    x = noise(1, 6 * HOP)
    assert float(mdct(x).square().sum()) == pytest.approx(float(x.square().sum()), rel=1e-5)
    frames = torch.zeros(3, 9, HOP)
    frames[0, 4, 0], frames[1, 4, 100], frames[2, 4, HOP - 1] = 1, -1, 1
    again = mdct(imdct(frames))
    assert torch.allclose(again, frames, atol=1e-5)


def test_windows_see_the_same_frames_as_the_whole() -> None:
    x = noise(2, 10 * HOP)
    whole = mdct(x)
    part = mdct_window(x[:, 2 * HOP : 7 * HOP])
    assert part.shape == (2, 4, HOP)
    assert torch.allclose(part, whole[:, 3:7], atol=1e-6)


def test_a_frame_reaches_over_two_blocks_only() -> None:
    frames = torch.zeros(1, 8, HOP)
    frames[0, 3] = 1
    samples = imdct(frames)
    assert samples[0, 2 * HOP : 4 * HOP].abs().max() > 0.1
    assert not samples[0, : 2 * HOP].any()
    assert not samples[0, 4 * HOP :].any()


@pytest.mark.parametrize("line", [3, 40, 300])
def test_a_tone_lies_in_its_lines(line: int) -> None:
    """Line k is the frequency (k + 1/2) * 25 Hz at 24 kHz."""
    t = torch.arange(12 * HOP) + 0.5
    frames = mdct(torch.cos(torch.pi / HOP * (line + 0.5) * t)[None])[0, 3:-3]
    energy = frames.square().sum(0)
    assert energy[line - 2 : line + 3].sum() > 0.98 * energy.sum()


def test_it_can_be_trained_through_after_inference() -> None:
    """The basis is made once; made within inference mode it would be of no use to autograd."""
    module._basis.cache_clear()
    with torch.inference_mode():
        mdct(noise(1, 2 * HOP))
    x = noise(1, 2 * HOP).requires_grad_()
    mdct(x).square().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.allclose(x.grad, 2 * x.detach(), atol=1e-4)
