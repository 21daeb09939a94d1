"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321), for convolutions.

The first two dimensions of a weight each have a basis; the taps of the kernel are left as they are. What has fewer
dimensions, or a side that is too long, is Adam's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Soap"]


class Soap(torch.optim.Optimizer):
    """The optimiser.

    Args:
        betas: of mean and square.
        preconditioning: share of the past in the covariance of gradients.
        every: steps between refreshments of the bases, one step of orthogonal iteration each.
        longest: sides longer than this have no basis.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        preconditioning: float = 0.95,
        every: int = 10,
        longest: int = 256,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "preconditioning": preconditioning, "every": every, "longest": longest}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step."""
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        grad: Tensor = p.grad.flatten(2) if p.dim() > 2 else p.grad
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(grad), torch.zeros_like(grad)
            sides = [d for d in range(2) if grad.dim() > 1 and 1 < grad.shape[d] <= group["longest"]]
            state["covariance"] = {d: grad.new_zeros(grad.shape[d], grad.shape[d]) for d in sides}
            state["basis"] = {}
        for d, c in state["covariance"].items():
            rows = grad.transpose(0, d).flatten(1)
            c.lerp_(rows @ rows.T, 1 - group["preconditioning"])
        if not state["basis"]:
            state["basis"] = {d: _eigenvectors(c) for d, c in state["covariance"].items()}
        state["step"] += 1
        state["mean"].lerp_(grad, 1 - beta1)
        turned = _turn(grad, state["basis"])
        state["square"].lerp_(turned.square(), 1 - beta2)
        mean = _turn(state["mean"], state["basis"]) / (1 - beta1 ** state["step"])
        change = mean / ((state["square"] / (1 - beta2 ** state["step"])).sqrt() + 1e-8)
        change = _turn(change, {d: q.T for d, q in state["basis"].items()})
        p.sub_(change.reshape(p.shape), alpha=group["lr"])
        if state["step"] % group["every"] == 0:
            for d, c in state["covariance"].items():
                state["basis"][d] = torch.linalg.qr(c @ state["basis"][d]).Q


def _eigenvectors(c: Tensor) -> Tensor:
    """Of a covariance, that of the largest eigenvalue first. In float32 LAPACK gave NaN for one of a small gradient."""
    scaled = c.double() / c.trace().clamp(min=1e-30)
    vectors: Tensor = torch.linalg.eigh(scaled).eigenvectors
    return vectors.flip(1).to(c.dtype)


def _turn(x: Tensor, basis: dict[int, Tensor]) -> Tensor:
    """A matrix [a, b] or [a, b, taps] in other coordinates of its first two dimensions."""
    for d, q in basis.items():
        x = torch.tensordot(q, x, ([0], [d])).movedim(0, d)
    return x
