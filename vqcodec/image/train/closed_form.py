"""The closed-form start: every part of prior and quantiser by regression and counting, in one pass in coding order.

Each phase of each slice sees only what is coded before it, so one pass fits everything on its true context: ridge
regression predicts the log energy (and the signed value) of the vectors about to be coded, entropy-constrained search
with the table of the moment codes them, and counting their codes by row makes the table.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from vqcodec.bitstream.arrays import F32, F64, I32, I64, U8, U16
from vqcodec.bitstream.coder import Tables
from vqcodec.bitstream.tables import pack_probabilities, unpack_weights
from vqcodec.image.codes import CodeModel
from vqcodec.image.config import ImageConfig
from vqcodec.image.context import Context
from vqcodec.image.dequantise import TRUST_KNOTS, Dequantiser, repeated
from vqcodec.image.train.codebooks import start_codebook
from vqcodec.image.units import BIT_WEIGHT, to_planes, to_units
from vqcodec.prior.choice import Choice
from vqcodec.prior.integer import PriorSlice, join_phases, low_prediction, phase, predict_rows
from vqcodec.prior.rate import LAMBDA
from vqcodec.train.fits import ENERGY_FLOOR, linear_energy, map_values, ridge, smooth_counts, start_table

__all__ = ["ClosedForm", "fit_closed_form", "principal_colours"]


CHUNK = 32  # crops that share one context object


@dataclass
class ClosedForm:
    """Result: the colour rotation [3, 3], codebooks per slice [g, K, d], stored tables and the integer prior."""

    colour: F32
    codebooks: list[F32]
    trust: list[F32]
    stored: list[U16]  # per slice [g or 1, rows * bins, K]
    low_stored: U16  # [3 * (low_rows + 1), K]
    model: CodeModel


def principal_colours(crops: U8) -> F32:
    """Colour rotation [3, 3] (rows: luma and two chroma directions) from crops [N, H, W, 3]; origin at 128."""
    pixels = crops.reshape(-1, 3)[::53].astype(np.float64) - 128.0
    _, vectors = np.linalg.eigh(pixels.T @ pixels / len(pixels))
    rotation = vectors[:, ::-1]
    return np.ascontiguousarray((rotation * np.sign(rotation.sum(0))).T, np.float32)


class SliceFit:
    """Fits one slice after another; holds the contexts and codes of all crops."""

    def __init__(self, config: ImageConfig, crops: U8, step: I64, seed: int) -> None:
        self.config, self.step, self.rng = config, step, np.random.default_rng(seed)
        self.colour = principal_colours(crops)
        self.low, self.vectors = to_units(config, to_planes(crops, self.colour), step)
        self.pieces = [slice(k, min(k + CHUNK, len(step))) for k in range(0, len(step), CHUNK)]
        self.slices: list[PriorSlice] = []
        h, w = crops.shape[1] >> config.levels, crops.shape[2] >> config.levels
        self.contexts = [Context(self.slices, config.levels, p.stop - p.start, h, w) for p in self.pieces]
        self.codebooks: list[F32] = []
        self.trust: list[F32] = []
        self.known = [Dequantiser(config, self.codebooks, self.trust, self.low[k], step[k]) for k in self.pieces]
        self.stored: list[U16] = []
        self.bits = 0.0

    def fit_low(self) -> tuple[I32, U16]:
        """Edges of the spread and tables of the low band."""
        edges = np.unique(np.round(2 ** (np.arange(self.config.low_rows - 1) * 0.45)).astype(np.int32))
        half = (self.config.low_codewords - 1) // 2
        values = self.low
        h, w = values.shape[1], values.shape[2]
        values = np.pad(values, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
        rows = len(edges) + 2
        counts = np.zeros((3, rows, self.config.low_codewords))
        for p in range(4):
            prediction, spread = low_prediction(values, p)
            row = np.searchsorted(edges, spread, "right") + 1 if p else np.zeros_like(spread)
            symbol = np.clip(phase(values, p) - prediction + half, 0, 2 * half)
            for colour in range(3):
                np.add.at(counts[colour], (row[..., colour], symbol[..., colour]), 1)
        size = np.abs(np.arange(-half, half + 1))
        for r in range(rows):
            wide = 60.0 if r == 0 else 0.3 * 2 ** ((r - 1) * 0.45) + 0.3
            start = np.exp(-np.minimum(size / wide, 14.0))
            for colour in range(3):
                scale = wide / (3 if colour and r == 0 else 1)
                start = np.exp(-np.minimum(size / scale, 14.0))
                kernel = np.exp(-0.5 * (np.arange(-50, 51) / max(scale / 4, 0.1)) ** 2)
                smooth = np.convolve(counts[colour, r], kernel / kernel.sum(), "same")
                smooth = 0.5 * (smooth + smooth[::-1])
                counts[colour, r] = smooth + 5 * start / start.sum()
        return edges, pack_probabilities(counts.reshape(3 * rows, -1))

    def fit(self, index: int) -> None:
        """One slice: prior, tables and codes."""
        s = self.config.slices[index]
        codebook = start_codebook(s)
        self.codebooks.append(codebook.expand(s.groups, -1, -1).contiguous().numpy())
        energy, signed = map_values(torch.from_numpy(self.codebooks[-1]))
        phases = 1 if s.level == self.config.levels else 4
        row_offset = self.config.row_offset
        empty: tuple[F32, ...] = ()
        self.slices.append(
            PriorSlice(
                s.level, s.chroma, s.d, s.groups, empty, empty, (), (),
                np.zeros((s.groups, s.sign_bins - 1), np.float32),
                energy, signed, row_offset, s.row_width, self.config.rows, (),
            )
        )  # fmt: skip
        if s.chroma and self.known[0].details:
            self.trust.append(self._fit_trust(index))
        parts = [k.residual(index, self.vectors[index][:, p]) for p, k in zip(self.pieces, self.known, strict=True)]
        x = np.concatenate(parts, 1)
        x = x.reshape(*x.shape[:3], -1, s.d).transpose(1, 2, 3, 0, 4)
        tables = 1 if s.shared else s.groups
        counts = np.zeros((tables, self.config.rows, s.sign_bins, s.codewords))
        start = start_table(s.row_width, codebook, row_offset, self.config.rows)
        codes = []
        for p in range(phases):
            part = np.ascontiguousarray(phase(x, p) if phases == 4 else x)
            self._fit_phase(index, p, part)
            codes.append(self._code_phase(index, p, part, counts, start))
        whole = codes[0] if phases == 1 else join_phases(codes)
        for k, known in zip(self.pieces, self.known, strict=True):
            known.add(index, whole[k])
        self.stored.append(self._store(counts, start))

    def _fit_trust(self, index: int) -> F32:
        """Shrinkage of the chroma prediction by least squares: [3, 2, knots]; large values count less, as in rate."""
        gram = np.zeros((3, 2, TRUST_KNOTS, TRUST_KNOTS))
        right = np.zeros((3, 2, TRUST_KNOTS))
        knots = np.arange(TRUST_KNOTS, dtype=np.float32)[:, None, None, None]
        for k, known in zip(self.pieces, self.known, strict=True):
            slope, position = known.slopes()
            luma = known.luma
            size = luma.shape[-2:]
            target = self.vectors[index][:, k].reshape(2, 3, *luma.shape[1:])
            for c in range(2):
                split = repeated(slope[c] * np.maximum(1 - np.abs(position[c] - knots), 0), *size)  # [knots, B, h, w]
                whole = repeated(slope[c], *size)
                for o in range(3):
                    goal = target[c, o]
                    weight = np.sqrt(1 / (1 + 0.1 * goal**2 + 0.1 * (luma[o] * whole) ** 2))
                    x = (split * (luma[o] * weight)).reshape(TRUST_KNOTS, -1)
                    gram[o, c] += x @ x.T
                    right[o, c] += x @ (goal * weight).reshape(-1)
        return np.linalg.solve(gram + 30 * np.eye(TRUST_KNOTS), right[..., None])[..., 0].astype(np.float32)

    def _fit_phase(self, index: int, p: int, x: F32) -> None:
        s = self.slices[index]
        pieces = [x[k] for k in self.pieces]
        steps = [self.step[k] for k in self.pieces]
        targets = [np.log2(np.square(v).mean(-1) + ENERGY_FLOOR).astype(np.float32) for v in pieces]
        stacks = [partial(c.stack, index) for c in self.contexts]
        weight, bias, shift = linear_energy(stacks, targets, steps, self.rng)
        sign_weight = None
        edges = s.sign_edges
        if s.sign_bins > 1 and self.contexts[0].sign_stack(index) is not None:
            targets = [(np.sign(v) * np.log2(1 + np.abs(v)))[..., 0].astype(np.float32) for v in pieces]
            m = ridge([partial(c.sign_stack, index) for c in self.contexts], targets, None, self.rng).reshape(
                9, -1, s.groups
            )
            scale = 127 / max(np.abs(m).max(), 1e-6)
            # one scale for all phases of a slice, set by the first that has one, so that they share the edges
            if not edges.any():
                self._sign_scale = scale / 2
                edges = (
                    np.tile(np.array([0.08, 0.2, 0.4, 0.8]) * self._sign_scale, (s.groups, 1))
                    .round()
                    .astype(np.float32)
                )
            sign_weight = np.clip(np.round(m * self._sign_scale), -127, 127).astype(np.float32)
        self.slices[index] = replace(
            s, weight=(*s.weight, weight), bias=(*s.bias, bias), shift=(*s.shift, shift),
            sign_weight=(*s.sign_weight, sign_weight), sign_edges=edges, hidden=(*s.hidden, None),
        )  # fmt: skip

    def _code_phase(self, index: int, p: int, x: F32, counts: F64, start: F64) -> I32:
        """Search and count, three times over the same phase, each with the counts of the time before."""
        s, spec = self.slices[index], self.config.slices[index]
        rows: list[I32] = []
        signs: list[F32] = []
        for c, k in zip(self.contexts, self.pieces, strict=True):
            r, sign = predict_rows(s, p, self.step[k], c.stack(index), c.sign_stack(index), c.phase_shape(index))
            rows.append(r)
            if sign is not None:
                signs.append(sign)
        row = np.concatenate(rows)
        sign = np.concatenate(signs) if signs else None
        flat = np.moveaxis(x if sign is None else x * sign[..., None], 3, 0).reshape(s.groups, -1, s.d)
        row_flat = np.moveaxis(row, 3, 0).reshape(s.groups, -1)
        mine = np.zeros_like(counts)
        for _ in range(3):
            cost = -np.log2(smooth_counts(counts + mine, start)).reshape(len(counts), -1, spec.codewords)
            symbols = Choice(self.codebooks[index], (BIT_WEIGHT * LAMBDA * cost).astype(np.float32))(flat, row_flat)
            mine = np.zeros_like(counts)
            group = np.zeros_like(symbols) if spec.shared else np.arange(s.groups)[:, None] + np.zeros_like(symbols)
            key = (group * (spec.sign_bins * self.config.rows) + row_flat) * spec.codewords + symbols
            mine += np.bincount(key.ravel(), minlength=counts.size).reshape(counts.shape)
        counts += mine
        self.bits += float(np.take_along_axis(cost.reshape(-1), key.ravel(), 0).sum())
        code = np.moveaxis(symbols.reshape(s.groups, *row.shape[:3]), 0, 3).astype(np.int32)
        if sign is not None:
            code = np.where(sign < 0, spec.codewords - 1 - code, code)
        for c, k in zip(self.contexts, self.pieces, strict=True):
            c.add(index, code[k])
        return code

    def _store(self, counts: F64, start: F64) -> U16:
        return pack_probabilities(smooth_counts(counts, start)).reshape(len(counts), -1, counts.shape[-1])


def fit_closed_form(config: ImageConfig, crops: U8, step: I64, *, seed: int = 0, verbose: bool = False) -> ClosedForm:
    """Fit everything on crops [N, H, W, 3] (sides multiples of 64), crop n coded at step index step[n]."""
    began = time.monotonic()
    fit = SliceFit(config, crops, step, seed)
    edges, low = fit.fit_low()
    for i in range(len(config.slices)):
        before = fit.bits
        fit.fit(i)
        if verbose:
            bpp = (fit.bits - before) / (crops.shape[0] * crops.shape[1] * crops.shape[2])
            print(
                f"{config.slices[i].name} {bpp:.4f} bits per pixel, {time.monotonic() - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    model = CodeModel(
        config.levels, config.low_codewords, edges, Tables(unpack_weights(low)), tuple(fit.slices),
        tuple(Tables(unpack_weights(t.reshape(-1, t.shape[-1]))) for t in fit.stored),
        tuple(s.shared for s in config.slices),
    )  # fmt: skip
    return ClosedForm(fit.colour, fit.codebooks, fit.trust, fit.stored, low, model)
