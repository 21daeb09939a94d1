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
from vqcodec.image.tokens.prior import STEPS, StepPrior, maps_of, step_weights

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

Choose = Callable[[int, I32], I32]
"""(number of the step, weights [N, K]) -> codes [N], the positions of a picture row by row, picture after picture."""


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
        """Codes of a level, each step as ``choose`` has it."""
        model, codes = self.model, self.codes
        for i in level_steps(level):
            part = STEPS[i].of(codes[level])
            maps = maps_of(i, codes, model.tables)
            weights = step_weights(model.steps[i], model.exponential, maps, self.step, part.shape)
            part[...] = choose(i, weights).reshape(part.shape)
        return codes[level]


class TileWriter:
    """Takes the symbols of one tile as the walk finds them, and makes the stream."""

    def __init__(self) -> None:
        self._coder = RangeEncoder()
        self._ends: list[int] = []

    def write(self, index: int, weights: I32, symbols: I32) -> None:
        """One step's symbols [N] under their weights [N, K]."""
        rows = np.arange(len(symbols), dtype=np.int32)
        self._coder.encode(symbols, rows, Tables(weights.astype(np.uint32)))
        if index == level_steps(STEPS[index].level)[-1]:
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

    def choose(index: int, weights: I32) -> I32:
        s = STEPS[index]
        symbols: I32 = s.of(codes[s.level]).ravel().astype(np.int32)
        writer.write(index, weights, symbols)
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

    def read(index: int, weights: I32) -> I32:
        return coder.decode(np.arange(len(weights), dtype=np.int32), Tables(weights.astype(np.uint32)))

    walk = Walk(model, step, 1, height, width)
    for level in range(len(LEVELS)):
        walk.level(level, read if stages is None or level < stages else likeliest)
    return walk.codes


def likeliest(_index: int, weights: I32) -> I32:
    """The code of the largest weight, the first of several."""
    found: I32 = weights.argmax(1).astype(np.int32)
    return found


def hash_codes(codes: Sequence[I32]) -> int:
    """16-bit check of the codes of a tile."""
    return code_hash(list(codes))
