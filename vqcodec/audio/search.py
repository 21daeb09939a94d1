"""Entropy-constrained search: the encoder's choice of codes for a chunk of sound, under the prior's own tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vqcodec.audio.codes import AudioCodeWriter
from vqcodec.audio.mdct import HOP
from vqcodec.audio.model import AudioModel
from vqcodec.audio.powers import PER_FRAME
from vqcodec.audio.transform import FLOOR, AudioTransform
from vqcodec.audio.walk import ENVELOPE_LIMIT, RESIDUAL_LIMIT, channel_steps, walk_envelope, walk_lines, walk_powers
from vqcodec.bitstream.arrays import F32, I32
from vqcodec.prior.choice import Choice
from vqcodec.prior.integer import phase
from vqcodec.prior.rate import LAMBDA, bit_costs

__all__ = ["SearchCosts", "search_chunk"]

SILENT = math.log2(FLOOR)  # of a line's energy: at it and below, an envelope stands for nothing
# Squared units of the envelope that a bit is worth. Held-out speech and music at 5 to 40 kbit/s: 0.5 to 1.5 % of the
# bits less than with none, and no measure worse; with 0.3 Zimtohrli falls by 0.03 at the coarse steps.
ENVELOPE_PRICE = 0.1
NEAR = np.array([-1, 0, 1, 2], np.int32)[:, None, None]
FAR = 1e6


class SearchCosts:
    """What the search weighs: bits of every residual of the envelope, by row, and the choice of the lines' codes."""

    def __init__(self, model: AudioModel) -> None:
        self.envelope = bit_costs(model.codes.envelope_tables)
        rates = (np.float32(LAMBDA) * bit_costs(model.codes.line_tables))[None]
        self.lines = Choice(model.codebook[None], rates)


def _reachable(prediction: I32) -> tuple[I32, I32]:
    """The least and the largest values that can be written; np.clip costs several times as much on so few."""
    low = np.maximum(prediction - RESIDUAL_LIMIT, -ENVELOPE_LIMIT)
    return low, np.minimum(prediction + RESIDUAL_LIMIT, ENVELOPE_LIMIT)


def _choose_envelope(wanted: F32, unit: F32, rows: I32, prediction: I32, bits: F32) -> I32:
    """Values [B, h] for half of a frame's bands: the nearest to what is wanted.

    Values that stand for nothing are as good as each other, so that silence takes what the prior expects.
    """
    nearest = np.round(wanted).astype(np.int32)
    candidates = np.concatenate([nearest + NEAR, prediction + NEAR])
    low, high = _reachable(prediction)
    candidates = np.minimum(np.maximum(candidates, low), high)
    silent = SILENT / unit
    error = np.maximum(candidates, silent) - np.maximum(wanted, silent)
    price = error**2 + ENVELOPE_PRICE * bits[rows, candidates - prediction + RESIDUAL_LIMIT]
    # a value far too low would make the lines' step needlessly fine
    price[candidates < nearest - 1] += FAR
    best = price.argmin(0)
    out: I32 = np.take_along_axis(candidates, best[None], 0)[0].astype(np.int32)
    return out


def search_chunk(
    model: AudioModel,
    transform: AudioTransform,
    analysed: Sequence[tuple[F32, F32, F32]],
    powers: F32 | None,
    step: int,
    costs: SearchCosts,
    writer: AudioCodeWriter | None = None,
) -> tuple[I32, I32, I32]:
    """Envelope [B, T, bands], powers [U, 2 T, W] and symbols of the lines [B, T, F] of a chunk.

    Args:
        analysed: per coded channel its frames [T, HOP], and of the analysis the envelope wanted and what moves the
            lines.
        powers: as :func:`vqcodec.audio.powers.powers_of` gives them, where the step has any, else None.
        costs: what symbols cost.
        writer: told every code as it is found.
    """
    index = channel_steps(step, len(analysed))
    goal = np.stack([envelope for _, envelope, _ in analysed])
    unit = np.stack([transform.envelope_unit(int(s)) for s in index])

    def envelope(t: int, half: int, rows: I32, prediction: I32) -> I32:
        values = _choose_envelope(goal[:, t, half::2], unit[:, half::2], rows, prediction, costs.envelope)
        if writer is not None:
            writer.envelope(rows, prediction, values)
        return values

    coded = walk_envelope(model.codes, index, goal.shape[1], envelope)

    def moment(half: int, rows: I32, prediction: I32) -> I32:
        assert powers is not None
        # Rounded: cheaper values beside the nearest lose twice as much in Zimtohrli as their bits bring elsewhere.
        values: I32 = np.clip(np.rint(powers[:, half::PER_FRAME]).astype(np.int32), *_reachable(prediction))
        if writer is not None:
            writer.powers(rows, prediction, values)
        return values

    told = walk_powers(model.codes, step, coded, moment)
    lines = np.empty((len(index), goal.shape[1] + goal.shape[1] % 2, HOP), np.float32)
    lines[:, goal.shape[1] :] = 0
    for k, (frames, _, move) in enumerate(analysed):
        _, log_step = transform.curves(coded[k] * unit[k], int(index[k]))
        lines[k, : len(frames)] = transform.lines(frames, move, log_step)

    def symbols(p: int, rows: I32) -> I32:
        x = np.ascontiguousarray(phase(lines, p)).reshape(1, -1, 1)
        found: I32 = costs.lines(x, rows.reshape(1, -1)).reshape(rows.shape)
        if writer is not None:
            writer.lines(rows, found)
        return found

    return coded, told, walk_lines(model.codes, index, coded, symbols)
