"""SSIMULACRA2 as a loss: the weighted sum of error maps over scales and planes, before the last transform to a score.

Method: J. Sneyers, SSIMULACRA 2 (Cloudinary, 2022); constants are read from its Python port, the ``ssimulacra2``
package, whose score this follows to within a point but for the edges: they are mirrored here, where the package pads
with zeros.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.errors import InputError

__all__ = ["visible_error"]

SCALES, SIDE = 6, 8  # of the pyramid; the least side of a scale that counts
SIGMA, RADIUS = 1.5, 5


def visible_error(a: Tensor, b: Tensor) -> Tensor:
    """Sum of the terms [B]: 0 for equal pictures, 12 about 45 points.

    Args:
        a: original [B, 3, H, W], sRGB on the scale 0..255.
        b: decoded; differentiable.
    """
    c2, weights = _constants()[2:]
    weights = weights.to(b.device)
    x, y = _linear(a), _linear(b.clamp(0, 255))
    total = b.new_zeros(len(b))
    for scale in range(SCALES):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        if min(x.shape[2:]) < SIDE:
            break
        maps = _maps(_xyb(x), _xyb(y), c2)
        norms = [torch.stack([m.mean((2, 3)), ((m**4).mean((2, 3)) + 1e-12) ** 0.25], 2) for m in maps]
        total = total + (torch.stack(norms, 3) * weights[:, scale]).sum((1, 2, 3))
    return total


def _maps(x: Tensor, y: Tensor, c2: float) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of structure, artefacts and lost detail by position, [B, 3, h, w] each."""
    mx, my, xx, yy, xy = torch.split(_blur(torch.cat([x, y, x * x, y * y, x * y], 1)), 3, 1)
    structure = (2 * (xy - mx * my) + c2) / ((xx - mx * mx) + (yy - my * my) + c2)
    edges = (1 + (y - my).abs()) / (1 + (x - mx).abs()) - 1
    return (1 - (1 - (mx - my) ** 2) * structure).clamp_min(0), edges.clamp_min(0), (-edges).clamp_min(0)


def _linear(x: Tensor) -> Tensor:
    x = x / 255
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def _xyb(x: Tensor) -> Tensor:
    matrix, bias = _constants()[:2]
    lms = torch.einsum("ij,bjhw->bihw", matrix.to(x.device), x)
    m, a, b = ((lms + bias).clamp_min(1e-6).pow(1 / 3) - bias ** (1 / 3)).unbind(1)
    y = 0.5 * (m + a)
    return torch.stack([0.5 * (m - a) * 14 + 0.42, y + 0.01, b - y + 0.55], 1)


def _blur(x: Tensor) -> Tensor:
    at = torch.arange(-RADIUS, RADIUS + 1, device=x.device, dtype=x.dtype)
    tap = torch.exp(-(at**2) / (2 * SIGMA**2))
    row = (tap / tap.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (RADIUS, RADIUS, 0, 0), mode="reflect"), row, groups=x.shape[1])
    return F.conv2d(F.pad(x, (0, 0, RADIUS, RADIUS), mode="reflect"), row.transpose(2, 3), groups=x.shape[1])


@cache
def _constants() -> tuple[Tensor, float, float, Tensor]:
    """Matrix and bias of the colour space, the constant of the structure term, weights [plane, scale, norm, map]."""
    try:
        from ssimulacra2 import ssimulacra2 as package
    except ImportError as e:
        raise InputError("training on SSIMULACRA2 needs its constants: pip install ssimulacra2") from e
    with torch.inference_mode(mode=False):  # they outlive the call, which may be one without gradients
        matrix = torch.tensor(package.kOpsinAbsorbanceMatrix.reshape(3, 3), dtype=torch.float32)
        weights = torch.tensor(package.weights, dtype=torch.float32).view(3, SCALES, 2, 3)
    return matrix, float(package.kB0), float(package.kC2), weights
