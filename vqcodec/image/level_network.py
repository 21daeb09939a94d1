"""The networks of the prior: what the luma codes of a level can be expected to be, from all that is coded before.

A level has one network. Its trunk sees the two coarser levels and the picture decoded so far, once for all phases; each
phase has a head, which sees the trunk's features and the phases before it. What comes out is added to the log energies
and to the predicted values of :mod:`vqcodec.prior.integer`. As there, all is integers in float32 whose sums stay below
2**24, so that it is the same in any order; shifts are part of the weights, which powers of two leave exact.

Heads on a shared trunk cost half as much as networks that each phase has for itself. Convolutions are onnxruntime's,
which adds up products and nothing else; what a machine makes of them is checked when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64, Arrays
from vqcodec.onnx import Graph
from vqcodec.prior.integer import ACTIVATION_LIMIT, MAP_LIMIT, MAX_SHIFT, sum_bound

__all__ = ["Head", "Layer", "LevelNetwork", "Running", "check_network", "network_arrays", "read_network"]

STRIP = 32  # rows of a phase's grid that a graph computes at a time: half the memory of a picture of 6 megapixels


@dataclass(frozen=True)
class Layer:
    """A convolution in integers: floor((sum of weight x input + bias) / 2**shift).

    Attributes:
        weight: [9, C, n], 3 x 3 with edges repeated, or [C, n].
        bias: [256, n] by step index, or [n].
        shift: [n].
    """

    weight: F32
    bias: F32
    shift: I32


@dataclass(frozen=True)
class Head:
    """Of one phase; h units per layer, t features of the trunk.

    Attributes:
        own: [9, 6 p, h], on the energy maps and then the signed maps of the p phases before.
        first: [t, h], on the features; what ``own`` gives is added before its shift.
        second: [h, h].
        last: [h, 2 g]: log energies in 1/16, then predicted values in VALUE_UNIT; not limited.
    """

    own: F32
    first: Layer
    second: Layer
    last: Layer


@dataclass(frozen=True)
class LevelNetwork:
    """Activations are limited to 0..255, but for the last ones.

    Attributes:
        trunk: [9, C, n], [9, n, n], [n, t].
        heads: of the four phases.
        fine: what a difference from the local mean is divided by (see :func:`vqcodec.image.seen.map_edges`).
        edges: [127] sizes of it from which on its companded map is 1, 2, ...
    """

    trunk: tuple[Layer, Layer, Layer]
    heads: tuple[Head, ...]
    fine: int
    edges: I32

    def layers(self) -> list[tuple[str, Layer]]:
        """All layers by name."""
        trunk = [(f"trunk.{i}", layer) for i, layer in enumerate(self.trunk)]
        heads = enumerate(self.heads)
        return trunk + [(f"{p}.{k}", getattr(head, k)) for p, head in heads for k in ("first", "second", "last")]

    def weights(self) -> int:
        """Stored weights: multiplications for each cell of the four phases."""
        return sum(layer.weight.size for _, layer in self.layers()) + sum(head.own.size for head in self.heads)


def network_arrays(name: str, network: LevelNetwork) -> Arrays:
    """The arrays of a network as they are stored."""
    out: Arrays = {f"{name}.fine": np.array([network.fine], np.int32), f"{name}.edges": network.edges.astype(np.int32)}
    for p, head in enumerate(network.heads):
        out[f"{name}.{p}.own"] = head.own.astype(np.int8)
    for key, layer in network.layers():
        out[f"{name}.{key}.weight"] = layer.weight.astype(np.int8)
        out[f"{name}.{key}.bias"] = layer.bias.astype(np.int32)
        out[f"{name}.{key}.shift"] = layer.shift.astype(np.int8)
    return out


def read_network(name: str, a: Arrays) -> LevelNetwork:
    """Inverse of :func:`network_arrays`.

    Raises:
        ValueError: a bound of exactness is broken.
    """

    def layer(key: str) -> Layer:
        weight, bias, shift = (a[f"{name}.{key}.{field.name}"] for field in fields(Layer))
        return Layer(weight.astype(np.float32), bias.astype(np.float32), shift.astype(np.int32))

    def head(p: int) -> Head:
        return Head(a[f"{name}.{p}.own"].astype(np.float32), *(layer(f"{p}.{k}") for k in ("first", "second", "last")))

    trunk = layer("trunk.0"), layer("trunk.1"), layer("trunk.2")
    heads = tuple(head(p) for p in range(4))
    fine, edges = int(a[f"{name}.fine"][0]), a[f"{name}.edges"]
    network = LevelNetwork(trunk, heads, fine, edges)
    check_network(name, network)
    if fine < 1 or edges.shape != (MAP_LIMIT,) or (np.diff(edges) < 0).any():
        raise ValueError(f"{name}: its maps are not those of a picture")
    return network


def check_network(name: str, network: LevelNetwork) -> None:
    """Prove that no partial sum can leave the exact range of float32.

    Raises:
        ValueError: a layer breaks its bound, or a shift is not a division.
    """
    for key, layer in network.layers():
        total = sum_bound(layer.weight, MAP_LIMIT if key == "trunk.0" else ACTIVATION_LIMIT, layer.bias)
        phase, _, kind = key.partition(".")
        if kind == "first":
            total = total + sum_bound(network.heads[int(phase)].own, MAP_LIMIT)
        if total.max() >= 2**24:
            raise ValueError(
                f"{name}.{key}: a product sum may reach {total.max():.0f}, which float32 does not hold exactly"
            )
        if layer.shift.min() < 0 or layer.shift.max() > MAX_SHIFT:
            raise ValueError(f"{name}.{key}: a shift is outside 0..{MAX_SHIFT}")


class Running:
    """A network as functions on arrays. Planes are [B, C, h, w], step indices [B]."""

    def __init__(self, network: LevelNetwork) -> None:
        self.network = network
        self._trunk = _trunk(network)
        self._heads = [_head(head) for head in network.heads]

    def features(self, maps: F32, step: I64) -> F32:
        """What the trunk makes of maps [B, C, h, w] of the phases' grid: [B, t, h, w]."""
        return _in_strips(self._trunk, 2, {"x": maps}, {"bias": _by_step(self.network.trunk[0], step)})

    def added(self, p: int, own: F32 | None, features: F32, step: I64) -> F32:
        """What is added to log energies and predicted values of phase p, [B, 2 g, h, w].

        Args:
            own: energy maps, then signed maps, of the phases before, [B, 6 p, h, w].
        """
        head = self.network.heads[p]
        planes = {"features": features} if own is None else {"features": features, "own": own}
        biases = {"bias": _by_step(head.first, step), "last": _by_step(head.last, step)}
        return _in_strips(self._heads[p], 1, planes, biases)


def _in_strips(run: Callable[..., F32], reach: int, planes: dict[str, F32], biases: dict[str, F32]) -> F32:
    """A graph on planes [B, C, h, w], some rows at a time, so that what lies between its layers stays in the cache.

    Args:
        reach: rows to either side that an output depends on.
    """
    height = next(iter(planes.values())).shape[2]
    parts = []
    for top in range(0, height, STRIP):
        low, high = max(top - reach, 0), min(top + STRIP + reach, height)
        out = run(**{name: x[:, :, low:high] for name, x in planes.items()}, **biases)
        parts.append(out[:, :, top - low : top - low + STRIP])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, 2)


def _by_step(layer: Layer, step: I64) -> F32:
    """Biases [B, n, 1, 1], in units of the result."""
    out: F32 = layer.bias[step] * np.ldexp(np.float32(1), -layer.shift)
    return out[:, :, None, None]


def _kernel(weight: F32, shift: I32) -> F32:
    """Weights [out, in, side, side] of a convolution that gives units of the result."""
    scaled = weight * np.ldexp(np.float32(1), -shift)
    if scaled.ndim == 2:
        return np.ascontiguousarray(scaled.T[:, :, None, None])
    return np.ascontiguousarray(scaled.transpose(2, 1, 0).reshape(scaled.shape[2], scaled.shape[1], 3, 3))


class _Builder:
    """Puts the layers of one graph together."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._limits = [self.graph.constant(np.array(x, np.float32)) for x in (0, ACTIVATION_LIMIT)]

    def wide(self, x: str, kernel: F32, *bias: str) -> str:
        """3 x 3, edges repeated."""
        around = self.graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
        x = self.graph.node("Pad", x, around, mode="edge")
        return self.graph.node("Conv", x, self.graph.constant(kernel), *bias, kernel_shape=[3, 3])

    def point(self, x: str, kernel: F32, *bias: str) -> str:
        return self.graph.node("Conv", x, self.graph.constant(kernel), *bias, kernel_shape=[1, 1])

    def bias(self, layer: Layer) -> str:
        return self.graph.constant(layer.bias * np.ldexp(np.float32(1), -layer.shift))

    def limited(self, x: str) -> str:
        return self.graph.node("Clip", self.graph.node("Floor", x), *self._limits)


def _trunk(network: LevelNetwork) -> Callable[..., F32]:
    first, second, third = network.trunk
    b = _Builder()
    x = b.graph.input("x", ("batch", first.weight.shape[1], "height", "width"))
    bias = b.graph.input("bias", ("batch", first.weight.shape[2], 1, 1))
    y = b.limited(b.graph.node("Add", b.wide(x, _kernel(first.weight, first.shift)), bias))
    y = b.limited(b.wide(y, _kernel(second.weight, second.shift), b.bias(second)))
    y = b.limited(b.point(y, _kernel(third.weight, third.shift), b.bias(third)))
    return b.graph.compile(y, ("batch", third.weight.shape[1], "height", "width"))


def _head(head: Head) -> Callable[..., F32]:
    count, width = head.first.weight.shape
    b = _Builder()
    features = b.graph.input("features", ("batch", count, "height", "width"))
    bias = b.graph.input("bias", ("batch", width, 1, 1))
    last = b.graph.input("last", ("batch", head.last.weight.shape[1], 1, 1))
    y = b.graph.node("Add", b.point(features, _kernel(head.first.weight, head.first.shift)), bias)
    if head.own.shape[1]:
        own = b.graph.input("own", ("batch", head.own.shape[1], "height", "width"))
        y = b.graph.node("Add", y, b.wide(own, _kernel(head.own, head.first.shift)))
    y = b.limited(b.point(b.limited(y), _kernel(head.second.weight, head.second.shift), b.bias(head.second)))
    y = b.graph.node("Floor", b.graph.node("Add", b.point(y, _kernel(head.last.weight, head.last.shift)), last))
    return b.graph.compile(y, ("batch", head.last.weight.shape[1], "height", "width"))
