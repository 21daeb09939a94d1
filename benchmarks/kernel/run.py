"""``vqcodec bench kernel``: seconds, memory and wrong indices of the nearest-codeword search beside its rivals."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from vqcodec.benchmarks.kernel.rivals import OURS, Problem, Run, rivals
from vqcodec.benchmarks.kernel.show import draw, markdown
from vqcodec.errors import DeviceError
from vqcodec.kernels import reference_scores

__all__ = ["Case", "cases", "measure", "run"]

ROUNDS, SECONDS = 9, 3.0  # of each rival: at most so many rounds, and no new one after so long for all together
CHECKED = 8192  # vectors per group that are compared with float64
MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One search. ``sweep`` names the axis of the plot that it belongs to, or what else it is for."""

    sweep: str
    count: int
    size: int
    dimension: int
    groups: int = 1
    table_rows: int = 0  # of the bias table; 0: no bias
    mean: float = 0.0
    half: bool = False


def cases(device: str, quick: bool = False) -> list[Case]:
    """What is measured: N, K and d one at a time, the image codec's own searches, and on a GPU the large ones."""
    if quick:
        return [Case("N", 1_000, 64, 2), Case("N", 10_000, 256, 8), Case("codec", 6_144, 320, 2, 2, 73)]
    found = [Case("N", n, 1024, 8) for n in (1_000, 10_000, 100_000, 200_000, 1_000_000)]
    found += [Case("K", 100_000, k, 8) for k in (64, 256, 1024, 4096)]
    found += [Case("d", 100_000, 1024, d) for d in (1, 2, 4, 8, 16, 32, 64)]
    found += [Case("offset", 100_000, 1024, d, mean=4.0) for d in (2, 4, 16)]
    found += [
        Case("codec", 6_144, 320, 2, 6, 73),  # one phase of one picture's finest band
        Case("codec", 50_000, 320, 2, 6, 73),
        Case("codec", 25_000, 512, 1, 6, 73),
    ]
    if device == "cuda":
        found += [Case("large", 1 << 20, 1024, d) for d in (4, 8, 16, 64)]
        found += [Case("large", 1 << 20, 1024, 64, half=True)]
    return found


def make(case: Case, device: str) -> Problem:
    """Vectors around codewords, like what a trained quantiser sees; a fifth of the table forbidden."""
    g = torch.Generator().manual_seed(0)
    codebook = torch.randn(case.groups, case.size, case.dimension, generator=g)
    chosen = torch.randint(case.size, (case.groups, case.count), generator=g)
    x = codebook.gather(1, chosen[..., None].expand(-1, -1, case.dimension))
    x = x + 0.5 * torch.randn(x.shape, generator=g) + case.mean
    codebook = codebook + case.mean
    dtype = torch.float16 if case.half else torch.float32
    table = rows = None
    if case.table_rows:
        table = 2 * torch.rand(case.groups, case.table_rows, case.size, generator=g)
        table[torch.rand(table.shape, generator=g) < 0.2] = torch.inf
        rows = torch.randint(case.table_rows, (case.groups, case.count), generator=g)
        table, rows = table.to(device), rows.to(device)
    return Problem(x.to(device, dtype), codebook.to(device, dtype), table, rows)


def wrong_share(indices: Tensor, problem: Problem) -> float:
    """Share of vectors whose index is not a best one in float64 (an exact tie is not an error), over a part of them."""
    count = min(CHECKED, problem.x.shape[1])
    wrong = 0
    for start in range(0, count, 1024):
        part = slice(start, min(start + 1024, count))
        rows = None if problem.rows is None else problem.rows[:, part]
        scores = reference_scores(problem.x[:, part], problem.codebook, problem.table, rows)
        chosen = scores.gather(-1, indices[:, part, None])[..., 0]
        wrong += int((chosen > scores.min(-1).values).sum())
    return wrong / (count * len(problem.x))


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], Any], device: str) -> tuple[float, float]:
    """Wall and process CPU seconds of one call."""
    _synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_memory(work: Run, device: str) -> tuple[Tensor, float | None]:
    """The result of the call and the MiB it needed at its worst; None where the system does not tell."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = work()
        return result, (torch.cuda.max_memory_allocated() - before) / MIB
    reset = Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")  # Linux: forget the peak so far
        before = _status("VmRSS")
    except OSError:
        return work(), None
    result = work()
    return result, max(0.0, (_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def roof(device: str) -> dict[str, float]:
    """What this device reaches: bytes per second of a copy (read and written), and float32 matrix product (FMA = 2)."""
    source = torch.ones(1 << 26 if device == "cuda" else 1 << 24, device=device)
    target = torch.empty_like(source)
    a = torch.ones(4096 if device == "cuda" else 1024, 4096 if device == "cuda" else 1024, device=device)
    copy = min(timed(lambda: target.copy_(source), device)[0] for _ in range(10))
    product = min(timed(lambda: a @ a, device)[0] for _ in range(10))
    return {"bytes_per_second": 8 * source.numel() / copy, "flop_per_second": 2 * len(a) ** 3 / product}


def measure(case: Case, device: str, limits: dict[str, float]) -> dict[str, Any]:
    """All rivals on one case, in turns, so that what else the machine does hits all alike."""
    problem = make(case, device)
    runs = rivals(problem)
    results: dict[str, dict[str, Any]] = {}
    for name, work in runs.items():
        work()  # what a library keeps from its first call is not the search's
        indices, peak = peak_memory(work, device)
        results[name] = {"wrong_share": wrong_share(indices, problem), "peak_mib": peak}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    started = time.perf_counter()
    while len(wall[OURS]) < ROUNDS and (len(wall[OURS]) < 3 or time.perf_counter() - started < SECONDS):
        for name, work in runs.items():
            seconds, busy = timed(work, device)
            wall[name].append(seconds)
            cpu[name].append(busy)
    moved = sum(t.numel() * t.element_size() for t in (problem.x, problem.codebook)) + 8 * case.groups * case.count
    flop = 2 * problem.pairs * case.dimension
    least = max(moved / limits["bytes_per_second"], flop / limits["flop_per_second"])
    for name, result in results.items():
        seconds = median(wall[name])
        result |= {
            "seconds": seconds,
            "cpu_seconds": median(cpu[name]),
            "times_ours": median(theirs / ours for theirs, ours in zip(wall[name], wall[OURS], strict=True)),
            "pairs_per_second": problem.pairs / seconds,
            "roof_share": least / seconds,
        }
    return {"case": asdict(case), "rounds": len(wall[OURS]), "rivals": results}


def environment(device: str) -> dict[str, Any]:
    """What the figures belong to."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {"device": device, "name": name, "threads": torch.get_num_threads(), "torch": torch.__version__,
            "python": platform.python_version()}  # fmt: skip


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def run(
    out: Path, quick: bool = False, device: str = "auto", show_progress: Callable[[str, int, int], None] | None = None
) -> str:
    """Measure, and write ``kernel-DEVICE.json``, ``.md`` and ``.png`` into ``out``; returns the table.

    Raises:
        DeviceError: ``device`` is "cuda" and there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device here: leave --device out to measure the CPU")
    limits = roof(device)
    todo = cases(device, quick)
    measured = []
    with torch.no_grad():
        for done, case in enumerate(todo):
            if show_progress is not None:
                show_progress("searches", done, len(todo))
            measured.append(measure(case, device, limits))
    if show_progress is not None:
        show_progress("searches", len(todo), len(todo))
    results = {"environment": environment(device), "roof": limits, "cases": measured}
    out.mkdir(parents=True, exist_ok=True)
    table = markdown(results)
    (out / f"kernel-{device}.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / f"kernel-{device}.md").write_text(table)
    draw(results, out / f"kernel-{device}.png")
    return table
