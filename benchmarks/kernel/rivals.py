"""What the search is compared with: the obvious forms in torch, and other libraries where installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from vqcodec.kernels import assign

__all__ = ["OURS", "Problem", "rivals"]

OURS = "vqcodec"
WHOLE_LIMIT = 1 << 30  # scores: a rival that makes the whole N x K array is left out above 4 GiB of float32
CHUNK_SCORES = 1 << 24  # scores per chunk of the chunked form: 64 MiB

Run = Callable[[], Tensor]


@dataclass(frozen=True)
class Problem:
    """One search: x [G, N, d], codebook [G, K, d], and with a table [G, R, K] its row per vector [G, N]."""

    x: Tensor
    codebook: Tensor
    table: Tensor | None = None
    rows: Tensor | None = None

    @property
    def pairs(self) -> int:
        """Scores that an exhaustive search computes."""
        return self.x.shape[0] * self.x.shape[1] * self.codebook.shape[1]


def rivals(problem: Problem) -> dict[str, Run]:
    """Everything that can solve this problem here, by name; ours first. Each gives indices [G, N]."""
    x, codebook, table, rows = problem.x, problem.codebook, problem.table, problem.rows
    found: dict[str, Run] = {OURS: lambda: assign(x, codebook, table, rows)}
    if table is not None and rows is not None:
        if problem.pairs <= WHOLE_LIMIT:
            found["gather + baddbmm + argmin"] = lambda: _with_gathered_table(x, codebook, table, rows).argmin(-1)
            if x.device.type == "cpu":
                found["gather + baddbmm + numpy argmin"] = lambda: torch.from_numpy(
                    _with_gathered_table(x, codebook, table, rows).numpy().argmin(-1)
                )
        return found
    if problem.pairs <= WHOLE_LIMIT and x.dtype == torch.float32:
        found["cdist + argmin"] = lambda: torch.cdist(x, codebook).argmin(-1)
    found["chunked addmm + argmin"] = lambda: _chunked(x, codebook)
    for name, other in (("vector-quantize-pytorch", _vector_quantize), ("faiss-cpu", _faiss), ("flash-kmeans", _flash)):
        run = other(problem)
        if run is not None:
            found[name] = run
    return found


def _with_gathered_table(x: Tensor, codebook: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    groups, count, _ = x.shape
    size = codebook.shape[1]
    offset = (table + codebook.square().sum(-1)[:, None]).view(-1, size)
    place = rows + table.shape[1] * torch.arange(groups, device=x.device)[:, None]
    gathered = offset.index_select(0, place.flatten()).view(groups, count, size)
    return torch.baddbmm(gathered, x, codebook.transpose(1, 2), alpha=-2)


def _chunked(x: Tensor, codebook: Tensor) -> Tensor:
    norms = codebook.square().sum(-1)
    step = max(1, CHUNK_SCORES // codebook.shape[1])
    parts = [
        torch.cat([torch.addmm(n, part, c.T, alpha=-2).argmin(-1) for part in vectors.split(step)])
        for vectors, c, n in zip(x, codebook, norms, strict=True)
    ]
    return torch.stack(parts)


def _vector_quantize(problem: Problem) -> Run | None:
    """The whole forward pass in evaluation, as its users run it (it also returns the quantised vectors)."""
    if find_spec("vector_quantize_pytorch") is None or len(problem.x) != 1 or problem.pairs > WHOLE_LIMIT // 4:
        return None
    if problem.x.dtype != torch.float32:
        return None
    from vector_quantize_pytorch import VectorQuantize

    size, dimension = problem.codebook.shape[1:]
    quantizer: Any = VectorQuantize(dim=dimension, codebook_size=size).eval().to(problem.x.device)
    quantizer._codebook.embed.copy_(problem.codebook)
    return lambda: quantizer(problem.x)[1]


def _faiss(problem: Problem) -> Run | None:
    if find_spec("faiss") is None or len(problem.x) != 1 or problem.x.device.type != "cpu":
        return None
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    x, codebook = problem.x[0].numpy(), problem.codebook[0].numpy()

    def run() -> Tensor:
        index = faiss.IndexFlatL2(codebook.shape[1])  # building it copies the codebook, as our preparation does
        index.add(codebook)
        return torch.from_numpy(index.search(x, 1)[1]).view(1, -1)

    return run


def _flash(problem: Problem) -> Run | None:
    if find_spec("flash_kmeans") is None or problem.x.device.type != "cuda":
        return None
    from flash_kmeans.assign_euclid_triton import euclid_assign_triton

    def run() -> Tensor:
        norms = problem.x.float().square().sum(-1)
        indices: Tensor = euclid_assign_triton(problem.x, problem.codebook, norms)
        return indices.long()

    return run
