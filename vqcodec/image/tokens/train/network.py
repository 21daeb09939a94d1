"""The networks of a tokens model in torch, for training; :mod:`vqcodec.image.tokens.network` is the same without it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32
from vqcodec.image.tokens.compand import MEANS, SOFT, expand, shrink
from vqcodec.image.tokens.config import BOTTOM, TOP, Conv, TokensConfig, parts
from vqcodec.image.tokens.masking import LEAST, MOST, TOP_SHARE, factor_of
from vqcodec.kernels import assign, ema_update

__all__ = ["Codebook", "Found", "Part", "TokensNetwork", "expand_bottom", "expand_top", "shrink_bottom", "shrink_top"]


LEFT = (0.09, 0.37)  # of the variance of top and bottom, by k-means with 256 and 512 codewords
FACTORS = 8  # of the weight of a bit by place, a third apart
RANGES, FIRST = 6, 0.01  # ranges of the weight of a bit, each twice as wide as the one before; where the first ends


def weight_range(weight: Tensor) -> Tensor:
    """Number of the range of weights of a bit [B], 0 to RANGES - 1."""
    return (torch.log2((weight / FIRST).clamp(min=0.5)) + 1).long().clamp(max=RANGES - 1)


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

    Args:
        left: the usual share of the variance that is left over.
        still: codeword 0 stays zero: it adds nothing.

    Attributes:
        words: [K, d].
        counts, sums: running statistics of the update, [K] and [K, d].
        used: how often each is chosen, by range of the weight of a bit (see :func:`weight_range`), [R, K]. With one
            count for all, what is rare at low rates would be dear at high ones, and vanish.
        error: running mean of what a codebook usually leaves over of the vectors' variance: the unit of the weight of a
            bit. The distances themselves are none: they grow with the weight, which would run away.
    """

    words: Tensor
    counts: Tensor
    used: Tensor
    sums: Tensor
    error: Tensor

    def __init__(self, codewords: int, d: int, *, left: float = 1.0, still: bool = False) -> None:
        super().__init__()
        self.left, self.still = left, still
        self.words = nn.Buffer(torch.randn(codewords, d))
        self.words[: int(still)] = 0
        self.counts = nn.Buffer(torch.ones(codewords))
        self.used = nn.Buffer(torch.ones(RANGES, codewords))
        self.sums = nn.Buffer(self.words.clone())
        self.error = nn.Buffer(torch.ones(()))

    @torch.no_grad()
    def bits(self) -> Tensor:
        """What each codeword costs in each range when only its frequency is known, [R, K]."""
        return -torch.log2((self.used + 1e-3) / (self.used + 1e-3).sum(1, keepdim=True))

    @torch.no_grad()
    def choose(self, z: Tensor, weight: Tensor, unit: Tensor, factor: Tensor | None = None) -> Tensor:
        """Codes [B, h, w] of vectors [B, d, h, w].

        Args:
            weight: of a bit, by picture [B].
            unit: of the weight, in squared distances.
            factor: of the weight, by place [B, h, w] (see :func:`masking`), rounded to one of a few.
        """
        b, d, h, w = z.shape
        table = (weight * unit)[:, None] * self.bits()[weight_range(weight)]
        rows = torch.arange(b, device=z.device).repeat_interleave(h * w)
        if factor is not None:
            ladder = LEAST * torch.logspace(0, 1, FACTORS, MOST / LEAST, device=z.device)
            table = (table[:, None] * ladder[:, None]).flatten(0, 1)
            place = torch.log(factor / LEAST) / math.log(MOST / LEAST) * (FACTORS - 1)
            rows = rows * FACTORS + place.round().long().flatten()
        x = z.permute(0, 2, 3, 1).reshape(1, -1, d).contiguous()
        return assign(x, self.words[None], table, rows[None]).view(b, h, w)

    def nearest(self, z: Tensor) -> Tensor:
        """The nearest codewords [B, d, h, w] of vectors [B, d, h, w]: bits do not count."""
        return self.vectors(self.choose(z, z.new_zeros(len(z)), self.error))

    def vectors(self, codes: Tensor) -> Tensor:
        """[B, h, w] to [B, d, h, w]."""
        return self.words[codes].permute(0, 3, 1, 2)

    def unit(self, z: Tensor) -> Tensor:
        """What is usually left over of vectors [B, d, h, w]."""
        return self.left * z.var((0, 2, 3)).sum()

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor, weight: Tensor, decay: float) -> None:
        """Move the codewords towards the vectors [B, d, h, w] that chose them at these weights of a bit [B]."""
        x = z.permute(0, 2, 3, 1).reshape(1, -1, z.shape[1])
        self.error.lerp_(self.unit(z), 1 - decay)
        words, counts, sums = self.words[None], self.counts[None], self.sums[None]
        ema_update(x, codes.reshape(1, -1), words, counts, sums, decay=decay)
        self.words[: int(self.still)] = 0
        self.count(codes, weight, decay)

    @torch.no_grad()
    def count(self, codes: Tensor, weight: Tensor, decay: float) -> None:
        """Take note of how often each is chosen at these weights of a bit [B]."""
        ranges = weight_range(weight)[:, None, None].expand_as(codes)
        chosen = torch.zeros_like(self.used).index_put_((ranges, codes), self.used.new_ones(()), accumulate=True)
        present = chosen.sum(1) > 0
        self.used[present] = decay * self.used[present] + chosen[present]

    @torch.no_grad()
    def reseed(self, z: Tensor, codes: Tensor, least: float, generator: torch.Generator) -> int:
        """Put codewords chosen less than ``least`` times the mean onto random vectors [B, d, h, w]; how many.

        Where codeword 0 is still, it is no part of the mean, and vectors that chose it are left alone.
        """
        first = int(self.still)
        usual = self.counts[first:].mean()
        dead = first + torch.nonzero(self.counts[first:] < least * usual)[:, 0]
        x = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])[codes.flatten() >= first]
        if len(dead) and len(x):
            pick = torch.randint(len(x), (len(dead),), generator=generator).to(x.device)
            self.counts[dead] = usual * 0.5
            self.used[:, dead] = self.used[:, first:].mean(1, keepdim=True) * 0.5
            self.words[dead] = x[pick]
            self.sums[dead] = self.words[dead] * self.counts[dead, None]
        return len(dead)


@dataclass(frozen=True)
class Found:
    """What a pass through the network gives.

    Attributes:
        planes: decoded [B, 3, H, W].
        vectors: that were quantised, of every level [B, d, h, w].
        codes: of every level [B, h, w].
        commitment: mean squared distance of the vectors to their codewords, in the codebooks' units.
    """

    planes: Tensor
    vectors: tuple[Tensor, Tensor, Tensor]
    codes: tuple[Tensor, Tensor, Tensor]
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


def masking(planes: Tensor) -> Tensor:
    """As :func:`vqcodec.image.tokens.masking.factors`, of planes [B, 3, H, W]: [B, H / 8, W / 8]."""
    side = 3 * BOTTOM
    luma = planes[:, :1]
    mean, square = (F.avg_pool2d(x, side, BOTTOM, BOTTOM, count_include_pad=False) for x in (luma, luma * luma))
    return factor_of(mean, square)[:, 0]


class TokensNetwork(nn.Module):
    """Encoder, quantisers and decoder. Planes are centred samples divided by 64, H and W multiples of 16."""

    def __init__(self, config: TokensConfig) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleDict({name: Part(convs) for name, convs in parts(config).items()})
        top, bottom, residual = config.codewords
        self.top = Codebook(top, config.top_d, left=LEFT[0])
        self.bottom = Codebook(bottom, config.bottom_d, left=LEFT[1])
        self.residual = Codebook(residual, config.bottom_d, still=True)
        nn.init.zeros_(self.layer("at2", -1).weight)  # it starts as the linear part alone

    def books(self) -> tuple[Codebook, Codebook, Codebook]:
        """The codebooks of all levels."""
        return self.top, self.bottom, self.residual

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
        fine = F.pixel_shuffle(part["at2"](x), 2)
        # in half precision, the picture itself would be rounded
        with torch.autocast(bottom.device.type, enabled=False):
            return fine.float() + F.pixel_shuffle(part["linear"](bottom), BOTTOM)

    def forward(self, planes: Tensor, weight: Tensor) -> Found:
        """Through the quantisers, gradients straight through them.

        Args:
            weight: of a bit, by picture [B], in units of the mean squared error of top and bottom.
        """
        z, whole = (x.float() for x in self.analyse(planes))  # what is quantised is never in half precision
        z = shrink_top(z)
        fine_factor = masking(planes)
        factor = F.avg_pool2d(fine_factor[:, None], TOP // BOTTOM)[:, 0]
        codes = self.top.choose(z, weight, TOP_SHARE * self.top.error, factor)
        words = self.top.vectors(codes)
        top = expand_top(z + (words - z).detach())
        expected = self.expected(top).float()
        y = shrink_bottom(whole - expected)
        fine = self.bottom.choose(y, weight, self.bottom.error, fine_factor)
        fine_words = self.bottom.vectors(fine)
        left = (y - fine_words).detach()
        finest = self.residual.choose(left, weight, self.bottom.error, fine_factor)
        fine_words = fine_words + self.residual.vectors(finest)
        bottom = expected + expand_bottom(y + (fine_words - y).detach())
        commitment = (z - words).square().sum(1).mean() / self.top.error
        commitment = commitment + (y - fine_words).square().sum(1).mean() / self.bottom.error
        return Found(self.synthesise(top, bottom), (z, y, left), (codes, fine, finest), commitment)

    def arrays(self) -> dict[str, F32]:
        """Weights by name, as a model stores them."""
        return {k: v.detach().cpu().contiguous().numpy() for k, v in self.parts.state_dict().items()}

    @torch.no_grad()
    def load(self, config: TokensConfig, arrays: Mapping[str, F32], words: Sequence[F32], error: F32) -> None:
        """Take a model's weights by name, the codewords of every level, and the mean errors of top and bottom.

        Residual blocks that the model lacks come after its own and begin as nothing.

        Args:
            config: of the model, which this one's extends.
        """
        own, known = parts(self.config), parts(config)
        state = self.parts.state_dict()
        for name, convs in known.items():
            tail = sum(1 for _ in takewhile(lambda c: c.skip is None and not c.relu, reversed(convs)))
            for k in range(len(convs)):
                at = k if k < len(convs) - tail else k + len(own[name]) - len(convs)
                for kind in ("weight", "bias"):
                    state[f"{name}.layers.{at}.{kind}"] = torch.from_numpy(arrays[f"{name}.layers.{k}.{kind}"])
        self.parts.load_state_dict(state)
        self.top.error.fill_(float(error[0]))
        self.bottom.error.fill_(float(error[1]))
        for book, array in zip(self.books(), words, strict=True):
            book.words.copy_(torch.from_numpy(array))
            book.sums.copy_(book.words * book.counts[:, None])
