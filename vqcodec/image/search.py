"""Entropy-constrained search: the encoder's choice of codes, phase by phase, under the prior's own tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.codes import CodeModel, CodeWriter, walk
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.model import ImageModel
from vqcodec.image.units import BIT_WEIGHT, PSNR_BIT_WEIGHT
from vqcodec.prior.choice import Choice
from vqcodec.prior.integer import low_prediction, phase, planes_first, planes_last
from vqcodec.prior.rate import LAMBDA, bit_costs

__all__ = ["Search", "rate_tables"]


def rate_tables(model: CodeModel, weight: float = BIT_WEIGHT) -> list[F32]:
    """Per slice weight times LAMBDA times the bits of every code under every row, [g, rows * bins, K].

    One group where all share the table.
    """
    out = []
    for s, tables, shared in zip(model.slices, model.tables, model.shared, strict=True):
        cost = bit_costs(tables) * np.float32(weight * LAMBDA)
        out.append(cost.reshape(1 if shared else s.groups, -1, cost.shape[-1]))
    return out


class Search:
    """Finds the codes of pictures under one model; what it needs beyond the model is made once.

    Args:
        even: whether steps are the same for all bands and places.
        weight: share of LAMBDA that a bit counts; None for what suits the steps.
    """

    def __init__(self, model: ImageModel, *, even: bool = False, weight: float | None = None) -> None:
        self.model = model
        self.config = model.config.evened() if even else model.config
        weight = weight if weight is not None else PSNR_BIT_WEIGHT if even else BIT_WEIGHT
        pairs = zip(model.codebooks, rate_tables(model.codes, weight), strict=True)
        self._choices = [Choice(codebook, rates) for codebook, rates in pairs]

    def __call__(
        self, low: I32, vectors: Sequence[F32], step: I64, *, gray: bool = False, writer: CodeWriter | None = None
    ) -> list[I32]:
        """Codes of a batch of pictures (or tiles) of the same size.

        Args:
            low: rounded values of the low band [B, h, w, 3].
            vectors: per slice [g, B, h, w], in steps, before activity and prediction.
            step: [B] step indices.
            gray: chroma is not coded.
            writer: told every symbol as it is found (B = 1).
        """
        model, codes_model = self.model, self.model.codes
        height, width = low.shape[1:3]
        coder = _LowBand(low, codes_model.low_size)
        known = Dequantiser(self.config, model.codebooks, model.trust, coder.values[:, :height, :width], step)
        wanted: dict[int, F32] = {}

        def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
            if index < 0:
                symbols = coder.choose(p, rows.shape[-1])
            else:
                if p == 0:
                    wanted.clear()
                    wanted[index] = known.residual(index, vectors[index])
                symbols = self._choose(index, p, wanted[index], rows, sign)
            if writer is not None:
                writer.write(index, rows, symbols)
            return symbols

        return walk(codes_model, step, height, width, choose, gray=gray, finished=known.add)

    def _choose(self, index: int, p: int, wanted: F32, rows: I32, sign: F32 | None) -> I32:
        """Symbols of one phase, [B, h, w, g], of what is wanted of the slice, [g, B, h, w]."""
        codes_model = self.model.codes
        s = codes_model.slices[index]
        x = wanted.reshape(*wanted.shape[:3], -1, s.d).transpose(1, 2, 3, 0, 4)
        x = x if s.level == codes_model.levels else phase(x, p)
        if sign is not None:
            x = x * sign[..., None]
        flat = x.transpose(3, 0, 1, 2, 4).reshape(s.groups, -1, s.d)
        row = planes_first(rows).reshape(s.groups, -1)
        if not codes_model.shared[index]:
            row = row - np.arange(s.groups, dtype=np.int32)[:, None] * (s.rows * s.sign_bins)
        symbols = self._choices[index](flat, row)
        return planes_last(symbols.reshape(s.groups, *rows.shape[:3]))


class _LowBand:
    """The low band as it is coded: differences from a prediction that sees what the decoder will have.

    Attributes:
        values: those, which differ from what is wanted only where the table is too short.
    """

    def __init__(self, low: I32, size: int) -> None:
        height, width = low.shape[1:3]
        self._wanted = np.pad(low, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._half = (size - 1) // 2
        self.values = np.zeros_like(self._wanted)

    def choose(self, p: int, planes: int) -> I32:
        """Symbols of one phase."""
        near, _ = low_prediction(self.values[..., :planes], p)
        wanted = phase(self._wanted, p)[..., :planes]
        symbols: I32 = np.clip(wanted - near + self._half, 0, 2 * self._half).astype(np.int32)
        phase(self.values, p)[..., :planes] = near + symbols - self._half
        return symbols
