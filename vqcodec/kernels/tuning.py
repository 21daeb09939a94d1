"""Launch shapes of the Triton kernels, by compute capability; a static table, so no image waits for an autotuner."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIRECT_TO", "DOT_FROM", "FMA_STEP", "MAX_DIMENSION", "Tuning", "tuning"]

DIRECT_TO = 2  # up to this dimension differences are squared directly: free there, and codewords may lie very close
DOT_FROM = 16  # vector dimensions from which the matrix units win; below, they would multiply padding
FMA_STEP = 4  # codewords whose scores are compared together in the unrolled kernel
MAX_DIMENSION = 128  # a wider vector does not fit the registers of the fused kernels


@dataclass(frozen=True)
class Tuning:
    """One launch shape: vectors per program, codewords per step, warps per program, pipeline stages of the loop."""

    rows: int
    codes: int
    warps: int
    stages: int


# Unrolled kernel: 8 vectors per thread amortise each (scalar) load of a codeword over 8 uses, while best score, group
# and coordinates of 8 vectors still fit the registers: 109 per thread for d = 4, 154 for d = 8 when compiled for sm_90.
# Matrix kernel: the running minimum is kept per lane of the tile, so the tile must be small enough for three copies.
_DEFAULT = {
    "fma": Tuning(rows=512, codes=FMA_STEP, warps=2, stages=1),
    "fma_wide": Tuning(rows=256, codes=FMA_STEP, warps=2, stages=1),  # d from 9 to 15
    "dot": Tuning(rows=64, codes=32, warps=4, stages=2),
    "dot_half": Tuning(rows=64, codes=64, warps=4, stages=2),
}
_TABLE: dict[tuple[int, int], dict[str, Tuning]] = {
    (9, 0): {
        "dot": Tuning(rows=64, codes=64, warps=4, stages=2),
        "dot_half": Tuning(rows=128, codes=64, warps=8, stages=3),
    },
}


def tuning(capability: tuple[int, int] | None, dimension: int, half: bool, dot: bool) -> Tuning:
    """The launch shape for vectors of ``dimension`` on a device of this compute capability (None: unknown)."""
    kind = ("dot_half" if half else "dot") if dot else ("fma" if dimension <= 8 else "fma_wide")
    return {**_DEFAULT, **_TABLE.get(capability or (0, 0), {})}[kind]
