"""What the network is trained for."""

from __future__ import annotations

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

NEARBY = 8  # cells of 8 x 8 pixels to each side that a pattern is looked for in


@dataclass(frozen=True)
class Weights:
    """Of the terms of the loss.

    Attributes:
        absolute: mean absolute error of samples in 0..1.
        gradient: the same of differences between neighbours: what L1 forgives in flat places, edges of blocks.
        lattice: mean error of the same pixel of all cells nearby: patterns that repeat with the cells, which ST-LPIPS
            does not see. Without it, a decoder trained on ST-LPIPS weaves them into everything (1,100 steps).
        similarity: 1 - MS-SSIM.
        perceptual: ST-LPIPS with AlexNet; of three quarters of the side of half the crops: it costs more than all else.
        commitment: of the vectors to their codewords, in units of the usual distance (van den Oord et al. 2017).
    """

    absolute: float = 4.0
    gradient: float = 2.0
    lattice: float = 12.0
    similarity: float = 0.5
    perceptual: float = 1.3
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

    def forward(self, found: Found, planes: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss, and its terms before they are weighted."""
        w, terms = self.weights, {}
        a, b = self.rgb(found.planes), self.rgb(planes)
        error = (a - b) / 255
        terms["absolute"] = error.abs().mean()
        terms["gradient"] = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        cells = F.pixel_unshuffle(error, BOTTOM)
        terms["lattice"] = F.avg_pool2d(cells, min(NEARBY, cells.shape[2])).abs().mean()
        terms["similarity"] = dissimilarity(a, b).mean()
        if self.network is not None:
            count, side = -(-len(a) // 2), a.shape[2] * 3 // 4
            y, x = torch.randint(a.shape[2] - side + 1, (2,)).tolist()
            parts = (t[:count, :, y : y + side, x : x + side] for t in (a, b))
            terms["perceptual"] = self.network(*parts).mean()
        terms["commitment"] = found.commitment
        loss = sum((getattr(w, name) * value for name, value in terms.items()), torch.zeros((), device=a.device))
        return loss, {name: float(value.detach()) for name, value in terms.items()}
