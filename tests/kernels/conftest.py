"""One set of rules for every implementation: each test of ``search`` runs on all that this process can run.

Triton's interpreter replaces the compiler for a whole process, so it has its own run:
``TRITON_INTERPRET=1 pytest tests/kernels -k interpreter``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vqcodec.kernels import assign, residual_assign
from vqcodec.kernels.plain import plain_assign

INTERPRETING = os.environ.get("TRITON_INTERPRET") == "1"
Search = Callable[..., Tensor]
Array = Any  # numpy array; numpy types what matmul gives as Any


def _to_tf32(values: Array) -> Array:
    """Round float32 to the 10 bits of mantissa that a matrix unit keeps, half away from zero as it converts."""
    bits = values.astype(np.float32).view(np.uint32)
    return np.where(np.isfinite(values), (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000), bits).view(np.float32)


def round_as_hardware(a: Array, b: Array, precision: str) -> Array:
    """The product of two float32 matrices as a matrix unit makes it; the interpreter itself ignores the precision."""
    if a.dtype != np.float32 or precision == "ieee":
        return np.matmul(a.astype(np.float32), b.astype(np.float32))
    high_a, high_b = _to_tf32(a), _to_tf32(b)
    if precision == "tf32":
        return np.matmul(high_a, high_b)
    assert precision == "tf32x3", precision
    low_a, low_b = _to_tf32(a - high_a), _to_tf32(b - high_b)
    return np.matmul(low_a, high_b) + np.matmul(high_a, low_b) + np.matmul(high_a, high_b)


@pytest.fixture
def dot_precision() -> dict[str, str]:
    """Set ``["force"]`` to override the precision that the kernels ask for."""
    return {}


@pytest.fixture(autouse=True)
def hardware_dot(monkeypatch: pytest.MonkeyPatch, dot_precision: dict[str, str]) -> None:
    """Make ``tl.dot`` in the interpreter round its operands as the hardware would."""
    if not INTERPRETING:
        return
    interpreter = pytest.importorskip("triton.runtime.interpreter")

    def create_dot(self: Any, a: Any, b: Any, d: Any, input_precision: Any, max_num_imprecise_acc: Any) -> Any:
        precision = dot_precision.get("force", str(input_precision).rsplit(".", 1)[-1].lower())
        return interpreter.TensorHandle(round_as_hardware(a.data, b.data, precision) + d.data, d.dtype.scalar)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)


def _only_where_it_runs(name: str) -> None:
    if (name == "interpreter") != INTERPRETING:
        pytest.skip("the interpreter has its own run, with TRITON_INTERPRET=1")
    if name == "interpreter":
        pytest.importorskip("triton", reason="Triton is not installed")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture
def search(request: pytest.FixtureRequest) -> Iterator[Search]:
    """``search(x, codebook, bias, rows) -> indices`` on the CPU, by the implementation that the parameter names."""
    name: str = request.param
    _only_where_it_runs(name)

    def on_cuda(*tensors: Tensor | None) -> Tensor:
        return assign(*(None if t is None else t.cuda() for t in tensors)).cpu()  # type: ignore[arg-type]

    if name == "interpreter":
        from vqcodec.kernels.gpu import triton_assign

        def interpreted(x: Tensor, codebook: Tensor, bias: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
            return triton_assign(x, codebook, bias, rows)

        yield interpreted
    elif name == "plain":
        yield lambda x, codebook, bias=None, rows=None: plain_assign(x, codebook, bias, rows)
    else:
        yield on_cuda if name == "cuda" else assign


@pytest.fixture
def residual_search(request: pytest.FixtureRequest) -> Search:
    """``residual_search(x, codebooks, bias) -> indices`` on the CPU, by the implementation that the parameter names."""
    name: str = request.param
    _only_where_it_runs(name)
    if name == "interpreter":
        from vqcodec.kernels.gpu import triton_residual_assign

        return triton_residual_assign
    if name == "cuda":
        return lambda *tensors: residual_assign(*(None if t is None else t.cuda() for t in tensors)).cpu()  # type: ignore[arg-type]
    return residual_assign
