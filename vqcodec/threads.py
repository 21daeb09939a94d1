"""Threads that share the work of one call: ours, which sleep when idle, and how many torch may use.

Nobody of ours spins: who has nothing to do sleeps, who waits works along.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ALONE", "Threaded", "Workers", "cores"]

Piece = TypeVar("Piece")


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """So many threads at most, the calling one included; they are started when first needed.

    Args:
        threads: 1 or more; None for as many as there are processors.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = cores() if threads is None else threads
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def each(self, work: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
        """Do the work for every piece, in any order; the first error of any of them is raised.

        The caller takes pieces like the others and waits only for pieces that are at work, so calls may be nested.
        """
        waiting = deque(pieces)
        if self.threads == 1 or len(waiting) < 2:
            for piece in waiting:
                work(piece)
            return

        def drain() -> None:
            while waiting:
                try:
                    piece = waiting.popleft()
                except IndexError:  # another was faster
                    return
                try:
                    work(piece)
                except BaseException:
                    waiting.clear()  # the others need not go on
                    raise

        helpers = [self._executor().submit(drain) for _ in range(min(self.threads, len(waiting)) - 1)]
        try:
            drain()
        finally:
            _join(helpers)

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None or self._pool[0] != os.getpid():  # threads do not survive a fork
            self._pool = os.getpid(), ThreadPoolExecutor(self.threads - 1, "vqcodec")
        return self._pool[1]


ALONE = Workers(1)


class Threaded:
    """Base of the codecs whose calls share their work among threads of ours.

    Args:
        threads: at most so many, the calling one included; None for as many as there are processors.

    Attributes:
        workers: these threads.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads

    @property
    def threads(self) -> int | None:
        """Threads that a call may use, the calling one included; None: as many as there are processors."""
        return self._threads

    @threads.setter
    def threads(self, count: int | None) -> None:
        self._threads, self.workers = count, Workers(count)


def _join(helpers: Iterable[Future[None]]) -> None:
    for helper in helpers:
        if not helper.cancel():
            helper.result()
