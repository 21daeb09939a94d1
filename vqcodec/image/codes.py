"""Codes of a picture in coding order: the walk that encoder, decoder and trainer share.

A picture's codes are one integer array for the low band and one for each slice (band set). The walk goes through them
phase by phase, asks the prior which table row each code is under, and lets ``choose`` say what the codes are: by
reading them from a stream, by looking them up, or by searching for the best ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.bitstream.checks import code_hash
from vqcodec.bitstream.coder import RangeDecoder, RangeEncoder, Tables
from vqcodec.errors import VqcError
from vqcodec.image.context import Context, grid
from vqcodec.image.sight import Sight
from vqcodec.prior.integer import PriorSlice, join_phases, low_prediction, phase

__all__ = [
    "CodeModel",
    "CodeWriter",
    "decode_codes",
    "encode_codes",
    "hash_codes",
    "walk",
    "zero_code",
]

Scalar = TypeVar("Scalar", bound=np.generic)

Choose = Callable[[int, int, I32, F32 | None], I32]
"""(slice or -1 for the low band, phase, rows [B, h, w, g], sign or None) -> symbols [B, h, w, g]."""


ContextOf = Callable[[Sequence[PriorSlice], int, int, int, int, Sight | None], Context]
"""(slices, levels, B, height, width, sight) -> context, as :class:`Context` is made."""


@dataclass(frozen=True)
class CodeModel:
    """All that the codes need: the prior of every slice and the tables.

    Attributes:
        levels: wavelet levels; level 6 lies on a grid of 64 x 64 pixels.
        low_size: K of the low band, odd; its values are codes minus (K - 1) / 2 plus the prediction.
        low_edges: thresholds on the spread of the neighbours that choose a row.
        low_tables: rows (colour, 1 + len(low_edges) + 1): first the row of phase 0.
        tables: per slice, rows (group, row * sign_bins + bin).
        shared: per slice, whether all groups use the rows of group 0.
        sight: networks beside the slices' own parameters, or None.
        context: makes what is known while the codes are walked through; another one computes elsewhere.
    """

    levels: int
    low_size: int
    low_edges: I32
    low_tables: Tables
    slices: tuple[PriorSlice, ...]
    tables: tuple[Tables, ...]
    shared: tuple[bool, ...]
    sight: Sight | None = None
    context: ContextOf = Context

    def table_rows(self, index: int, rows: I32) -> I32:
        """Row in the slice's table of each code: the groups' rows stand one block after the other."""
        s = self.slices[index]
        if self.shared[index]:
            return rows
        return rows + np.arange(s.groups, dtype=np.int32) * (s.rows * s.sign_bins)


def walk(
    model: CodeModel,
    step: I64,
    height: int,
    width: int,
    choose: Choose,
    *,
    gray: bool = False,
    stages: int | None = None,
    finished: Callable[[int, I32], None] | None = None,
) -> list[I32]:
    """Go through all codes in coding order.

    Args:
        step: [B] step indices.
        height, width: cells of the coarsest level.
        choose: gives the symbols of a phase.
        gray: there is no chroma; its codes are those of zero and are not asked for.
        stages: stop after so many stages (of ``model.levels`` - 1); the codes of the rest are those of zero.
        finished: told every slice and its codes [B, h, w, g] when they are complete.

    Returns:
        The low band's values [B, h', w', 3] (h' and w' rounded up to even), then the codes of every slice [B, h, w, g].
    """
    last_level = 1 if stages is None else model.levels - stages
    planes = 1 if gray else 3
    codes = [_walk_low(model, len(step), height, width, choose, planes if last_level < model.levels else 0)]
    context = model.context(model.slices, model.levels, len(step), height, width, model.sight)
    context.add_low(codes[0], step)
    for i, s in enumerate(model.slices):
        if s.level < last_level or stages == 0 or (gray and s.chroma):
            codes.append(np.full((len(step), *grid(s, model.levels, height, width), s.groups), zero_code(s), np.int32))
            if gray and model.sight is not None:  # networks of luma see chroma
                context.add_whole(i, codes[-1])
            if finished is not None:
                finished(i, codes[-1])
            continue
        parts = []
        for p in range(context.phases(i)):
            rows, sign = context.rows(i, p, step)
            code = choose(i, p, model.table_rows(i, rows), sign)
            if sign is not None:
                code = np.where(sign < 0, s.codewords - 1 - code, code)
            context.add(i, code)
            parts.append(code)
        codes.append(parts[0] if len(parts) == 1 else join_phases(parts))
        if finished is not None:
            finished(i, codes[-1])
    return codes


def _walk_low(model: CodeModel, batch: int, height: int, width: int, choose: Choose, planes: int) -> I32:
    values = np.zeros((batch, height + height % 2, width + width % 2, 3), np.int32)
    half = (model.low_size - 1) // 2
    colour = np.arange(planes, dtype=np.int32) * (len(model.low_edges) + 2)
    for p in range(4 if planes else 0):
        prediction, spread = low_prediction(values[..., :planes], p)
        rows = np.searchsorted(model.low_edges, spread, "right").astype(np.int32) + 1 if p else np.zeros_like(spread)
        phase(values, p)[..., :planes] = prediction + choose(-1, p, rows + colour, None) - half
    return values


def zero_code(s: PriorSlice) -> int:
    """Code of the zero vector: the middle of a sorted codebook of scalars, the first of a codebook of pairs."""
    return (s.codewords - 1) // 2 if s.d == 1 else 0


class CodeWriter:
    """Takes the symbols of one picture or tile as the walk finds them, and makes the stream."""

    def __init__(self, model: CodeModel) -> None:
        self._model = model
        self._coder = RangeEncoder()
        self._ends: dict[int, int] = {}

    def write(self, index: int, rows: I32, symbols: I32) -> None:
        """One phase of a slice (-1: of the low band).

        Raises:
            ValueError: a symbol is outside its table.
        """
        model = self._model
        self._coder.encode(symbols.ravel(), rows.ravel(), model.low_tables if index < 0 else model.tables[index])
        if index >= 0:
            self._ends[min(model.slices[index].level, model.levels - 1)] = 4 * self._coder.words()

    def finish(self) -> tuple[bytes, tuple[int, ...]]:
        """The stream, and for each stage how many of its bytes are needed to decode it.

        Stages are the low band with the two coarsest levels, then level by level.

        Raises:
            VqcError: a decoder would not find the symbols in the stream; the rows follow from them by exact arithmetic.
        """
        payload = self._coder.finish()
        if not self._coder.reads_back(payload):
            raise VqcError(
                "the codes just written do not decode to themselves; please report this as a bug with the picture"
            )
        # bytes needed may reach past the end, where the decoder reads zeros
        return payload, (*(min(e, len(payload)) for e in list(self._ends.values())[:-1]), len(payload))


def encode_codes(
    model: CodeModel, step: int, codes: Sequence[I32], height: int, width: int, *, gray: bool = False
) -> tuple[bytes, tuple[int, ...]]:
    """Write the codes of one picture or tile.

    Args:
        codes: as :func:`walk` returns them, B = 1.

    Returns:
        As :meth:`CodeWriter.finish`.

    Raises:
        ValueError: a code is outside its table.
    """
    writer = CodeWriter(model)
    half = (model.low_size - 1) // 2

    def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        if index < 0:
            values = codes[0][..., : rows.shape[-1]]
            symbols: I32 = phase(values, p) - low_prediction(values, p)[0] + half
        else:
            s = model.slices[index]
            part = codes[1 + index]
            code = part if s.level == model.levels else phase(part, p)
            symbols = code if sign is None else np.where(sign < 0, s.codewords - 1 - code, code)
        writer.write(index, rows, symbols)
        return symbols

    walk(model, np.array([step]), height, width, choose, gray=gray)
    return writer.finish()


def decode_codes(
    model: CodeModel,
    step: int,
    payload: bytes,
    height: int,
    width: int,
    *,
    gray: bool = False,
    stages: int | None = None,
) -> list[I32]:
    """Read what :func:`encode_codes` wrote.

    Args:
        stages: how many stages of a cut stream to read; None for all.

    Raises:
        CorruptError: no encoder writes these bytes.
    """
    coder = RangeDecoder(payload, symbol_count(model, height, width, gray=gray) if stages is None else None)

    def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        tables = model.low_tables if index < 0 else model.tables[index]
        return coder.decode(rows.ravel(), tables).reshape(rows.shape)

    return walk(model, np.array([step]), height, width, choose, gray=gray, stages=stages)


def symbol_count(model: CodeModel, height: int, width: int, *, gray: bool) -> int:
    """Symbols of a picture or tile of so many cells."""
    grids = [(s.groups, *grid(s, model.levels, height, width)) for s in model.slices if not (gray and s.chroma)]
    low = (height + height % 2) * (width + width % 2) * (1 if gray else 3)
    return low + sum(groups * h * w for groups, h, w in grids)


def hash_codes(codes: Sequence[I32], low_size: int) -> int:
    """16-bit check of all codes of a chunk; the low band's signed values are moved to be unsigned."""
    return code_hash([codes[0] + 3 * low_size, *codes[1:]])
