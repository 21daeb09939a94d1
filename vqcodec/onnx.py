"""Small networks on the CPU by onnxruntime: a graph is put together node by node and becomes a function on arrays.

Graphs are written here byte by byte (onnx.proto of the ONNX project, protobuf wire format): a handful of messages do
not repay a further dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vqcodec.bitstream.arrays import F32, I64

__all__ = ["Graph"]

_IR_VERSION, _OPSET = 9, 20
_FLOAT, _INT64 = 1, 7
_INT, _STRING, _INTS = 2, 3, 7  # kinds of attributes


class Graph:
    """A network in the making; values have names, which methods give and take."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._inputs: list[bytes] = []
        self._count = 0

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """A value that is given at every run; sides with a name may be of any length."""
        self._inputs.append(_value(name, shape))
        return name

    def constant(self, array: F32 | I64) -> str:
        """A value that is part of the network: floats, or whole numbers where an operator wants them."""
        name = self._name()
        dims = b"".join(_number(1, n) for n in array.shape)
        kind, stored = (_INT64, "<i8") if array.dtype == np.int64 else (_FLOAT, "<f4")
        data = np.ascontiguousarray(array, stored).reshape(-1).tobytes()
        self._tensors.append(dims + _number(2, kind) + _field(8, name.encode()) + _field(9, data))
        return name

    def node(self, kind: str, *inputs: str, **attributes: int | str | Sequence[int]) -> str:
        """An operator of ONNX; its result."""
        output = self._name()
        node = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
        node += _field(4, kind.encode()) + b"".join(_attribute(*pair) for pair in attributes.items())
        self._nodes.append(node)
        return output

    def compile(self, result: str, shape: Sequence[int | str]) -> Callable[..., F32]:
        """The network as a function of its inputs by name.

        It computes in the thread that calls it and may be called from several at a time.
        """
        import onnxruntime  # only here: it takes a moment

        graph = b"".join(_field(1, node) for node in self._nodes) + _field(2, b"network")
        graph += b"".join(_field(5, tensor) for tensor in self._tensors)
        graph += b"".join(_field(11, value) for value in self._inputs) + _field(12, _value(result, shape))
        model = _number(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, _OPSET))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False  # each network's would keep the most that it ever needed ...
        options.enable_mem_pattern = False  # ... and a plan takes the memory of all its layers in one piece
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def run(**inputs: F32) -> F32:
            out: F32 = session.run(None, {k: np.ascontiguousarray(v) for k, v in inputs.items()})[0]
            return out

        return run


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value & (1 << 64) - 1)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _attribute(name: str, value: int | str | Sequence[int]) -> bytes:
    if isinstance(value, int):
        body = _number(3, value) + _number(20, _INT)
    elif isinstance(value, str):
        body = _field(4, value.encode()) + _number(20, _STRING)
    else:
        body = b"".join(_number(8, v) for v in value) + _number(20, _INTS)
    return _field(5, _field(1, name.encode()) + body)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """A float tensor of a shape."""
    sides = b"".join(_field(1, _number(1, s) if isinstance(s, int) else _field(2, s.encode())) for s in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, _FLOAT) + _field(2, sides)))
