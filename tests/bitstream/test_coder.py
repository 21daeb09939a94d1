"""The range coder: round trips, an independent coder written from SPEC.md, cut and garbage streams, rate."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import RangeDecoder, RangeEncoder, Tables
from vqcodec.bitstream.coder import cumulatives
from vqcodec.errors import CorruptError

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Tables]


class SpecDecoder:
    """SPEC.md, section Range coder, in plain Python integers; shares nothing with the code under test."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.pos = payload, 8
        self.low, self.range, self.point = 0, 2**64 - 1, int.from_bytes(payload[:8].ljust(8, b"\0"), "big")

    def symbol(self, weights: list[int]) -> int:
        present = [w for w in weights if w]
        if len(present) == 1:
            return 0
        total = sum(present)
        edges = [sum(present[:s]) * 2**24 // total for s in range(len(present) + 1)]
        q = self.range >> 24
        t = (self.point - self.low) % 2**64 // q
        assert t < 2**24
        s = bisect_right(edges, t) - 1
        self.low = (self.low + q * edges[s]) % 2**64
        self.range = q * (edges[s + 1] - edges[s])
        if self.range < 2**32:
            word = int.from_bytes(self.payload[self.pos : self.pos + 4].ljust(4, b"\0"), "big")
            self.pos += 4
            self.low, self.range = self.low * 2**32 % 2**64, self.range * 2**32
            self.point = (self.point * 2**32 + word) % 2**64
        return s

    def batch(self, rows: list[int], weights: list[list[int]]) -> list[int]:
        symbols = [0] * len(rows)
        for i in sorted(range(len(rows)), key=lambda i: (rows[i], i)):
            symbols[i] = self.symbol(weights[rows[i]])
        return symbols


def encode(batches: list[Batch]) -> tuple[bytes, list[int]]:
    coder = RangeEncoder()
    words = []
    for symbols, rows, tables in batches:
        coder.encode(symbols, rows, tables)
        words.append(coder.words())
    return coder.finish(), words


def draw_batch(rng: np.random.Generator, tables: Tables, n: int, *, likely: bool) -> Batch:
    """Symbols drawn by their weights, or uniformly over those present (the worst that can be asked for)."""
    rows = rng.integers(0, len(tables.weights), n)
    edges = np.cumsum(tables.weights, axis=1, dtype=np.int64)[rows]
    if likely:
        symbols = (edges <= (rng.random(n) * edges[:, -1]).astype(np.int64)[:, None]).sum(axis=1)
    else:
        symbols = (rng.random(n) * np.count_nonzero(tables.weights[rows], axis=1)).astype(np.int64)
    return symbols, rows, tables


def geometric_tables(rows: int, k: int) -> Tables:
    p = np.exp(-np.arange(k) / np.geomspace(0.2, k, rows)[:, None])
    return Tables(np.maximum(1, p / p.sum(axis=1, keepdims=True) * (2**24 - k)).astype(np.uint32))


@st.composite
def any_tables(draw: st.DrawFn) -> Tables:
    """Rows of every kind: one symbol, two, padded, flat, one weight that has nearly all, tiny sums and full ones."""
    rows, k = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    weights = np.zeros((rows, k), np.uint32)
    for row in weights:
        size = draw(st.integers(1, k))
        row[:size] = draw(st.lists(st.sampled_from([1, 2, 3, 1000, 2**18]), min_size=size, max_size=size))
        if draw(st.booleans()):
            row[draw(st.integers(0, size - 1))] += 2**24 - int(row.sum())
    return Tables(weights)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(any_tables(), st.integers(0, 60), st.booleans()), max_size=5), st.integers(0, 2**32))
def test_round_trip_and_independent_decoder(shapes: list[tuple[Tables, int, bool]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [draw_batch(rng, tables, n, likely=likely) for tables, n, likely in shapes]
    payload, words = encode(batches)
    assert not payload.endswith(b"\0")
    assert words == sorted(words)
    ours, theirs = RangeDecoder(payload), SpecDecoder(payload)
    for symbols, rows, tables in batches:
        decoded = ours.decode(rows, tables)
        assert decoded.dtype == np.int32
        assert decoded.tolist() == symbols.tolist()
        assert theirs.batch(rows.tolist(), tables.weights.tolist()) == symbols.tolist()


@pytest.mark.parametrize("likely", [True, False])
@pytest.mark.parametrize("k", [2, 64, 320, 2560])
def test_many_symbols(k: int, likely: bool) -> None:
    rng = np.random.default_rng(k)
    tables = geometric_tables(90, k)
    batches = [draw_batch(rng, tables, 700, likely=likely) for _ in range(4)]
    payload, words = encode(batches)
    for i, need in enumerate(words):
        # A stream cut where words() says holds all batches up to there.
        decoder = RangeDecoder(payload[: 4 * need])
        for symbols, rows, _ in batches[: i + 1]:
            assert np.array_equal(decoder.decode(rows, tables), symbols)
    bits = sum(-np.log2(t.weights[r, s] / t.weights[r].sum(axis=1)).sum() for s, r, t in batches)
    assert 8 * len(payload) <= bits * 1.0003 + 16


def test_frozen_stream() -> None:
    tables = Tables(np.array([[5, 3, 1, 0], [1, 2**24 - 2, 1, 0], [7, 0, 0, 0], [1, 1, 1, 1]], np.uint32))
    rows = np.array([3, 1, 0, 2, 3, 0, 1, 0, 3, 1, 3])
    symbols = np.array([2, 1, 0, 0, 3, 2, 1, 1, 0, 0, 1])
    payload, _ = encode([(symbols, rows, tables), (symbols[::-1], rows[::-1], tables)])
    assert payload.hex() == "8732ea8e036d710d0fb6"
    assert RangeDecoder(payload).decode(rows, tables).tolist() == symbols.tolist()


def test_cumulatives_are_exact_integers() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 2**24 // 300, (20, 300)).astype(np.uint32)
    weights[3] = 1
    weights[3, 7] = 2**24 - 299
    for row, edges in zip(weights.tolist(), cumulatives(weights).tolist(), strict=True):
        assert edges == [sum(row[:s]) * 2**24 // sum(row) for s in range(301)]
    # What one part of 2^24 means: the rarest symbol costs 24 bits and can be coded.
    tables = Tables(weights[3:4])
    symbols = np.array([0, 299, 8] * 50)
    payload, _ = encode([(symbols, np.zeros(150, np.int64), tables)])
    assert abs(len(payload) - 450) <= 2
    assert np.array_equal(RangeDecoder(payload).decode(np.zeros(150, np.int64), tables), symbols)


def test_certain_symbols_cost_nothing() -> None:
    tables = Tables(np.array([[9, 0, 0]], np.uint32))
    zeros = np.zeros(100_000, np.int64)
    payload, words = encode([(zeros, zeros, tables)])
    assert (payload, words) == (b"", [0])
    assert not RangeDecoder(b"").decode(zeros, tables).any()
    nearly = Tables(np.array([[2**24 - 1, 1]], np.uint32))
    assert len(encode([(zeros, zeros, nearly)])[0]) <= 1


@pytest.mark.parametrize("payload", [b"", b"\xff" * 40, b"\0" * 39 + b"\1", b"\x80"])
def test_extreme_streams_decode_or_are_refused(payload: bytes) -> None:
    rng = np.random.default_rng(0)
    tables = geometric_tables(30, 50)
    for _ in range(20):
        decoder = RangeDecoder(payload)
        try:
            for _ in range(5):
                symbols = decoder.decode(rng.integers(0, 30, 40), tables)
                assert symbols.min() >= 0
                assert symbols.max() < 50
        except CorruptError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), any_tables(), st.integers(0, 2**32))
def test_garbage_streams(payload: bytes, tables: Tables, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, len(tables.weights), 100)
    try:
        symbols = RangeDecoder(payload).decode(rows, tables)
    except CorruptError:
        return
    assert tables.weights[rows, symbols].all()


def test_an_impossible_stream_is_corrupt() -> None:
    # Three equal parts of 2^24 leave a gap at the top of the range, which no encoder enters.
    with pytest.raises(CorruptError, match="payload: no encoder"):
        RangeDecoder(b"\xff" * 8).decode(np.zeros(3, np.int64), Tables(np.array([[1, 1, 1]], np.uint32)))


def test_bad_arguments() -> None:
    good = Tables(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [2**24, 1, 0]], np.uint32))
    one = np.array([1])
    for row, message in ((1, "zeros"), (2, "sum to"), (3, "sum to")):
        with pytest.raises(ValueError, match=message):
            RangeEncoder().encode(one * 0, np.array([row]), good)
    for symbol in (-1, 2, 3):
        with pytest.raises(ValueError, match="absent"):
            RangeEncoder().encode(np.array([symbol]), one * 0, good)
    for row in (-1, 4):
        with pytest.raises(ValueError, match="rows"):
            RangeDecoder(b"").decode(np.array([row]), good)
    with pytest.raises(ValueError, match="shape"):
        RangeEncoder().encode(np.zeros(2, np.int64), one * 0, good)
    with pytest.raises(ValueError, match="uint32"):
        Tables(np.ones((2, 2), np.int32))  # type: ignore[arg-type]
