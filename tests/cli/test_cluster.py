"""The same work by a scheduler and two workers, each a process of its own as on many machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import fails, names, vqc

import vqcodec

pytest.importorskip("distributed")


def start(module: str, *options: object, folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", f"distributed.cli.{module}", *map(str, options), "--no-dashboard"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, cwd=folder)


@pytest.fixture
def cluster(tmp_path):
    """Its address. The workers run in a folder of their own, so that relative paths must not reach them."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    file = folder / "scheduler.json"
    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", file, folder=folder)
    deadline = time.monotonic() + 90
    while not file.exists():
        assert scheduler.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    workers = [start("dask_worker", address, "--nthreads", 1, folder=folder) for _ in range(2)]
    yield address
    for process in (*workers, scheduler):
        process.terminate()
    for process in (*workers, scheduler):
        process.wait(30)


@pytest.mark.filterwarnings("ignore")  # distributed's own
def test_a_batch_on_a_cluster(tmp_path, photo, cluster, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        shutil.copy(photo, f"{name}.png")
    Path("bad.png").write_bytes(b"no picture")
    result = vqc("compress", "a.png", "b.png", "bad.png", "c.png", "-o", "out", "--cluster", cluster, "--json")
    assert result.exit_code == 3, result.output
    records = {record["input"]: record for record in map(json.loads, result.stdout.splitlines())}
    assert records.keys() == {"a.png", "b.png", "bad.png", "c.png"}
    assert records["bad.png"]["exit_code"] == 3
    assert records["a.png"]["output"] == str(Path("out", "a.vqc"))
    assert "1 of 4 files failed" in result.stderr
    assert names(tmp_path / "out") == ["a.vqc", "b.vqc", "c.vqc"]
    assert Path("out", "a.vqc").read_bytes() == vqcodec.compress(photo)


def test_what_is_wrong_with_it(photo, tmp_path, monkeypatch):
    monkeypatch.setattr("vqcodec.cli.cluster._PATIENCE", 1)
    fails(vqc("compress", photo, "-o", tmp_path / "o", "--cluster", "127.0.0.1:9"), 2, "no scheduler answers")
    fails(vqc("compress", photo, "-o", tmp_path / "o", "--cluster", "x", "--jobs", 2), 2, "contradict")
    fails(vqc("compress", "-", "-", "--cluster", "127.0.0.1:9"), 2, "other machines")
