"""The entropy coder: constriction's range coder, one table row per symbol (SPEC.md, Range coder).

The probabilities are integers from end to end. Weights become 24-bit cumulatives by exact integer division;
constriction gets them in a form in which its own float64 arithmetic multiplies by exactly 1.0. A batch is sorted by
row, so that each row costs one call into the library however many symbols it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import I32, I64
from vqcodec.errors import CorruptError

__all__ = ["PRECISION", "RangeDecoder", "RangeEncoder", "Tables", "cumulatives"]

PRECISION = 24
_BLOCK = 256  # rows turned into models at a time; bounds the 64-bit temporaries to 5 MB at K = 2560
_UNTOUCHED = 2**64 - 1  # range of a coder that has coded nothing
# What symbols may cost beyond the bits of the stream: the coder's state holds 64, and where a table is rounded to 24
# bits a rare symbol becomes up to one bit in 24 cheaper than its weights say.
_SLACK_BITS, _SLACK_SHARE = 128, 1 / 16
# A symbol whose interval begins at 0 may cost nothing, since zeros at the end are not stored. Above so many bits it is
# counted all the same: no encoder meets more than a few of those in a row.
_FREE_BITS = 4.0
_BITS_PER_SYMBOL = 0.5  # a stream with more than this for every symbol is not worth counting
_COUNTED = 512  # symbols counted at once at least, because the envelope of sound comes in batches of nine
_FEW = 48  # symbols that Python sorts faster than numpy, measured

_Ints = npt.NDArray[np.integer[Any]]


def cumulatives(weights: npt.NDArray[np.uint32]) -> I64:
    """24-bit cumulatives L [R, K+1] of weights [R, K]: L(s) = floor(C(s) 2^24 / T).

    Raises:
        ValueError: a row's sum is outside 1..2^24, or a zero stands before a positive weight.
    """
    rows, k = weights.shape
    sums = np.zeros((rows, k + 1), np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    total = sums[:, -1:]
    if rows and (total.min() < 1 or total.max() > 1 << PRECISION):
        raise ValueError(f"table rows must sum to 1..2^{PRECISION}")
    if np.any((weights[:, :-1] == 0) & (weights[:, 1:] > 0)):
        raise ValueError("zeros may stand only at the end of a table row")
    return (sums << PRECISION) // total


class Tables:
    """Integer weights [R, K], read-only from here on; models are built when a row is first used, and kept.

    Args:
        weights: uint32 [R, K]; row sums 1..2^24; zeros, at the end of a row only, mark symbols that are absent.
            The rows are checked when they are first used.
    """

    def __init__(self, weights: npt.NDArray[np.uint32]) -> None:
        if weights.ndim != 2 or weights.dtype != np.uint32 or not 1 <= weights.shape[1] <= 1 << 16:
            raise ValueError(f"weights must be uint32 [R, 1..65536], not {weights.dtype} {list(weights.shape)}")
        self.weights = weights
        # None: not built yet. False: one symbol only, nothing is coded.
        self._models: list[Any] = [None] * len(weights)
        self._totals: npt.NDArray[np.float32] | None = None  # of the rows, once asked for

    def models(self, rows: Sequence[int]) -> list[Any]:
        """Models of the distinct rows [N], False where a row has one symbol only."""
        models = self._models
        missing = [r for r in rows if models[r] is None]
        for start in range(0, len(missing), _BLOCK):
            self._build(missing[start : start + _BLOCK])
        return [models[r] for r in rows]

    def bits(self, rows: _Ints, symbols: I32) -> float:
        """Bits that symbols [N] under rows [N] must take of a stream (SPEC.md, Range coder)."""
        if self._totals is None:
            self._totals = self.weights.sum(1, dtype=np.int64).astype(np.float32)
        k = self.weights.shape[1]
        weights = self.weights.reshape(-1).take(rows.astype(np.intp) * k + symbols)
        cost = self._totals.take(rows)
        cost /= weights.astype(np.float32)
        np.log2(cost, out=cost)
        cost *= (symbols != 0) | (cost >= _FREE_BITS)
        return float(cost.sum(dtype=np.float64))

    def _build(self, rows: list[int]) -> None:
        weights = self.weights[rows]
        # constriction adds one part to every symbol by itself and scales by (2^24 - K) / sum: 1.0 exactly for p - 1.
        spare = (np.diff(cumulatives(weights), axis=1) - 1).astype(np.float64)
        for row, values, size in zip(rows, spare, np.count_nonzero(weights, axis=1).tolist(), strict=True):
            self._models[row] = size > 1 and constriction.stream.model.Categorical(values[:size], perfect=False)


class _Batch:
    """One batch sorted by row: ``order`` [N] sorts it; each distinct row has its model and its count of symbols."""

    def __init__(self, rows: _Ints, tables: Tables) -> None:
        count = len(tables.weights)
        if rows.ndim == 1 and 0 < rows.size <= _FEW:
            self._sort_few(rows.tolist(), tables)
            return
        if rows.ndim != 1 or (rows.size and not (rows.min() >= 0 and rows.max() < count)):
            raise ValueError(f"rows must be [N] with values below {count}")
        # numpy sorts 16-bit keys by radix: several times faster than the stable sort of wider ones.
        keys = rows.astype(np.uint16) if count <= 1 << 16 else rows
        self.order = np.argsort(keys, kind="stable")
        ordered = keys[self.order]
        first = np.ones(rows.size, bool)
        np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        self.models = tables.models(ordered[starts].tolist())
        ends = [*starts[1:].tolist(), rows.size]
        self.counts = [end - start for start, end in zip(starts.tolist(), ends, strict=False)]

    def _sort_few(self, rows: list[int], tables: Tables) -> None:
        order = sorted(range(len(rows)), key=rows.__getitem__)
        distinct: list[int] = []
        counts: list[int] = []
        for i in order:
            if distinct and rows[i] == distinct[-1]:
                counts[-1] += 1
            else:
                distinct.append(rows[i])
                counts.append(1)
        if distinct[0] < 0 or distinct[-1] >= len(tables.weights):
            raise ValueError(f"rows must be [N] with values below {len(tables.weights)}")
        self.order = np.array(order)
        self.models = tables.models(distinct)
        self.counts = counts


class RangeEncoder:
    """Writes one stream; batches are decoded in the order in which they were encoded."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()
        self._written: list[tuple[_Batch, I32]] = []  # symbols sorted as in the stream

    def encode(self, symbols: _Ints, rows: _Ints, tables: Tables) -> None:
        """Append one batch: symbols [N], each under its table row [N].

        Raises:
            ValueError: shapes differ, or a symbol is absent from its row.
        """
        if symbols.shape != rows.shape:
            raise ValueError(f"symbols {list(symbols.shape)} and rows {list(rows.shape)} differ in shape")
        batch = _Batch(rows, tables)
        if not symbols.size:
            return
        flat = tables.weights.reshape(-1)
        k = tables.weights.shape[1]
        if symbols.min() < 0 or symbols.max() >= k or not flat[rows.astype(np.int64) * k + symbols].all():
            raise ValueError("a symbol is absent from its table row")
        ordered = symbols.astype(np.int32)[batch.order]
        self._written.append((batch, ordered))
        encode = self._coder.encode
        start = 0
        for model, count in zip(batch.models, batch.counts, strict=True):
            if model:
                encode(ordered[start : start + count], model)
            start += count

    def words(self) -> int:
        """32-bit words that suffice to decode all that was encoded so far, whatever follows."""
        position, (_, width) = self._coder.pos()
        # The decoder looks two words ahead of the words that are settled.
        return 0 if width == _UNTOUCHED else int(position) + 2

    def finish(self) -> bytes:
        """The stream, as short as it can be: no zero byte at its end, since the decoder reads zeros there."""
        position, (low, width) = self._coder.pos()
        if width == _UNTOUCHED:
            return b""
        words = self._coder.get_compressed().astype(">u4")
        # Any point of [low, low + width) will do. The settled words hold a carry if constriction's own point wrapped.
        point = int(words[position]) << 32
        first, last = (0, low + width - 2**64) if point < low else (low, min(low + width, 2**64))
        size = 0
        while (tail := -(-first >> (64 - 8 * size)) << (64 - 8 * size)) >= last:
            size += 1
        settled: bytes = words[:position].tobytes()
        return (settled + tail.to_bytes(8, "big")).rstrip(b"\0")

    def reads_back(self, stream: bytes) -> bool:
        """Whether a decoder under the same rows finds the symbols that were encoded in a stream."""
        decoder = RangeDecoder(stream)
        try:
            return all(np.array_equal(decoder.sorted_symbols(batch), symbols) for batch, symbols in self._written)
        except CorruptError:
            return False


class RangeDecoder:
    """Reads one stream; past its end it reads zeros, so a cut stream decodes as far as its bytes reach.

    Args:
        payload: the stream.
        symbols: how many the stream holds in all, where it is whole: symbols that together hold more than its bytes
            can are then refused (SPEC.md, Range coder), so that a short stream cannot ask for much work.
    """

    def __init__(self, payload: bytes, symbols: int | None = None) -> None:
        padded = payload + bytes(-len(payload) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))
        counts = symbols is not None and 8 * len(payload) < _BITS_PER_SYMBOL * symbols
        self._symbols_left = symbols if counts else None
        self._bits_left = 8 * len(payload) * (1 + _SLACK_SHARE) + _SLACK_BITS
        self._uncounted: list[tuple[_Ints, I32, Tables]] = []
        self._waiting = 0  # symbols of these

    def decode(self, rows: _Ints, tables: Tables) -> I32:
        """Next batch: symbols [N], each under its table row [N].

        Raises:
            CorruptError: no encoder writes these bytes.
        """
        batch = _Batch(rows, tables)
        symbols = np.empty(rows.size, np.int32)
        if rows.size:
            symbols[batch.order] = self.sorted_symbols(batch)
        if self._symbols_left is not None:
            self._symbols_left -= rows.size
            self._waiting += rows.size
            self._uncounted.append((rows, symbols, tables))
            if self._waiting >= _COUNTED or self._symbols_left <= 0:
                self._count()
        return symbols

    def _count(self) -> None:
        """Take the bits of what was decoded lately off what the stream can hold."""
        by_tables: dict[int, list[tuple[_Ints, I32, Tables]]] = {}
        for entry in self._uncounted:
            by_tables.setdefault(id(entry[2]), []).append(entry)
        for entries in by_tables.values():
            rows, symbols = (np.concatenate([entry[i] for entry in entries]) for i in (0, 1))
            self._bits_left -= entries[0][2].bits(rows, symbols)
        self._uncounted.clear()
        self._waiting = 0
        if self._bits_left < 0:
            raise CorruptError("no encoder writes this stream: it is too short for its codes", "payload")

    def sorted_symbols(self, batch: _Batch) -> I32:
        """Next batch, not empty, sorted by row; errors as of :meth:`decode`."""
        decode = self._coder.decode
        try:
            parts = [
                decode(m, n) if m else np.zeros(n, np.int32) for m, n in zip(batch.models, batch.counts, strict=True)
            ]
        except AssertionError:
            raise CorruptError("no encoder writes this stream", "payload") from None
        return np.concatenate(parts)
