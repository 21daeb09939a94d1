"""Entropy-constrained search: the encoder's choice of codes, phase by phase, under the prior's own tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.codes import CodeModel, CodeWriter, walk
from vqcodec.image.config import ImageConfig
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.masking import COARSEST, LEVELS, SCALES, bit_weight
from vqcodec.kernels import assign
from vqcodec.prior.integer import PriorSlice, low_prediction, phase
from vqcodec.prior.rate import LAMBDA, bit_costs

__all__ = ["rate_tables", "search"]


def rate_tables(model: CodeModel, *, perceptual: bool) -> list[Tensor]:
    """Per slice LAMBDA times the bits of every code under every row: float32 [g, blocks * rows * bins, K].

    Args:
        perceptual: weigh bits as image.masking says, with one block of rows per scale of masking where that reaches;
            otherwise the search serves the squared error alone.
    """
    out = []
    for s, tables, shared in zip(model.slices, model.tables, model.shared, strict=True):
        cost = torch.from_numpy(LAMBDA * bit_costs(tables))
        cost = cost[None] if shared else cost.reshape(s.groups, -1, cost.shape[-1])
        if perceptual:
            cost = cost * bit_weight(s.level, s.chroma)
            cost = torch.cat([cost * scale for scale in SCALES], 1) if s.level <= COARSEST else cost
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
    masking: Tensor | None = None,
    writer: CodeWriter | None = None,
) -> list[I32]:
    """Codes of a batch of pictures (or tiles) of the same size.

    Args:
        rates: of :func:`rate_tables`.
        codebooks: per slice [g, K, d], in units.
        trust: see :class:`Dequantiser`.
        low: rounded values of the low band [B, h, w, 3].
        vectors: per slice [B, h, w, g, d], in units, before prediction.
        step: [B] step indices.
        gray: chroma is not coded.
        masking: of :func:`masking_levels`, [B, H, W] pixels, with perceptual rates.
        writer: told every symbol as it is found (B = 1).
    """
    height, width = low.shape[1:3]
    low = np.pad(low, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    values = np.zeros_like(low)  # what the decoder will have, which differs from low only where low_size is too short
    half = (model.low_size - 1) // 2
    known = Dequantiser(config, codebooks, trust)
    wanted: dict[int, F32] = {}
    scale: dict[int, I32] = {}

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
            prediction = known.prediction(index)
            wanted[index] = vectors[index] if prediction is None else vectors[index] - prediction.numpy()
            if masking is not None and s.level <= COARSEST:
                scale[index] = _masking_rows(masking, s)
        x = wanted[index] if s.level == model.levels else phase(wanted[index], p)
        if sign is not None:
            x = x * sign[..., None]
        flat = np.ascontiguousarray(np.moveaxis(x, 3, 0).reshape(s.groups, -1, s.d))
        first = 0 if model.shared[index] else np.arange(s.groups, dtype=np.int32) * (s.rows * s.sign_bins)
        rows = rows - first
        if index in scale:
            rows = rows + phase(scale[index], p)
        row = np.ascontiguousarray(np.moveaxis(rows, 3, 0).reshape(s.groups, -1))
        symbols = assign(torch.from_numpy(flat), codebooks[index], rates[index], torch.from_numpy(row)).numpy()
        return np.moveaxis(symbols.reshape(s.groups, *rows.shape[:3]), 0, 3).astype(np.int32)

    return walk(model, step, height, width, choose, gray=gray, finished=known.add)


def _masking_rows(masking: Tensor, s: PriorSlice) -> I32:
    """First row of the block of each vector of a slice: [B, h, w, 1]."""
    pixels = 2**s.level
    pooled = F.avg_pool2d(masking[:, None], (pixels, pixels * s.d))[:, 0]
    level = (pooled + LEVELS // 2).round().clamp(0, LEVELS - 1).to(torch.int32)
    return (level * (s.rows * s.sign_bins)).numpy()[..., None]
