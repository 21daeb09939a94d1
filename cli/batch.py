"""The loop over many files: one after the other, by several processes or on many machines; the report on each."""

from __future__ import annotations

import os
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vqcodec.cli.outcome import Outcome
from vqcodec.cli.plan import Pair, Plan, Skip
from vqcodec.cli.report import Progress, say, say_error, say_json, say_skipped, say_warning, with_hint
from vqcodec.cli.streams import STREAM, input_name, weight_of
from vqcodec.errors import UsageError, VqcError, VqcWarning, WorkerDiedError
from vqcodec.sources import discard_unfinished
from vqcodec.threads import cores
from vqcodec.workers import in_processes

__all__ = ["Running", "Share", "attempt", "run_batch"]

Share = Callable[[float], object]
"""Told which share of a file is done, 0 to 1."""

Work = Callable[[Pair, Share | None], Mapping[str, Any]]

# Python keeps who catches warnings in one place for all threads, and a machine of a cluster may do several files.
_catching = threading.Lock()


@dataclass(frozen=True)
class Running:
    """How a batch is run and reported.

    Attributes:
        jobs: processes.
        threads: of each; None: the cores are divided among them.
        quiet: say errors only.
        as_json: print each outcome as a line of JSON on stdout instead.
        cluster: address of the scheduler that has the work done elsewhere; nothing: here.
    """

    jobs: int = 1
    threads: int | None = None
    quiet: bool = False
    as_json: bool = False
    cluster: str = ""

    @property
    def threads_of_each(self) -> int | None:
        """What the codec is told; None for its own choice."""
        alone = self.jobs == 1 or "OMP_NUM_THREADS" in os.environ
        return self.threads if self.threads or alone else max(1, cores() // self.jobs)


def run_batch(todo: Plan, work: Work, describe: Callable[[Mapping[str, Any]], str], running: Running) -> int:
    """Do the work for each pair, go on after failures, and report.

    Args:
        todo: what to make, what is refused already, and what is left alone.
        work: makes one and returns facts about it; picklable where it is done elsewhere.
        describe: facts as a line for a person.
        running: by how many, and what is said.

    Returns:
        The exit code: the worst of all.
    """
    worst = failed = 0
    progress = Progress([weight_of(pair.source) for pair in todo.pairs], quiet=running.quiet or running.as_json)
    for outcome in _all_outcomes(todo, work, running, progress):
        progress.clear()
        _report(outcome, describe, running)
        worst = max(worst, outcome.code)
        failed += outcome.code != 0
    progress.clear()
    _report_skipped(todo.skipped, running)
    total = len(todo.pairs) + len(todo.refused)
    if failed and total > 1:
        say_error(f"{failed} of {total} files failed")
    return worst


def _all_outcomes(todo: Plan, work: Work, running: Running, progress: Progress) -> Iterator[Outcome]:
    def tell(pair: Pair, share: float) -> None:
        progress.part(pair.source, weight_of(pair.source), share)

    for pair, error in todo.refused:
        yield Outcome(pair, error=with_hint(error), code=error.exit_code)
    if running.cluster:
        from vqcodec.cli.cluster import on_cluster

        if any(STREAM in (pair.source, pair.target) for pair in todo.pairs):
            raise UsageError("standard input and output are not there on other machines; leave --cluster out")
        outcomes = on_cluster(partial(attempt, work), todo.pairs, running.cluster)
    elif running.jobs == 1 or len(todo.pairs) < 2:
        yield from _one_by_one(todo.pairs, work, progress)
        return
    else:
        outcomes = in_processes(
            partial(attempt, work),
            todo.pairs,
            running.jobs,
            threads=running.threads,
            died=_died,
            cleanup=discard_unfinished,
            progress=tell if progress.shown else None,
        )
    where = running.cluster or f"{running.jobs} at a time"
    progress.at(where)
    for outcome in outcomes:
        progress.finish(weight_of(outcome.pair.source), outcome.pair.source)
        yield outcome
        progress.at(where)


def _one_by_one(pairs: Sequence[Pair], work: Work, progress: Progress) -> Iterator[Outcome]:
    for pair in pairs:
        weight = weight_of(pair.source)
        progress.at(pair.source, weight)
        outcome = attempt(work, pair, progress.share if progress.shown else None)
        progress.finish(weight)
        yield outcome


def _died(pair: Pair, error: WorkerDiedError) -> Outcome:
    return Outcome(pair, error=f"{pair.source}: {error}", code=error.exit_code)


def attempt(work: Work, pair: Pair, share: Share | None = None) -> Outcome:
    """Do the work for one pair and turn whatever happens, except an interrupt, into an outcome."""
    start = time.perf_counter()
    facts: Mapping[str, Any] = {}
    error, details, code = "", "", 0
    with _catching, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VqcWarning)
        try:
            facts = {**work(pair, share), "seconds": round(time.perf_counter() - start, 3)}
        except BrokenPipeError:  # whoever read standard output has gone
            raise
        except VqcError as problem:
            error, code = with_hint(problem), problem.exit_code
        except Exception as problem:
            code = 1
            if _out_of_memory(problem):
                remedy = "--device cpu" if "CUDA" in str(problem) else "a smaller picture"
                error = f"{input_name(pair.source)}: not enough memory; try {remedy}, or --jobs 1"
            else:  # a mistake of ours must not end a batch, and must not be hidden either
                error, details = f"{input_name(pair.source)}: internal error, please report it", traceback.format_exc()
    notes = tuple(str(each.message) for each in caught if issubclass(each.category, VqcWarning))
    return Outcome(pair, facts, notes, error, details, code)


def _out_of_memory(error: Exception) -> bool:
    """Python's own error, or one of torch's, which is not imported for this."""
    words = ("allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _report(outcome: Outcome, describe: Callable[[Mapping[str, Any]], str], running: Running) -> None:
    if running.as_json:
        record = {"input": outcome.pair.source, "output": outcome.pair.target, **outcome.facts}
        record |= {"warnings": list(outcome.warnings)} if outcome.warnings else {}
        error = f"{outcome.error}\n{outcome.details}".rstrip()
        say_json(record | ({"error": error, "exit_code": outcome.code} if outcome.error else {}))
    if outcome.error:
        say_error(outcome.error, outcome.details)
    if running.quiet or running.as_json:
        return
    for warning in outcome.warnings:
        say_warning(warning)
    if not outcome.error:
        say(f"{outcome.pair.source} -> {outcome.pair.target}: {describe(outcome.facts)}")


def _report_skipped(skipped: Sequence[Skip], running: Running) -> None:
    """How many files were left alone for each reason, and the first of them by name; all of them as JSON."""
    if running.as_json:
        for skip in skipped:
            say_json({"input": skip.source, "skipped": skip.reason})
    elif not running.quiet:
        say_skipped(skipped)
