"""The same work by the workers of a Dask scheduler on many machines, which share the file system with this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from vqcodec.cli.outcome import Outcome
from vqcodec.cli.plan import Pair
from vqcodec.errors import UsageError, VqcError

__all__ = ["on_cluster"]

_PATIENCE = 15  # seconds until a scheduler must have answered
_RETRIES = 2  # where a worker was lost with the file


def on_cluster(work: Callable[[Pair], Outcome], pairs: Sequence[Pair], address: str) -> Iterator[Outcome]:
    """Outcomes of the work for all pairs, in whatever order they finish.

    Args:
        work: picklable; the workers import vqcodec themselves.
        address: of the scheduler, such as tcp://10.0.0.1:8786.

    Raises:
        UsageError: the package ``distributed`` is missing, or no scheduler answers.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as problem:  # a time-out is an OSError, too
        reason = f"no scheduler answers ({problem}); start one by dask scheduler"
        raise UsageError(f"--cluster {address}: {reason}") from problem
    futures: dict[Any, Pair] = {}
    try:
        # One by one and impure: two runs with the same names are two pieces of work.
        futures = {client.submit(work, _absolute(pair), pure=False, retries=_RETRIES): pair for pair in pairs}
        for future in distributed.as_completed(list(futures)):
            error = future.exception()
            pair = futures[future]
            yield _failed(pair, error) if error is not None else replace(future.result(), pair=pair)
    finally:
        client.cancel(list(futures))
        client.close()


def _distributed() -> Any:
    """The package, which is imported here only and has no types."""
    try:
        import distributed
    except ImportError as error:
        raise UsageError("--cluster needs distributed: pip install 'vqcodec[cluster]'") from error
    return distributed


def _absolute(pair: Pair) -> Pair:
    """Paths that mean the same in whatever folder a worker runs."""
    folder = os.path.abspath(pair.folder) if pair.folder else ""  # noqa: PTH100 - Path.resolve would follow links
    return Pair(os.path.abspath(pair.source), os.path.abspath(pair.target), folder)  # noqa: PTH100


def _failed(pair: Pair, error: BaseException) -> Outcome:
    if type(error).__name__ == "KilledWorker":
        problem = "the workers that had it died, one after the other"
    else:
        problem = f"the cluster could not do it ({type(error).__name__}: {error}); do its workers have this vqcodec?"
    return Outcome(pair, error=f"{pair.source}: {problem}", code=VqcError.exit_code)
