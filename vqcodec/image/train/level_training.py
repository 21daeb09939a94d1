"""Training of the network of one luma level (:mod:`vqcodec.image.level_network`) on the codes of many crops.

By the length of the code under the slice's own tables, which are counted anew now and then: soft in the row and in the
class of the sign, linear between the four entries around. The slice's linear parameters go on from where they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32, F64
from vqcodec.bitstream.coder import Tables
from vqcodec.image.codes import CodeModel
from vqcodec.image.config import SliceConfig
from vqcodec.image.context import Context
from vqcodec.image.level_network import Head, Layer, LevelNetwork, check_network
from vqcodec.image.seen import PictureMaps, map_edges
from vqcodec.image.sight import Sight
from vqcodec.image.train.code_cache import CodeCache
from vqcodec.image.train.codebooks import start_codebook
from vqcodec.prior.export import whole_weights
from vqcodec.prior.integer import ACTIVATION_LIMIT, VALUE_UNIT, PriorSlice, check_bounds, phase
from vqcodec.prior.knots import KNOTS, step_knots
from vqcodec.prior.network import ACTIVATION_UNIT, MAP_UNIT
from vqcodec.train.fits import smooth_counts, start_table
from vqcodec.train.loop import Length, faded
from vqcodec.train.phases import table_bits
from vqcodec.train.soap import Soap

__all__ = ["LevelCodes", "LevelTrainer", "Widths", "export_level", "level_codes"]

PIECE = 32  # crops at a time where nothing is learned
COUNTED = 1 << 21  # positions of a phase that tables are counted on between steps
FIRST_COUNT, COUNT_EVERY = 0.1, 0.15  # shares of the run
LINEAR = 0.1  # share of the learning rate that linear parameters have
WARM = 20  # steps until the learning rate is whole
CONSTANT = 0.3  # share of the run after which it falls
OPEN_CLASS = 1.4  # middle of the last class of the sign, in units of where it begins


@dataclass(frozen=True)
class Widths:
    """Channels of the trunk's convolutions, its features, units of the heads."""

    trunk: int = 48
    features: int = 32
    head: int = 40


@dataclass(frozen=True)
class LevelCodes:
    """A luma slice of all cached crops, on the grid of its phases.

    Attributes:
        maps: what the trunk sees, int8 [N, C, h, w].
        own: energies of the four phases, then their values, int8 [N, 24, h, w].
        symbols: codes, int16 [N, 4, 3, h, w].
        step: [N].
    """

    maps: Tensor
    own: Tensor
    symbols: Tensor
    step: Tensor

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, pick: Tensor | slice) -> LevelCodes:
        return LevelCodes(self.maps[pick], self.own[pick], self.symbols[pick], self.step[pick])

    @property
    def positions(self) -> int:
        """Of a phase of one crop."""
        return self.maps.shape[2] * self.maps.shape[3]

    def pieces(self, count: int | None = None) -> Iterator[LevelCodes]:
        """The first so many crops, some at a time."""
        count = min(count or len(self), len(self))
        for k in range(0, count, PIECE):
            yield self[k : min(k + PIECE, count)]


def level_codes(model: CodeModel, sight: Sight, cache: CodeCache, index: int) -> LevelCodes:
    """Codes of a luma slice, and what its network would see.

    Args:
        sight: with maps of the slice; its networks are not asked.
    """
    cells, parts = cache.size >> model.levels, []
    sight = replace(sight, networks={}, maps=sight.maps | {index: PictureMaps(*map_edges(model.slices[index].level))})
    for k in range(0, len(cache.step), PIECE):
        step = cache.step[k : k + PIECE]
        codes = [c[k : k + PIECE].astype(np.int32) for c in cache.codes]
        context = Context(model.slices, model.levels, len(step), cells, cells, sight)
        context.add_low(codes[0], step)
        for i, code in enumerate(codes[1 : index + 1]):
            context.add_whole(i, code)
        maps = context.network_maps(index)
        phases = [phase(codes[1 + index], p) for p in range(4)]
        for code in phases:
            context.add(index, code)
        own, symbols = context.own_maps(index), np.stack([c.transpose(0, 3, 1, 2) for c in phases], 1)
        assert own is not None
        parts.append([maps.astype(np.int8), own.astype(np.int8), symbols.astype(np.int16), step])
    return LevelCodes(*(torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)))


def _limited(x: Tensor) -> Tensor:
    return x.clamp(0, ACTIVATION_LIMIT * ACTIVATION_UNIT)


def _wide(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """3 x 3, edges repeated."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, bias)


def _spread(x: Tensor) -> Tensor:
    return x[:, :, None, None]


def _kernel(weight: F32) -> Tensor:
    """[9, C, g] of a slice as [g, C, 3, 3]."""
    _, channels, groups = weight.shape
    return torch.from_numpy(weight).permute(2, 1, 0).reshape(groups, channels, 3, 3).contiguous()


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


class _Head(nn.Module):
    """One phase; its output begins as what the slice's linear parameters say."""

    def __init__(self, s: PriorSlice, p: int, widths: Widths, sign_unit: float) -> None:
        super().__init__()
        self.p, self.groups = p, s.groups
        scale = np.ldexp(np.float32(1 / 16), -s.shift[p])  # the slice's output is in 1/16
        self.linear = nn.Parameter(_kernel(s.weight[p] * scale * np.float32(1 / MAP_UNIT)))
        # half a unit of rounding is part of the stored bias
        self.bias = nn.Buffer(torch.from_numpy(s.bias[p] * scale - 1 / 32).float())
        weight = s.sign_weight[p]
        self.signs: nn.Parameter | None = None
        if weight is not None:
            self.signs = nn.Parameter(_kernel(weight * np.float32(1 / (MAP_UNIT * sign_unit))))
        self.own: nn.Conv2d | None = None
        if p:
            self.own = nn.Conv2d(2 * s.groups * p, widths.head, 3, bias=False)
        self.first = nn.Conv2d(widths.features, widths.head, 1)
        self.first_knots = nn.Parameter(torch.zeros(KNOTS, widths.head))
        self.second = nn.Conv2d(widths.head, widths.head, 1)
        self.last = nn.Conv2d(widths.head, 2 * s.groups, 1)
        self.last_knots = nn.Parameter(torch.zeros(KNOTS, 2 * s.groups))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(_bias(self.last))

    def forward(
        self, features: Tensor, maps: Tensor, own: Tensor, step: Tensor, knots: Tensor
    ) -> tuple[Tensor, Tensor]:
        count = self.groups * self.p
        energies, values = own[:, :count], own[:, 4 * self.groups : 4 * self.groups + count]
        a = self.first(features) + _spread(knots @ self.first_knots)
        if self.own is not None:
            a = a + _wide(torch.cat([energies, values], 1), self.own.weight)
        added = self.last(_limited(self.second(_limited(a)))) + _spread(knots @ self.last_knots)
        # the slice itself sees energies of its phases and of the two coarser levels, which are the first maps
        context = torch.cat([energies, maps[:, : self.linear.shape[1] - count]], 1)
        energy = _wide(context, self.linear) + _spread(self.bias[step])
        value = added[:, self.groups :]
        if self.signs is not None:
            value = value + _wide(values, self.signs)
        return energy + added[:, : self.groups], value


class _Level(nn.Module):
    """Log2 energies and predicted values, in units of the sign's third threshold, of the four phases."""

    def __init__(self, s: PriorSlice, channels: int, widths: Widths) -> None:
        super().__init__()
        self.sign_unit = float(s.sign_edges[0, 2])
        self.trunk = nn.ModuleList(
            [
                nn.Conv2d(channels, widths.trunk, 3),
                nn.Conv2d(widths.trunk, widths.trunk, 3),
                nn.Conv2d(widths.trunk, widths.features, 1),
            ]
        )
        self.knots = nn.Parameter(torch.zeros(KNOTS, widths.trunk))
        self.heads = nn.ModuleList(_Head(s, p, widths, self.sign_unit) for p in range(4))

    def forward(self, codes: LevelCodes) -> list[tuple[Tensor, Tensor]]:
        maps, own, knots = codes.maps.float() * MAP_UNIT, codes.own.float() * MAP_UNIT, step_knots(codes.step)
        first, second, third = self.layers()
        x = _limited(_wide(maps, first.weight, first.bias) + _spread(knots @ self.knots))
        features = _limited(third(_limited(_wide(x, second.weight, second.bias))))
        return [head(features, maps, own, codes.step, knots) for head in self.phases()]

    def layers(self) -> list[nn.Conv2d]:
        """Of the trunk."""
        return [cast("nn.Conv2d", layer) for layer in self.trunk]

    def phases(self) -> list[_Head]:
        """The heads."""
        return [cast("_Head", head) for head in self.heads]

    def linear(self) -> list[nn.Parameter]:
        """Parameters that take small steps."""
        found = [p for head in self.phases() for p in (head.linear, head.signs, head.last_knots)]
        return [p for p in found if p is not None]


class LevelTrainer:
    """Trains the network of one luma slice; its tables are counted anew on the way.

    Args:
        tables: of the slice.
        shared: whether all groups have one table.
    """

    def __init__(
        self, spec: SliceConfig, s: PriorSlice, tables: Tables, codes: LevelCodes, widths: Widths, seed: int
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = _Level(s, codes.maps.shape[1], widths)
        self.spec, self.slice, self.codes = spec, s, codes
        self.bits = table_bits(s, tables)  # [g, rows, classes, K]
        edges = torch.from_numpy(s.sign_edges[0]) / self.network.sign_unit
        self._edges = edges
        # where a class's own table holds: at 0 for the first, which knows no sign
        self._middles = torch.cat([torch.zeros(1), (edges[1:] + edges[:-1]) / 2, OPEN_CLASS * edges[-1:]])
        self._group = torch.arange(s.groups)[:, None, None]
        self._start = start_table(spec.row_width, start_codebook(spec), s.row_offset, s.rows)
        self._generator = torch.Generator().manual_seed(seed)

    def fit(self, length: Length, learning_rate: float, positions: int) -> int:
        """Train, on so many positions of a phase in a step; returns the number of steps."""
        linear = self.network.linear()
        fast = [p for p in self.network.parameters() if all(p is not q for q in linear)]
        optimiser = Soap([{"params": fast, "factor": 1.0}, {"params": linear, "factor": LINEAR}])
        batch = max(1, positions // self.codes.positions)
        began, count, share, counted = time.monotonic(), 0, 0.0, FIRST_COUNT
        self.bits = self._counted(COUNTED)
        while share < 1:
            if share > counted:
                self.bits, counted = self._counted(COUNTED), counted + COUNT_EVERY
            fading = faded(max(0.0, (share - CONSTANT) / (1 - CONSTANT)))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * group["factor"] * min(1, (count + 1) / WARM) * fading
            part = self.codes[torch.randint(len(self.codes), (batch,), generator=self._generator)]
            lengths = [self._soft(e, v, part.symbols[:, p]) for p, (e, v) in enumerate(self.network(part))]
            loss = torch.stack(lengths).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            count += 1
            share = length.share(began, count)
        self.count()
        return count

    def count(self) -> None:
        """Count the tables under the network as it is."""
        self.bits = self._counted()

    def _soft(self, energy: Tensor, value: Tensor, symbols: Tensor) -> Tensor:
        """Mean length of codes [B, g, h, w], linear between the entries whose middles are around it."""
        s, classes = self.slice, self.slice.sign_bins
        row = ((energy * 16 - s.row_offset) / s.row_width - 0.5).clamp(0, s.rows - 1.001)
        size = value.abs().clamp(max=0.999 * float(self._middles[-1]))
        near = torch.bucketize(size.detach(), self._middles[1:-1], right=True)
        below = self._middles[near]
        share = (size - below) / (self._middles[near + 1] - below)
        low = row.detach().long()
        at = self._place(low, near, value, symbols)
        flat = self.bits.flatten()
        # of this row and of the next one
        here, ahead = (flat[k] + share * (flat[k + s.codewords] - flat[k]) for k in (at, at + classes * s.codewords))
        return (here + (row - low) * (ahead - here)).mean()

    def _place(self, row: Tensor, sign: Tensor, value: Tensor, symbols: Tensor) -> Tensor:
        """Where in the flat tables a code is, mirrored where the predicted value is negative."""
        s, symbols = self.slice, symbols.long()
        symbol = torch.where(value < 0, s.codewords - 1 - symbols, symbols)
        return ((self._group * s.rows + row) * s.sign_bins + sign) * s.codewords + symbol

    def _hard(self, codes: LevelCodes) -> list[Tensor]:
        """The same of every phase under the rows that coding takes."""
        s, out = self.slice, []
        for p, (energy, value) in enumerate(self.network(codes)):
            row = (((energy * 16).round() - s.row_offset) / s.row_width).floor().clamp(0, s.rows - 1).long()
            sign = torch.bucketize(value.abs(), self._edges, right=True)
            out.append(self._place(row, sign, value, codes.symbols[:, p]))
        return out

    @torch.no_grad()
    def _probabilities(self, positions: int | None = None) -> F64:
        """Tables [g or 1, rows, classes, K], counted on so many positions, or on all."""
        s = self.slice
        counts = torch.zeros(s.groups * s.rows * s.sign_bins * s.codewords, dtype=torch.long)
        for part in self.codes.pieces(positions and -(-positions // self.codes.positions)):
            for at in self._hard(part):
                counts += torch.bincount(at.flatten(), minlength=len(counts))
        table = counts.reshape(s.groups, s.rows, s.sign_bins, s.codewords).double().numpy()
        return smooth_counts(table.sum(0, keepdims=True) if self.spec.shared else table, self._start)

    def _counted(self, positions: int | None = None) -> Tensor:
        bits = torch.from_numpy(-np.log2(self._probabilities(positions))).float()
        return bits.expand(self.slice.groups, -1, -1, -1).contiguous()

    @torch.no_grad()
    def length(self, codes: LevelCodes) -> float:
        """Bits of codes in float arithmetic, under the present tables."""
        flat = self.bits.flatten()
        return sum(float(flat[at].double().sum()) for part in codes.pieces() for at in self._hard(part))


@torch.no_grad()
def export_level(network: _Level, s: PriorSlice) -> tuple[PriorSlice, LevelNetwork]:
    """The slice with its linear parameters as trained, and the network in integers.

    Raises:
        ValueError: a product sum could leave the exact range of float32.
    """
    # thresholds and linear weights of the sign get smaller together where a weight would leave int8
    largest = MAP_UNIT * max(float(head.signs.abs().max()) for head in network.phases() if head.signs is not None)
    unit = network.sign_unit / max(1.0, network.sign_unit * largest / 127)
    steps = step_knots(torch.arange(256)).double()
    a, b, c = network.layers()
    between, activation = MAP_UNIT / ACTIVATION_UNIT, 1 / ACTIVATION_UNIT
    trunk = (
        _layer(_taps(a.weight) * between, (_bias(a) + steps @ network.knots.double()) * activation),
        _layer(_taps(b.weight), _bias(b) * activation),
        _layer(_matrix(c.weight), _bias(c) * activation),
    )
    # log energies are in 1/16, predicted values in units of the slice's thresholds
    units = np.array([16.0] * s.groups + [unit / VALUE_UNIT] * s.groups)
    heads, linear, signs = [], [], []
    for head in network.phases():
        own = np.zeros((9, 0, head.first.out_channels)) if head.own is None else _taps(head.own.weight) * between
        features = _matrix(head.first.weight)
        joined = np.concatenate([own.reshape(-1, own.shape[2]), features])  # they share a shift
        first = _layer(joined, (_bias(head.first) + steps @ head.first_knots.double()) * activation)
        own_weight, feature_weight = np.split(first.weight, [len(joined) - len(features)])
        second = _layer(_matrix(head.second.weight), _bias(head.second) * activation)
        last = _layer(
            _matrix(head.last.weight) * ACTIVATION_UNIT * units,
            (_bias(head.last) + steps @ head.last_knots.double()) * torch.from_numpy(units),
        )
        heads.append(Head(own_weight.reshape(own.shape), replace(first, weight=feature_weight), second, last))
        linear.append(_layer(_taps(head.linear) * (16 * MAP_UNIT), head.bias.double() * 16))
        sign = None if head.signs is None else np.round(_taps(head.signs) * (unit * MAP_UNIT))
        signs.append(None if sign is None else sign.astype(np.float32))
    fine, edges = map_edges(s.level)
    whole = LevelNetwork(trunk, tuple(heads), fine, edges)
    check_network(f"level {s.level}", whole)
    changed = replace(
        s, weight=tuple(x.weight for x in linear), bias=tuple(x.bias for x in linear),
        shift=tuple(x.shift for x in linear), sign_weight=tuple(signs), hidden=(None,) * 4,
        sign_edges=np.round(s.sign_edges * np.float32(unit / network.sign_unit)),
    )  # fmt: skip
    check_bounds(changed)
    return changed, whole


def _layer(weight: F64, bias: Tensor) -> Layer:
    """Weights [9, C, n] or [C, n] and biases [..., n], both in units of the result."""
    whole, whole_bias, shift = whole_weights(weight.reshape(-1, weight.shape[-1]), bias.double().numpy())
    return Layer(whole.reshape(weight.shape), whole_bias, shift)


def _taps(weight: Tensor) -> F64:
    """[n, C, 3, 3] as [9, C, n]."""
    return weight.double().flatten(2).permute(2, 1, 0).numpy()


def _matrix(weight: Tensor) -> F64:
    """[n, C, 1, 1] as [C, n]."""
    return weight.double().flatten(1).T.numpy()
