"""``assign`` and ``residual_assign``: the public entries, each one custom operator that torch dispatches by device."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.kernels.cpu import cpu_assign, cpu_residual_assign

__all__ = ["assign", "residual_assign"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def assign(x: Tensor, codebook: Tensor, bias: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
    """Index of ``argmin_k ||x - c_k||^2 + bias_k`` for every vector, as int64 [G, N].

    Args:
        x: vectors, [G, N, d]; float32, or half precision (of the same kind as the codebook).
        codebook: codewords, [G, K, d], K >= 1.
        bias: rate term in units of squared distance: per codeword [G, K], per vector and codeword [G, N, K], or with
            ``rows`` a table [R, K] or [G, R, K]. +inf forbids a codeword. Form the sum of what the table needs before:
            no N x K array is made of it.
        rows: which row of the table each vector uses, int32 or int64 [G, N], in [0, R).

    Exactness:
        * float32 arithmetic: the chosen codeword's score is within 1e-5, relative, of the best (plus rounding of the
          order of 1e-6 times the squared spread of the data); where the runner-up is farther, the index is exact.
          Half precision: products of the half-precision inputs are summed in float32.
        * Lowest index among equal scores as computed; duplicated codewords always give the first.
        * A codeword or bias that is NaN never wins, nor does a codeword that is not finite. Where nothing can win, and
          for a vector that is not finite, the index is 0. Magnitudes above 1e18 overflow float32 and count as such.
        * Same input, device and version: same output. Between devices, indices may differ within the bound above: the
          encoder may choose differently, and every file still decodes, since decoding never searches.

    Memory beyond the result: a copy of codebook or table and, on the CPU, about 1 MiB per thread. Not differentiable:
    pass gradients straight through outside. Differentiable inputs are accepted.

    Raises:
        ValueError: shapes or types that do not fit together.
        IndexError: a row outside the table (on the CPU; elsewhere it is clamped, since looking would stall the device).
    """
    _check(x, codebook, bias, rows)
    return torch.ops.vqcodec.nearest(x, codebook, bias, rows)  # type: ignore[no-any-return]


def residual_assign(x: Tensor, codebooks: Tensor, bias: Tensor | None = None) -> Tensor:
    """Codes of a residual quantiser, int64 [G, N, S]: each stage quantises what the stages before it left over.

    Args:
        x: vectors, float32 [G, N, d].
        codebooks: one codebook per stage, float32 [G, S, K, d].
        bias: rate term per stage and codeword, [G, S, K].

    On a GPU all stages run in one kernel, and the residual never leaves it. Exactness as in :func:`assign`, by stage.

    Raises:
        ValueError: shapes or types that do not fit together.
    """
    if x.dim() != 3 or codebooks.dim() != 4 or 0 in codebooks.shape[1:]:
        raise ValueError(f"x must be [G, N, d] and codebooks [G, S, K, d], not {_shape(x)} and {_shape(codebooks)}")
    if codebooks.shape[0] != x.shape[0] or codebooks.shape[3] != x.shape[2]:
        raise ValueError(f"x {_shape(x)} and codebooks {_shape(codebooks)} differ in G or d")
    if x.dtype != torch.float32 or codebooks.dtype != torch.float32:
        raise ValueError(f"residual_assign takes float32, not {x.dtype} and {codebooks.dtype}")
    if bias is not None and bias.shape != codebooks.shape[:3]:
        raise ValueError(f"bias must be [G, S, K] = {_shape(codebooks)[:3]}, not {_shape(bias)}")
    return torch.ops.vqcodec.nearest_residual(x, codebooks, bias)  # type: ignore[no-any-return]


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)


def _check(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> None:
    if x.dim() != 3 or codebook.dim() != 3 or 0 in codebook.shape[1:]:
        raise ValueError(f"x must be [G, N, d] and codebook [G, K, d], not {_shape(x)} and {_shape(codebook)}")
    groups, count, dimension = x.shape
    size = codebook.shape[1]
    if codebook.shape[0] != groups or codebook.shape[2] != dimension:
        raise ValueError(f"x {_shape(x)} and codebook {_shape(codebook)} differ in G or d")
    if x.dtype not in _DTYPES or codebook.dtype != x.dtype:
        raise ValueError(
            f"x and codebook must both be float32, float16 or bfloat16, not {x.dtype} and {codebook.dtype}"
        )
    if bias is not None and not bias.is_floating_point():
        raise ValueError(f"bias must be floating point, not {bias.dtype}")
    if rows is None:
        if bias is not None and bias.shape not in ((groups, size), (groups, count, size)):
            raise ValueError(f"bias must be [G, K] or [G, N, K], not {_shape(bias)}; a table needs rows")
        return
    if bias is None or rows.shape != (groups, count) or rows.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"rows must be int32 or int64 [G, N] = {[groups, count]} and comes with a table as bias")
    if bias.dim() not in (2, 3) or 0 in bias.shape or bias.shape[-1] != size or bias.shape[:-2] not in ((), (groups,)):
        raise ValueError(f"with rows, bias must be a table [R, K] or [G, R, K] with K = {size}, not {_shape(bias)}")


@torch.library.custom_op("vqcodec::nearest", mutates_args=(), device_types="cpu")
def _nearest(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    bias = None if bias is None else bias.float()
    return cpu_assign(x.float(), codebook.float(), bias, rows)


@_nearest.register_kernel("cuda")
def _nearest_cuda(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    from vqcodec.kernels.gpu import gpu_assign  # only here: Triton takes its time to import

    return gpu_assign(x, codebook, bias, rows)


@_nearest.register_kernel(["mps", "xpu"])
def _nearest_plain(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    from vqcodec.kernels.plain import plain_assign

    return plain_assign(x, codebook, bias, rows)


@_nearest.register_fake
def _nearest_fake(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[:2], dtype=torch.int64)


@torch.library.custom_op("vqcodec::nearest_residual", mutates_args=(), device_types="cpu")
def _residual(x: Tensor, codebooks: Tensor, bias: Tensor | None) -> Tensor:
    return cpu_residual_assign(x, codebooks, None if bias is None else bias.float())


@_residual.register_kernel(["cuda", "mps", "xpu"])
def _residual_cuda(x: Tensor, codebooks: Tensor, bias: Tensor | None) -> Tensor:
    from vqcodec.kernels.gpu import gpu_residual_assign

    return gpu_residual_assign(x, codebooks, bias)


@_residual.register_fake
def _residual_fake(x: Tensor, codebooks: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((*x.shape[:2], codebooks.shape[1]), dtype=torch.int64)


def _no_gradient(ctx: object, gradient: Tensor) -> tuple[None, ...]:
    """Indices are integers: nothing flows back."""
    raise AssertionError("an integer output has no gradient")


_nearest.register_autograd(_no_gradient)
_residual.register_autograd(_no_gradient)
