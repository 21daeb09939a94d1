"""Stage "prior" of an audio model: the integer prior and its tables, fitted on the codes of a trained transform.

The transform is not in the loop: stretches are coded once, the envelope's network is trained on its codes, then phase
by phase of the lines a ridge regression starts and a network goes on, each on its true context. At last the tables are
counted under the integer rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vqcodec.audio.attacks import short_frames
from vqcodec.audio.config import AudioConfig
from vqcodec.audio.mdct import HOP, mdct_window
from vqcodec.audio.model import AudioModel, audio_code_model, integer_arrays
from vqcodec.audio.powers import COARSEST_STEP, MOMENT, PER_FRAME, powers_of
from vqcodec.audio.stereo import ANGLES, MIDDLE
from vqcodec.audio.train.data import AudioSource, Folder
from vqcodec.audio.train.network import AudioNetworks
from vqcodec.audio.train.values import StretchCodes, fit_priors, residual_symbols, value_tables
from vqcodec.audio.transform import AudioTransform
from vqcodec.audio.walk import RESIDUAL_LIMIT, AudioCodeModel, expected_map, walk_envelope, walk_lines, walk_unit_powers
from vqcodec.bitstream.arrays import F32, F64, I32, U16, Arrays
from vqcodec.bitstream.coder import Tables
from vqcodec.bitstream.tables import pack_probabilities, unpack_weights
from vqcodec.prior.choice import Choice
from vqcodec.prior.export import export_phase
from vqcodec.prior.integer import PriorSlice, context_stack, phase, predict_rows
from vqcodec.prior.knots import step_knots
from vqcodec.prior.network import PhaseNetwork
from vqcodec.prior.rate import LAMBDA, bit_costs
from vqcodec.train.fits import linear_energy, map_values, scalar_codebook, smooth_counts, start_table
from vqcodec.train.loop import Length, log_line
from vqcodec.train.phases import PhaseCodes, Rates, fit_phase, phase_codes, table_bits

__all__ = ["AudioPriorOptions", "fit_audio_prior"]

PIECE = 8  # stretches that share one context array
SHARES = (0.2, 0.1, 0.7)  # of the minutes: for envelope, powers and lines


@dataclass(frozen=True)
class AudioPriorOptions:
    """Options of the stage; the defaults made the shipped weights.

    Attributes:
        stretches, held_out: of four seconds, to fit on and for the figures.
        minutes: of gradient steps.
    """

    stretches: int = 480
    held_out: int = 48
    minutes: float = 6.0
    seed: int = 31


def _analyse(transform: AudioTransform, source: AudioSource, count: int, frames: int) -> StretchCodes:
    step = source.rng.integers(0, 256, count)
    envelopes, powers, lines = [], [], []
    for index in step:
        sound = source.batch(1, frames - 1, jitter=0.0).numpy()
        powers.append(np.rint(powers_of(np.pad(sound, ((0, 0), (MOMENT, HOP))), [(0,)])[0]).astype(np.int32))
        samples = np.pad(sound, ((0, 0), (HOP, HOP)))
        short = short_frames(samples)[0]
        x = mdct_window(samples, np.pad(short, 1))[0]
        wanted, move = transform.analyse(x, short, int(index))
        envelope = np.round(wanted)
        _, log_step = transform.curves(envelope * transform.envelope_unit(int(index)), int(index))
        envelopes.append(envelope.astype(np.int32))
        lines.append(transform.lines(x, move, log_step))
    return StretchCodes(step, np.stack(envelopes), np.stack(powers), np.stack(lines))


def _no_phases(config: AudioConfig) -> PriorSlice:
    """The prior of the lines before any phase is fitted."""
    codebook = scalar_codebook(config.codewords, config.core, config.reach)
    energy, signed = map_values(codebook[None])
    edges = np.zeros((1, 0), np.float32)
    return PriorSlice(
        1, False, 1, 1, (), (), (), (), edges, energy, signed, config.row_offset, config.row_width, config.rows, ()
    )


class _LinesFit:
    """Fits the phases of the lines one after another and codes them by the search under the tables of the moment."""

    def __init__(self, config: AudioConfig, base: AudioCodeModel, codes: StretchCodes, seed: int) -> None:
        self.config, self.base, self.step = config, base, codes.step
        self.rng = np.random.default_rng(seed)
        even = codes.lines.shape[1] // 2 * 2
        self.lines = codes.lines[:, :even]
        self.pieces = [slice(k, min(k + PIECE, len(self.step))) for k in range(0, len(self.step), PIECE)]
        self.expected = [
            expected_map(base, self.step[k], codes.envelope[k, :even])[..., None].astype(np.int8) for k in self.pieces
        ]
        self.codebook = scalar_codebook(config.codewords, config.core, config.reach)
        self.own: list[list[npt.NDArray[np.int8]]] = []
        self.slice = base.lines
        self.start = start_table(config.row_width, self.codebook, config.row_offset, config.rows)
        self.counts = np.zeros((1, config.rows, 1, config.codewords))

    def stack(self, piece: int) -> F32:
        """Context of the next phase for one piece."""
        h, w = self.lines.shape[1] // 2, self.lines.shape[2] // 2
        own = [m[piece].astype(np.float32) for m in self.own]
        return context_stack(own, [self.expected[piece].astype(np.float32)], h, w)

    def fit(self, p: int, seconds: float) -> None:
        """Prior, tables and codes of one phase."""
        x = np.ascontiguousarray(phase(self.lines, p))[..., None]
        targets = [np.log2(np.square(x[k]) + 0.03).astype(np.float32) for k in self.pieces]
        stacks = [(lambda i=i: self.stack(i)) for i in range(len(self.pieces))]
        weight, bias, shift = linear_energy(stacks, targets, [self.step[k] for k in self.pieces], self.rng)
        s = self.slice
        self.slice = replace(
            s, weight=(*s.weight, weight), bias=(*s.bias, bias), shift=(*s.shift, shift),
            sign_weight=(*s.sign_weight, None), hidden=(*s.hidden, None),
        )  # fmt: skip
        symbols = self._code(p, x)
        self._train(p, symbols, seconds)
        symbols = self._code(p, x)
        self.counts += self._count(p, symbols)
        energy = self.slice.energy[0].astype(np.int8)
        self.own.append([energy[symbols[k]] for k in self.pieces])

    def _rows(self, p: int, piece: int) -> I32:
        k = self.pieces[piece]
        shape = (k.stop - k.start, self.lines.shape[1] // 2, self.lines.shape[2] // 2)
        rows, _ = predict_rows(self.slice, p, self.step[k], self.stack(piece), None, shape)
        return rows[..., 0]

    def _code(self, p: int, x: F32) -> I32:
        """Search under counted tables, twice, each time with the counts of the time before."""
        rows = np.concatenate([self._rows(p, i) for i in range(len(self.pieces))])
        counts = self.counts
        for _ in range(2):
            bits = -np.log2(smooth_counts(counts, self.start))[0, :, 0]
            choice = Choice(self.codebook.numpy()[None], (LAMBDA * bits).astype(np.float32)[None])
            found = [choice(x[k].reshape(1, -1, 1), rows[k].reshape(1, -1)).reshape(rows[k].shape) for k in self.pieces]
            symbols = np.concatenate(found).astype(np.int32)
            counts = self.counts + self._count(p, symbols, rows)
        return symbols

    def _count(self, p: int, symbols: I32, rows: I32 | None = None) -> F64:
        if rows is None:
            rows = np.concatenate([self._rows(p, i) for i in range(len(self.pieces))])
        key = rows.astype(np.int64).ravel() * self.config.codewords + symbols.ravel()
        return np.bincount(key, minlength=self.counts.size).reshape(self.counts.shape).astype(np.float64)

    def _train(self, p: int, symbols: I32, seconds: float) -> None:
        tables = Tables(
            unpack_weights(
                pack_probabilities(smooth_counts(self.counts + self._count(p, symbols), self.start)[0, :, 0])
            )
        )
        bits = table_bits(self.slice, tables)
        with torch.random.fork_rng():
            torch.manual_seed(p)
            network = PhaseNetwork(self.slice, p, self.config.prior_width)
        rates = Rates(linear=5e-4)
        fit_phase(network, self.slice, bits, self._phase_codes(symbols), length=Length(seconds), rates=rates, seed=p)
        self.slice = export_phase(network, self.slice, p)

    def _phase_codes(self, symbols: I32) -> PhaseCodes:
        stacks = [self.stack(i) for i in range(len(self.pieces))]
        wide = symbols[..., None].astype(np.int64)
        return phase_codes(stacks, self.step, np.zeros_like(wide), wide)

    def table(self) -> U16:
        """All counts as stored weights [rows, K]."""
        return pack_probabilities(smooth_counts(self.counts, self.start)[0, :, 0])


def _expectation(transform: AudioTransform) -> tuple[F32, F32, F32]:
    """Factor, offset and spread of audio.codes.expected_map from the learned curves."""
    zero, one = (np.full((1, len(transform.spread)), v, np.float32) for v in (0.0, 1.0))
    factor, offset = [], []
    for step in range(256):
        (amplitude0, log_step0), (amplitude1, log_step1) = (transform.curves(e, step) for e in (zero, one))
        rise = 2 * ((amplitude1 - log_step1) - (amplitude0 - log_step0))[0, 0]  # log2 energy in steps per unit of e
        factor.append(np.round(rise * transform.envelope_unit(step) * 8 * 1024 / 64))
        offset.append(np.round(2 * (amplitude0 - log_step0)[0] * 8 * 1024 + 512))
    return np.array(factor, np.float32), np.array(offset, np.float32), np.round(64 * transform.spread)


def _fixed_tables() -> dict[str, U16]:
    """Of short frames and angles, of which mono sound tells little: one in thirty; mostly as before, or the middle."""
    size = np.arange(ANGLES)
    apart = np.minimum((size[:, None] - size) % ANGLES, (size - size[:, None]) % ANGLES)
    near = np.exp2(-np.minimum(apart, 4.0)) + 32.0 * (apart == 0) + 4.0 * (size == MIDDLE)
    first = (np.exp2(-np.minimum(abs(size - MIDDLE), 4.0)) + 16.0 * (size == MIDDLE))[None]
    angles = np.concatenate([near, first])
    return {
        "short": pack_probabilities(np.array([[29 / 30, 1 / 30]])),
        "angles": pack_probabilities(angles / angles.sum(1, keepdims=True)),
    }


def fit_audio_prior(
    config: AudioConfig, networks: AudioNetworks, folders: Sequence[Folder], run: Path, options: AudioPriorOptions
) -> AudioModel:
    """Fit prior and tables for a transform.

    Args:
        networks: trained; their matrices are taken in half precision, as the file holds them.
        folders: training sound; the figures in ``run/log.jsonl`` are of the held-out part.
        run: folder of the run: log and converted sounds.
    """
    tensors = half_precision(networks)
    transform = AudioTransform(config, tensors)
    codes = _analyse(transform, AudioSource(folders, run / "sounds", options.seed), options.stretches, 200)
    bands = codes.envelope.shape[2]
    start = _start(codes)
    seconds = [60 * options.minutes * share for share in SHARES]
    envelope, powers = fit_priors(config, start, codes, seconds[:2], options.seed)
    factor, offset, spread = _expectation(transform)
    blank = Tables(np.ones((1, 2), np.uint32))
    base = AudioCodeModel(
        start,
        envelope,
        config.spread_classes,
        blank,
        powers,
        blank,
        factor,
        offset,
        spread,
        _no_phases(config),
        blank,
        blank,
        blank,
    )
    fit = _LinesFit(config, base, codes, options.seed)
    for p in range(4):
        fit.fit(p, seconds[2] / 4)
    codes_model = replace(base, lines=fit.slice)
    tables = value_tables(base, codes) | {"lines": fit.table()} | _fixed_tables()
    stored = integer_arrays(codes_model, tables)
    model = AudioModel(config, tensors, fit.codebook.numpy(), audio_code_model(config, stored), stored)
    test = _analyse(transform, AudioSource(folders, run / "sounds", options.seed, part="test"), options.held_out, 200)
    report = {"stage": "prior", "bands": bands, **_report(model, test)}
    log_line(run, report)
    return model


def half_precision(networks: AudioNetworks) -> Arrays:
    """Tensors of the networks as a file holds them: matrices in 16 bits."""
    arrays = {k: v.detach().cpu().numpy() for k, v in networks.state_dict().items()}
    return {k: v.astype(np.float16) if v.ndim == 2 and v.size > 10_000 else v for k, v in arrays.items()}


def _start(codes: StretchCodes) -> I32:
    """Mean envelope at every step index, by regression on the knots."""
    x = step_knots(torch.from_numpy(codes.step)).double().numpy()
    y = codes.envelope.mean(1)
    weights = np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ y)
    return np.round(step_knots(torch.arange(256)).double().numpy() @ weights).astype(np.int32)


def _report(model: AudioModel, test: StretchCodes) -> dict[str, Any]:
    """Rates of envelope, powers and lines on held-out stretches, by third of the step range, and of simpler codes."""
    codes = model.codes
    envelope_bits, power_bits, line_bits = (
        bit_costs(tables) for tables in (codes.envelope_tables, codes.power_tables, codes.line_tables)
    )
    choice = Choice(model.codebook[None], (np.float32(LAMBDA) * line_bits)[None])
    spent = np.zeros((3, len(test.step)))
    step, around, told = test.with_powers()
    even = test.lines.shape[1] // 2 * 2

    def envelope(t: int, half: int, rows: I32, prediction: I32) -> I32:
        values = test.envelope[:, t, half::2]
        spent[0] += envelope_bits[rows, residual_symbols(values, prediction)].sum(1)
        return values

    def powers(half: int, rows: I32, prediction: I32) -> I32:
        values = told[:, half::PER_FRAME]
        spent[1, test.step <= COARSEST_STEP] += power_bits[rows, residual_symbols(values, prediction)].sum((1, 2))
        return values

    found = []

    def lines(p: int, rows: I32) -> I32:
        x = np.ascontiguousarray(phase(test.lines[:, :even], p))
        symbols: I32 = choice(x.reshape(1, -1, 1), rows.reshape(1, -1)).reshape(rows.shape)
        spent[2] += line_bits[rows, symbols].sum((1, 2))
        found.append(symbols)
        return symbols

    walk_envelope(codes, test.step, test.envelope.shape[1], envelope)
    walk_unit_powers(codes, step, around, powers)
    walk_lines(codes, test.step, test.envelope[:, :even], lines)
    frames = test.envelope.shape[1]
    third = test.step * 3 // 256
    fixed = np.log2(codes.lines.codewords) * HOP + np.log2(2 * RESIDUAL_LIMIT + 1) * codes.bands
    static = 0.0
    symbols = np.concatenate([f.reshape(len(test.step), -1) for f in found], 1)
    for q in range(3):
        counts = np.bincount(symbols[third == q].ravel(), minlength=codes.lines.codewords)
        p = counts[counts > 0] / max(counts.sum(), 1)
        static += float(-(counts[counts > 0] * np.log2(p)).sum())
    return {
        "kbit_per_s": [[round(float(b[third == q].mean()) / frames * 0.05, 3) for b in spent] for q in range(3)],
        "fixed_kbit_per_s": round(float(fixed) * 0.05, 1),
        "lines_static_over_prior": round(static / float(spent[2].sum()), 3),
    }
