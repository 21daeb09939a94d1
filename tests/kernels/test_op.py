"""``assign`` as an operator of torch: registration, compilation, messages, threads and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor

from vqcodec.kernels import assign, reference_assign, residual_assign
from vqcodec.kernels.cpu import _pool

G, N, K, D, R = 2, 30, 7, 3, 4
nearest = torch.ops.vqcodec.nearest.default
residual = torch.ops.vqcodec.nearest_residual.default


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape)


@pytest.mark.parametrize(
    ("bias", "rows"),
    [(None, None), ((G, K), None), ((G, N, K), None), ((R, K), (G, N)), ((G, R, K), (G, N))],
)
@pytest.mark.parametrize("count", [0, 1, N])
def test_opcheck(bias: tuple[int, ...] | None, rows: tuple[int, ...] | None, count: int) -> None:
    x = torch.randn(G, count, D, requires_grad=True)
    codebook = torch.randn(G, D, K).transpose(1, 2).requires_grad_()  # not contiguous
    shape = bias and tuple(count if length == N else length for length in bias)
    table = None if shape is None else torch.rand(shape, requires_grad=True)
    index = None if rows is None else torch.randint(R, (G, count))
    torch.library.opcheck(nearest, (x, codebook, table, index))
    torch.library.opcheck(residual, (x, codebook[:, None].detach(), None))


def test_torch_compile_sees_one_node() -> None:
    nodes: list[object] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        nodes.extend(node.target for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    x, codebook = torch.randn(G, N, D), torch.randn(G, K, D)
    compiled = torch.compile(assign, fullgraph=True, backend=backend)
    assert torch.equal(compiled(x, codebook), assign(x, codebook))
    assert len(nodes) == 1
    assert "nearest" in str(nodes[0])


@pytest.mark.parametrize("count", [N, 40_000])
def test_indices_carry_no_gradient(count: int) -> None:
    """Nor do worker threads, which the larger search uses, stumble over inputs that want one."""
    x = torch.randn(G, count, D, requires_grad=True)
    assert not assign(x, x[:, :40]).requires_grad
    assert not assign(x, x[:, :K], torch.rand(G, count, K, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((ones(N, D), ones(G, K, D)), "x must be"),
        ((ones(G, N, D), ones(K, D)), "x must be"),
        ((ones(G, N, D), ones(G, 0, D)), "x must be"),
        ((ones(G, N, D), ones(3, K, D)), "differ in G or d"),
        ((ones(G, N, D), ones(G, K, 2)), "differ in G or d"),
        ((ones(G, N, D).double(), ones(G, K, D).double()), "float32, float16"),
        ((ones(G, N, D).half(), ones(G, K, D)), "float32, float16"),
        ((ones(G, N, D), ones(G, K, D), ones(G, K).long()), "floating point"),
        ((ones(G, N, D), ones(G, K, D), ones(R, K)), "a table needs rows"),
        ((ones(G, N, D), ones(G, K, D), None, ones(G, N).long()), "comes with a table"),
        ((ones(G, N, D), ones(G, K, D), ones(R, K), ones(G, N)), "int32 or int64"),
        ((ones(G, N, D), ones(G, K, D), ones(R, K), ones(N).long()), "int32 or int64"),
        ((ones(G, N, D), ones(G, K, D), ones(R, 8), ones(G, N).long()), "with K = 7"),
        ((ones(G, N, D), ones(G, K, D), ones(3, R, K), ones(G, N).long()), "must be a table"),
    ],
)
def test_what_does_not_fit_is_named(args: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign(*args)


@pytest.mark.parametrize("row", [-1, R])
def test_a_row_outside_the_table(row: int) -> None:
    with pytest.raises(IndexError):
        assign(ones(G, N, D), ones(G, K, D), ones(R, K), torch.full((G, N), row))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_agree_and_leave_the_setting_alone(threads: int) -> None:
    before = torch.get_num_threads()
    x, codebook = torch.randn(3, 20_000, 2), torch.randn(3, 100, 2)
    try:
        torch.set_num_threads(threads)
        indices = assign(x, codebook)
        seen: list[int] = [torch.get_num_threads()]
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert seen == [threads, threads]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(indices, assign(x, codebook))
    assert (indices != reference_assign(x, codebook)).sum() <= 3


def test_workers_stay_alone() -> None:
    """A worker whose products ran on several threads would be five times slower."""
    pool = _pool(os.getpid(), 2)
    seen = pool.map(lambda _: (torch.ones(1 << 20).add(1), torch.get_num_threads())[1], range(8))
    assert set(seen) == {1}


def test_residual_on_one_stage_is_assign() -> None:
    x, codebook = torch.randn(G, N, D), torch.randn(G, K, D)
    assert torch.equal(residual_assign(x, codebook[:, None])[..., 0], assign(x, codebook))


def test_memory_stays_small() -> None:
    """A matrix N x K of this search would be 780 MiB; the result alone is 1.5 MiB."""
    code = """
import resource, torch
from vqcodec.kernels import assign
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
x, codebook = torch.randn(1, 200_000, 8), torch.randn(1, 1024, 8)
assign(x[:, :10_000], codebook)  # what libraries keep from their first call is not the search's
before = peak()
assign(x, codebook)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 32
