"""What the network is trained for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.image.tokens.config import BOTTOM
from vqcodec.image.tokens.train.network import Found
from vqcodec.image.tokens.train.start import SCALE
from vqcodec.image.train.similarity import dissimilarity
from vqcodec.stlpips import PerceptualDistance

__all__ = ["TokensLoss", "Weights"]

AROUND, USUAL = 9, 4.0  # side of the window that activity is the deviation of, and the one at which errors count half
ENLARGED = (1.4, 2.0)  # least and most, of the parts that ST-LPIPS sees enlarged
NEARBY = 8  # cells of 8 x 8 pixels to each side that a pattern is looked for in


@dataclass(frozen=True)
class Weights:
    """Of the terms of the loss.

    Attributes:
        absolute: mean absolute error of samples in 0..1.
        squared: mean squared error of the same.
        gradient: mean absolute error of differences between neighbours: what L1 forgives in flat places, and edges
            of blocks.
        lattice: mean error of the same pixel of all cells nearby: patterns that repeat with the cells, which ST-LPIPS
            does not see. Without it, a decoder trained on ST-LPIPS weaves them into everything (1,100 steps).
        smooth: mean absolute error of pixels and of their means over 4 x 4 and 16 x 16, each divided by one plus the
            original's activity: blocks and blotches in skies, which all other terms forgive.
        excess: by how much differences between neighbours are stronger, block by block, than in the original.
        similarity: 1 - MS-SSIM.
        perceptual: ST-LPIPS with AlexNet, of a part of half of the crops. Every other one is enlarged: at its own size
            the network is blind to patterns of two to four pixels. And all are turned or mirrored at random, lest the
            decoder draw what the network's own filters like to see (M. Kettunen et al., "E-LPIPS: Robust Perceptual
            Image Similarity via Random Transformation Ensembles", 2019).
        commitment: of the vectors to their codewords, in units of the usual distance (van den Oord et al. 2017).
    """

    absolute: float = 4.0
    squared: float = 40.0
    gradient: float = 3.0
    smooth: float = 12.0
    excess: float = 40.0
    lattice: float = 32.0
    similarity: float = 0.5
    perceptual: float = 3.0
    commitment: float = 0.02


class TokensLoss(nn.Module):
    """Terms of the loss of decoded planes [B, 3, H, W].

    Args:
        colour: rotation from RGB to planes.
    """

    def __init__(self, colour: Tensor, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.colour = nn.Buffer(colour)
        self.network = PerceptualDistance() if weights.perceptual else None

    def rgb(self, planes: Tensor) -> Tensor:
        """RGB [B, 3, H, W] on the scale 0..255."""
        return torch.einsum("bchw,cd->bdhw", planes, self.colour * SCALE) + 128

    @staticmethod
    def _part(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The same part of both, three quarters of a crop's side, turned by a multiple of 90 degrees or mirrored."""
        side = a.shape[2] * 3 // 4
        y, x = torch.randint(a.shape[2] - side + 1, (2,)).tolist()
        axes = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
        swap = (2, 3) if torch.rand(()) < 0.5 else (2, 2)
        a, b = (t[:, :, y : y + side, x : x + side].flip(axes).transpose(*swap) for t in (a, b))
        return a, b

    @staticmethod
    def _turned_part(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The same part of both, enlarged and turned by any angle to three quarters of a crop's side."""
        whole, side = a.shape[2], a.shape[2] * 3 // 4
        low, high = ENLARGED
        angle, share = 2 * math.pi * float(torch.rand(())), side / whole / (low + (high - low) * float(torch.rand(())))
        cosine, sine = math.cos(angle) * share, math.sin(angle) * share
        # everything in halves of the crop's side, from its middle: so far may the part's own middle lie
        y, x = ((1 - abs(cosine) - abs(sine)) * (2 * torch.rand(2) - 1)).tolist()
        matrix = torch.tensor([[cosine, -sine, x], [sine, cosine, y]], device=a.device, dtype=a.dtype)
        grid = F.affine_grid(matrix.expand(len(a), 2, 3), [len(a), a.shape[1], side, side], align_corners=False)
        a, b = (F.grid_sample(t, grid, padding_mode="border", align_corners=False) for t in (a, b))
        return a, b

    def forward(self, found: Found, planes: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss, and its terms before they are weighted."""
        w, terms = self.weights, {}
        a, b = self.rgb(found.planes), self.rgb(planes)
        error = (a - b) / 255
        terms["absolute"] = error.abs().mean()
        terms["squared"] = error.square().mean()
        terms["gradient"] = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        terms["smooth"] = _smooth(error, b)
        terms["excess"] = F.relu(_strength(a) - _strength(b)).mean() / 255
        cells = F.pixel_unshuffle(error, BOTTOM)
        terms["lattice"] = F.avg_pool2d(cells, min(NEARBY, cells.shape[2])).abs().mean()
        terms["similarity"] = dissimilarity(a, b).mean()
        if self.network is not None:
            count = max(1, len(a) // 4)
            seen = [self.network(*self._part(a[:count], b[:count]))]
            if len(a) > count:
                seen.append(self.network(*self._turned_part(a[count : 2 * count], b[count : 2 * count])))
            terms["perceptual"] = torch.cat(seen).mean()
        terms["commitment"] = found.commitment
        loss = sum((getattr(w, name) * value for name, value in terms.items()), torch.zeros((), device=a.device))
        return loss, {name: float(value.detach()) for name, value in terms.items()}


def _smooth(error: Tensor, original: Tensor) -> Tensor:
    """Mean of errors [B, 3, H, W] at three scales, less where the original (0..255) is busy."""
    gray = original.mean(1, keepdim=True)
    pad = AROUND // 2
    mean, square = (F.avg_pool2d(x, AROUND, 1, pad, count_include_pad=False) for x in (gray, gray * gray))
    weight = 1 / (1 + (square - mean * mean).clamp(min=0).sqrt() / USUAL)
    total = (weight * error).abs().mean()
    for side in (4, 16):
        total = total + (F.avg_pool2d(weight, side) * F.avg_pool2d(error, side)).abs().mean()
    return total


def _strength(x: Tensor) -> Tensor:
    """Root mean square of differences between neighbours in blocks of 8 x 8, of [B, 3, H, W]."""
    down, across = x.diff(dim=2)[..., :-1], x.diff(dim=3)[..., :-1, :]
    return (F.avg_pool2d(down.square() + across.square(), 8) + 1.0).sqrt()
