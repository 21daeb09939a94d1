"""The transform of sound: exact, orthonormal, local; the same for arrays and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqcodec.audio import mdct
from vqcodec.audio.mdct import HOP, SPLITS
from vqcodec.audio.train import mdct as tensors

PIECE = HOP // SPLITS


def noise(channels: int, blocks: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((channels, blocks * HOP)).astype(np.float32)


def flags(count: int, share: float = 0.4) -> np.ndarray:
    return np.random.default_rng(1).random(count) < share


def through(samples: np.ndarray, short: np.ndarray) -> np.ndarray:
    """Frames of samples that are zero outside."""
    return mdct.mdct_window(np.pad(samples, ((0, 0), (HOP, HOP))), np.pad(short, 1))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("blocks", [1, 2, 9])
def test_the_inverse_is_exact(blocks: int, share: float) -> None:
    x, short = noise(2, blocks), flags(blocks + 1, share)
    frames = through(x, short)
    assert frames.shape == (2, blocks + 1, HOP)
    assert np.allclose(mdct.imdct(frames, short), x, atol=2e-5)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_energy_is_kept(share: float) -> None:
    x = noise(1, 6)
    x[:, : HOP // 2], x[:, -HOP // 2 :] = 0, 0
    assert float(np.square(through(x, flags(7, share))).sum()) == pytest.approx(float(np.square(x).sum()), rel=1e-5)


def test_a_window_is_a_part_of_the_whole() -> None:
    x, short = noise(2, 10), flags(11)
    whole = through(x, short)
    part = mdct.mdct_window(x[:, 2 * HOP : 7 * HOP], short[2:8])
    assert part.shape == (2, 4, HOP)
    assert np.allclose(part, whole[:, 3:7], atol=1e-5)


def test_a_tone_is_one_line() -> None:
    """Line k of a long frame is at k + 1/2 half cycles per hop; of a short one in the eight lines of its own width."""
    line = 100
    t = np.arange(12 * HOP) + 0.5
    tone = np.cos(np.pi / HOP * (line + 0.5) * t)[None].astype(np.float32)
    long = np.square(through(tone, np.zeros(13, bool))[0, 5])
    assert long.argmax() == line
    assert long[line - 1 : line + 2].sum() > 0.98 * long.sum()
    short = np.square(through(tone, np.arange(13) == 5)[0, 5]).reshape(PIECE, SPLITS).sum(1)
    assert short.argmax() == line // SPLITS
    assert short[line // SPLITS - 2 : line // SPLITS + 3].sum() > 0.9 * short.sum()


def test_what_is_lost_of_a_click_in_a_short_frame_stays_near_it() -> None:
    x = np.zeros((1, 6 * HOP), np.float32)
    at = 3 * HOP + 300
    x[0, at] = 1
    for share, reach in ((1.0, 2 * PIECE), (0.0, 2 * HOP)):
        short = flags(7, share)
        frames = through(x, short)
        rough = np.where(np.abs(frames) > 0.3 * np.abs(frames).max(), frames, 0)
        touched = np.flatnonzero(np.abs(mdct.imdct(rough, short)[0]) > 1e-4)
        assert touched.min() >= at - reach
        assert touched.max() <= at + reach
    assert touched.max() - touched.min() > 4 * PIECE  # long frames do spread it


def test_tensors_give_the_same() -> None:
    x, short = noise(3, 5), np.random.default_rng(2).random((3, 6)) < 0.4
    frames = tensors.mdct(torch.from_numpy(x), torch.from_numpy(short))
    for k in range(3):
        assert np.allclose(frames[k].numpy(), through(x[k : k + 1], short[k])[0], atol=1e-5)
    assert np.allclose(tensors.imdct(frames, torch.from_numpy(short)).numpy(), x, atol=2e-5)


def test_gradients_pass() -> None:
    frames = torch.randn(1, 4, HOP, requires_grad=True)
    short = torch.tensor([[False, True, False, False]])
    (tensors.imdct(frames, short) ** 2).sum().backward()
    # the transform is orthonormal, so the gradient of the energy is twice what the overlaps keep of the frames
    assert frames.grad is not None
    assert torch.allclose(frames.grad[:, 1], 2 * frames.detach()[:, 1], atol=1e-4)
