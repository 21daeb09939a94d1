"""Workers: results, errors, deaths, their environment."""

from __future__ import annotations

import os

import pytest
from worker_tasks import about, die, fail, kill, slow, unpicklable

from vqcodec.errors import CorruptError, WorkerDiedError
from vqcodec.workers import in_processes


def test_results_of_all_items():
    assert sorted(in_processes(abs, [-3, 1, -2], 2)) == [1, 2, 3]
    assert list(in_processes(abs, [-3], 2)) == [3]
    assert list(in_processes(abs, [-3, 1], 1)) == [3, 1]
    assert list(in_processes(abs, [], 2)) == []


def test_threads_are_limited_by_the_environment(monkeypatch):
    """Which is ours again afterwards; torch is not imported for it."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert set(in_processes(about, [1, 2], 2, threads=3)) == {("3", "1", False)}
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert set(in_processes(about, [1, 2], 2)) == {("5", "1", False)}


def test_workers_tell_how_far_they_are():
    told: list[tuple[int, float]] = []

    def tell(item: int, share: float) -> None:
        told.append((item, share))

    for jobs in (1, 2):
        assert sorted(in_processes(slow, [1, 2], jobs, progress=tell)) == [1, 2]
        assert {(item, 0.5) for item in (1, 2)} <= set(told)
        told.clear()


def test_errors_come_back():
    with pytest.raises(CorruptError, match=r"chunk [12]: broken") as caught:
        list(in_processes(fail, [1, 2], 2))
    assert "in fail" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="cannot be handed over"):
        list(in_processes(unpicklable, [1, 2], 2))


def test_one_that_dies_fails_its_item_only():
    found = sorted(in_processes(die, range(6), 2, died=lambda item, error: 100 + item))
    assert found == [0, 2, 3, 4, 5, 101]
    with pytest.raises(WorkerDiedError, match="exit code 5"):
        list(in_processes(die, range(6), 2))


def test_memory_is_blamed_with_evidence_only(monkeypatch):
    from vqcodec import workers

    counts = iter([0, 1])
    monkeypatch.setattr(workers, "_memory_kills", lambda: next(counts))
    (found,) = {str(error) for error in in_processes(kill, [1, 2], 2, died=lambda item, error: error) if error}
    assert found == "its process was killed because memory ran out; try --jobs 1"
