"""Entropy-constrained search: the encoder's choice of codes, phase by phase, under the prior's own tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.codes import CodeModel, CodeWriter, walk
from vqcodec.image.config import ImageConfig
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.units import BIT_WEIGHT
from vqcodec.kernels import assign
from vqcodec.prior.integer import low_prediction, phase
from vqcodec.prior.rate import LAMBDA, bit_costs

__all__ = ["rate_tables", "search"]


def rate_tables(model: CodeModel, weight: float = BIT_WEIGHT) -> list[Tensor]:
    """Per slice weight times LAMBDA times the bits of every code under every row: float32 [g, rows * bins, K]."""
    out = []
    for s, tables, shared in zip(model.slices, model.tables, model.shared, strict=True):
        cost = torch.from_numpy(np.float32(weight * LAMBDA) * bit_costs(tables))
        cost = cost[None] if shared else cost.reshape(s.groups, -1, cost.shape[-1])
        out.append(cost.expand(s.groups, -1, -1))
    return out


def search(
    config: ImageConfig,
    model: CodeModel,
    rates: Sequence[Tensor],
    codebooks: Sequence[Tensor],
    trust: Sequence[Tensor],
    low: I32,
    vectors: Sequence[F32],
    step: I64,
    *,
    gray: bool = False,
    writer: CodeWriter | None = None,
) -> list[I32]:
    """Codes of a batch of pictures (or tiles) of the same size.

    Args:
        rates: of :func:`rate_tables`.
        codebooks: per slice [g, K, d], in units.
        trust: see :class:`Dequantiser`.
        low: rounded values of the low band [B, h, w, 3].
        vectors: per slice [B, h, w, g, d], in units, before activity and prediction.
        step: [B] step indices.
        gray: chroma is not coded.
        writer: told every symbol as it is found (B = 1).
    """
    height, width = low.shape[1:3]
    low = np.pad(low, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    values = np.zeros_like(low)  # what the decoder will have, which differs from low only where low_size is too short
    half = (model.low_size - 1) // 2
    known = Dequantiser(config, codebooks, trust, values[:, :height, :width], torch.from_numpy(step))
    wanted: dict[int, F32] = {}

    def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        symbols = find(index, p, rows, sign)
        if writer is not None:
            writer.write(index, rows, symbols)
        return symbols

    def find(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        if index < 0:
            planes = rows.shape[-1]
            near, _ = low_prediction(values[..., :planes], p)
            symbols: I32 = np.clip(phase(low, p)[..., :planes] - near + half, 0, 2 * half).astype(np.int32)
            phase(values, p)[..., :planes] = near + symbols - half
            return symbols
        s = model.slices[index]
        if p == 0:
            wanted[index] = known.residual(index, vectors[index])
        x = wanted[index] if s.level == model.levels else phase(wanted[index], p)
        if sign is not None:
            x = x * sign[..., None]
        flat = np.ascontiguousarray(np.moveaxis(x, 3, 0).reshape(s.groups, -1, s.d))
        first = 0 if model.shared[index] else np.arange(s.groups, dtype=np.int32) * (s.rows * s.sign_bins)
        rows = rows - first
        row = np.ascontiguousarray(np.moveaxis(rows, 3, 0).reshape(s.groups, -1))
        symbols = assign(torch.from_numpy(flat), codebooks[index], rates[index], torch.from_numpy(row)).numpy()
        return np.moveaxis(symbols.reshape(s.groups, *rows.shape[:3]), 0, 3).astype(np.int32)

    return walk(model, step, height, width, choose, gray=gray, finished=known.add)
