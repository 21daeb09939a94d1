"""The loop over many files, alone or by several processes, and the report on each."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from types import FrameType
from typing import Any, NoReturn

from vqcodec.cli.plan import Pair
from vqcodec.cli.report import INTERRUPTED, TERMINATED, Progress, say, say_error, say_json, say_warning, with_hint
from vqcodec.errors import VqcError, VqcWarning

__all__ = ["Outcome", "attempt", "run_batch"]

_DIED = "its process died, perhaps for lack of memory; try --jobs 1"


Work = Callable[[Pair], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of one pair; plain values, because it may come from another process."""

    pair: Pair
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    code: int = 0


def run_batch(
    pairs: Sequence[Pair],
    work: Work,
    describe: Callable[[dict[str, Any]], str],
    *,
    jobs: int,
    quiet: bool,
    as_json: bool,
) -> int:
    """Do the work for each pair, go on after failures, and report.

    Args:
        pairs: what to make.
        work: makes one and returns facts about it; picklable where ``jobs`` is more than 1.
        describe: facts as a line for a person.
        jobs: processes.
        quiet: say errors only.
        as_json: print each outcome as a line of JSON on stdout instead.

    Returns:
        The exit code: the worst of all.
    """
    progress = Progress(len(pairs), quiet=quiet or as_json)
    worst = failed = 0
    for outcome in _outcomes(pairs, work, jobs, progress):
        progress.clear()
        _report(outcome, describe, quiet=quiet, as_json=as_json)
        worst = max(worst, outcome.code)
        failed += outcome.code != 0
    if failed and len(pairs) > 1:
        say_error(f"{failed} of {len(pairs)} files failed")
    return worst


def _outcomes(pairs: Sequence[Pair], work: Work, jobs: int, progress: Progress) -> Iterator[Outcome]:
    if jobs == 1 or len(pairs) == 1:
        for done, pair in enumerate(pairs):
            progress.at(done, pair.source)
            yield attempt(work, pair)
        return
    # Fresh processes, because a forked one would inherit torch's threads in an unknown state.
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(
        min(jobs, len(pairs)), mp_context=get_context("spawn"), initializer=_start_worker, initargs=(threads,)
    )
    waiting = iter(pairs)
    busy: dict[Future[Outcome], Pair] = {}
    done = 0
    try:
        while True:
            # No more than are at work: what lies in the pool's own queue could not be called back on an interrupt.
            for pair in islice(waiting, jobs - len(busy)):
                busy[pool.submit(attempt, work, pair)] = pair
            if not busy:
                return
            progress.at(done, f"{jobs} at a time")
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                yield _outcome(future, busy.pop(future))
                done += 1
    except BrokenProcessPool:  # on handing in: what was not at work yet cannot be done any more
        for lost in (*busy.values(), pair, *waiting):
            yield Outcome(lost, error=f"{lost.source}: {_DIED}", code=1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future[Outcome], pair: Pair) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(pair, error=f"{pair.source}: {_DIED}", code=1)


def _start_worker(threads: int) -> None:
    """Leave quietly on a signal, so that temporary files go and no traceback shows; share the cores."""
    for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)):
        signal.signal(number, partial(_leave, code))
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when something imports it


def _leave(code: int, number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(code)


def attempt(work: Work, pair: Pair) -> Outcome:
    """Do the work for one pair and turn whatever happens, except an interrupt, into an outcome."""
    start = time.perf_counter()
    facts: dict[str, Any] = {}
    error, code = "", 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VqcWarning)
        try:
            facts = work(pair) | {"seconds": round(time.perf_counter() - start, 3)}
        except BrokenPipeError:  # whoever read standard output has gone
            raise
        except VqcError as problem:
            error, code = with_hint(problem), problem.exit_code
        except Exception as problem:
            code = 1
            if _out_of_memory(problem):
                error = f"{pair.source}: not enough memory; try a smaller picture, or --jobs 1"
            else:  # a mistake of ours must not end a batch, and must not be hidden either
                error = f"{pair.source}: internal error, please report it\n{traceback.format_exc()}"
    notes = tuple(str(each.message) for each in caught if issubclass(each.category, VqcWarning))
    return Outcome(pair, facts, notes, error, code)


def _out_of_memory(error: Exception) -> bool:
    """Python's own error, or one of torch's, which is not imported for this."""
    words = ("allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _report(outcome: Outcome, describe: Callable[[dict[str, Any]], str], *, quiet: bool, as_json: bool) -> None:
    if as_json:
        record = {"input": outcome.pair.source, "output": outcome.pair.target, **outcome.facts}
        record |= {"warnings": list(outcome.warnings)} if outcome.warnings else {}
        say_json(record | ({"error": outcome.error, "exit_code": outcome.code} if outcome.error else {}))
    if outcome.error:
        say_error(outcome.error)
    if quiet or as_json:
        return
    for warning in outcome.warnings:
        say_warning(warning)
    if not outcome.error:
        say(f"{outcome.pair.source} -> {outcome.pair.target}: {describe(outcome.facts)}")
