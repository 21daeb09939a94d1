"""Training of one phase of a prior on the codes of many crops or stretches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream.arrays import F32, I64
from vqcodec.bitstream.coder import Tables
from vqcodec.prior.integer import PriorSlice
from vqcodec.prior.network import PhaseNetwork, code_bits
from vqcodec.train.loop import Length, faded

__all__ = ["PhaseCodes", "Rates", "fit_phase", "phase_codes", "table_bits"]


@dataclass(frozen=True)
class Rates:
    """Learning rates of the linear part and of the branch, with a cosine to 2 %; positions per step."""

    linear: float = 2e-4
    hidden: float = 2e-3
    batch: int = 4096


@dataclass(frozen=True)
class PhaseCodes:
    """One phase of one slice of all cached crops: N positions, g codes each.

    Attributes:
        maps: padded context maps of all crops, flat, int8 [M, C].
        corner: [N] where in ``maps`` the 3x3 neighbourhood of a position begins.
        offsets: [9] from there.
        step, bins, symbols: [N], [N, g], [N, g] (mirrored where the sign says so).
    """

    maps: Tensor
    corner: Tensor
    offsets: Tensor
    step: Tensor
    bins: Tensor
    symbols: Tensor

    def __len__(self) -> int:
        return len(self.corner)

    def patches(self, pick: Tensor) -> Tensor:
        """Neighbourhoods [n, 9 * C] as float, in the order of the prior's weights."""
        return self.maps[self.corner[pick][:, None] + self.offsets].flatten(1).float()


def phase_codes(stacks: Sequence[F32], step: I64, bins: I64, symbols: I64) -> PhaseCodes:
    """Codes of one phase for training.

    Args:
        stacks: contexts of some crops each, [B, h + 2, w + 2, C]; N crops together.
        step: [N] step indices.
        bins, symbols: [N, h, w, g], mirrored where the sign says so.
    """
    n, h, w, g = symbols.shape
    corner = (torch.arange(n)[:, None, None] * (h + 2) + torch.arange(h)[:, None]) * (w + 2) + torch.arange(w)
    return PhaseCodes(
        maps=torch.cat([torch.from_numpy(s.astype(np.int8)).flatten(0, 2) for s in stacks]),
        corner=corner.flatten(),
        offsets=torch.tensor([(t // 3) * (w + 2) + t % 3 for t in range(9)]),
        step=torch.from_numpy(step).repeat_interleave(h * w),
        bins=torch.from_numpy(bins).reshape(-1, g),
        symbols=torch.from_numpy(symbols).reshape(-1, g),
    )


def table_bits(s: PriorSlice, tables: Tables) -> Tensor:
    """Bits of every symbol of a slice, [g, rows, sign_bins, K]."""
    w = torch.from_numpy(tables.weights.astype(np.float64))
    bits = (w.sum(1, keepdim=True).log2() - w.log2()).float().reshape(-1, s.rows, s.sign_bins, s.codewords)
    return bits.expand(s.groups, -1, -1, -1).contiguous()


def fit_phase(
    network: PhaseNetwork,
    s: PriorSlice,
    bits: Tensor,
    codes: PhaseCodes,
    *,
    length: Length,
    rates: Rates,
    seed: int,
) -> int:
    """Train the network of one phase on its codes, under tables of so many bits; returns the number of steps."""
    generator = torch.Generator().manual_seed(seed)
    linear = [network.linear, network.shift]
    hidden = [p for p in network.parameters() if all(p is not q for q in linear)]
    optimiser = torch.optim.Adam(
        [{"params": linear, "lr": rates.linear}, {"params": hidden, "lr": rates.hidden}], betas=(0.9, 0.99)
    )
    began, count, share = time.monotonic(), 0, 0.0
    with torch.enable_grad():
        while share < 1:
            for group, rate in zip(optimiser.param_groups, (rates.linear, rates.hidden), strict=True):
                group["lr"] = rate * faded(share)
            pick = torch.randint(len(codes), (rates.batch,), generator=generator)
            energy = network(codes.patches(pick), codes.step[pick])
            loss = code_bits(bits, s, energy, codes.bins[pick], codes.symbols[pick]).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            count += 1
            share = length.share(began, count)
    return count
