"""Threads that share work: all pieces once, errors out, nested calls, none started for one."""

from __future__ import annotations

import os
import threading
import time

import pytest

from vqcodec.threads import ALONE, Workers


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_piece_is_done_once(threads: int) -> None:
    done: list[int] = []
    workers = Workers(threads)
    for count in (0, 1, 2, 100):
        done.clear()
        workers.each(done.append, range(count))
        assert sorted(done) == list(range(count))


def test_alone_starts_no_thread() -> None:
    seen: list[int] = []
    ALONE.each(lambda _: seen.append(threading.get_ident()), range(20))
    Workers(4).each(lambda _: seen.append(threading.get_ident()), range(1))
    assert seen == [threading.get_ident()] * 21


def test_several_threads_work() -> None:
    meet = threading.Barrier(3, timeout=20)
    met: list[int] = []
    Workers(3).each(lambda _: met.append(meet.wait()), range(3))
    assert sorted(met) == [0, 1, 2]


def test_calls_may_be_nested() -> None:
    workers = Workers(2)
    done: list[tuple[int, int]] = []

    def outer(i: int) -> None:
        workers.each(lambda j: done.append((i, j)), range(5))

    workers.each(outer, range(6))
    assert sorted(done) == [(i, j) for i in range(6) for j in range(5)]


@pytest.mark.parametrize("error", [ValueError, IndexError])
@pytest.mark.parametrize("threads", [1, 3])
def test_errors_come_out_and_end_it(threads: int, error: type[Exception]) -> None:
    done: list[int] = []

    def work(i: int) -> None:
        if i == 3:
            raise error("piece 3")
        time.sleep(0.001)
        done.append(i)

    with pytest.raises(error, match="piece 3"):
        Workers(threads).each(work, range(10_000))
    assert len(done) < 9_000


def test_the_processors_of_this_process() -> None:
    assert 1 <= Workers().threads <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_after_a_fork() -> None:
    workers = Workers(2)
    workers.each(lambda _: time.sleep(0.01), range(4))
    child = os.fork()
    if not child:
        workers.each(lambda _: time.sleep(0.01), range(4))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
