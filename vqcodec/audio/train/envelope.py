"""The priors of envelope and powers as torch networks, trained on code length; exported to the integers of coding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vqcodec.audio.walk import FRACTIONS, EnvelopePrior, check_envelope_bounds
from vqcodec.prior.export import whole_weights
from vqcodec.prior.integer import ACTIVATION_LIMIT
from vqcodec.prior.knots import KNOTS, step_knots
from vqcodec.prior.network import ACTIVATION_UNIT

__all__ = ["CLASSES_PER_OCTAVE", "CLASS_FLOOR", "EnvelopeNetwork", "export_envelope"]

CLASSES_PER_OCTAVE = 2  # of the predicted spread
CLASS_FLOOR = 4.0  # class 0 stands for spreads of 2**-4 units and less


class EnvelopeNetwork(nn.Module):
    """Mean and log2 spread of some values from others (see :class:`vqcodec.audio.codes.EnvelopePrior`).

    Args:
        inputs: how many others there are.
        like: of every value, the input that it is about.
        width: units per hidden layer.
    """

    def __init__(self, inputs: int, like: Tensor, width: int) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.zeros(inputs, 2 * len(like)))
        with torch.no_grad():
            self.linear[like, torch.arange(len(like))] = 0.9
        self.bias = nn.Parameter(torch.zeros(KNOTS, 2 * len(like)))
        self.first = nn.Parameter(torch.randn(inputs, width) * 0.05)
        self.first_bias = nn.Parameter(torch.rand(KNOTS, width))
        self.second = nn.Parameter(torch.randn(width, width) / width**0.5)
        self.second_bias = nn.Parameter(torch.full((width,), 0.5))
        self.last = nn.Parameter(torch.zeros(width, 2 * len(like)))

    def forward(self, inputs: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log2 spread [N, h] from integer inputs [N, inputs] (as float) and step indices [N]."""
        limit, knots = ACTIVATION_LIMIT * ACTIVATION_UNIT, step_knots(step)
        a = (inputs @ self.first + knots @ self.first_bias).clamp(0, limit)
        a = (a @ self.second + self.second_bias).clamp(0, limit)
        mean, spread = (inputs @ self.linear + a @ self.last + knots @ self.bias).chunk(2, 1)
        return mean, spread


@torch.no_grad()
def export_envelope(network: EnvelopeNetwork) -> EnvelopePrior:
    """The integers of a trained network.

    Raises:
        ValueError: a sum could leave the exact range of float32.
    """
    p = {name: value.double().numpy() for name, value in network.state_dict().items()}
    knots = step_knots(torch.arange(256)).double().numpy()
    half = p["linear"].shape[1] // 2
    unit = np.repeat([FRACTIONS, CLASSES_PER_OCTAVE], half)
    first, first_bias, first_shift = whole_weights(
        p["first"] / ACTIVATION_UNIT, knots @ p["first_bias"] / ACTIVATION_UNIT
    )
    second, second_bias, second_shift = whole_weights(p["second"], p["second_bias"] / ACTIVATION_UNIT)
    joined = np.concatenate([p["last"] * ACTIVATION_UNIT, p["linear"]]) * unit
    bias = knots @ p["bias"] * unit + np.repeat([0.0, CLASSES_PER_OCTAVE * CLASS_FLOOR], half)
    last, last_bias, last_shift = whole_weights(joined, bias)
    prior = EnvelopePrior(
        first, first_bias, first_shift, second, second_bias, second_shift, last, last_bias, last_shift
    )
    check_envelope_bounds(prior)
    return prior
