"""What the codes of sound can be expected to be: the prior, and the walks that encoder, decoder and trainer share.

Envelope [B, T, bands] frame by frame, even bands before odd ones, each predicted by a small integer network from what
is known; so do the powers [U, 2 T, W] of U units go, first those in the middle of frames, then those between frames.
The lines [B, T, F] go in the four phases of :mod:`vqcodec.prior.integer` on the grid of frames and lines; what the
envelope lets expect is their first context. SPEC.md, Sound, says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vqcodec.audio.powers import COARSEST_STEP, PER_FRAME, POWER_BANDS, units_of
from vqcodec.audio.stereo import pairs_of
from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.bitstream.coder import Tables
from vqcodec.prior.integer import (
    ACTIVATION_LIMIT,
    PriorSlice,
    context_stack,
    join_phases,
    predict_rows,
    sum_bound,
)

__all__ = [
    "ENVELOPE_LIMIT",
    "FRACTIONS",
    "RESIDUAL_LIMIT",
    "AudioCodeModel",
    "EnvelopePrior",
    "channel_steps",
    "check_envelope_bounds",
    "check_expected_bounds",
    "expected_map",
    "has_powers",
    "no_powers",
    "power_inputs",
    "walk_envelope",
    "walk_lines",
    "walk_powers",
    "walk_unit_powers",
]

ENVELOPE_LIMIT = 127
# Step indices that the second channel of a pair is coded above the first: a part of the step index, at most so many,
# and from one step index on up to twenty more. Six clips of held-out music at 17 to 50 kbit/s, 40 against 28: Zimtohrli
# of the downmix +0.06 at equal rate, of the ears the same. The twenty more save 7 to 9 % of the bits at 12 to 22
# kbit/s, where Opus codes the downmix alone; the ears lose 0.1.
REST_SHARE, REST_COARSER, REST_MORE, REST_MORE_FROM = 3, 40, 20, 170
RESIDUAL_LIMIT = 64  # a coded envelope value is at most so far from its prediction
FRACTIONS = 8  # of a predicted envelope value; they choose the table row together with the predicted spread


@dataclass(frozen=True)
class EnvelopePrior:
    """Integer network that predicts half of a frame's bands or powers: [inputs, n], [n, n], [n + inputs, 2 * h].

    The inputs of bands are the last two frames and, for the odd bands, this frame's even bands; those of powers are
    said at :func:`walk_powers`. The outputs are the h means in 1/8 of a unit, then the h spread classes.
    """

    first: F32
    first_bias: F32  # [256, n], by step index
    first_shift: I32
    second: F32
    second_bias: F32  # [n]
    second_shift: I32
    last: F32  # rows: hidden units, then inputs
    last_bias: F32  # [256, 2 * h]
    last_shift: I32


@dataclass(frozen=True)
class AudioCodeModel:
    """All that the codes of sound need.

    Attributes:
        start: [256, bands] envelope that stands before the first frame, by step index.
        envelope: priors of the even and of the odd bands.
        classes: spread classes of the envelope's table; rows are class * FRACTIONS + fraction.
        envelope_tables: of value - prediction + RESIDUAL_LIMIT.
        powers, power_tables: the same for powers, in the middle of frames and between frames.
        factor, offset: [256, bands], [256, F]: expected energy of the lines from the envelope (:func:`expected_map`).
        spread: [bands, F] interpolation of the envelope over the lines, in 1/64.
        lines: prior of the lines.
        line_tables: rows of the lines.
        short_tables: one row, of long and short frames.
        angle_tables: rows by the angle before, the last where there is none.
    """

    start: I32
    envelope: tuple[EnvelopePrior, EnvelopePrior]
    classes: int
    envelope_tables: Tables
    powers: tuple[EnvelopePrior, EnvelopePrior]
    power_tables: Tables
    factor: F32
    offset: F32
    spread: F32
    lines: PriorSlice
    line_tables: Tables
    short_tables: Tables
    angle_tables: Tables

    @property
    def bands(self) -> int:
        return int(self.start.shape[1])


ChooseEnvelope = Callable[[int, int, I32, I32], I32]
"""(frame, half, rows [B, h], prediction [B, h]) -> values [B, h], at most RESIDUAL_LIMIT from the prediction."""

ChoosePowers = Callable[[int, I32, I32], I32]
"""(half, rows [U, T, W], prediction [U, T, W]) -> values [U, T, W], at most RESIDUAL_LIMIT from the prediction."""

ChooseLines = Callable[[int, I32], I32]
"""(phase, rows [B, h, w]) -> symbols [B, h, w]."""


def channel_steps(step: int, channels: int) -> I64:
    """Step index of every coded channel [channels]: the second of a pair is coded more coarsely than the first.

    A step follows the loudness of its channel; the second is mostly the softer one but heard on top of the first.
    """
    steps = np.full(channels, step)
    more = min(max(step - REST_MORE_FROM, 0), REST_MORE)
    for _, second in pairs_of(channels):
        steps[second] = min(step + min(step // REST_SHARE, REST_COARSER + more), 255)
    return steps


def _band_predictor(prior: EnvelopePrior, step: I64) -> Callable[[F32], tuple[I32, I32]]:
    """The network at step indices [B]: inputs [B, n] to means in 1/8 of a unit and spread classes, both [B, h]."""
    one = np.float32(1)
    first, second, last = (np.ldexp(one, -s) for s in (prior.first_shift, prior.second_shift, prior.last_shift))
    first_bias, last_bias = prior.first_bias[step], prior.last_bias[step]
    half = prior.last.shape[1] // 2

    def predict(inputs: F32) -> tuple[I32, I32]:
        a = np.floor((inputs @ prior.first + first_bias) * first)
        a = np.minimum(np.maximum(a, 0), ACTIVATION_LIMIT)
        a = np.floor((a @ prior.second + prior.second_bias) * second)
        a = np.minimum(np.maximum(a, 0), ACTIVATION_LIMIT)
        out = np.floor((np.concatenate([a, inputs], 1) @ prior.last + last_bias) * last).astype(np.int32)
        return out[:, :half], out[:, half:]

    return predict


def _within_limit(values: I32) -> I32:
    # np.clip costs several times as much on so few values
    return np.minimum(np.maximum(values, -ENVELOPE_LIMIT), ENVELOPE_LIMIT)


def _place(model: AudioCodeModel, mean: I32, spread: I32) -> tuple[I32, I32]:
    """Table rows and predictions of values from means in 1/8 of a unit and spread classes."""
    rows = np.minimum(np.maximum(spread, 0), model.classes - 1) * FRACTIONS + (mean & (FRACTIONS - 1))
    # within the range of values, so that every one has a symbol whatever the network says
    return rows, _within_limit(mean >> 3)


def walk_envelope(model: AudioCodeModel, step: I64, frames: int, choose: ChooseEnvelope) -> I32:
    """Go through the envelope in coding order; returns it, [B, T, bands].

    Args:
        step: [B] step indices; the channels of one sound share theirs.
        frames: T.
        choose: gives the values.
    """
    known = np.empty((len(step), frames + 2, model.bands), np.int32)
    known[:, :2] = model.start[step][:, None]
    predict = [_band_predictor(prior, step) for prior in model.envelope]
    for t in range(frames):
        before = known[:, t : t + 2].reshape(len(step), -1).astype(np.float32)
        now = known[:, t + 2]
        for half in (0, 1):
            inputs = before if half == 0 else np.concatenate([before, now[:, ::2].astype(np.float32)], 1)
            rows, prediction = _place(model, *predict[half](inputs))
            now[:, half::2] = _within_limit(choose(t, half, rows, prediction))
    return known[:, 2:]


def has_powers(step: int) -> bool:
    """Whether powers are coded at the step index of a sound."""
    return step <= COARSEST_STEP


def no_powers(channels: int) -> I32:
    """The powers of a sound that has none, [U, 0, W]."""
    return np.zeros((len(units_of(channels)), 0, POWER_BANDS), np.int32)


def power_inputs(envelope: I32, middle: I32 | None = None) -> I32:
    """What powers are predicted from, [U, T, inputs].

    Args:
        envelope: of the units' first channels [U, T, bands]: a frame's and its neighbours' tell of the power in its
            middle.
        middle: the powers there [U, T, W]; with the envelopes of both frames they tell of the power between two.
    """
    around = np.pad(envelope, ((0, 0), (1, 1), (0, 0)), mode="edge")
    if middle is None:
        return np.concatenate([around[:, :-2], envelope, around[:, 2:]], 2)
    after = np.concatenate([middle[:, 1:], middle[:, -1:]], 1)
    return np.concatenate([envelope, around[:, 2:], middle, after], 2)


def walk_unit_powers(model: AudioCodeModel, step: I64, envelope: I32, choose: ChoosePowers) -> I32:
    """Go through the powers under a known envelope; returns them, [U, 2 T, W].

    Args:
        step: [U] step indices of the units' first channels.
        envelope: of these channels, [U, T, bands].
        choose: gives the values.
    """
    units, frames = envelope.shape[:2]
    steps = np.repeat(step, frames)

    def half(index: int, inputs: I32) -> I32:
        found = _band_predictor(model.powers[index], steps)(inputs.reshape(len(steps), -1).astype(np.float32))
        mean, spread = (x.reshape(units, frames, -1) for x in found)
        return _within_limit(choose(index, *_place(model, mean, spread)))

    middle = half(0, power_inputs(envelope))
    between = half(1, power_inputs(envelope, middle))
    return np.stack([middle, between], 2).reshape(units, PER_FRAME * frames, -1)


def walk_powers(model: AudioCodeModel, step: int, envelope: I32, choose: ChoosePowers) -> I32:
    """The same of a sound at one step index: [U, 2 T, W], or :func:`no_powers` at a coarse one.

    Args:
        envelope: of all channels, [B, T, bands].
    """
    channels = len(envelope)
    if not has_powers(step):
        return no_powers(channels)
    first = [unit[0] for unit in units_of(channels)]
    return walk_unit_powers(model, channel_steps(step, channels)[first], envelope[first], choose)


def expected_map(model: AudioCodeModel, step: I64, envelope: I32) -> F32:
    """What the envelope lets expect of the lines: 1/8 of log2 energy in steps, integers in -127..127, [B, T, F]."""
    energy = envelope.astype(np.float32) * model.factor[step][:, None]
    total = energy @ model.spread + model.offset[step][:, None]
    expected: F32 = np.clip(np.floor(total * np.float32(2**-10)), -127, 127).astype(np.float32)
    return expected


def walk_lines(model: AudioCodeModel, step: I64, envelope: I32, choose: ChooseLines) -> I32:
    """Go through the lines under a known envelope in coding order; returns their symbols, [B, T, F].

    An odd number of frames is coded with one frame more, which the result leaves out.
    """
    frames = envelope.shape[1]
    padded = np.pad(envelope, ((0, 0), (0, frames % 2), (0, 0)), mode="edge")
    expected = expected_map(model, step, padded)[..., None]
    s = model.lines
    shape = (len(step), expected.shape[1] // 2, expected.shape[2] // 2)
    own: list[F32] = []
    parts = []
    for p in range(4):
        stack = context_stack(own, [expected], *shape[1:])
        rows, _ = predict_rows(s, p, step, stack, None, shape)
        symbols = choose(p, rows[..., 0])
        own.append(s.energy[0][symbols])
        parts.append(symbols[..., None])
    return join_phases(parts)[:, :frames, :, 0]


def check_envelope_bounds(prior: EnvelopePrior) -> None:
    """Prove that no partial sum of the network leaves the exact range of float32.

    Raises:
        ValueError: a layer breaks its bound.
    """
    hidden, known = np.split(prior.last, [len(prior.second)])
    sums = [
        sum_bound(prior.first, ENVELOPE_LIMIT, prior.first_bias),
        sum_bound(prior.second, ACTIVATION_LIMIT, prior.second_bias),
        sum_bound(hidden, ACTIVATION_LIMIT) + sum_bound(known, ENVELOPE_LIMIT, prior.last_bias),
    ]
    shifts = np.concatenate([prior.first_shift, prior.second_shift, prior.last_shift])
    if max(s.max() for s in sums) >= 2**24 or shifts.min() < 0 or shifts.max() > 24:
        raise ValueError("the prior of envelope or powers may leave the exact range of float32")


def check_expected_bounds(start: I32, spread: F32, factor: F32, offset: F32) -> None:
    """Prove the same of :func:`expected_map`, and that the start is an envelope.

    Raises:
        ValueError: a bound is broken.
    """
    energy = ENVELOPE_LIMIT * np.abs(factor.astype(np.float64))
    total = energy @ np.abs(spread.astype(np.float64)) + np.abs(offset)
    if max(energy.max(), total.max()) >= 2**24:
        raise ValueError("what is expected of the lines may leave the exact range of float32")
    if np.abs(start).max() > ENVELOPE_LIMIT:
        raise ValueError(f"the envelope's start is outside -{ENVELOPE_LIMIT}..{ENVELOPE_LIMIT}")
