"""Launches the Triton kernels: padding, launch shape, and the way out where they cannot run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vqcodec.kernels.plain import plain_assign
from vqcodec.kernels.prepare import Prepared
from vqcodec.kernels.tuning import DIRECT_TO, DOT_FROM, FMA_STEP, MAX_DIMENSION, Tuning, tuning

__all__ = ["PADDING", "gpu_assign", "gpu_residual_assign", "triton_assign", "triton_prepare", "triton_residual_assign"]

OLDEST_TRITON = (3, 3)
TABLE_BLOCK = 256  # codewords of a table's row at a time
PADDING = 64  # K is padded to a multiple of this: of every CODES and STEP in the tuning table
FORM_CODEWORD, FORM_TABLE, FORM_PAIR = 0, 1, 2  # as in triton_kernels


@cache
def _has_triton() -> bool:
    """Whether a Triton is here that can compile the kernels (they use tuples of tensors)."""
    if find_spec("triton") is None:
        return False
    import triton

    return tuple(int(part) for part in triton.__version__.split(".")[:2]) >= OLDEST_TRITON


def gpu_assign(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    """See :func:`vqcodec.kernels.assign`: the fused kernel, or plain torch without Triton or for very wide vectors."""
    if not _has_triton() or x.shape[-1] > MAX_DIMENSION:
        return plain_assign(x, codebook, bias, rows)
    return triton_assign(x, codebook, bias, rows)


def gpu_residual_assign(x: Tensor, codebooks: Tensor, bias: Tensor | None) -> Tensor:
    """See :func:`vqcodec.kernels.residual_assign`: fused where Triton is, else one search per stage."""
    if _has_triton() and x.shape[-1] <= MAX_DIMENSION:
        return triton_residual_assign(x, codebooks, bias)
    indices = []
    for stage in range(codebooks.shape[1]):
        index = plain_assign(x, codebooks[:, stage], None if bias is None else bias[:, stage], None)
        indices.append(index)
        x = x - codebooks[:, stage].gather(1, index[..., None].expand_as(x))
    return torch.stack(indices, -1)


class _Launch(NamedTuple):
    shape: Tuning
    grid: tuple[int, int]
    options: dict[str, Any]
    precision: str
    guard: AbstractContextManager[Any]


def _launch(x: Tensor, half: bool, dot: bool, shape: Tuning | None = None) -> _Launch:
    """Grid, compiler options and arithmetic for x [G, N, d]; the shape is the table's unless given."""
    nvidia = x.is_cuda and torch.version.hip is None
    capability = torch.cuda.get_device_capability(x.device) if nvidia else None
    shape = shape or tuning(capability, x.shape[-1], half, dot)
    grid = (-(-x.shape[1] // shape.rows), x.shape[0])
    # tf32x3 splits each float32 in two and keeps float32's accuracy on the matrix units; they appeared with 8.0
    exact = "tf32x3" if capability is None or capability >= (8, 0) else "ieee"
    precision = "ieee" if half or (x.is_cuda and not nvidia) else exact
    options = {"num_warps": shape.warps, "num_stages": shape.stages, "enable_fp_fusion": True}
    return _Launch(shape, grid, options, precision, torch.cuda.device(x.device) if x.is_cuda else nullcontext())


def triton_prepare(codebook: Tensor, bias: Tensor | None, form: int, dot: bool, half: bool) -> Prepared:
    """As ``prepare``, in one launch or, with a table, two: a score of small operators took most of a small search.

    K is padded to a multiple of PADDING with codewords that never win, and words are negated, so that scores are sums.
    A table's offsets are [G, R, K] where products are taken on the matrix units, else [G, K, R]: neighbours in a warp
    share a codeword there, so that their rows lie side by side. In half precision words keep their bits: no centre.
    """
    from vqcodec.kernels import triton_kernels

    groups, size, dimension = codebook.shape
    direct, padded, width = (
        not dot and dimension <= DIRECT_TO,
        size + -size % PADDING,
        1 << (dimension - 1).bit_length(),
    )
    empty = partial(torch.empty, dtype=torch.float32, device=codebook.device)
    centre, offset = empty((groups, dimension)), empty((groups, padded))
    words = empty((groups, padded, dimension), dtype=codebook.dtype if half else torch.float32)
    triton_kernels.prepare_words[(groups,)](
        codebook.contiguous(), bias.contiguous() if bias is not None and form == FORM_CODEWORD else None,
        centre, words, offset, size, padded,
        D=dimension, WIDTH=width, BLOCK=max(16, min(256, 4096 // width)), CENTRED=not half and not direct,
        DIRECT=direct, enable_fp_fusion=True,
    )  # fmt: skip
    if form != FORM_TABLE or bias is None:
        return Prepared(centre, words, offset)
    rows = bias.shape[-2]
    out = empty((groups, rows, padded) if dot else (groups, padded, rows))
    triton_kernels.prepare_table[(rows, -(-padded // TABLE_BLOCK), groups)](
        bias.contiguous(), offset, out, rows, size, padded,
        rows * size if bias.dim() == 3 else 0, *((padded, 1) if dot else (1, rows)),
        BLOCK=TABLE_BLOCK, DIRECT=direct, enable_fp_fusion=True,
    )  # fmt: skip
    return Prepared(centre, words, out)


def triton_assign(
    x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None, shape: Tuning | None = None
) -> Tensor:
    """The fused search; x may also lie on the CPU when Triton runs in its interpreter.

    Args:
        shape: of the launch, in place of the table's; at most PADDING codewords a step.
    """
    from vqcodec.kernels import triton_kernels

    groups, count, dimension = x.shape
    out = torch.empty(groups, count, dtype=torch.int64, device=x.device)
    if out.numel() == 0:
        return out
    pair = bias.float().contiguous() if bias is not None and rows is None and bias.dim() == 3 else None
    dot = dimension >= DOT_FROM or pair is not None
    half = dot and x.dtype != torch.float32
    form = FORM_TABLE if rows is not None else FORM_PAIR if pair is not None else FORM_CODEWORD
    places = x.contiguous(), out if rows is None else rows.contiguous()
    shape, grid, options, precision, guard = _launch(x, half, dot, shape)
    with guard:
        centre, words, offset = triton_prepare(codebook, bias, form, dot, half)
        size = words.shape[1]
        table_rows = offset.numel() // (groups * size)
        if not dot:
            triton_kernels.assign_fma[grid](
                places[0], words, centre, offset, places[1], out, count, size, table_rows,
                D=dimension, ROWS=shape.rows, STEP=FMA_STEP, FORM=form, DIRECT=dimension <= DIRECT_TO, **options,
            )  # fmt: skip
        else:
            triton_kernels.assign_dot[grid](
                places[0], words, None if half else centre, offset, places[1],
                out if pair is None else pair, out, count, size, table_rows, codebook.shape[1],
                D=dimension, WIDTH=_width(dimension), ROWS=shape.rows, CODES=shape.codes, FORM=form,
                PRECISION=precision, **options,
            )  # fmt: skip
    return out


def _width(dimension: int) -> int:
    """The dimension padded to what a matrix unit takes: a power of two, at least 16."""
    return max(16, 1 << (dimension - 1).bit_length())


def triton_residual_assign(x: Tensor, codebooks: Tensor, bias: Tensor | None) -> Tensor:
    """All stages in one launch; x may also lie on the CPU when Triton runs in its interpreter."""
    from vqcodec.kernels import triton_kernels

    groups, count, dimension = x.shape
    stages = codebooks.shape[1]
    out = torch.empty(groups, count, stages, dtype=torch.int64, device=x.device)
    if out.numel() == 0:
        return out
    x = x.float().contiguous()
    dot = dimension >= DOT_FROM
    flat_bias = None if bias is None else bias.flatten(0, 1)
    shape, grid, options, precision, guard = _launch(x, half=False, dot=dot)
    with guard:
        centre, words, offset = triton_prepare(codebooks.flatten(0, 1), flat_bias, FORM_CODEWORD, dot, half=False)
        size = words.shape[1]
        if not dot:
            triton_kernels.residual_fma[grid](
                x, words, centre, offset, out, count, size,
                D=dimension, ROWS=shape.rows, STEP=FMA_STEP, STAGES=stages, DIRECT=dimension <= DIRECT_TO, **options,
            )  # fmt: skip
        else:
            triton_kernels.residual_dot[grid](
                x, words, centre, offset, out, count, size, D=dimension, WIDTH=_width(dimension),
                ROWS=shape.rows, CODES=shape.codes, STAGES=stages, PRECISION=precision, **options,
            )  # fmt: skip
    return out
