"""A small model of the codes of sound with random weights, and random codes that have symbols under it."""

from __future__ import annotations

import numpy as np

from vqcodec.audio.codes import AudioCodes
from vqcodec.audio.powers import POWER_BANDS
from vqcodec.audio.stereo import ANGLES, groups_of, pairs_of
from vqcodec.audio.walk import (
    FRACTIONS,
    RESIDUAL_LIMIT,
    AudioCodeModel,
    EnvelopePrior,
    channel_steps,
    check_envelope_bounds,
    walk_envelope,
    walk_powers,
)
from vqcodec.bitstream.coder import Tables
from vqcodec.bitstream.tables import unpack_weights
from vqcodec.prior.integer import Hidden, PriorSlice, check_bounds

BANDS, LINES, CODEWORDS, ROWS, CLASSES, UNITS = 5, 12, 21, 64, 3, 6


def whole(rng: np.random.Generator, largest: int, *shape: int) -> np.ndarray:
    return rng.integers(-largest, largest + 1, shape).astype(np.float32)


def shifts(rng: np.random.Generator, low: int, high: int, n: int) -> np.ndarray:
    return rng.integers(low, high, n).astype(np.int32)


def envelope_prior(
    rng: np.random.Generator, half: int, bands: int = BANDS, low: int = 6, high: int = 9
) -> EnvelopePrior:
    """Weights as large as int8 holds; shifts from ``low`` to ``high`` - 1."""
    even = (bands + 1) // 2
    inputs, outputs = (2 * bands, 2 * even) if half == 0 else (2 * bands + even, 2 * (bands - even))
    return _prior(rng, inputs, outputs, low, high)


def power_prior(rng: np.random.Generator, half: int) -> EnvelopePrior:
    """The same for powers."""
    return _prior(rng, 3 * BANDS if half == 0 else 2 * BANDS + 2 * POWER_BANDS, 2 * POWER_BANDS, 6, 9)


def _prior(rng: np.random.Generator, inputs: int, outputs: int, low: int, high: int) -> EnvelopePrior:
    prior = EnvelopePrior(
        first=whole(rng, 127, inputs, UNITS), first_bias=whole(rng, 9000, 256, UNITS),
        first_shift=shifts(rng, low, high, UNITS), second=whole(rng, 127, UNITS, UNITS),
        second_bias=whole(rng, 9000, UNITS), second_shift=shifts(rng, low, high, UNITS),
        last=whole(rng, 127, UNITS + inputs, outputs), last_bias=whole(rng, 9000, 256, outputs),
        last_shift=shifts(rng, low, high, outputs),
    )  # fmt: skip
    check_envelope_bounds(prior)
    return prior


def lines_prior(rng: np.random.Generator) -> PriorSlice:
    """Four phases of one group, a hidden branch in all but the first."""

    def hidden(c: int) -> Hidden:
        return Hidden(
            first=whole(rng, 127, 9, c, UNITS), first_bias=whole(rng, 9000, 256, UNITS),
            first_shift=shifts(rng, 7, 10, UNITS), second=whole(rng, 127, UNITS, UNITS),
            second_bias=whole(rng, 9000, UNITS), second_shift=shifts(rng, 7, 10, UNITS), last=whole(rng, 20, UNITS, 1),
        )  # fmt: skip

    context = [p + 4 for p in range(4)]
    s = PriorSlice(
        level=1, chroma=False, d=1, groups=1,
        weight=tuple(whole(rng, 127, 9, c, 1) for c in context),
        bias=tuple(whole(rng, 9000, 256, 1) for _ in context),
        shift=tuple(shifts(rng, 7, 10, 1) for _ in context),
        sign_weight=(None,) * 4, sign_edges=np.zeros((1, 0), np.float32),
        energy=whole(rng, 127, 1, CODEWORDS, 1), signed=whole(rng, 127, 1, CODEWORDS, 1),
        row_offset=-81, row_width=6, rows=ROWS, hidden=(None, *(hidden(c) for c in context[1:])),
    )  # fmt: skip
    check_bounds(s)
    return s


def stored_tables(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """By name, as a weights file holds them."""
    sizes = {
        "envelope": (CLASSES * FRACTIONS, 2 * RESIDUAL_LIMIT + 1),
        "powers": (CLASSES * FRACTIONS, 2 * RESIDUAL_LIMIT + 1),
        "lines": (ROWS, CODEWORDS),
        "short": (1, 2),
        "angles": (ANGLES + 1, ANGLES),
    }
    return {name: rng.integers(1, 5000, size).astype(np.uint16) for name, size in sizes.items()}


def random_model(seed: int) -> AudioCodeModel:
    rng = np.random.default_rng(seed)
    tables = {k: Tables(unpack_weights(t)) for k, t in stored_tables(np.random.default_rng(seed)).items()}
    return AudioCodeModel(
        start=rng.integers(-127, 128, (256, BANDS)).astype(np.int32),
        envelope=(envelope_prior(rng, 0), envelope_prior(rng, 1)),
        classes=CLASSES,
        envelope_tables=tables["envelope"],
        powers=(power_prior(rng, 0), power_prior(rng, 1)),
        power_tables=tables["powers"],
        factor=whole(rng, 200, 256, BANDS),
        offset=whole(rng, 2**17, 256, LINES),
        spread=whole(rng, 64, BANDS, LINES),
        lines=lines_prior(rng),
        line_tables=tables["lines"],
        short_tables=tables["short"],
        angle_tables=tables["angles"],
    )


def random_codes(
    model: AudioCodeModel, step: int, channels: int, frames: int, rng: np.random.Generator, *, extreme: bool = False
) -> AudioCodes:
    """Any codes that can be written, or only those at the ends of their ranges."""
    ends = np.array([-RESIDUAL_LIMIT, RESIDUAL_LIMIT])

    def choose(t: int, half: int, rows: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        d = rng.choice(ends, rows.shape) if extreme else rng.integers(ends[0], ends[1] + 1, rows.shape)
        return np.clip(prediction + d, -127, 127).astype(np.int32)

    envelope = walk_envelope(model, channel_steps(step, channels), frames, choose)
    powers = walk_powers(model, step, envelope, lambda half, rows, prediction: choose(0, half, rows, prediction))
    last, shape = model.lines.codewords - 1, (channels, frames, model.spread.shape[1])
    lines = rng.choice([0, last], shape) if extreme else rng.integers(0, last + 1, shape)
    level = int(rng.choice([1, 127]) if extreme else rng.integers(1, 128))
    angles = rng.integers(0, ANGLES, (len(pairs_of(channels)), groups_of(frames), BANDS)).astype(np.int32)
    return AudioCodes(level, rng.random(frames) < 0.3, angles, envelope, powers, lines.astype(np.int32))
