"""The level of the noise in lines that were not coded, fitted to what such lines really hold; no gradient steps.

Training by distances leaves it too low: noise is never the line that was there, so every distance is least with little
of it, and where the training sound is mostly silent (above 8 kHz, speech recorded at 16 kHz) with none. Between 3 and
7.5 kHz sounds came out 7 to 10 dB too low, more in some lines than in others, which a spectrogram shows as dark
stripes. So a second set of rows of the last layer is fitted by regression, and shares of the result taken. Where which
set gives the level: held_share and steadiness of vqcodec.audio.transform.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.audio.mdct import HOP
from vqcodec.audio.train.data import AudioSource
from vqcodec.audio.train.mdct import mdct
from vqcodec.audio.train.network import AudioNetworks
from vqcodec.audio.train.transform import DEAD_ZONE, rounded, short_of
from vqcodec.audio.transform import FLOOR, MOST_NOISE, TRAINED_FROM, steadiness

__all__ = ["fit_noise"]

FIRST = 120  # line, 3 kHz: below, lines are told apart, and what training found is left
HIGH = 300  # line, 7.5 kHz, from which on speech tells nothing
# Of what the lines hold. With all of it below HIGH held-out speech lost up to 0.12 in PESQ-WB at 6 to 10 kbit/s.
LOW_SHARE, HIGH_SHARE = 0.7, 1.0
BATCH, FRAMES = 12, 60
AROUND = 4  # lines to each side, and one frame, whose power is a line's
NEARLY = 0.95  # of the most noise that a line may have: where it has more, the level is that of so much
MOST = 2.0  # of a level
AUDIBLE = 2.0  # times its floor, in power, from which on an envelope tells of something
RIDGE = 0.03  # of a line's weight


@torch.no_grad()
def fit_noise(transform: AudioNetworks, source: AudioSource, batches: int = 24) -> list[float]:
    """Fit the levels of the noise that lines hold, in place; those that training found stay.

    Returns:
        Mean level that lines hold from FIRST on, that the network gave them, and that it gives them now.
    """
    last, count = transform.synthesis.last, HOP - FIRST
    width = last.in_features + 1
    square, mixed = torch.zeros(count, width, width), torch.zeros(count, width)
    weight, level = torch.zeros(count), torch.zeros(count)
    for _ in range(batches):
        step = torch.from_numpy((TRAINED_FROM * source.rng.random(BATCH) ** 0.6).astype(np.int64))
        inputs, target, weights = _samples(transform, source.batch(BATCH, FRAMES), step)
        for i in range(count):
            weighted = inputs * weights[:, i : i + 1]
            square[i] += weighted.T @ inputs
            mixed[i] += weighted.T @ target[:, i]
        weight, level = weight + weights.sum(0), level + (weights * target).sum(0)
    rows = _solved(square, mixed, weight.clamp(min=1))
    share = torch.where(torch.arange(FIRST, HOP) < HIGH, LOW_SHARE, HIGH_SHARE)[:, None]
    trained, held = slice(HOP, 2 * HOP), slice(2 * HOP, 3 * HOP)
    last.weight[held], last.bias[held] = last.weight[trained], last.bias[trained]
    before = torch.cat([last.weight[held][FIRST:], last.bias[held][FIRST:, None]], 1)
    after = share * rows
    last.weight[held][FIRST:], last.bias[held][FIRST:] = after[:, :-1], after[:, -1]
    means = (level.sum(), *((square[:, -1] * r).sum() for r in (before, after)))
    return [round(float(x / weight.sum()), 3) for x in means]


def _solved(square: Tensor, mixed: Tensor, weight: Tensor) -> Tensor:
    """Rows [lines, width] of a ridge regression, the last of each its constant, which is free."""
    free = torch.ones(square.shape[1])
    free[-1] = 0
    ridge = torch.diag_embed(RIDGE * weight[:, None] * free) + 1e-6 * torch.eye(len(free))
    rows: Tensor = torch.linalg.solve((square + ridge).double(), mixed.double()[..., None])
    return rows[..., 0].float()


def _samples(transform: AudioNetworks, sound: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs [n, width] of the last layer and a one, levels that they should give [n, lines], and weights."""
    short = short_of(sound)
    frames = mdct(sound, short)
    wanted, move = transform.analyse(frames, short, step)
    envelope = rounded(wanted) * transform.envelope_unit(step)
    amplitude, log_step = transform.curves(envelope, step)
    lines = rounded(transform.lines(frames, move, log_step), DEAD_ZONE)
    inputs, unit = transform.noise_inputs(lines, envelope, short, step)
    zero = (lines == 0).float()
    share = _around(zero).clamp(min=1e-3)
    held = (_around(zero * (frames * torch.exp2(-log_step)).square()) / share).sqrt()
    unit = (_around(zero * unit.square()) / share).sqrt().clamp(min=1e-6)  # none where all around were coded
    # noise is limited by a hyperbolic tangent, which this turns round
    level = MOST_NOISE * torch.atanh((held / MOST_NOISE).clamp(max=NEARLY)) / unit
    audible = torch.exp2(2 * amplitude) > AUDIBLE * FLOOR
    near = short | F.pad(short[:, 1:], (0, 1))
    steady = [steadiness(one, transform.config.edges) for one in envelope.numpy()]  # where these levels are used
    weights = share * audible * ~near[..., None] * torch.from_numpy(np.stack(steady))[..., None]
    ones = torch.ones_like(inputs[..., :1])
    flat = (torch.cat([inputs, ones], 2), level.clamp(max=MOST)[..., FIRST:], weights[..., FIRST:])
    x, y, w = (v.reshape(-1, v.shape[-1]) for v in flat)
    return x, y, w


def _around(values: Tensor) -> Tensor:
    """Means [B, T, HOP] over neighbouring lines and frames."""
    padded = F.pad(values[:, None], (AROUND, AROUND, 1, 1), mode="replicate")
    means: Tensor = F.avg_pool2d(padded, (3, 2 * AROUND + 1), 1)
    return means[:, 0]
