"""Launches the Triton kernels: padding, launch shape, and the way out where they cannot run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from vqcodec.kernels.plain import plain_assign
from vqcodec.kernels.prepare import Prepared, prepare
from vqcodec.kernels.tuning import DIRECT_TO, DOT_FROM, FMA_STEP, MAX_DIMENSION, Tuning, tuning

__all__ = ["gpu_assign", "gpu_residual_assign", "triton_assign", "triton_residual_assign"]

OLDEST_TRITON = (3, 3)
PADDING = 64  # K is padded to a multiple of this: of every CODES and STEP in the tuning table
_FORM_CODEWORD, _FORM_TABLE, _FORM_PAIR = 0, 1, 2  # as in triton_kernels


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


def _launch(x: Tensor, half: bool, dot: bool) -> _Launch:
    """Grid, compiler options and arithmetic for x [G, N, d]."""
    nvidia = x.is_cuda and torch.version.hip is None
    capability = torch.cuda.get_device_capability(x.device) if nvidia else None
    shape = tuning(capability, x.shape[-1], half, dot)
    grid = (-(-x.shape[1] // shape.rows), x.shape[0])
    # tf32x3 splits each float32 in two and keeps float32's accuracy on the matrix units; they appeared with 8.0
    exact = "tf32x3" if capability is None or capability >= (8, 0) else "ieee"
    precision = "ieee" if half or (x.is_cuda and not nvidia) else exact
    options = {"num_warps": shape.warps, "num_stages": shape.stages, "enable_fp_fusion": True}
    return _Launch(shape, grid, options, precision, torch.cuda.device(x.device) if x.is_cuda else nullcontext())


def _padded(prepared: Prepared) -> Prepared:
    """K up to a multiple of PADDING with codewords that never win; words negated, so that scores are sums."""
    extra = -prepared.words.shape[1] % PADDING
    words = pad(-prepared.words, (0, 0, 0, extra))
    return Prepared(prepared.centre.contiguous(), words, pad(prepared.offset, (0, extra), value=torch.inf))


def triton_assign(x: Tensor, codebook: Tensor, bias: Tensor | None, rows: Tensor | None) -> Tensor:
    """The fused search; x may also lie on the CPU when Triton runs in its interpreter."""
    from vqcodec.kernels import triton_kernels

    groups, count, dimension = x.shape
    out = torch.empty(groups, count, dtype=torch.int64, device=x.device)
    if out.numel() == 0:
        return out
    pair = bias.float().contiguous() if bias is not None and rows is None and bias.dim() == 3 else None
    dot = dimension >= DOT_FROM or pair is not None
    half = dot and x.dtype != torch.float32
    direct = not dot and dimension <= DIRECT_TO
    prepared = prepare(
        codebook, None if pair is not None else bias, table=rows is not None, centred=not half, direct=direct
    )
    centre, words, offset = _padded(prepared)
    size = words.shape[1]
    form = _FORM_TABLE if rows is not None else _FORM_PAIR if pair is not None else _FORM_CODEWORD
    table_rows = offset.shape[1] if rows is not None else 1
    places = x.contiguous(), out if rows is None else rows.contiguous()
    shape, grid, options, precision, guard = _launch(x, half, dot)
    with guard:
        if not dot:
            if rows is not None:  # [G, K, R]: neighbours in a warp share a codeword, so their rows lie side by side
                offset = offset.transpose(1, 2)
            triton_kernels.assign_fma[grid](
                places[0], words, centre, offset.contiguous(), places[1], out, count, size, table_rows,
                D=dimension, ROWS=shape.rows, STEP=FMA_STEP, FORM=form, DIRECT=direct, **options,
            )  # fmt: skip
        else:
            triton_kernels.assign_dot[grid](
                places[0], words.to(x.dtype), None if half else centre, offset.contiguous(), places[1],
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
    direct = dimension <= DIRECT_TO
    flat_bias = None if bias is None else bias.flatten(0, 1)
    centre, words, offset = _padded(prepare(codebooks.flatten(0, 1), flat_bias, direct=direct))
    size = words.shape[1]
    shape, grid, options, precision, guard = _launch(x, half=False, dot=dot)
    with guard:
        if not dot:
            triton_kernels.residual_fma[grid](
                x, words, centre, offset, out, count, size,
                D=dimension, ROWS=shape.rows, STEP=FMA_STEP, STAGES=stages, DIRECT=direct, **options,
            )  # fmt: skip
        else:
            triton_kernels.residual_dot[grid](
                x, words, centre, offset, out, count, size, D=dimension, WIDTH=_width(dimension),
                ROWS=shape.rows, CODES=shape.codes, STAGES=stages, PRECISION=precision, **options,
            )  # fmt: skip
    return out
