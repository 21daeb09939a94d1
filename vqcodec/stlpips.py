"""ST-LPIPS: a distance of pictures as people see them, tolerant to small shifts, from features of a trained network.

Method: A. Ghildyal and F. Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV 2022, on the frame of R. Zhang et
al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018. The weights are those of the
``stlpips-pytorch`` package, read from its files; nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.errors import InputError

__all__ = ["PerceptualDistance"]

Layer = tuple[str, int, int]
"""(kind, side of the kernel, padding); a tap follows what is in one stage."""

# conv, blur (with stride 2), relu, pool (largest of a window, stride 1); conv-blur: both in one kernel, which is three
# times as fast and differs where the blur would mirror what the convolution makes of the edge
ALEX: tuple[tuple[Layer, ...], ...] = (
    (("conv-blur", 11, 2), ("relu", 0, 0)),
    (("pool", 3, 0), ("blur", 3, 2), ("conv", 5, 2), ("relu", 0, 0)),
    (("pool", 3, 0), ("blur", 3, 2), ("conv", 3, 1), ("relu", 0, 0)),
    (("conv", 3, 1), ("relu", 0, 0)),
    (("conv", 3, 1), ("relu", 0, 0)),
)
_CONV: tuple[Layer, ...] = (("conv", 3, 1), ("relu", 0, 0))
_DOWN: tuple[Layer, ...] = (("pool", 2, 0), ("blur", 3, 2))
VGG = (2 * _CONV, _DOWN + 2 * _CONV, _DOWN + 3 * _CONV, _DOWN + 3 * _CONV, _DOWN + 3 * _CONV)
STAGES = {"alex": ALEX, "vgg": VGG}


class PerceptualDistance(nn.Module):
    """Distance of RGB pictures [B, 3, H, W] on the scale 0..255, differentiable; its own weights are constants.

    Args:
        network: ``alex`` (to train on) or ``vgg`` (to judge with what was not trained on).

    Raises:
        InputError: the package with the weights is not installed.
    """

    def __init__(self, network: str = "alex") -> None:
        super().__init__()
        self.stages = STAGES[network]
        state = torch.load(_weights(network), map_location="cpu", weights_only=True)
        self.shift = nn.Buffer(state["scaling_layer.shift"])
        self.scale = nn.Buffer(state["scaling_layer.scale"])
        names = [k.removesuffix(".weight") for k in state if k.startswith("net.") and k.endswith(".weight")]
        self.weights = nn.ParameterList(
            nn.Parameter(state[f"{n}.weight"].contiguous(memory_format=torch.channels_last)) for n in names
        )
        self.biases = nn.ParameterList(nn.Parameter(state[f"{n}.bias"]) for n in names)
        self.lines = nn.ParameterList(
            nn.Parameter(state[f"lin{i}.model.1.weight"].flatten()) for i in range(len(self.stages))
        )
        first = self.weights[0]
        flat = F.conv2d(first.flatten(0, 1)[:, None], _binomial(first), padding=2)
        self.blurred = nn.Buffer(
            flat.reshape(*first.shape[:2], *flat.shape[1:])[:, :, 0].contiguous(memory_format=torch.channels_last)
        )
        self.requires_grad_(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """Features of every stage, normalised over channels."""
        x = ((x / 127.5 - 1) - self.shift) / self.scale
        x = x.contiguous(memory_format=torch.channels_last)
        out, conv = [], 0
        for stage in self.stages:
            for kind, side, padding in stage:
                if kind == "conv":
                    x = F.conv2d(x, self.weights[conv], self.biases[conv], padding=padding)
                    conv += 1
                elif kind == "conv-blur":
                    x = F.conv2d(x, self.blurred, self.biases[conv], stride=2, padding=padding + 2)
                    conv += 1
                elif kind == "blur":
                    x = _blur(x)
                elif kind == "pool":
                    x = F.max_pool2d(x, side, 1)
                else:
                    x = F.relu(x)
            # a root of zero has no gradient
            out.append(x / (x.square().sum(1, keepdim=True) + 1e-20).sqrt())
        return out

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances [B]; nothing flows back into ``b``."""
        with torch.no_grad():
            wanted = self.features(b)
        return self.between(self.features(a), wanted)

    def between(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Distances [B] of pictures with these features."""
        total = a[0].new_zeros(len(a[0]))
        for x, y, line in zip(a, b, self.lines, strict=True):
            total = total + torch.einsum("bchw,c->b", (x - y).square(), line) / (x.shape[2] * x.shape[3])
        return total


def _blur(x: Tensor) -> Tensor:
    """Binomial blur with stride 2, edges mirrored two samples wide."""
    channels = x.shape[1]
    kernel = _binomial(x).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


def _binomial(like: Tensor) -> Tensor:
    tap = torch.tensor([0.25, 0.5, 0.25], device=like.device, dtype=like.dtype)
    return (tap[:, None] * tap)[None, None]


def _weights(network: str) -> Path:
    found = find_spec("stlpips_pytorch")
    if found is None or not found.submodule_search_locations:
        raise InputError("ST-LPIPS needs its weights: pip install stlpips-pytorch")
    return Path(found.submodule_search_locations[0]) / "weights" / "vST0.0" / f"{network}_shift_tolerant.pth"
