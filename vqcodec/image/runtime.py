"""Small convolutional networks on the CPU, by onnxruntime: layers in, a function on arrays out.

Measured on one thread with the filter's layers (40 channels, 3 x 3): onnxruntime 36 GMAC/s, torch 24, numpy's matrix
product on gathered patches 18. A graph is written here byte by byte (onnx.proto of the ONNX project, protobuf wire
format): five kinds of messages do not repay a further dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vqcodec.bitstream.arrays import F32

__all__ = ["Layer", "compile_layers", "reach_of"]

_IR_VERSION, _OPSET = 8, 17
_FLOAT = 1
_INTS = 7  # kind of an attribute: whole numbers


@dataclass(frozen=True)
class Layer:
    """A convolution of odd side, zeros around its input, and what follows it.

    Attributes:
        weight: [out, in, side, side].
        bias: [out].
        relu: whether a ReLU follows.
        skip: number of the earlier layer whose output is added last, or None.
    """

    weight: F32
    bias: F32
    relu: bool = False
    skip: int | None = None


def reach_of(layers: Sequence[Layer]) -> int:
    """Positions to each side that an output depends on."""
    return sum(layer.weight.shape[2] // 2 for layer in layers)


def compile_layers(layers: Sequence[Layer]) -> Callable[[F32], F32]:
    """The layers one after the other as a function from [1, C, H, W] to [1, C', H, W].

    It computes in the thread that calls it and may be called from several at a time.
    """
    import onnxruntime  # only here: encoding needs none

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(_graph(layers), options, providers=["CPUExecutionProvider"])

    def run(x: F32) -> F32:
        out: F32 = session.run(None, {"x": np.ascontiguousarray(x)})[0]
        return out

    return run


def _graph(layers: Sequence[Layer]) -> bytes:
    """An ONNX model of the layers; "x" goes in, the result of the last node comes out."""
    nodes: list[bytes] = []
    weights: list[bytes] = []
    ends: list[str] = []  # name of every layer's output
    name = "x"
    for i, layer in enumerate(layers):
        weights += [_tensor(f"w{i}", layer.weight), _tensor(f"b{i}", layer.bias)]
        side = layer.weight.shape[2]
        nodes.append(_node("Conv", [name, f"w{i}", f"b{i}"], f"c{i}", kernel_shape=[side] * 2, pads=[side // 2] * 4))
        name = f"c{i}"
        if layer.relu:
            nodes.append(_node("Relu", [name], f"r{i}"))
            name = f"r{i}"
        if layer.skip is not None:
            nodes.append(_node("Add", [name, ends[layer.skip]], f"s{i}"))
            name = f"s{i}"
        ends.append(name)
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"layers")
    graph += b"".join(_field(5, weight) for weight in weights)
    graph += _field(11, _value("x", layers[0].weight.shape[1])) + _field(12, _value(name, layers[-1].weight.shape[0]))
    return _number(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, _OPSET))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _tensor(name: str, array: F32) -> bytes:
    dims = b"".join(_number(1, n) for n in array.shape)
    data = np.ascontiguousarray(array, "<f4").tobytes()
    return dims + _number(2, _FLOAT) + _field(8, name.encode()) + _field(9, data)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Sequence[int]) -> bytes:
    out = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode()) + _field(4, kind.encode())
    for name, values in attributes.items():
        numbers = b"".join(_number(8, v) for v in values)
        out += _field(5, _field(1, name.encode()) + numbers + _number(20, _INTS))
    return out


def _value(name: str, channels: int) -> bytes:
    """A float tensor [1, channels, height, width], both free."""
    sides = (_number(1, 1), _number(1, channels), _field(2, b"height"), _field(2, b"width"))
    shape = b"".join(_field(1, side) for side in sides)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, _FLOAT) + _field(2, shape)))
