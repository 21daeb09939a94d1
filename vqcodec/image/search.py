"""Entropy-constrained search: the encoder's choice of codes, phase by phase, under the prior's own tables.

What a code costs later, as context of others, is known only when these are; so with more effort all is searched again,
with what image.later reads off the codes found before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.codes import CodeModel, CodeWriter, walk
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.later import later_bits
from vqcodec.image.model import ImageModel
from vqcodec.image.units import BIT_WEIGHT, PSNR_BIT_WEIGHT
from vqcodec.options import EFFORT
from vqcodec.prior.choice import Choice
from vqcodec.prior.integer import low_prediction, phase, planes_first, planes_last
from vqcodec.prior.rate import LAMBDA, bit_costs

__all__ = ["Choosing", "Known", "Search", "rate_tables"]

# By effort, for each time that all is searched again, the share of the later costs that is believed: they are read off
# codes that are about to change. Further searches gained nothing more, nor did other shares.
_TRUST = {6: (0.6,), 7: (0.6, 0.7), 8: (0.6, 0.7), 9: (0.6, 0.7)}


def rate_tables(model: CodeModel, weight: float = BIT_WEIGHT) -> list[F32]:
    """Per slice weight times LAMBDA times the bits of every code under every row, [g, rows * bins, K].

    One group where all share the table.
    """
    out = []
    for s, tables, shared in zip(model.slices, model.tables, model.shared, strict=True):
        cost = bit_costs(tables) * np.float32(weight * LAMBDA)
        out.append(cost.reshape(1 if shared else s.groups, -1, cost.shape[-1]))
    return out


class Choosing(Protocol):
    """Chooses codes, see :class:`vqcodec.prior.choice.Choice`."""

    def __call__(self, x: F32, rows: I32, later: F32 | None = None) -> I32: ...


class Known(Protocol):
    """Dequantises what was chosen, see :class:`vqcodec.image.dequantise.Dequantiser`."""

    def residual(self, index: int, vectors: F32) -> F32: ...

    def add(self, index: int, codes: I32) -> None: ...


class Search:
    """Finds the codes of pictures under one model; what it needs beyond the model is made once.

    Args:
        even: whether steps are the same for all bands and places.
        weight: share of LAMBDA that a bit counts; None for what suits the steps.
        effort: 1 to 9.
    """

    def __init__(
        self, model: ImageModel, *, even: bool = False, weight: float | None = None, effort: int = EFFORT
    ) -> None:
        self.model = model
        self.config = model.config.evened() if even else model.config
        weight = weight if weight is not None else PSNR_BIT_WEIGHT if even else BIT_WEIGHT
        self._shares = [np.float32(trust * weight * LAMBDA) for trust in _TRUST.get(effort, ())]
        self._costs = [bit_costs(tables) for tables in model.codes.tables] if self._shares else []
        parts = zip(model.codebooks, rate_tables(model.codes, weight), model.codes.slices, strict=True)
        self._choices = [self._choice(codebook, rates, s.energy) for codebook, rates, s in parts]

    def _choice(self, codebook: F32, rates: F32, maps: F32) -> Choosing:
        return Choice(codebook, rates, maps)

    def _known(self, low: I32, step: I64) -> Known:
        return Dequantiser(self.config, self.model.codebooks, self.model.trust, low, step)

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
        slopes: list[F32] = []
        later: list[F32] | None = None
        for share in self._shares:
            codes = self._once(low, vectors, step, gray, None, later)
            found = later_bits(self.model.codes, step, codes, self._costs, gray=gray)
            # half of what was found before, lest codes go to and fro
            slopes = [(a + b) * np.float32(0.5) for a, b in zip(slopes or found, found, strict=True)]
            later = [slope * share for slope in slopes]
        return self._once(low, vectors, step, gray, writer, later)

    def _once(
        self,
        low: I32,
        vectors: Sequence[F32],
        step: I64,
        gray: bool,
        writer: CodeWriter | None,
        later: Sequence[F32] | None,
    ) -> list[I32]:
        """One search through all slices.

        Args:
            later: per slice, what a unit of a map value of each code costs later, [B, h, w, g * d], in squared steps.
        """
        codes_model = self.model.codes
        height, width = low.shape[1:3]
        coder = _LowBand(low, codes_model.low_size)
        known = self._known(coder.values[:, :height, :width], step)
        wanted: dict[int, F32] = {}  # of the slice at hand

        def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
            if index < 0:
                symbols = coder.choose(p, rows.shape[-1])
            else:
                s = codes_model.slices[index]
                if p == 0:
                    left = known.residual(index, vectors[index])
                    wanted.clear()
                    wanted[index] = left.reshape(*left.shape[:3], -1, s.d).transpose(1, 2, 3, 0, 4)
                x, cost = self._phase(index, p, wanted[index]), None
                if later is not None:
                    cost = self._phase(index, p, later[index].reshape(*later[index].shape[:3], s.groups, s.d))
                symbols = self._choose(index, rows, x if sign is None else x * sign[..., None], cost)
            if writer is not None:
                writer.write(index, rows, symbols)
            return symbols

        return walk(codes_model, step, height, width, choose, gray=gray, finished=known.add)

    def _phase(self, index: int, p: int, x: F32) -> F32:
        """The part of [B, H, W, g, d] that is of one phase of a slice, [B, h, w, g, d]."""
        codes_model = self.model.codes
        return x if codes_model.slices[index].level == codes_model.levels else phase(x, p)

    def _choose(self, index: int, rows: I32, x: F32, later: F32 | None) -> I32:
        """Symbols of one phase, [B, h, w, g], of what is wanted of it and what is known of later costs."""
        codes_model = self.model.codes
        s = codes_model.slices[index]

        def by_group(part: F32) -> F32:
            return part.transpose(3, 0, 1, 2, 4).reshape(s.groups, -1, s.d)

        row = planes_first(rows).reshape(s.groups, -1)
        if not codes_model.shared[index]:
            row = row - np.arange(s.groups, dtype=np.int32)[:, None] * (s.rows * s.sign_bins)
        symbols = self._choices[index](by_group(x), row, None if later is None else by_group(later))
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
