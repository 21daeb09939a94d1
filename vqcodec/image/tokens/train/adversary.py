"""A critic of decoded pictures, with a gradient penalty: the adversarial phase of the decoder (VQ-VAE-GP).

Wasserstein distance with a penalty on the critic's gradient (I. Gulrajani et al., "Improved Training of Wasserstein
GANs", NeurIPS 2017), of patches, as VQGAN trains its decoder (P. Esser et al., CVPR 2021).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vqcodec.train.processes import Processes

__all__ = ["Adversary"]

WIDTHS = (32, 64, 96)  # channels at 1/2, 1/4 and 1/8 of the size
PENALTY = 10.0  # as in the paper
LEARNING_RATE = 4e-4


class _Critic(nn.Module):
    """Scores of patches [B, 1, H / 8, W / 8] of planes [B, 3, H, W]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in WIDTHS:
            layers += [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2)]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 3, padding=1))

    def forward(self, planes: Tensor) -> Tensor:
        scores: Tensor = self.layers(planes)
        return scores


class Adversary:
    """The critic and its optimiser; all processes hold the same."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.critic = _Critic().to(processes.device)
        self.optimiser = torch.optim.Adam(self.critic.parameters(), LEARNING_RATE, betas=(0.5, 0.9))

    def learn(self, planes: Tensor, decoded: Tensor) -> dict[str, float]:
        """One step of the critic on originals and decoded planes [B, 3, H, W]; its terms."""
        decoded = decoded.detach()
        share = torch.rand(len(planes), 1, 1, 1, device=planes.device)
        between = (share * planes + (1 - share) * decoded).requires_grad_()
        scores = self.critic(between)
        (gradient,) = torch.autograd.grad(scores.mean((1, 2, 3)).sum(), between, create_graph=True)
        # a picture's score is a mean of patches, which see different pixels: their gradient's length, from that of all
        norm = gradient.flatten(1).norm(dim=1) * scores[0].numel() ** 0.5
        penalty = (norm - 1).square().mean()
        distance = self.critic(planes).mean() - self.critic(decoded).mean()
        self.optimiser.zero_grad(set_to_none=True)
        (PENALTY * penalty - distance).backward()
        self.processes.share_gradients(self.critic.parameters())
        self.optimiser.step()
        return {"distance": float(distance.detach()), "penalty": float(penalty.detach())}

    def judge(self, decoded: Tensor) -> Tensor:
        """What the decoder is to make small: minus the mean score."""
        self.critic.requires_grad_(False)
        loss: Tensor = -self.critic(decoded).mean()
        self.critic.requires_grad_(True)
        return loss

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"critic": self.critic.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.critic.load_state_dict(state["critic"])
        self.optimiser.load_state_dict(state["optimiser"])
