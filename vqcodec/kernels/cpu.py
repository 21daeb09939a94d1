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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.kernels.prepare import prepare

__all__ = ["cpu_assign", "cpu_residual_assign"]

BLOCK_SCORES = 1 << 18  # scores in one buffer: 1 MiB, within the L2 of one core
LEAST_BLOCK = 16  # vectors: below this a call costs more than its arithmetic, however large K is
INLINE_SCORES = 1 << 20  # searches smaller than this do not repay waking other threads

Piece = tuple[int, int, int]  # group, first vector, end


def cpu_assign(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    """See :func:`vqcodec.kernels.assign`; beyond the result it needs a buffer per thread and one codebook."""
    groups, count, _ = x.shape
    size = codebook.shape[1]
    result = torch.zeros(groups, count, dtype=torch.int64)
    if count == 0:
        return result
    broken = None
    if not bool(x.sum().isfinite()):  # one cheap pass tells that all is well; only then look closer
        broken = ~x.isfinite().all(-1)
        x = x.masked_fill(broken[..., None], 0.0)
    block = max(LEAST_BLOCK, BLOCK_SCORES // size)
    search = _searcher(x, codebook, bias, rows, min(block, count), result.numpy())
    pieces = [(g, start, min(start + block, count)) for g in range(groups) for start in range(0, count, block)]
    threads = min(torch.get_num_threads(), len(pieces))
    if threads == 1 or groups * count * size < INLINE_SCORES:
        search(iter(pieces))
    else:
        queue = iter(pieces)  # shared: each worker takes the next piece, so a busy core does not hold up the rest
        list(_pool(os.getpid(), torch.get_num_threads()).map(search, [queue] * threads))
    return result if broken is None else result.masked_fill_(broken, 0)


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
    torch.set_num_threads(
        threads
    )  # the workers' calls also changed what threads yet to be born will get: put that back
    return pool


def _searcher(
    x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None, block: int, out: NDArray[np.int64]
) -> Callable[[Iterator[Piece]], None]:
    """The function that one thread runs: take pieces from an iterator until none is left, writing into ``out``."""
    whole = bias if bias is not None and rows is None and bias.dim() == 3 else None  # [G, N, K]
    direct = x.shape[2] == 1 and rows is None
    centre, words, offset = prepare(codebook, None if whole is not None else bias, rows is not None, direct=direct)
    weights = -words.transpose(1, 2).contiguous()
    if rows is None and not direct:  # the offset rides along as one more dimension, whose vectors all have 1
        weights = torch.cat([weights, offset[:, None]], 1)

    def search(pieces: Iterator[Piece]) -> None:
        buffer = torch.empty(block, words.shape[1])
        vectors = torch.ones(block, weights.shape[1])
        for g, start, stop in pieces:
            scores, near = buffer[: stop - start], vectors[: stop - start]
            torch.sub(x[g, start:stop], centre[g], out=near[:, : x.shape[2]])
            if rows is not None:
                torch.index_select(offset[g], 0, rows[g, start:stop], out=scores)
                scores.addmm_(near, weights[g])
            elif direct:
                torch.add(near, weights[g], out=scores)
                torch.addcmul(offset[g], scores, scores, out=scores)
            else:
                torch.mm(near, weights[g], out=scores)
            if whole is not None:
                scores.add_(whole[g, start:stop], alpha=1.0 if direct else 0.5)
                scores.nan_to_num_(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
            np.argmin(scores.numpy(), axis=1, out=out[g, start:stop])

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
