"""The kernel benchmark end to end on its small cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vqcodec.benchmarks.kernel.run import Case, make, run, wrong_share
from vqcodec.errors import DeviceError
from vqcodec.kernels import assign


def test_quick_run_writes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("vqcodec.benchmarks.kernel.rivals.find_spec", lambda name: None)  # only what is always here
    monkeypatch.setattr("vqcodec.benchmarks.kernel.run.ROUNDS", 1)
    table = run(tmp_path / "new", quick=True, device="cpu")
    results = json.loads((tmp_path / "new" / "kernel-cpu.json").read_text())
    assert (tmp_path / "new" / "kernel-cpu.md").read_text() == table
    assert (tmp_path / "new" / "kernel-cpu.png").read_bytes().startswith(b"\x89PNG")
    assert {"vqcodec", "cdist + argmin", "chunked addmm + argmin"} == set(results["cases"][0]["rivals"])
    assert all(r["wrong_share"] < 0.01 for case in results["cases"] for r in case["rivals"].values())


def test_wrong_indices_are_counted_but_ties_are_not() -> None:
    problem = make(Case("N", 100, 16, 2), "cpu")
    right = assign(problem.x, problem.codebook)
    assert wrong_share(right, problem) == 0
    assert wrong_share(torch.where(torch.arange(100) < 25, (right + 1) % 16, right), problem) == 0.25


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_no_such_device(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no CUDA device"):
        run(tmp_path, device="cuda")
    assert not list(tmp_path.iterdir())
