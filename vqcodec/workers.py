"""Processes that share work, and how a process leaves when it is asked to.

Each item is done by a worker of its own, a fresh process: one that dies fails only the item it had, the rest goes on in
another. A pool of the standard library's would be lost as a whole. Threads are limited by the workers' environment,
which is read when numpy and torch are imported there, so that none of them is imported for it here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from vqcodec.errors import WorkerDiedError
from vqcodec.threads import cores

__all__ = ["INTERRUPTED", "TERMINATED", "in_processes", "leaving_on_signals"]

INTERRUPTED = 130
TERMINATED = 143
"""Exit codes of a process that was asked to leave, as a shell gives them: 128 and the signal's number."""

_GRACE = 0.6  # seconds that a process asked to leave may take; a batch as a whole is gone within a second
_WORKER_GRACE = 0.3
_TELL_EVERY = 0.2  # seconds
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[..., Result],
    items: Sequence[Item],
    jobs: int,
    *,
    threads: int | None = None,
    died: Callable[[Item, WorkerDiedError], Result] | None = None,
    cleanup: Callable[[], object] | None = None,
    progress: Callable[[Item, float], object] | None = None,
) -> Iterator[Result]:
    """``function`` of every item, in whatever order they finish; in this process where one job or one item is all.

    Args:
        function: picklable, as are items and results; what it raises is raised here.
        jobs: processes.
        threads: that each may use; for None the cores are divided evenly, or OMP_NUM_THREADS says.
        died: makes the result of an item whose process died; without it, that is raised.
        cleanup: called in a worker that has to leave at once, whatever it is doing; picklable.
        progress: told which share of an item is done, 0 to 1; ``function`` then has a second argument that it tells.

    Raises:
        WorkerDiedError: a process died, and there is no ``died``.
    """
    if jobs == 1 or len(items) < 2:
        for item in items:
            yield function(item) if progress is None else function(item, partial(progress, item))
        return
    team = _Team(min(jobs, len(items)), _environment_of(threads, jobs), cleanup, progress)
    try:
        for item, result, error in team.work(function, items):
            if error is None:
                yield result
            elif died is not None and isinstance(error, WorkerDiedError):
                yield died(item, error)
            else:
                raise error
    finally:
        team.dismiss()


def _environment_of(threads: int | None, jobs: int) -> dict[str, str]:
    """What workers find in their environment besides ours: a safe module path, and how many threads to start.

    Without the first, a ``signal.py`` in the working folder would be imported in the place of Python's.
    """
    safe = {"PYTHONSAFEPATH": "1"}
    if threads is None and _THREADS[0] in os.environ:
        return safe
    return safe | dict.fromkeys(_THREADS, str(threads or max(1, cores() // jobs)))


class _Team:
    """Workers, started when there is work for them.

    Attributes:
        kills: how many processes the kernel had killed for lack of memory when last looked.
    """

    def __init__(
        self,
        size: int,
        environment: Mapping[str, str],
        cleanup: Callable[[], object] | None,
        progress: Callable[[Any, float], object] | None = None,
    ) -> None:
        self.size = size
        self.progress = progress
        self.environment = environment
        self.cleanup = cleanup
        # Fresh processes, because a forked one would inherit torch's threads in an unknown state.
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[_Worker] = []
        self.kills = _memory_kills()

    def work(self, function: Callable[..., Any], items: Sequence[Item]) -> Iterator[tuple[Item, Any, Exception | None]]:
        """Item, result and error of each, as they finish."""
        waiting = list(reversed(items))
        busy: dict[Connection, tuple[_Worker, Item]] = {}
        while waiting or busy:
            while waiting and len(busy) < self.size:
                worker = self._idle(busy)
                item = waiting.pop()
                if worker.give(function, item, self.progress is not None):
                    busy[worker.connection] = worker, item
                else:  # it died while it had nothing to do, which is nobody's fault
                    waiting.append(item)
                    self._forget(worker)
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker, item = busy.pop(connection)
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    yield item, None, self._autopsy(worker)
                    continue
                if isinstance(answer, _Share):
                    busy[connection] = worker, item
                    if self.progress is not None:
                        self.progress(item, answer.done)
                else:
                    yield item, *answer

    def _idle(self, busy: Mapping[Connection, object]) -> _Worker:
        for worker in self.workers:
            if worker.connection not in busy:
                return worker
        worker = _Worker(self.context, self.environment, self.cleanup)
        self.workers.append(worker)
        return worker

    def _forget(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.dismiss()
        worker.end(time.monotonic() + _GRACE)

    def _autopsy(self, worker: _Worker) -> WorkerDiedError:
        """What a worker died of, as far as there is evidence."""
        worker.process.join(_GRACE)
        code = worker.process.exitcode
        self._forget(worker)
        kills = _memory_kills()
        starved, self.kills = kills > self.kills, kills
        if code == -getattr(signal, "SIGKILL", 9) and starved:
            return WorkerDiedError("its process was killed because memory ran out; try --jobs 1")
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
            return WorkerDiedError(f"its process was ended by {name}; do this file once more")
        return WorkerDiedError(f"its process ended in the middle (exit code {code}); do this file once more")

    def dismiss(self) -> None:
        """End all workers, at once and whatever they are doing."""
        for worker in self.workers:
            worker.dismiss()
        deadline = time.monotonic() + _GRACE
        for worker in self.workers:
            worker.end(deadline)
        self.workers.clear()


@dataclass(frozen=True)
class _Share:
    """What a worker says in between: so much of its item is done."""

    done: float


class _Teller:
    """Says over a connection how far an item is, now and then; several threads may do so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def __call__(self, share: float) -> None:
        with self._lock:
            if time.monotonic() - self._last >= _TELL_EVERY:
                self._last = time.monotonic()
                with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone; the answer will show it
                    self._connection.send(_Share(share))


class _Worker:
    """One process and the pipe to it."""

    def __init__(
        self, context: SpawnContext, environment: Mapping[str, str], cleanup: Callable[[], object] | None
    ) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, cleanup), daemon=True)
        with _environment(environment):
            self.process.start()
        theirs.close()

    def give(self, function: Callable[..., Any], item: object, tells: bool) -> bool:
        """Hand over an item; whether the worker is there to take it.

        Args:
            tells: whether it is to say how far it is.
        """
        try:
            self.connection.send((function, item, tells))
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def dismiss(self) -> None:
        self.connection.close()
        with suppress(OSError):
            self.process.terminate()

    def end(self, deadline: float) -> None:
        self.process.join(max(0.0, deadline - time.monotonic()))
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.process.close()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes started within; a process can be handed no other than ours."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, cleanup: Callable[[], object] | None) -> None:
    """A worker's life: do one item after the other, until asked to leave or until nobody is there to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent says when to leave
    threading.Thread(target=_watch_parent, daemon=True).start()
    with leaving_on_signals(cleanup=cleanup, grace=_WORKER_GRACE):
        while True:
            try:
                function, item, tells = connection.recv()
            except (EOFError, OSError):
                return
            result, error = None, None
            try:
                result = function(item, _Teller(connection)) if tells else function(item)
            except Exception as problem:
                problem.add_note(f"in a process of its own:\n{traceback.format_exc()}")
                error = problem
            _answer(connection, result, error)


def _answer(connection: Connection, result: object, error: Exception | None) -> None:
    try:
        connection.send((result, error))
    except (BrokenPipeError, ConnectionResetError):  # the parent is gone
        sys.exit(TERMINATED)
    except Exception as problem:  # pickle raises almost anything
        connection.send((None, RuntimeError(f"{error or 'a result'} cannot be handed over: {problem}")))


def _watch_parent() -> None:
    """Leave when the parent is gone, even if it was killed and could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _memory_kills() -> int:
    """How many processes the kernel has killed for lack of memory: in our control group, else on the machine."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"):
        with suppress(OSError, ValueError):
            words = Path(path).read_text().split()
            if "oom_kill" in words:
                return int(words[words.index("oom_kill") + 1])
    return 0


@contextmanager
def leaving_on_signals(
    *,
    said: str = "",
    cleanup: Callable[[], object] | None = None,
    grace: float = _GRACE,
) -> Iterator[None]:
    """Within, SIGTERM raises SystemExit(TERMINATED), so that temporary files go and no traceback shows.

    Python acts on a signal between two of its own steps, and a step may be seconds of somebody's C code. So a thread
    sees to it that the process is gone after ``grace`` seconds, after an interrupt too.

    Args:
        said: written to standard error where it comes to that.
        cleanup: called before.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.signal(signal.SIGTERM, _leave)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch_signals, args=(reading, grace, said, cleanup), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, before)
        os.close(writing)
        watcher.join(grace)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(TERMINATED)


def _watch_signals(reading: int, grace: float, said: str, cleanup: Callable[[], object] | None) -> None:
    """Wait for a signal to leave; then until the other end is closed, but no longer than ``grace``."""
    codes = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED}
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            if number[0] not in codes or signal.getsignal(number[0]) is signal.SIG_IGN:
                continue
            if wait([reading], grace) and not pipe.read(1):
                return
            if cleanup is not None:
                cleanup()
            with suppress(OSError):
                os.write(2, said.encode())
            os._exit(codes[signal.Signals(number[0])])
