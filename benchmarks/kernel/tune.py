"""Seconds of the large searches in many launch shapes: what :mod:`vqcodec.kernels.tuning` should say of a device.

python -m vqcodec.benchmarks.kernel.tune, on a machine with a CUDA device
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from statistics import median

import torch

from vqcodec.benchmarks.kernel.run import Case, cases, make, timed
from vqcodec.errors import DeviceError
from vqcodec.kernels.gpu import PADDING, triton_assign
from vqcodec.kernels.tuning import DOT_FROM, FMA_STEP, Tuning

__all__ = ["candidates", "sweep"]

ROUNDS = 9
CHANCE = 1e-4  # share of vectors that lie so well between two codewords that rounding decides


def candidates(case: Case) -> Iterator[Tuning]:
    """Shapes worth trying: in the unrolled kernel two to sixteen vectors a thread, in the matrix one tiles that fit."""
    if case.dimension < DOT_FROM:
        for each, warps in product((2, 4, 8, 16), (1, 2, 4)):
            yield Tuning(each * 32 * warps, FMA_STEP, warps, 1)
    else:
        for rows, codes, warps, stages in product((64, 128, 256), (32, PADDING), (4, 8), (2, 3)):
            yield Tuning(rows, codes, warps, stages)


def sweep(case: Case, device: str) -> list[tuple[float, Tuning]]:
    """Median seconds by shape, the fastest first; shapes that the device cannot hold are left out.

    Raises:
        RuntimeError: shapes differ in what they find.
    """
    problem = make(case, device)
    wanted, found = None, []
    for shape in candidates(case):
        search = partial(triton_assign, problem.x, problem.codebook, problem.table, problem.rows, shape)
        try:
            indices = search()
        except Exception as e:  # Triton's own, one for each resource that may not suffice
            print(f"{shape}: {type(e).__name__}", flush=True)
            continue
        wanted = indices if wanted is None else wanted
        if float((indices != wanted).float().mean()) > CHANCE:
            raise RuntimeError(f"{shape} finds other codewords")
        found.append((median(timed(search, device)[0] for _ in range(ROUNDS)), shape))
    return sorted(found, key=lambda pair: pair[0])


def _main() -> None:
    if not torch.cuda.is_available():
        raise DeviceError("no CUDA device here: launch shapes are for one")
    for case in cases("cuda"):
        if case.sweep == "large":
            print(case)
            for seconds, shape in sweep(case, "cuda")[:6]:
                print(f"  {1000 * seconds:.3f} ms  {shape}", flush=True)


if __name__ == "__main__":
    _main()
