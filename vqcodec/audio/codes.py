"""Codes of a stretch of sound and the stream they make (SPEC.md, Sound).

A chunk of B channels and T frames holds one level, which frames are short, the angles of pairs of channels, an envelope
[B, T, bands], powers [U, 2 T, W] of U units and lines [B, T, F]; what is expected of them: :mod:`vqcodec.audio.walk`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vqcodec.audio.mdct import Flags
from vqcodec.audio.powers import PER_FRAME, POWER_BANDS, units_of
from vqcodec.audio.stereo import ANGLES, groups_of, pairs_of
from vqcodec.audio.walk import (
    ENVELOPE_LIMIT,
    RESIDUAL_LIMIT,
    AudioCodeModel,
    channel_steps,
    has_powers,
    no_powers,
    walk_envelope,
    walk_lines,
    walk_powers,
)
from vqcodec.bitstream.arrays import I32
from vqcodec.bitstream.checks import code_hash
from vqcodec.bitstream.coder import RangeDecoder, RangeEncoder, Tables
from vqcodec.errors import CorruptError
from vqcodec.prior.integer import phase

__all__ = [
    "LEVELS",
    "SILENCE",
    "AudioCodeWriter",
    "AudioCodes",
    "decode_audio_codes",
    "encode_audio_codes",
    "hash_audio_codes",
    "silent_codes",
]

LEVELS = 128  # of the level of a chunk, coded with equal weights
SILENCE = 0  # the level of codes that stand for silence, which has no stream


@dataclass(frozen=True)
class AudioCodes:
    """Codes of a chunk.

    Attributes:
        level: of its loud frames.
        short: [T] which frames are short.
        angles: [pairs, groups, bands] of pairs of channels.
        envelope: [B, T, bands] in units.
        powers: [U, 2 T, POWER_BANDS] in units of :mod:`vqcodec.audio.powers`; [U, 0, POWER_BANDS] at coarse steps.
        lines: symbols [B, T, F].
    """

    level: int
    short: Flags
    angles: I32
    envelope: I32
    powers: I32
    lines: I32


def _angle_rows(angles: I32, group: int) -> I32:
    """Table rows [pairs, bands] of a group of angles."""
    return angles[:, group - 1] if group else np.full_like(angles[:, 0], ANGLES)


class AudioCodeWriter:
    """Takes the codes of one chunk as the walks find them, and makes the stream."""

    def __init__(self, model: AudioCodeModel, level: int, short: Flags, angles: I32) -> None:
        self._model = model
        self._coder = RangeEncoder()
        self._coder.encode(np.array([level]), np.zeros(1, np.int32), _LEVEL_TABLES)
        self._end = 0
        if level == SILENCE:
            return
        self._coder.encode(short.astype(np.int32), np.zeros(len(short), np.int32), model.short_tables)
        for group in range(angles.shape[1] if len(angles) else 0):
            self._coder.encode(angles[:, group].ravel(), _angle_rows(angles, group).ravel(), model.angle_tables)

    def envelope(self, rows: I32, prediction: I32, values: I32) -> None:
        """Half of a frame's bands.

        Raises:
            ValueError: a value is too far from its prediction.
        """
        self._residuals(values - prediction, rows, self._model.envelope_tables)

    def powers(self, rows: I32, prediction: I32, values: I32) -> None:
        """Half of the powers; errors as of :meth:`envelope`."""
        self._residuals(values - prediction, rows, self._model.power_tables)

    def _residuals(self, residuals: I32, rows: I32, tables: Tables) -> None:
        self._coder.encode((residuals + RESIDUAL_LIMIT).ravel(), rows.ravel(), tables)

    def lines(self, rows: I32, symbols: I32) -> None:
        """One phase of the lines."""
        self._end = self._end or 4 * self._coder.words()
        self._coder.encode(symbols.ravel(), rows.ravel(), self._model.line_tables)

    def finish(self) -> tuple[bytes, tuple[int, ...]]:
        """The stream, and the bytes needed to decode all but the lines, and everything."""
        payload = self._coder.finish()
        return payload, (min(self._end or len(payload), len(payload)), len(payload))


def encode_audio_codes(model: AudioCodeModel, step: int, codes: AudioCodes) -> tuple[bytes, tuple[int, ...]]:
    """Write the codes of a chunk; result as of :meth:`AudioCodeWriter.finish`.

    Raises:
        ValueError: a code is outside its table.
    """
    channels, frames = codes.envelope.shape[:2]
    steps = channel_steps(step, channels)
    writer = AudioCodeWriter(model, codes.level, codes.short, codes.angles)
    blank = (model.lines.codewords - 1) // 2
    lines = np.pad(codes.lines, ((0, 0), (0, frames % 2), (0, 0)), constant_values=blank)

    def envelope(t: int, half: int, rows: I32, prediction: I32) -> I32:
        values = codes.envelope[:, t, half::2]
        writer.envelope(rows, prediction, values)
        return values

    def powers(half: int, rows: I32, prediction: I32) -> I32:
        values = codes.powers[:, half::PER_FRAME]
        writer.powers(rows, prediction, values)
        return values

    def symbols(p: int, rows: I32) -> I32:
        writer.lines(rows, phase(lines, p))
        return phase(lines, p)

    walk_envelope(model, steps, frames, envelope)
    walk_powers(model, step, codes.envelope, powers)
    walk_lines(model, steps, codes.envelope, symbols)
    return writer.finish()


def silent_codes(model: AudioCodeModel, channels: int, frames: int) -> AudioCodes:
    """What stands for silence, whose chunk is empty."""
    blank = (model.lines.codewords - 1) // 2
    return AudioCodes(
        level=SILENCE,
        short=np.zeros(frames, bool),
        angles=np.zeros((len(pairs_of(channels)), groups_of(frames), model.bands), np.int32),
        envelope=np.zeros((channels, frames, model.bands), np.int32),
        powers=no_powers(channels),
        lines=np.full((channels, frames, model.spread.shape[1]), blank, np.int32),
    )


def decode_audio_codes(model: AudioCodeModel, step: int, payload: bytes, channels: int, frames: int) -> AudioCodes:
    """Read what :class:`AudioCodeWriter` wrote.

    Raises:
        CorruptError: no encoder writes these bytes.
    """
    padded, pairs = frames + frames % 2, len(pairs_of(channels))
    count = 1 + frames + pairs * groups_of(frames) * model.bands
    count += channels * (frames * model.bands + padded * model.spread.shape[1])
    if has_powers(step):
        count += PER_FRAME * frames * len(units_of(channels)) * POWER_BANDS
    coder = RangeDecoder(payload, count)
    level = int(coder.decode(np.zeros(1, np.int32), _LEVEL_TABLES)[0])
    if level == SILENCE:
        raise CorruptError("codes of the level of silence")
    short = coder.decode(np.zeros(frames, np.int32), model.short_tables) > 0
    angles = np.zeros((pairs, groups_of(frames), model.bands), np.int32)
    for group in range(angles.shape[1] if pairs else 0):
        rows = _angle_rows(angles, group)
        angles[:, group] = coder.decode(rows.ravel(), model.angle_tables).reshape(rows.shape)
    steps = channel_steps(step, channels)

    def residuals(rows: I32, tables: Tables) -> I32:
        return coder.decode(rows.ravel(), tables).reshape(rows.shape) - RESIDUAL_LIMIT

    def values(_t: int, _half: int, rows: I32, prediction: I32) -> I32:
        return prediction + residuals(rows, model.envelope_tables)

    def moments(_half: int, rows: I32, prediction: I32) -> I32:
        return prediction + residuals(rows, model.power_tables)

    def symbols(_p: int, rows: I32) -> I32:
        return coder.decode(rows.ravel(), model.line_tables).reshape(rows.shape)

    envelope = walk_envelope(model, steps, frames, values)
    powers = walk_powers(model, step, envelope, moments)
    return AudioCodes(level, short, angles, envelope, powers, walk_lines(model, steps, envelope, symbols))


_LEVEL_TABLES = Tables(np.ones((1, LEVELS), np.uint32))


def hash_audio_codes(codes: AudioCodes) -> int:
    """16-bit check of all codes of a chunk."""
    return code_hash(
        [
            np.array([codes.level]),
            codes.short.astype(np.int32),
            codes.angles,
            codes.envelope + ENVELOPE_LIMIT,
            codes.powers + ENVELOPE_LIMIT,
            codes.lines,
        ]
    )
