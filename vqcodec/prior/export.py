"""A trained phase to the integers that coding uses, and what tables they ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vqcodec.bitstream.arrays import F32, F64, I32
from vqcodec.prior.integer import Hidden, PriorSlice, check_bounds
from vqcodec.prior.knots import step_knots
from vqcodec.prior.network import ACTIVATION_UNIT, MAP_UNIT, PhaseNetwork

__all__ = ["export_phase", "whole_weights"]


def whole_weights(weight: F64, bias: F64) -> tuple[F32, F32, I32]:
    """int8 weights [n, out] with a power of two per output, and biases [..., out]; half a unit of rounding included."""
    size = np.abs(weight).max(0, initial=0.0)
    shift = np.clip(np.floor(np.log2(127 / np.maximum(size, 1e-6))), 0, 12).astype(np.int32)
    scale = np.ldexp(1.0, shift)
    whole = np.clip(np.round(weight * scale), -127, 127)
    return whole.astype(np.float32), np.round(bias * scale + scale / 2).astype(np.float32), shift


@torch.no_grad()
def export_phase(network: PhaseNetwork, s: PriorSlice, index: int) -> PriorSlice:
    """The slice with a trained network in one phase.

    Raises:
        ValueError: a product sum could leave the exact range of float32.
    """
    p = {name: value.double().numpy() for name, value in network.state_dict().items()}
    knots = step_knots(torch.arange(256)).double().numpy()
    inputs, width = p["first"].shape
    # activations are integers in ACTIVATION_UNIT, maps in MAP_UNIT, the energy in 1/16
    first, first_bias, first_shift = whole_weights(
        p["first"] * (MAP_UNIT / ACTIVATION_UNIT), knots @ p["first_bias"] / ACTIVATION_UNIT
    )
    second, second_bias, second_shift = whole_weights(p["second"], p["second_bias"] / ACTIVATION_UNIT)
    joined = np.concatenate([p["linear"] * (16 * MAP_UNIT), p["last"] * (16 * ACTIVATION_UNIT)])
    whole, bias, shift = whole_weights(joined, 16 * (p["bias"] + knots @ p["shift"]))
    hidden = Hidden(
        first.reshape(9, -1, width), first_bias, first_shift, second, second_bias, second_shift, whole[inputs:]
    )

    def put(old: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
        return (*old[:index], new, *old[index + 1 :])

    out = replace(
        s,
        weight=put(s.weight, whole[:inputs].reshape(9, -1, s.groups)),
        bias=put(s.bias, bias),
        shift=put(s.shift, shift),
        hidden=put(s.hidden, hidden),
    )
    check_bounds(out)
    return out
