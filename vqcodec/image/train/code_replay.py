"""Cached codes in coding order: table rows, counts and lengths, for the tables and for figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32, F64, I32, I64
from vqcodec.image.codes import CodeModel, walk
from vqcodec.image.config import ImageConfig
from vqcodec.image.train.code_cache import CodeCache
from vqcodec.image.train.codebooks import start_codebook
from vqcodec.prior.integer import low_prediction, phase
from vqcodec.train.fits import smooth_counts, start_table

__all__ = ["code_length", "count_tables", "fixed_length", "static_length"]

CHUNK = 32  # crops that share one context object


def _symbols(model: CodeModel, cache: CodeCache, k: slice) -> Iterator[tuple[int, int, I32, I32]]:
    """(slice or -1, phase, table rows [B, h, w, g], symbols) of some crops, in coding order."""
    out: list[tuple[int, int, I32, I32]] = []
    half = (model.low_size - 1) // 2

    def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        if index < 0:
            low = cache.codes[0][k].astype(np.int32)
            symbols = (phase(low, p) - low_prediction(low, p)[0] + half).astype(np.int32)
        else:
            s = model.slices[index]
            codes = cache.codes[1 + index][k].astype(np.int32)
            part = codes if s.level == model.levels else phase(codes, p)
            symbols = part if sign is None else np.where(sign < 0, s.codewords - 1 - part, part)
        out.append((index, p, rows, symbols))
        return symbols

    cells = cache.size >> model.levels
    walk(model, cache.step[k], cells, cells, choose)
    yield from out


def _pieces(cache: CodeCache) -> list[slice]:
    return [slice(k, min(k + CHUNK, len(cache.step))) for k in range(0, len(cache.step), CHUNK)]


def code_length(model: CodeModel, cache: CodeCache) -> dict[tuple[int, int], float]:
    """Bits of all cached codes under a model, by (slice or -1 for the low band, phase)."""
    total: dict[tuple[int, int], float] = {}
    for k in _pieces(cache):
        for index, p, rows, symbols in _symbols(model, cache, k):
            w = (model.low_tables if index < 0 else model.tables[index]).weights
            sums = w.sum(1, dtype=np.int64)
            bits = np.log2(sums[rows]) - np.log2(w[rows, symbols].astype(np.float64))
            total[index, p] = total.get((index, p), 0.0) + float(bits.sum())
    return total


def count_tables(config: ImageConfig, model: CodeModel, cache: CodeCache, wanted: Sequence[int]) -> dict[int, F64]:
    """Probabilities [g or 1, rows * bins, K] of the slices wanted, counted under their rows of now."""
    counts: dict[int, I64] = {i: np.zeros(model.tables[i].weights.size, np.int64) for i in wanted}
    for k in _pieces(cache):
        for index, _, rows, symbols in _symbols(model, cache, k):
            if index in counts:
                key = rows.astype(np.int64) * model.slices[index].codewords + symbols
                counts[index] += np.bincount(key.ravel(), minlength=counts[index].size)
    out = {}
    for i in wanted:
        spec, s = config.slices[i], model.slices[i]
        start = start_table(spec.row_width, start_codebook(spec), s.row_offset, s.rows)
        table = counts[i].reshape(-1, s.rows, s.sign_bins, s.codewords).astype(np.float64)
        p = smooth_counts(table, start)
        out[i] = p.reshape(len(p), -1, s.codewords)
    return out


def fixed_length(model: CodeModel, cache: CodeCache) -> float:
    """Bits of all cached codes at the same length for every code of a group."""
    sizes = [model.low_size, *(s.codewords for s in model.slices)]
    return float(sum(c.size * np.log2(k) for c, k in zip(cache.codes, sizes, strict=True)))


def static_length(model: CodeModel, counted: CodeCache, cache: CodeCache) -> float:
    """Bits of all cached codes with one table per group, counted on other crops; the low band by its residual."""

    def values(source: CodeCache, i: int) -> I64:
        if i:
            return source.codes[i].reshape(-1, source.codes[i].shape[-1]).astype(np.int64)
        low = source.codes[0].astype(np.int32)
        parts = [phase(low, p) - low_prediction(low, p)[0] for p in range(4)]
        residual: I64 = np.concatenate([r.reshape(-1, 3) for r in parts]).astype(np.int64)
        return residual + (model.low_size - 1) // 2

    total = 0.0
    for i, k in enumerate([model.low_size, *(s.codewords for s in model.slices)]):
        for train, test in zip(values(counted, i).T, values(cache, i).T, strict=True):
            count = np.bincount(train, minlength=k) + 0.1
            total -= float(np.log2(count / count.sum())[test].sum())
    return total
