"""Nearest codeword on the CPU: a matrix product into a buffer that stays in the cache, then numpy's SIMD argmin on it.

``torch.argmin`` compares one number at a time (to keep its NaN rules) and takes most of the time of the obvious form;
numpy's is vectorised. Minimised is ``(|c|^2 + bias)/2 - x.c``, which has the same argmin as ``|x - c|^2 + bias``, with
the mean codeword taken from both sides first, so that an offset common to all the data costs no precision. Only single
numbers are subtracted and squared: as fast there, and codewords on a line may lie closer than that form resolves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.kernels.prepare import Prepared, prepare

__all__ = ["cpu_assign", "cpu_residual_assign"]

BLOCK_SCORES = 1 << 18  # scores in one buffer: 1 MiB, within the L2 of one core
LEAST_BLOCK = 16  # vectors: below this a call costs more than its arithmetic, however large K is
INLINE_SCORES = 1 << 20  # searches smaller than this do not repay waking other threads


class Piece(NamedTuple):
    """One block of vectors, cut before the search: Python's share of a block must be short: all wait for it."""

    group: int
    x: Tensor  # [B, d]
    rows: Tensor | None  # [B]
    bias: Tensor | None  # [B, K]
    out: NDArray[np.int64]  # [B]


def cpu_assign(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    """See :func:`vqcodec.kernels.assign`; beyond the result it needs a buffer per thread and one codebook."""
    groups, count, _ = x.shape
    out = np.zeros((groups, count), np.int64)
    result = torch.from_numpy(out)
    if out.size == 0:
        return result
    # detached, because other threads do not know that gradients are off
    inputs = x.detach(), codebook.detach(), None if bias is None else bias.detach(), rows
    threads = torch.get_num_threads()
    if threads == 1 or groups * count * codebook.shape[1] < INLINE_SCORES:
        search, pieces, broken = _plan(*inputs, out)
        search(iter(pieces))
    else:
        pool = _pool(os.getpid(), threads)
        # A worker plans, too: torch's own threads would spin at the end of each small step if a core is busy elsewhere.
        search, pieces, broken = pool.submit(_plan, *inputs, out).result()
        queue = iter(pieces)  # shared: each worker takes the next piece, so a busy core does not hold up the rest
        list(pool.map(search, [queue] * min(threads, len(pieces))))
    return result if broken is None else result.masked_fill_(broken, 0)


def _plan(
    x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None, out: NDArray[np.int64]
) -> tuple[Callable[[Iterator[Piece]], None], list[Piece], Tensor | None]:
    """What a thread runs, the pieces to run it on, and a mask [G, N] of vectors not finite, if any."""
    broken = None
    if not bool(x.sum().isfinite()):  # one cheap pass tells that all is well; only then look closer
        broken = ~x.isfinite().all(-1)
        x = x.masked_fill(broken[..., None], 0.0)
    whole = bias if bias is not None and rows is None and bias.dim() == 3 else None  # [G, N, K]
    direct = x.shape[2] == 1 and rows is None
    ready = prepare(codebook, None if whole is not None else bias, rows is not None, direct=direct)
    block = min(x.shape[1], max(LEAST_BLOCK, BLOCK_SCORES // codebook.shape[1]))
    return _searcher(ready, block, rows is not None, direct), _cut(x, rows, whole, out, block), broken


def _cut(x: Tensor, rows: Tensor | None, bias: Tensor | None, out: NDArray[np.int64], block: int) -> list[Piece]:
    """All vectors in pieces of at most ``block``, none across groups."""
    pieces = []
    for g in range(len(x)):
        for start in range(0, x.shape[1], block):
            part = slice(start, start + block)
            row, extra = None if rows is None else rows[g, part], None if bias is None else bias[g, part]
            pieces.append(Piece(g, x[g, part], row, extra, out[g, part]))
    return pieces


def _work_alone() -> None:
    """One thread for the products of this worker."""
    torch.get_num_threads()  # makes torch set up this thread now; later, it would undo the next line
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool per process (threads do not survive a fork), whose workers do their matrix products alone."""
    pool = ThreadPoolExecutor(threads, "nearest", initializer=_work_alone)
    everyone = Barrier(threads)
    list(pool.map(lambda _: everyone.wait(), range(threads)))
    torch.set_num_threads(threads)  # the workers' calls also changed what later threads will get: put that back
    return pool


def _searcher(ready: Prepared, block: int, table: bool, direct: bool) -> Callable[[Iterator[Piece]], None]:
    """The function that one thread runs: take pieces of at most ``block`` vectors until none is left, search each."""
    weights = -ready.words.transpose(1, 2).contiguous()
    if not table and not direct:  # the offset rides along as one more dimension, whose vectors all have 1
        weights = torch.cat([weights, ready.offset[:, None]], 1)
    dimension = ready.words.shape[2]
    groups = list(zip(ready.centre, weights, ready.offset, strict=True))

    def search(pieces: Iterator[Piece]) -> None:
        buffer = torch.empty(block, weights.shape[2])
        vectors = torch.ones(block, weights.shape[1])
        views = None
        for g, x, rows, bias, out in pieces:
            if views is None or len(views[0]) != len(x):
                scores, near = buffer[: len(x)], vectors[: len(x)]
                views = scores, near, near[:, :dimension], scores.numpy()
            scores, near, coordinates, array = views
            centre, weight, offset = groups[g]
            torch.sub(x, centre, out=coordinates)
            if rows is not None:
                torch.index_select(offset, 0, rows, out=scores)
                scores.addmm_(near, weight)
            elif direct:
                torch.add(near, weight, out=scores)
                torch.addcmul(offset, scores, scores, out=scores)
            else:
                torch.mm(near, weight, out=scores)
            if bias is not None:
                scores.add_(bias, alpha=1.0 if direct else 0.5)
                scores.nan_to_num_(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
            np.argmin(array, axis=1, out=out)

    return search


def cpu_residual_assign(x: Tensor, codebooks: Tensor, bias: Tensor | None) -> Tensor:
    """See :func:`vqcodec.kernels.residual_assign`: one search per stage."""
    indices = []
    for stage in range(codebooks.shape[1]):
        codebook = codebooks[:, stage]
        index = cpu_assign(x, codebook, None if bias is None else bias[:, stage], None)
        indices.append(index)
        x = x - codebook.gather(1, index[..., None].expand_as(x))
    return torch.stack(indices, -1)
