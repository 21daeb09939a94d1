"""Closed-form start of a tokens model: principal components, codebooks by k-means, linear synthesis by regression."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream.arrays import F32, U8
from vqcodec.image.tokens.compand import MEANS
from vqcodec.image.tokens.config import BOTTOM, TOP
from vqcodec.image.tokens.train.network import (
    Codebook,
    TokensNetwork,
    expand_bottom,
    expand_top,
    shrink_bottom,
    shrink_top,
)
from vqcodec.kernels import assign

__all__ = ["SCALE", "fit_colour", "start_network", "to_planes"]

SCALE = 64.0  # of samples in the planes that the networks see
UNIT = 4.0  # of principal components in the vectors: those beyond the mean are of the order of 1 then
ROUNDS = 20
RIDGE = 1e-3


def fit_colour(crops: U8) -> F32:
    """Rotation [3, 3] from RGB to planes (rows) that are not correlated in crops [N, H, W, 3]; luma comes first."""
    x = crops[:, ::4, ::4].reshape(-1, 3).astype(np.float64) - 128
    _, vectors = np.linalg.eigh(np.cov(x.T))
    rotation = vectors[:, ::-1].T
    return (rotation * np.sign(rotation[:, :1] + 1e-9)).astype(np.float32)


def to_planes(crops: Tensor, colour: Tensor) -> Tensor:
    """Samples [B, H, W, 3] to centred planes [B, 3, H, W]."""
    return torch.einsum("bhwd,cd->bchw", (crops.float() - 128) / SCALE, colour)


@torch.no_grad()
def start_network(network: TokensNetwork, planes: Tensor, generator: torch.Generator) -> None:
    """Set the linear parts and the codebooks from planes [N, 3, H, W], so that the network begins as a linear codec."""
    config = network.config
    fine, coarse = (F.pixel_unshuffle(planes, side) for side in (BOTTOM, TOP))
    order = _as_unshuffled_twice()
    top_basis, bottom_basis = _components(coarse, config.top_d), _components(fine, config.bottom_d)
    z = torch.einsum("bchw,dc->bdhw", coarse, top_basis) / UNIT
    whole = torch.einsum("bchw,dc->bdhw", fine, bottom_basis) / UNIT
    _put(network, "top_in", torch.cat([top_basis[:, order] / UNIT, top_basis.new_zeros(config.top_d, config.top)], 1))
    zeros = bottom_basis.new_zeros(config.bottom_d, config.encoder[0])
    _put(network, "bottom_in", torch.cat([bottom_basis / UNIT, zeros], 1))
    z = shrink_top(z)
    _fit_codebook(network.top, z, generator)
    words = expand_top(network.top.nearest(z))
    _put(network, "expected", _regression(words, F.pixel_unshuffle(whole, 2)))
    y = shrink_bottom(whole - network.expected(words))
    _fit_fine_codebooks(network, y, generator)
    found = expand_bottom(network.bottom.nearest(y))
    found = found + network.expected(words)
    _put(network, "linear", _regression(found, fine))


def _fit_fine_codebooks(network: TokensNetwork, y: Tensor, generator: torch.Generator) -> None:
    """Codebooks of the bottom from its vectors [N, d, h, w], and of the residual from the longer half of what is left.

    It is the longer ones that the residual will be asked for.
    """
    _fit_codebook(network.bottom, y, generator)
    left = y - network.bottom.nearest(y)
    rows = left.permute(1, 0, 2, 3).flatten(1)
    long = rows[:, rows.square().sum(0) > rows.square().sum(0).median()]
    _fit_codebook(network.residual, long[None, :, None], generator)
    book = network.residual
    book.words[0] = 0
    book.counts[0] = book.counts[1:].sum()
    book.used.copy_(book.counts.expand_as(book.used))
    book.sums.copy_(book.words * book.counts[:, None])


def _as_unshuffled_twice() -> Tensor:
    """Where channels of a cell unshuffled by 8 and then by 2 lie in one unshuffled by 16."""
    c, side, half = 3, TOP, TOP // BOTTOM
    at = torch.arange(c * side * side).view(1, c, side, side).float()
    return F.pixel_unshuffle(F.pixel_unshuffle(at, BOTTOM), half).flatten().long()


def _components(x: Tensor, count: int) -> Tensor:
    """Directions [count, C] of channels [N, C, h, w]: means of the planes, then principal components of the rest."""
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    means = torch.eye(MEANS).repeat_interleave(x.shape[1] // MEANS, 1) / (x.shape[1] // MEANS) ** 0.5
    flat = flat - (flat @ means.T) @ means
    _, vectors = torch.linalg.eigh((flat.T @ flat).double())
    return torch.cat([means, vectors.flip(1)[:, : count - MEANS].T.float()])


def _fit_codebook(book: Codebook, z: Tensor, generator: torch.Generator) -> None:
    """k-means on vectors [N, d, h, w]; empty cells begin again at random vectors."""
    x = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).contiguous()
    k = len(book.words)
    words = x[torch.randperm(len(x), generator=generator)[:k]].clone()
    counts = torch.ones(k)
    for _ in range(ROUNDS):
        codes = assign(x[None], words[None])[0]
        counts = torch.bincount(codes, minlength=k).float()
        words = torch.zeros_like(words).index_add_(0, codes, x) / counts.clamp(min=1)[:, None]
        empty = torch.nonzero(counts == 0)[:, 0]
        words[empty] = x[torch.randint(len(x), (len(empty),), generator=generator)]
    codes = assign(x[None], words[None])[0]
    counts = torch.bincount(codes, minlength=k).float().clamp(min=1)
    book.words.copy_(words)
    book.counts.copy_(counts / counts.sum() * k)
    book.used.copy_(book.counts.expand_as(book.used))
    book.sums.copy_(words * book.counts[:, None])
    book.error.copy_(book.unit(z))


def _regression(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Ridge regression of outputs [N, C', h, w] from the 3 x 3 neighbourhoods of inputs: [C', C, 3, 3]."""
    gram: Tensor | None = None
    cross: Tensor | None = None
    for a, b in zip(torch.split(inputs, 64), torch.split(outputs, 64), strict=True):
        x = F.unfold(a, 3, padding=1).transpose(1, 2).reshape(-1, a.shape[1] * 9)
        y = b.permute(0, 2, 3, 1).reshape(-1, b.shape[1])
        gram = x.T @ x + (0 if gram is None else gram)
        cross = x.T @ y + (0 if cross is None else cross)
    assert gram is not None
    assert cross is not None
    penalty = RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    solved: Tensor = torch.linalg.solve((gram + penalty).double(), cross.double()).float()
    return solved.T.reshape(-1, inputs.shape[1], 3, 3)


def _put(network: TokensNetwork, part: str, weight: Tensor) -> None:
    conv = network.layer(part, 0)
    conv.weight.copy_(weight.reshape(conv.weight.shape))
    assert conv.bias is not None
    conv.bias.zero_()
