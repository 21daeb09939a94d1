"""A network of ConvNeXt blocks at the frame rate (Liu et al., 2022; over time alone as in Vocos, Siuzdak 2023).

What depends on quality goes in beside the features, so that one compiled network serves every step index. The same for
training: audio.train.network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vqcodec.bitstream.arrays import F32
from vqcodec.onnx import Graph
from vqcodec.prior.knots import knot_weights

__all__ = ["KERNEL", "FrameNetwork"]

KERNEL = 7  # frames that a block looks at


class FrameNetwork:
    """Features [T, inputs] to outputs [T, outputs], zeros before and behind.

    Args:
        tensors: of audio.train.network.FrameNetwork, by name.

    Attributes:
        reach: frames to each side that an output depends on.
    """

    def __init__(self, tensors: Mapping[str, F32]) -> None:
        self._tensors = {k: v.astype(np.float32) for k, v in tensors.items()}
        self._blocks = sum(k.endswith(".taps") for k in tensors)
        self.reach = self._blocks * (KERNEL // 2)
        self._run = self._compile()

    def _compile(self) -> Callable[..., F32]:
        t, g = self._tensors, Graph()
        outputs, width = t["last.weight"].shape

        def dense(x: str, name: str) -> str:
            return g.node("Add", g.node("MatMul", x, g.constant(t[f"{name}.weight"].T)), g.constant(t[f"{name}.bias"]))

        def normal(x: str, scale: str, shift: str) -> str:
            return g.node("LayerNormalization", x, scale, shift, axis=-1)

        x = g.node(
            "Add",
            dense(g.input("x", (1, "frames", t["first.weight"].shape[1])), "first"),
            g.input("position", (width,)),
        )
        for i in range(self._blocks):
            taps = g.constant(t[f"blocks.{i}.taps"].T[:, None])
            y = g.node("Conv", g.node("Transpose", x, perm=[0, 2, 1]), taps, group=width, pads=[KERNEL // 2] * 2)
            y = normal(
                g.node("Transpose", y, perm=[0, 2, 1]), g.input(f"scale{i}", (width,)), g.input(f"shift{i}", (width,))
            )
            y = dense(g.node("Gelu", dense(y, f"blocks.{i}.up"), approximate="tanh"), f"blocks.{i}.down")
            x = g.node("Add", x, g.node("Mul", y, g.constant(t[f"blocks.{i}.gain"])))
        ones = np.ones(width, np.float32)
        x = dense(normal(x, g.constant(ones), g.constant(0 * ones)), "last")
        return g.compile(x, (1, "frames", outputs))

    def __call__(self, x: F32, step: int) -> F32:
        """Outputs of features at a step index."""
        knots = knot_weights(np.array([step]))[0]
        given = {"position": knots @ self._tensors["position"]}
        for i in range(self._blocks):
            given |= {f"{kind}{i}": knots @ self._tensors[f"blocks.{i}.{kind}"] for kind in ("scale", "shift")}
        out: F32 = self._run(x=x[None], **given)[0]
        return out
