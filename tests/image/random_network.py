"""Networks of the prior with random weights: small, and with activations between their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.image.codes import CodeModel
from vqcodec.image.config import ImageConfig
from vqcodec.image.level_network import Head, Layer, LevelNetwork, check_network
from vqcodec.image.seen import CHANNELS, low_units, map_edges, whole_codewords
from vqcodec.image.sight import Sight

TRUNK, FEATURES, HEAD = 5, 4, 6
MIDDLE = 125  # of activations


def _weight(rng: np.random.Generator, *shape: int) -> F32:
    return rng.integers(-9, 10, shape).astype(np.float32)


def _layer(
    rng: np.random.Generator, shape: tuple[int, ...], shifts: tuple[int, int], typical: int, *, by_step: bool
) -> Layer:
    """Biases put the middle of the results between the limits, given the inputs' middle."""
    weight, shift = _weight(rng, *shape), rng.integers(shifts[0], shifts[1] + 1, shape[-1]).astype(np.int32)
    middle = rng.uniform(60, 190, (256, shape[-1]) if by_step else shape[-1]) * 2.0**shift
    bias = middle - typical * weight.reshape(-1, shape[-1]).sum(0)
    return Layer(weight, np.floor(bias).astype(np.float32), shift)


def _last(rng: np.random.Generator, groups: int) -> Layer:
    """Differs by a few rows and classes of signs; either sign."""
    weight, shift = _weight(rng, HEAD, 2 * groups), rng.integers(5, 8, 2 * groups).astype(np.int32)
    middle = rng.uniform(-9, 9, (256, 2 * groups)) * 2.0**shift - MIDDLE * weight.sum(0)
    return Layer(weight, np.floor(middle).astype(np.float32), shift)


def random_network(level: int, inputs: int, groups: int, rng: np.random.Generator) -> LevelNetwork:
    """Of a luma slice.

    Args:
        inputs: channels that its trunk sees.
        groups: of the slice.
    """
    trunk = (
        _layer(rng, (9, inputs, TRUNK), (5, 6), 0, by_step=True),
        _layer(rng, (9, TRUNK, TRUNK), (4, 6), MIDDLE, by_step=False),
        _layer(rng, (TRUNK, FEATURES), (3, 4), MIDDLE, by_step=False),
    )
    heads = tuple(
        Head(
            own=_weight(rng, 9, 2 * groups * p, HEAD),
            first=_layer(rng, (FEATURES, HEAD), (4, 6), MIDDLE, by_step=True),
            second=_layer(rng, (HEAD, HEAD), (3, 4), MIDDLE, by_step=False),
            last=_last(rng, groups),
        )
        for p in range(4)
    )
    network = LevelNetwork(trunk, heads, *map_edges(level))
    check_network(f"level {level}", network)
    return network


def with_networks(
    codes: CodeModel, config: ImageConfig, codebooks: Sequence[F32], rng: np.random.Generator
) -> CodeModel:
    """The prior with a random network on every luma slice that can have one: all but those of the two top levels."""
    luma = [i for i, s in enumerate(config.slices) if not s.chroma]
    words = dict(zip(luma, whole_codewords(config, codebooks), strict=True))
    networks = {}
    for i in luma:
        s = codes.slices[i]
        if s.level <= config.levels - 2:
            chroma = next(c for c in codes.slices if c.chroma and c.level == s.level + 1)
            inputs = 4 * s.groups + chroma.groups * chroma.d + CHANNELS
            networks[i] = random_network(s.level, inputs, s.groups, rng)
    seen = {i: w for i, w in words.items() if config.slices[i].level > 1}
    return replace(codes, sight=Sight.of(low_units(config), seen, networks))
