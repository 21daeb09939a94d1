"""The networks without torch are those that are trained, and what is not there stays silent."""

from __future__ import annotations

import numpy as np
import torch

from vqcodec.audio.config import AUDIO_TINY
from vqcodec.audio.mdct import HOP
from vqcodec.audio.noise import quiet_noise
from vqcodec.audio.train.network import AudioNetworks
from vqcodec.audio.transform import FINE_UNIT, FLOOR, HELD_TO, NOISE_GAIN, TRAINED_FROM, AudioTransform
from vqcodec.prior.knots import KNOTS

FRAMES = 9
BANDS = len(AUDIO_TINY.edges) - 1


def networks(seed: int) -> tuple[AudioNetworks, AudioTransform]:
    torch.manual_seed(seed)
    trained = AudioNetworks(AUDIO_TINY).eval()
    with torch.no_grad():
        for tensor in (trained.analysis.last.weight, trained.synthesis.last.weight):
            tensor.normal_(0, 0.05)
        last = trained.synthesis.last
        own, held = slice(HOP, 2 * HOP), slice(2 * HOP, None)  # the third part is not for training
        last.weight[held], last.bias[held] = NOISE_GAIN * last.weight[own], NOISE_GAIN * last.bias[own]
    return trained, AudioTransform(AUDIO_TINY, {k: v.numpy() for k, v in trained.state_dict().items()})


def test_numpy_does_what_torch_does() -> None:
    trained, used = networks(1)
    rng = np.random.default_rng(0)
    frames = (rng.normal(0, 300, (FRAMES, HOP)) * np.linspace(2, 0.01, HOP)).astype(np.float32)
    noise = rng.normal(0, 1, (FRAMES, HOP)).astype(np.float32)
    short = rng.random(FRAMES) < 0.3
    for step in (0, 100, 235, 255):
        index = torch.tensor([step])
        with torch.no_grad():
            a = [
                x[0].numpy()
                for x in trained.analyse(torch.from_numpy(frames)[None], torch.from_numpy(short)[None], index)
            ]
        b = used.analyse(frames, short, step)
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3)
        envelope = np.round(a[0]) * used.envelope_unit(step)
        lines = np.round(frames * np.exp2(-used.curves(envelope, step)[1]))
        shift = np.zeros((FRAMES, 1), np.float32)
        parts = [torch.from_numpy(x)[None] for x in (lines, envelope, noise, short)]
        with torch.no_grad():
            x = trained.synthesise(*parts, index).numpy()[0]
        y = used.synthesise(lines, envelope, noise, short, step, shift)
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=0.02)


def test_an_envelope_at_its_floor_makes_no_noise() -> None:
    _, used = networks(2)
    noise = quiet_noise(0, FRAMES, 1)[0]
    lines, shift, short = np.zeros((FRAMES, HOP), np.float32), np.zeros((FRAMES, 1), np.float32), np.zeros(FRAMES, bool)

    def loudness(energy: float) -> float:
        envelope = np.full((FRAMES, BANDS), np.log2(energy), np.float32)
        return float(np.abs(used.synthesise(lines, envelope, noise, short, 200, shift)).max())

    assert loudness(FLOOR) < 0.1  # in 16-bit units
    assert loudness(100 * FLOOR) > 5


def test_noise_has_the_level_that_lines_hold_where_sound_is_steady_and_steps_are_fine() -> None:
    trained, _ = networks(3)
    last = trained.synthesis.last
    with torch.no_grad():
        last.weight[HOP:] = 0
        last.bias[HOP : 2 * HOP], last.bias[2 * HOP :] = 0.0, 0.7
    used = AudioTransform(AUDIO_TINY, {k: v.numpy() for k, v in trained.state_dict().items()})
    noise = np.random.default_rng(0).normal(0, 1, (FRAMES, HOP)).astype(np.float32)
    zeros, shift = np.zeros((FRAMES, HOP), np.float32), np.zeros((FRAMES, 1), np.float32)
    envelope = np.full((FRAMES, BANDS), 16, np.float32)
    loud = [
        float(np.abs(used.synthesise(zeros, envelope, noise, np.zeros(FRAMES, bool), step, shift)).max())
        for step in (HELD_TO, (HELD_TO + TRAINED_FROM) // 2, TRAINED_FROM)
    ]
    assert loud[0] > 1.2 * loud[1] > 0
    assert loud[2] == 0
    moving = envelope + np.where(np.arange(FRAMES)[:, None] % 2, 4, -4).astype(np.float32)
    assert np.abs(used.synthesise(zeros, moving, noise, np.zeros(FRAMES, bool), HELD_TO, shift)).max() == 0


def test_the_envelope_is_fine_where_noise_alone_carries_a_sound() -> None:
    """Bands from 4 kHz on have steps of 4 dB, those below 2 kHz and all at the coarsest steps what was learned."""
    config = AUDIO_TINY
    low, high = (np.flatnonzero(np.array(config.edges[:-1]) * 25 >= hertz)[0] for hertz in (2000, 4000))
    with_knots = {"envelope_step": np.full(KNOTS, np.log2(3.5), np.float32)}
    transform = AudioTransform(config, with_knots)
    for step, share in ((0, 1.0), (220, 1.0), (235, 0.5), (255, 0.0)):
        unit = transform.envelope_unit(step)
        np.testing.assert_allclose(unit[: low - 1], 3.5, rtol=1e-5)
        np.testing.assert_allclose(unit[high:], 3.5 ** (1 - share) * FINE_UNIT**share, rtol=1e-5)
    finer = AudioTransform(config, {"envelope_step": np.zeros(KNOTS, np.float32)})
    np.testing.assert_allclose(finer.envelope_unit(0), 1.0)  # never coarser than what was learned
