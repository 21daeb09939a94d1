"""The encoder's choice of codes: the codeword with the least squared distance plus rate, without looking at all.

Most vectors are so small that the zero codeword wins whatever the others cost: a threshold for every row of the rate
table, computed beforehand, tells which. Of scalars, the rest look at the codewords around the nearest one, as far as
the spread of the rates can reach. Of longer vectors, they look at the shortest codewords first, and further only where
a longer one may still win. All of these bounds are proofs: the result is that of a search through all codewords, up to
rounding between equals (within 1e-5 of the least cost).

Where what a codeword costs later counts, too, which differs from place to place, the same codewords are looked at, but
nothing is proved: the zero codeword wins at once only far below its threshold.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vqcodec.bitstream.arrays import F32, I32, I64

__all__ = ["Choice"]

_SHORTEST = (24, 96)  # codewords that longer vectors look at first, then next
_ROUNDING = 1e-5
_BLOCK = 1 << 17  # scores in one buffer: half a MiB
_SURE = 0.4  # of a threshold, up to which zero wins whatever comes later: measured, a codeword's later bits are few
_SAFE = np.float32(2.0**30)  # stands in for infinite costs where infinities would meet


class Choice:
    """Codebook and rates of one slice, ready for searching.

    Args:
        codebook: [g, K, d]; scalars sorted.
        rates: [g, R, K], or [1, R, K] for all groups: what a code costs under a row, in units of squared distance.
        maps: [g, K, m], what later costs of a code are in proportion to; None where they are not looked at.
    """

    def __init__(self, codebook: F32, rates: F32, maps: F32 | None = None) -> None:
        self._maps = maps
        table = len(rates) > 1
        kinds = [_Scalars, _Vectors][codebook.shape[2] > 1]
        self._groups: list[_Scalars | _Vectors] = []
        for g, words in enumerate(codebook):
            same = g and (not table) and np.array_equal(words, codebook[g - 1])
            self._groups.append(self._groups[-1] if same else kinds(words, rates[g if table else 0]))

    def __call__(self, x: F32, rows: I32, later: F32 | None = None) -> I32:
        """Codes [g, N] of vectors [g, N, d] under rows [g, N].

        Args:
            later: [g, N, m] what a unit of each map value of a code costs later, in units of squared distance.
        """
        if later is None:
            return np.stack([group(v, r) for group, v, r in zip(self._groups, x, rows, strict=True)])
        assert self._maps is not None
        parts = zip(self._groups, x, rows, later, self._maps, strict=True)
        return np.stack([group.with_later(v, r, cost, maps) for group, v, r, cost, maps in parts])


def _zero_limits(words: F32, rates: F32, zero: int) -> F32:
    """For every row, the length up to which a vector has the codeword ``zero``, the origin here, for its best."""
    size = np.sqrt(np.square(words).sum(1, dtype=np.float64)).astype(np.float32)
    size[zero] = 1.0
    limits = (size + (rates - np.minimum(rates[:, zero, None], _SAFE)) / size) / 2
    limits[:, zero] = np.inf
    least: F32 = limits.min(1)
    return least * np.float32(1 - _ROUNDING)


class _Scalars:
    """One group of scalars: codewords [K, 1] in rising order, rates [R, K]."""

    def __init__(self, words: F32, rates: F32) -> None:
        self._zero = int(np.abs(words[:, 0]).argmin())
        self._origin = words[self._zero, 0]
        line = words[:, 0] - self._origin
        self._limits = _zero_limits(line[:, None], rates, self._zero)
        self._middles = (line[1:] + line[:-1]) / 2
        finite = np.where(np.isfinite(rates), rates, np.nan)
        spread = float((np.nanmax(finite, 1) - np.nanmin(finite, 1)).max()) if np.isfinite(rates).all() else np.inf
        self._reach = _reach(line.astype(np.float64), spread)
        # padding, so that no neighbour is outside
        far = np.full(self._reach, np.sqrt(_SAFE), np.float32)
        self._line = np.concatenate([-far, line, far])
        self._rates = np.pad(rates, ((0, 0), (self._reach, self._reach)))

    def __call__(self, x: F32, rows: I32) -> I32:
        x = x[:, 0] - self._origin
        codes = np.full(len(x), self._zero, np.int32)
        rest = np.flatnonzero(np.abs(x) > self._limits.take(rows))
        x = x.take(rest)
        near = np.searchsorted(self._middles, x)  # in the padded line, this is the nearest's lowest neighbour
        place = rows.take(rest).astype(np.int64) * self._rates.shape[1] + near
        best, least = np.zeros(len(x), np.int64), np.full(len(x), np.inf, np.float32)
        flat = self._rates.reshape(-1)
        for k in range(2 * self._reach + 1):
            cost = x - self._line.take(near + k)
            cost *= cost
            cost += flat.take(place + k)
            better = cost < least
            np.copyto(least, cost, where=better)
            np.copyto(best, k, where=better)
        codes[rest] = near + best - self._reach
        return codes

    def with_later(self, x: F32, rows: I32, later: F32, maps: F32) -> I32:
        """The same where the codewords' maps [K, 1] cost ``later`` [N, 1]: of zero and those around the nearest one."""
        x = x[:, 0] - self._origin
        codes = np.full(len(x), self._zero, np.int32)
        rest = np.flatnonzero(np.abs(x) > _SURE * self._limits.take(rows))
        x, later = x.take(rest), later[:, 0].take(rest)
        near = np.searchsorted(self._middles, x)
        first = rows.take(rest).astype(np.int64) * self._rates.shape[1]
        flat, line = self._rates.reshape(-1), np.pad(maps[:, 0], self._reach, mode="edge")
        zero = self._reach + self._zero  # its place in the padded line
        best = np.full(len(x), zero, np.int64)
        least = np.square(x) + flat.take(first + zero) + later * line[zero]
        for k in range(2 * self._reach + 1):
            cost = x - self._line.take(near + k)
            cost *= cost
            cost += flat.take(first + (near + k))
            cost += later * line.take(near + k)
            better = cost < least
            np.copyto(least, cost, where=better)
            np.copyto(best, near + k, where=better)
        codes[rest] = best - self._reach
        return codes


def _reach(line: npt.NDArray[np.float64], spread: float) -> int:
    """How many codewords away from the nearest the best can be, where rates differ by ``spread`` at most.

    With the nearest codeword c, a neighbour at c + D, and the next one at c + G (the nearest's cell ends at G / 2), the
    neighbour's squared distance is larger by D (D - G) or more.
    """
    for reach in range(1, len(line) - 1):
        beyond = reach + 1
        distance = line[beyond:] - line[:-beyond]
        up = distance * (distance - (line[1:] - line[:-1])[:-reach])
        down = distance * (distance - (line[1:] - line[:-1])[reach:])
        if min(up.min(), down.min()) > spread + _ROUNDING:
            return reach
    return len(line) - 1


class _Vectors:
    """One group of vectors: codewords [K, d], rates [R, K]."""

    def __init__(self, words: F32, rates: F32) -> None:
        size = np.square(words).sum(1)
        self._order = np.argsort(size, kind="stable").astype(np.int32)
        self._origin = words[self._order[0]]
        words, rates = words[self._order] - self._origin, np.ascontiguousarray(rates[:, self._order])
        size = np.square(words).sum(1)
        self._limits = _zero_limits(words, rates, 0)
        self._offsets = (size + rates) / 2
        self._words = np.ascontiguousarray(words.T)
        counts = [n for n in _SHORTEST if n < len(words)]
        # for each number of codewords looked at: half the least rate beyond by row, and the least length beyond
        self._beyond = [(n, rates[:, n:].min(1) / 2, float(np.sqrt(size[n:].min()))) for n in counts]

    def __call__(self, x: F32, rows: I32) -> I32:
        x = x - self._origin
        length = np.sqrt(np.square(x).sum(1))
        found = np.zeros(len(x), np.int32)
        rest = np.flatnonzero(length > self._limits.take(rows))
        for n, rate, size in self._beyond:
            codes, scores = self._search(x[rest], rows.take(rest), n)
            found[rest] = codes
            # a longer codeword c has |x - c|^2 >= (|c| - |x|)^2; scores are (|x - c|^2 + rate - |x|^2) / 2
            near = length.take(rest)
            bound = size * (size / 2 - near) + rate.take(rows.take(rest))
            rest = rest[(scores > bound - _ROUNDING) | (near > size)]
        if len(rest):
            found[rest] = self._search(x[rest], rows.take(rest), len(self._order))[0]
        return self._order.take(found)

    def with_later(self, x: F32, rows: I32, later: F32, maps: F32) -> I32:
        """The same where the codewords' maps [K, m] cost ``later`` [N, m]."""
        x = x - self._origin
        found = np.zeros(len(x), np.int32)
        rest = np.flatnonzero(np.sqrt(np.square(x).sum(1)) > _SURE * self._limits.take(rows))
        words = np.concatenate([self._words, maps[self._order].T / -2])  # scores are halves of costs
        wanted = np.concatenate([x[rest], later[rest]], 1)
        found[rest], _ = self._search(wanted, rows.take(rest), len(self._order), words)
        return self._order.take(found)

    def _search(self, x: F32, rows: I32, n: int, words: F32 | None = None) -> tuple[I64, F32]:
        """Best of the first n codewords, or what stands for them, and its score."""
        codes, scores = np.empty(len(x), np.int64), np.empty(len(x), np.float32)
        offsets, words = np.ascontiguousarray(self._offsets[:, :n]), (self._words if words is None else words)[:, :n]
        step = max(1, _BLOCK // n)
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            table = offsets.take(rows[part], 0)
            table -= x[part] @ words
            best = table.argmin(1)
            codes[part] = best
            scores[part] = np.take_along_axis(table, best[:, None], 1)[:, 0]
        return codes, scores
