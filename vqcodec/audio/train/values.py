"""Fit of the priors of envelope and powers: networks trained on code length, tables counted under their integers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vqcodec.audio.config import AudioConfig
from vqcodec.audio.powers import COARSEST_STEP, PER_FRAME, POWER_BANDS
from vqcodec.audio.train.envelope import CLASS_FLOOR, CLASSES_PER_OCTAVE, EnvelopeNetwork, export_envelope
from vqcodec.audio.train.rate import laplace_bits
from vqcodec.audio.walk import (
    FRACTIONS,
    RESIDUAL_LIMIT,
    AudioCodeModel,
    EnvelopePrior,
    power_inputs,
    walk_envelope,
    walk_unit_powers,
)
from vqcodec.bitstream.arrays import F32, I32, I64, U16
from vqcodec.bitstream.tables import pack_probabilities
from vqcodec.train.loop import faded

__all__ = ["StretchCodes", "fit_priors", "residual_symbols", "value_tables"]

MIDDLES = (120, 240, 400, 720)  # lines in the middles of the bands of powers


@dataclass(frozen=True)
class StretchCodes:
    """Envelopes [N, T, bands], powers [N, 2 T, W] and lines in steps [N, T, F] of stretches coded at steps [N]."""

    step: I64
    envelope: I32
    powers: I32
    lines: F32

    def with_powers(self) -> tuple[I64, I32, I32]:
        """Steps, envelopes and powers of the stretches that have any."""
        some = self.step <= COARSEST_STEP
        return self.step[some], self.envelope[some], self.powers[some]


@dataclass(frozen=True)
class _Values:
    """Half of the values of an envelope, or of the powers, and what is known before them.

    Attributes:
        step: [N].
        known: the inputs [N, T, n].
        values: [N, T, h].
        like: of every value, the input that it is about.
    """

    step: I64
    known: I32
    values: I32
    like: I64


def _envelope_values(start: I32, codes: StretchCodes, half: int) -> _Values:
    bands = start.shape[1]
    frames = np.concatenate([np.repeat(start[codes.step][:, None], 2, 1), codes.envelope], 1)
    known = [frames[:, :-2], frames[:, 1:-1]] + ([frames[:, 2:, ::2]] if half else [])
    return _Values(
        codes.step, np.concatenate(known, 2), codes.envelope[:, :, half::2], bands + np.arange(half, bands, 2)
    )


def _power_values(config: AudioConfig, codes: StretchCodes, half: int) -> _Values:
    step, envelope, powers = codes.with_powers()
    bands, middle = envelope.shape[2], powers[:, ::PER_FRAME]
    if half == 0:
        return _Values(step, power_inputs(envelope), middle, bands + np.searchsorted(config.edges, MIDDLES) - 1)
    like = 2 * bands + np.arange(POWER_BANDS)
    return _Values(step, power_inputs(envelope, middle), powers[:, 1::PER_FRAME], like)


def fit_priors(
    config: AudioConfig, start: I32, codes: StretchCodes, seconds: Sequence[float], seed: int
) -> list[tuple[EnvelopePrior, EnvelopePrior]]:
    """Priors of the envelope and of the powers, each trained for so many seconds.

    Args:
        start: envelope that stands before the first frame, by step index [256, bands].
    """
    envelope = [_envelope_values(start, codes, half) for half in (0, 1)]
    powers = [_power_values(config, codes, half) for half in (0, 1)]
    out = []
    for halves, length in zip((envelope, powers), seconds, strict=True):
        even, odd = (_fit_values(config, of, length / 2, seed + half) for half, of in enumerate(halves))
        out.append((even, odd))
    return out


def _fit_values(config: AudioConfig, of: _Values, seconds: float, seed: int) -> EnvelopePrior:
    parts = (of.known, of.values, np.repeat(of.step[:, None], of.values.shape[1], 1)[..., None])
    inputs, wanted, steps = (torch.from_numpy(x.reshape(-1, x.shape[2])) for x in parts)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = EnvelopeNetwork(inputs.shape[1], torch.from_numpy(of.like), config.envelope_width)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3, betas=(0.9, 0.99))
    began, share = time.monotonic(), 0.0
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * faded(share)
        pick = torch.randint(len(steps), (2048,), generator=generator)
        mean, spread = network(inputs[pick].float(), steps[pick, 0])
        scale = torch.exp2(spread.clamp(-CLASS_FLOOR, 4))
        loss = laplace_bits(wanted[pick] - mean, scale).sum(1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        share = (time.monotonic() - began) / seconds
    return export_envelope(network)


class _Residuals:
    """Counts how far values are from their predictions, by row."""

    def __init__(self, model: AudioCodeModel) -> None:
        self.counts = np.zeros((model.classes * FRACTIONS, 2 * RESIDUAL_LIMIT + 1))

    def add(self, rows: I32, prediction: I32, values: I32) -> I32:
        np.add.at(self.counts, (rows, residual_symbols(values, prediction)), 1)
        return values

    def table(self) -> U16:
        """Stored weights, between the counts and a Laplace density of the row's mean and spread."""
        value = np.arange(-RESIDUAL_LIMIT, RESIDUAL_LIMIT + 1)
        row = np.arange(len(self.counts))
        mean = (row % FRACTIONS + 0.5) / FRACTIONS
        scale = 2.0 ** ((row // FRACTIONS + 0.5) / CLASSES_PER_OCTAVE - CLASS_FLOOR)
        start = np.exp(-np.minimum(np.abs(value - mean[:, None]) / np.maximum(scale, 0.3)[:, None], 16))
        return pack_probabilities(self.counts + 20 * start / start.sum(1, keepdims=True))


def residual_symbols(values: I32, prediction: I32) -> I32:
    """Symbols of values."""
    out: I32 = np.clip(values - prediction, -RESIDUAL_LIMIT, RESIDUAL_LIMIT) + RESIDUAL_LIMIT
    return out


def value_tables(model: AudioCodeModel, codes: StretchCodes) -> dict[str, U16]:
    """Tables of envelope and powers, counted under the model's networks."""
    envelope, powers = _Residuals(model), _Residuals(model)
    walk_envelope(
        model, codes.step, codes.envelope.shape[1],
        lambda t, half, rows, prediction: envelope.add(rows, prediction, codes.envelope[:, t, half::2]),
    )  # fmt: skip
    step, around, told = codes.with_powers()
    walk_unit_powers(
        model, step, around, lambda half, rows, prediction: powers.add(rows, prediction, told[:, half::PER_FRAME])
    )
    return {"envelope": envelope.table(), "powers": powers.table()}
