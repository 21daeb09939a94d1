"""Codes of a tile in coding order: the walk that encoder, decoder, sampler and trainer share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vqcodec.bitstream.arrays import F32, I32
from vqcodec.bitstream.checks import code_hash
from vqcodec.bitstream.coder import RangeDecoder, RangeEncoder, Tables
from vqcodec.errors import VqcError
from vqcodec.image.tokens.config import LEVELS
from vqcodec.image.tokens.prior import STEPS, Step, StepPrior, maps_of, step_weights
from vqcodec.prior.integer import join_stacks, padded

__all__ = [
    "SCALES",
    "CodeModel",
    "Codes",
    "TileWriter",
    "Walk",
    "decode_tile",
    "encode_tile",
    "hash_codes",
    "level_steps",
    "likeliest",
    "no_codes",
]

Codes = tuple[I32, I32, I32]
"""Of top [B, 4 h, 4 w], bottom and residual [B, 8 h, 8 w] for h x w cells."""

SCALES = (4, 8, 8)
"""Codes along each side of a cell, by level."""

Choose = Callable[[Step, I32], I32]
"""(step, weights [N, K]) -> codes [N], the positions of a picture row by row, picture after picture."""


@dataclass(frozen=True)
class CodeModel:
    """All that the codes need, in integers.

    Attributes:
        tables: numbers that stand for each code of every level in the context, [K, e].
        steps: the prior of every step.
        exponential: weights by distance to the largest logit.
    """

    tables: tuple[F32, F32, F32]
    steps: tuple[StepPrior, ...]
    exponential: I32


def level_steps(level: int) -> list[int]:
    """Numbers of the steps of a level."""
    return [i for i, step in enumerate(STEPS) if step.level == level]


_LAST = tuple(STEPS[level_steps(level)[-1]] for level in range(len(LEVELS)))
"""The step that ends each level."""


def no_codes(batch: int, height: int, width: int) -> Codes:
    """Zeros for so many cells."""
    top, bottom, residual = (np.zeros((batch, scale * height, scale * width), np.int32) for scale in SCALES)
    return top, bottom, residual


class Walk:
    """Goes through the codes of pictures or tiles of one size, level by level.

    Args:
        step: index in the header: what the encoder weighed a bit with, which codes depend on.
        batch, height, width: pictures, and cells of each.

    Attributes:
        codes: found so far.
    """

    def __init__(self, model: CodeModel, step: int, batch: int, height: int, width: int) -> None:
        self.model, self.step = model, step
        self.codes = no_codes(batch, height, width)

    def level(self, level: int, choose: Choose) -> I32:
        """Codes of a level, each step as ``choose`` has it; of a serial step, each position."""
        model, codes = self.model, self.codes
        for i in level_steps(level):
            step = STEPS[i]
            part = step.of(codes[level])
            if step.serial:
                self._one_by_one(i, part, choose)
                continue
            context = join_stacks([padded(m) for m in maps_of(i, codes, model.tables)])
            part[...] = choose(step, self._weights(i, context)).reshape(part.shape)
        return codes[level]

    def _one_by_one(self, i: int, part: I32, choose: Choose) -> None:
        """Codes [B, h, w] of a serial step; what is not known yet, or outside, is zero in their context."""
        step, (b, h, w) = STEPS[i], part.shape
        table = self.model.tables[step.level]
        known = np.zeros((b, h + 2, w + 2, table.shape[1]), np.float32)
        for y, x in np.ndindex(h, w):
            found = choose(step.at(y, x), self._weights(i, known[:, y : y + 3, x : x + 3]))
            part[:, y, x] = found
            known[:, y + 1, x + 1] = table[found]

    def _weights(self, i: int, context: F32) -> I32:
        return step_weights(self.model.steps[i], self.model.exponential, context, self.step)


class TileWriter:
    """Takes the symbols of one tile as the walk finds them, and makes the stream."""

    def __init__(self) -> None:
        self._coder = RangeEncoder()
        self._ends: list[int] = []

    def write(self, step: Step, weights: I32, symbols: I32) -> None:
        """One step's symbols [N] under their weights [N, K]."""
        rows = np.arange(len(symbols), dtype=np.int32)
        self._coder.encode(symbols, rows, Tables(weights.astype(np.uint32)))
        if step in _LAST:
            self._ends.append(4 * self._coder.words())

    def finish(self) -> tuple[bytes, tuple[int, ...]]:
        """The stream, and how many of its bytes are needed for the top, for the bottom too, and for all.

        Raises:
            VqcError: a decoder would not find the symbols in the stream.
        """
        payload = self._coder.finish()
        if not self._coder.reads_back(payload):
            raise VqcError(
                "the codes just written do not decode to themselves; please report this as a bug with the picture"
            )
        return payload, (*(min(end, len(payload)) for end in self._ends[:-1]), len(payload))


def encode_tile(model: CodeModel, step: int, codes: Codes) -> tuple[bytes, tuple[int, ...]]:
    """Write the codes of one tile, B = 1; the stream and its stages as of :meth:`TileWriter.finish`.

    Raises:
        ValueError: a code is outside its table.
    """
    writer = TileWriter()
    walk = Walk(model, step, 1, codes[0].shape[1] // 4, codes[0].shape[2] // 4)

    def choose(batch: Step, weights: I32) -> I32:
        symbols: I32 = batch.of(codes[batch.level]).ravel().astype(np.int32)
        writer.write(batch, weights, symbols)
        return symbols

    for level in range(len(LEVELS)):
        walk.level(level, choose)
    return writer.finish()


def decode_tile(
    model: CodeModel, step: int, payload: bytes, height: int, width: int, *, stages: int | None = None
) -> Codes:
    """Read what :func:`encode_tile` wrote for so many cells.

    Args:
        stages: how many stages, which are levels, of a cut stream to read; for each code of the others the one that is
            likeliest then is taken; None reads all.

    Raises:
        CorruptError: no encoder writes these bytes.
    """
    count = sum(scale**2 for scale in SCALES) * height * width
    coder = RangeDecoder(payload, count if stages is None else None)

    def read(_step: Step, weights: I32) -> I32:
        return coder.decode(np.arange(len(weights), dtype=np.int32), Tables(weights.astype(np.uint32)))

    walk = Walk(model, step, 1, height, width)
    for level in range(len(LEVELS)):
        walk.level(level, read if stages is None or level < stages else likeliest)
    return walk.codes


def likeliest(_step: Step, weights: I32) -> I32:
    """The code of the largest weight, the first of several."""
    found: I32 = weights.argmax(1).astype(np.int32)
    return found


def hash_codes(codes: Sequence[I32]) -> int:
    """16-bit check of the codes of a tile."""
    return code_hash(list(codes))
