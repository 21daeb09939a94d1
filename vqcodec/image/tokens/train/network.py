"""The networks of a tokens model in torch, for training; :mod:`vqcodec.image.tokens.network` is the same without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32
from vqcodec.image.tokens.compand import MEANS, SOFT, expand, shrink
from vqcodec.image.tokens.config import BOTTOM, Conv, TokensConfig, parts
from vqcodec.kernels import assign, ema_update

__all__ = ["Codebook", "Found", "Part", "TokensNetwork", "expand_bottom", "expand_top", "shrink_bottom", "shrink_top"]


class Part(nn.Module):
    """Convolutions one after the other, as in image.runtime: ReLU first, then what is added."""

    def __init__(self, convs: list[Conv]) -> None:
        super().__init__()
        self.shapes = convs
        self.layers = nn.ModuleList(nn.Conv2d(c.inputs, c.outputs, c.side, padding=c.side // 2) for c in convs)
        for conv, layer in zip(convs, self.layers, strict=True):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if conv.relu else "linear")
            if conv.skip is not None:
                nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C', h, w]."""
        ends: list[Tensor] = []
        for conv, layer in zip(self.shapes, self.layers, strict=True):
            x = layer(x)
            if conv.relu:
                x = F.relu(x, inplace=True)
            if conv.skip is not None:
                x = x + ends[conv.skip]
            ends.append(x)
        return x


class Codebook(nn.Module):
    """Codewords that follow the vectors which choose them, and how often each is chosen.

    Attributes:
        words: [K, d].
        counts, sums: running statistics of the update, [K] and [K, d].
        error: running mean of the squared distance: the unit of the weight of a bit.
    """

    words: Tensor
    counts: Tensor
    sums: Tensor
    error: Tensor

    def __init__(self, codewords: int, d: int) -> None:
        super().__init__()
        self.words = nn.Buffer(torch.randn(codewords, d))
        self.counts = nn.Buffer(torch.ones(codewords))
        self.sums = nn.Buffer(self.words.clone())
        self.error = nn.Buffer(torch.ones(()))

    @torch.no_grad()
    def bits(self) -> Tensor:
        """What each codeword costs when only its frequency is known, [K]."""
        return -torch.log2((self.counts + 1e-3) / (self.counts + 1e-3).sum())

    @torch.no_grad()
    def choose(self, z: Tensor, weight: Tensor) -> Tensor:
        """Codes [B, h, w] of vectors [B, d, h, w].

        Args:
            weight: of a bit, by picture [B], in units of the mean squared error.
        """
        b, d, h, w = z.shape
        table = weight[:, None] * self.error * self.bits()
        rows = torch.arange(b, device=z.device).repeat_interleave(h * w)
        x = z.permute(0, 2, 3, 1).reshape(1, -1, d).contiguous()
        return assign(x, self.words[None], table, rows[None]).view(b, h, w)

    def vectors(self, codes: Tensor) -> Tensor:
        """[B, h, w] to [B, d, h, w]."""
        return self.words[codes].permute(0, 3, 1, 2)

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor, decay: float) -> None:
        """Move the codewords towards the vectors [B, d, h, w] that chose them."""
        x = z.permute(0, 2, 3, 1).reshape(1, -1, z.shape[1])
        self.error.lerp_((z - self.vectors(codes)).square().sum(1).mean(), 1 - decay)
        words, counts, sums = self.words[None], self.counts[None], self.sums[None]
        ema_update(x, codes.reshape(1, -1), words, counts, sums, decay=decay)

    @torch.no_grad()
    def reseed(self, z: Tensor, least: float, generator: torch.Generator) -> int:
        """Put codewords chosen less than ``least`` times the mean onto random vectors [B, d, h, w]; how many."""
        dead = torch.nonzero(self.counts < least * self.counts.mean())[:, 0]
        if len(dead):
            x = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
            pick = torch.randint(len(x), (len(dead),), generator=generator).to(x.device)
            self.counts[dead] = self.counts.mean() * 0.5
            self.words[dead] = x[pick]
            self.sums[dead] = self.words[dead] * self.counts[dead, None]
        return len(dead)


@dataclass(frozen=True)
class Found:
    """What a pass through the network gives.

    Attributes:
        planes: decoded [B, 3, H, W].
        vectors: of the encoder, top and bottom [B, d, h, w].
        codes: top and bottom [B, h, w].
        commitment: mean squared distance of the vectors to their codewords, in units of the running mean.
    """

    planes: Tensor
    vectors: tuple[Tensor, Tensor]
    codes: tuple[Tensor, Tensor]
    commitment: Tensor


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def shrink_top(x: Tensor) -> Tensor:
    """Vectors of the top [B, d, h, w] as its quantiser sees them."""
    return torch.cat([x[:, :MEANS], _first(shrink(_last(x[:, MEANS:]), SOFT[0]))], 1)


def expand_top(x: Tensor) -> Tensor:
    """Inverse of :func:`shrink_top`."""
    return torch.cat([x[:, :MEANS], _first(expand(_last(x[:, MEANS:]), SOFT[0]))], 1)


def shrink_bottom(x: Tensor) -> Tensor:
    """As :func:`shrink_top` for the bottom."""
    return _first(shrink(_last(x), SOFT[1]))


def expand_bottom(x: Tensor) -> Tensor:
    """Inverse of :func:`shrink_bottom`."""
    return _first(expand(_last(x), SOFT[1]))


class TokensNetwork(nn.Module):
    """Encoder, quantisers and decoder. Planes are centred samples divided by 64, H and W multiples of 16."""

    def __init__(self, config: TokensConfig) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleDict({name: Part(convs) for name, convs in parts(config).items()})
        self.top = Codebook(config.top_codewords, config.top_d)
        self.bottom = Codebook(config.bottom_codewords, config.bottom_d)
        nn.init.zeros_(self.layer("at2", -1).weight)  # it starts as the linear part alone

    def layer(self, part: str, index: int) -> nn.Conv2d:
        """One convolution of a part."""
        found = self.parts[part]
        assert isinstance(found, Part)
        conv = found.layers[index]
        assert isinstance(conv, nn.Conv2d)
        return conv

    def analyse(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the top [B, d, H / 16, W / 16], and of the bottom, what the top tells of them included."""
        part = self.parts
        u = F.pixel_unshuffle(planes, BOTTOM).contiguous(memory_format=torch.channels_last)
        h = part["encoder"](u)
        g = part["top_encoder"](F.pixel_unshuffle(h, 2))
        top = part["top_in"](torch.cat([F.pixel_unshuffle(u, 2), g], 1))
        return top, part["bottom_in"](torch.cat([u, h], 1))

    def expected(self, top: Tensor) -> Tensor:
        """What the top tells of the bottom's vectors."""
        return F.pixel_shuffle(self.parts["expected"](top), 2)

    def synthesise(self, top: Tensor, bottom: Tensor) -> Tensor:
        """Planes from the top's vectors and the bottom's, what the top tells of them included."""
        part = self.parts
        told = F.pixel_shuffle(part["top_out"](top), 2)
        x = F.pixel_shuffle(part["at8"](torch.cat([bottom, told], 1)), 2)
        x = F.pixel_shuffle(part["at4"](x), 2)
        return F.pixel_shuffle(part["at2"](x), 2) + F.pixel_shuffle(part["linear"](bottom), BOTTOM)

    def forward(self, planes: Tensor, weight: Tensor) -> Found:
        """Through the quantisers, gradients straight through them.

        Args:
            weight: of a bit, by picture [B]; see :meth:`Codebook.choose`.
        """
        z, whole = self.analyse(planes)
        z = shrink_top(z)
        codes = self.top.choose(z, weight)
        words = self.top.vectors(codes)
        top = expand_top(z + (words - z).detach())
        expected = self.expected(top)
        y = shrink_bottom(whole - expected)
        fine = self.bottom.choose(y, weight)
        fine_words = self.bottom.vectors(fine)
        bottom = expected + expand_bottom(y + (fine_words - y).detach())
        commitment = (z - words).square().sum(1).mean() / self.top.error
        commitment = commitment + (y - fine_words).square().sum(1).mean() / self.bottom.error
        return Found(self.synthesise(top, bottom), (z, y), (codes, fine), commitment)

    def arrays(self) -> dict[str, F32]:
        """Weights by name, as a model stores them."""
        return {k: v.detach().cpu().contiguous().numpy() for k, v in self.parts.state_dict().items()}

    @torch.no_grad()
    def load(self, arrays: Mapping[str, F32], words: tuple[F32, F32], error: F32) -> None:
        """Take weights by name, and the codewords and mean errors of both levels."""
        self.parts.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        for book, array, e in zip((self.top, self.bottom), words, error.tolist(), strict=True):
            book.words.copy_(torch.from_numpy(array))
            book.error.fill_(e)
            book.sums.copy_(book.words * book.counts[:, None])
