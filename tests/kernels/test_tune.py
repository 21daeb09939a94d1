"""The sweep over launch shapes, in Triton's interpreter: every shape finds the same."""

from __future__ import annotations

import os

import pytest

from vqcodec.benchmarks.kernel.run import Case
from vqcodec.benchmarks.kernel.tune import candidates, sweep

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="needs Triton's interpreter")


@pytest.mark.parametrize("dimension", [4, 16])
def test_all_shapes_find_the_same(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqcodec.benchmarks.kernel.tune.ROUNDS", 1)
    case = Case("large", 70, 9, dimension)
    found = sweep(case, "cpu")
    assert {shape for _, shape in found} == set(candidates(case))
    assert [seconds for seconds, _ in found] == sorted(seconds for seconds, _ in found)
