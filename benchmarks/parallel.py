"""Work in several processes, results as they come."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

__all__ = ["in_processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def _start_worker(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, threads: int | None = None
) -> Iterator[Result]:
    """``function`` of every item, in whatever order they finish; in this process if ``jobs`` is 1.

    Each process may use so many ``threads``; for None the machine's cores are divided evenly among them.
    """
    if jobs == 1 or len(items) < 2:
        if threads is not None:
            _start_worker(threads)
        yield from map(function, items)
        return
    threads = threads or max(1, (os.cpu_count() or 1) // jobs)
    # spawn: torch's thread pool does not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(items)), context, _start_worker, (threads,)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
