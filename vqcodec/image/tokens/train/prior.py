"""Stage "prior": the network that says how likely codes are, trained on codes of photographs, then made integers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.tokens.codec import TokensCodec
from vqcodec.image.tokens.codes import CodeModel, Codes, Walk
from vqcodec.image.tokens.config import LEVELS, TokensConfig
from vqcodec.image.tokens.model import load_tokens, model_id, save_tokens
from vqcodec.image.tokens.prior import STEPS, UNIT, Step, StepPrior, check_step, exponentials, maps_of
from vqcodec.image.train.data import CropSource, photographs_key
from vqcodec.prior.export import whole_weights
from vqcodec.prior.integer import ACTIVATION_LIMIT, MAP_LIMIT
from vqcodec.prior.knots import KNOTS, step_knots
from vqcodec.prior.network import ACTIVATION_UNIT
from vqcodec.quality import COARSEST, PICTURE_QUALITY, step_of_quality
from vqcodec.train.loop import Length, faded, log_line

__all__ = [
    "PriorNetwork",
    "PriorOptions",
    "export_prior",
    "knows_counts_alone",
    "load_prior",
    "static_prior",
    "train_prior",
]

MAP_UNIT = 1 / 32  # of the numbers that stand for codes in their integer form
SIDE = 256


@dataclass(frozen=True)
class PriorOptions:
    """Options of the stage; the defaults made the shipped weights.

    Attributes:
        crops, held_out: crops of 256 x 256 to train on, and for the figures. With 700 crops, codes that it was
            trained on took 18 % fewer bits than held-out ones after 900 steps; codes cannot be flipped to have more of
            them, as pictures can: what they stand for has a side.
        steps: largest step index that crops are coded at; an eighth of them at index 0.
        batch: crops per step of the training.
        learning_rate: with a cosine to 2 %.
        held_out_data: photographs for the figures; None takes other crops of the training photographs.
    """

    crops: int = 5000
    held_out: int = 96
    steps: int = 200
    batch: int = 8
    learning_rate: float = 2e-3
    held_out_data: Path | None = None
    seed: int = 31


class _StepNetwork(nn.Module):
    """One step's layers, in float; activations are clamped where the integers end.

    The last layer begins with what can be said by the codewords' own places, since near codewords are likely together.

    Args:
        inputs: C.
        width: n.
        words: codewords [K, d] of the step's level.
        serial: whether only those of the nine places count that come before.
    """

    before: Tensor

    def __init__(self, inputs: int, width: int, words: Tensor, *, serial: bool) -> None:
        super().__init__()
        self.serial = serial
        self.before = nn.Buffer((torch.arange(9) < (4 if serial else 9)).float()[:, None], persistent=False)
        self.first = nn.Parameter(torch.randn(9 * inputs, width) / math.sqrt(9 * inputs))
        self.first_bias = nn.Parameter(torch.rand(KNOTS, width))
        self.second = nn.Parameter(torch.randn(width, width) / math.sqrt(width))
        self.second_bias = nn.Parameter(torch.full((width,), 0.5))
        places = torch.cat([words, words.square().sum(1, keepdim=True)], 1)
        self.places = nn.Parameter(((places - places.mean(0)) / places.std(0)).T.contiguous())
        self.first_last = nn.Parameter(torch.randn(width, len(self.places)) / math.sqrt(width * len(self.places)))
        self.rest = nn.Parameter(torch.zeros(width, len(words)))
        self.last_bias = nn.Parameter(torch.zeros(len(words)))

    @property
    def kernel(self) -> Tensor:
        """[9, C, n], what comes later left out."""
        n = self.first.shape[1]
        return self.first.view(9, -1, n) * self.before[..., None]

    @property
    def last(self) -> Tensor:
        """[n, K]."""
        return self.first_last @ self.places + self.rest

    def forward(self, maps: Tensor, step: Tensor) -> Tensor:
        """Logits [B, h, w, K] in powers of two, of maps [B, h, w, C] at step indices [B]."""
        limit = ACTIVATION_LIMIT * ACTIVATION_UNIT
        x = F.pad(maps.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="constant" if self.serial else "replicate")
        kernel = self.kernel.view(3, 3, -1, self.first.shape[1]).permute(3, 2, 0, 1)
        a = F.conv2d(x, kernel).permute(0, 2, 3, 1) + (step_knots(step) @ self.first_bias)[:, None, None]
        a = (a.clamp(0, limit) @ self.second + self.second_bias).clamp(0, limit)
        out: Tensor = a @ self.last + self.last_bias
        return out


class PriorNetwork(nn.Module):
    """Numbers that stand for codes, and the layers of every step.

    Args:
        words: codewords of every level [K, d]: their first components are what stands for them at first.
    """

    def __init__(self, config: TokensConfig, words: Sequence[F32]) -> None:
        super().__init__()
        self.codewords = config.codewords
        places = [torch.from_numpy(w) for w in words]
        self.embedding = nn.ParameterList(_leading(w, config.embedding) for w in places)
        self.steps = nn.ModuleList(
            _StepNetwork(s.maps * config.embedding, config.hidden, places[s.level], serial=s.serial) for s in STEPS
        )

    def networks(self) -> list[_StepNetwork]:
        """The layers of every step."""
        return [one for one in self.steps if isinstance(one, _StepNetwork)]

    def tables(self) -> list[Tensor]:
        """The numbers, within what int8 holds."""
        most = MAP_LIMIT * MAP_UNIT
        return [e.clamp(-most, most) for e in self.embedding]

    def bits(self, codes: Sequence[Tensor], step: Tensor, at: tuple[int, int] = (0, 0)) -> list[Tensor]:
        """Length of every code of every step [B, h, w], of codes of every level, at step indices [B].

        Args:
            at: where the grid of the serial step begins; for training, any of its places is as good.
        """
        tables, out = self.tables(), []
        for i, (s, network) in enumerate(zip(STEPS, self.networks(), strict=True)):
            seen = [codes[0][:, at[0] :, at[1] :], *codes[1:]] if s.serial else codes
            wanted = s.of(seen[s.level])
            logits = network(torch.cat(maps_of(i, seen, tables), -1), step)
            flat = F.cross_entropy(
                logits.reshape(-1, logits.shape[-1]) * math.log(2), wanted.reshape(-1), reduction="none"
            )
            out.append(flat.view(wanted.shape) / math.log(2))
        return out


def _leading(words: Tensor, count: int) -> Tensor:
    """The first components of codewords [K, d], of deviation 1; noise where there are too few."""
    own = (words - words.mean(0)) / (words.std(0) + 1e-6)
    return torch.cat([own, 0.1 * torch.randn(len(words), count)], 1)[:, :count].clone()


def static_prior(config: TokensConfig, counts: Sequence[F32]) -> CodeModel:
    """A prior that knows how often each code is, and nothing else; counts of every level [K]."""
    tables = [np.zeros((len(c), config.embedding), np.float32) for c in counts]
    steps = []
    for s in STEPS:
        share = counts[s.level] + 1e-2
        bias = np.round(UNIT * np.log2(share / share.sum())).astype(np.float32)
        k, none = len(share), np.zeros(1, np.int32)
        steps.append(StepPrior(
            np.zeros((9, s.maps * config.embedding, 1), np.float32), np.zeros((256, 1), np.float32), none,
            np.zeros((1, 1), np.float32), np.zeros(1, np.float32), none,
            np.zeros((1, k), np.float32), bias, np.zeros(k, np.int32),
        ))  # fmt: skip
    return CodeModel((tables[0], tables[1], tables[2]), tuple(steps), exponentials())


@torch.no_grad()
def export_prior(network: PriorNetwork, most: int = COARSEST) -> CodeModel:
    """The trained network in integers.

    Args:
        most: largest step index it was trained on, whose weights those beyond it take.

    Raises:
        ValueError: a product sum could leave the exact range of float32.
    """
    tables = [(t / MAP_UNIT).round().cpu().numpy().astype(np.float32) for t in network.tables()]
    knots = step_knots(torch.arange(256).clamp(max=most)).double().numpy()
    steps = []
    for one in network.networks():
        p = {name: value.double().cpu().numpy() for name, value in one.state_dict().items()}
        p["last"] = one.last.double().cpu().numpy()
        p["first"] = one.kernel.flatten(0, 1).double().cpu().numpy()
        n = p["first"].shape[1]
        first = whole_weights(p["first"] * (MAP_UNIT / ACTIVATION_UNIT), knots @ p["first_bias"] / ACTIVATION_UNIT)
        second = whole_weights(p["second"], p["second_bias"] / ACTIVATION_UNIT)
        last = whole_weights(p["last"] * (UNIT * ACTIVATION_UNIT), p["last_bias"] * UNIT)
        whole = first[0].reshape(9, -1, n)
        steps.append(StepPrior(whole, first[1], first[2], second[0], second[1], second[2], last[0], last[1], last[2]))
        check_step(steps[-1], tables)
    return CodeModel((tables[0], tables[1], tables[2]), tuple(steps), exponentials())


@torch.no_grad()
def load_prior(network: PriorNetwork, model: CodeModel, most: int) -> None:
    """Take the layers of a prior in integers: the inverse of :func:`export_prior`, but for its rounding.

    Args:
        most: largest step index it was trained on.
    """
    knots = step_knots(torch.arange(most + 1)).double()

    def floats(weight: F32, bias: F32, shift: I32, unit: float) -> tuple[Tensor, Tensor]:
        """Weights [..., n] and biases [..., n] in units of the result times ``unit``; half a unit was for rounding."""
        scale = torch.from_numpy(np.ldexp(unit, -shift))
        return torch.from_numpy(weight) * scale, torch.from_numpy(bias) * scale - unit / 2

    for embedding, table in zip(network.embedding, model.tables, strict=True):
        embedding.copy_(torch.from_numpy(table) * MAP_UNIT)
    for one, p in zip(network.networks(), model.steps, strict=True):
        first, first_bias = floats(p.first, p.first_bias, p.first_shift, ACTIVATION_UNIT)
        one.first.copy_((first / MAP_UNIT).flatten(0, 1))
        one.first_bias.copy_(torch.linalg.lstsq(knots, first_bias[: most + 1], driver="gelsd").solution)
        second, second_bias = floats(p.second, p.second_bias, p.second_shift, ACTIVATION_UNIT)
        one.second.copy_(second / ACTIVATION_UNIT)
        one.second_bias.copy_(second_bias)
        last, last_bias = floats(p.last, p.last_bias, p.last_shift, 1 / UNIT)
        one.first_last.zero_()
        one.rest.copy_(last / ACTIVATION_UNIT)
        one.last_bias.copy_(last_bias)


def knows_counts_alone(model: CodeModel) -> bool:
    """Whether a prior is one of :func:`static_prior`."""
    return not any(p.last.any() for p in model.steps)


@dataclass(frozen=True)
class _Cache:
    """Codes of crops, by level [N, 16, 16] and twice [N, 32, 32], and their step indices [N]."""

    codes: Codes
    step: I64

    def take(self, pick: I64) -> tuple[list[Tensor], Tensor]:
        codes = [torch.from_numpy(x[pick].astype(np.int64)) for x in self.codes]
        return codes, torch.from_numpy(self.step[pick])


def _code(codec: TokensCodec, source: CropSource, step: I64) -> _Cache:
    """Code one crop at each step index."""
    found = [codec.codes_of(source.crop(), int(s)) for s in step]
    top, bottom, residual = (np.concatenate(level) for level in zip(*found, strict=True))
    return _Cache((top, bottom, residual), step)


def _cached(codec: TokensCodec, run: Path, folder: Path, step: I64, seed: int) -> _Cache:
    """Codes kept by the model that made them, the files they are of, and step indices."""
    key = f"{photographs_key(folder)}-{len(step)}-{step.min()}-{step.max()}-{seed}"
    path = run / f"tokens-{codec.model_id.hex()}-{key}.npz"
    if not path.exists():
        cache = _code(codec, CropSource(folder, SIDE, seed), step)
        np.savez(path, *cache.codes, step=cache.step)
    with np.load(path) as stored:
        return _Cache((stored["arr_0"], stored["arr_1"], stored["arr_2"]), stored["step"])


def train_prior(run: Path, data: Path, length: Length, options: PriorOptions | None = None) -> dict[str, Any]:
    """Train the prior of ``run/model.safetensors``, which is replaced at the end.

    It goes on from the prior that the model has, under which codes are chosen, too; where that knows counts alone, run
    the stage twice, so that the second time fits what the first makes the encoder choose.

    Returns:
        Bits per pixel on held-out crops at the usual quality: fixed length, order-0 entropy, network in float and in
        integers.
    """
    options = options or PriorOptions()
    model = load_tokens(run / "model.safetensors")
    codec = TokensCodec(model, 0, 1)
    rng, count = np.random.default_rng(options.seed), options.crops
    steps = np.where(rng.random(count) < 1 / 8, 0, rng.integers(1, options.steps + 1, count))
    train = _cached(codec, run, data, steps, options.seed)
    usual = np.full(options.held_out, step_of_quality(PICTURE_QUALITY))
    test = _cached(codec, run, options.held_out_data or data, usual, options.seed + 1)
    torch.manual_seed(options.seed)
    network = PriorNetwork(model.config, model.words)
    if knows_counts_alone(model.codes):
        _start(network, train)
    else:
        load_prior(network, model.codes, options.steps)
    done = _fit(network, train, length, options)
    codes_model = export_prior(network, options.steps)
    report = _report(network, test, model_id(model).hex())
    model.codes = codes_model
    report["integer"] = round(_integer_length(codes_model, test), 5)
    log_line(run, {"stage": "prior", "steps": done, "bits_per_pixel": report})
    held_out = options.held_out_data and options.held_out_data.name
    model.training["prior"] = asdict(options) | {"held_out_data": held_out} | asdict(length)
    save_tokens(model, run / "model.safetensors")
    return report


@torch.no_grad()
def _start(network: PriorNetwork, train: _Cache) -> None:
    """Let it begin with how often each code is."""
    for s, one in zip(STEPS, network.networks(), strict=True):
        codes = torch.from_numpy(train.codes[s.level].astype(np.int64)).flatten()
        counts = torch.bincount(codes, minlength=network.codewords[s.level]) + 0.1
        one.last_bias.copy_(torch.log2(counts / counts.sum()))


def _fit(network: PriorNetwork, train: _Cache, length: Length, options: PriorOptions) -> int:
    rng = np.random.default_rng(options.seed)
    optimiser = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    began, done, share = time.monotonic(), 0, 0.0
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * faded(share)
        codes, step = train.take(rng.integers(0, len(train.step), options.batch))
        bits = network.bits(codes, step, (int(rng.integers(4)), int(rng.integers(4))))
        loss = sum(b.sum() for b in bits) / sum(b.numel() for b in bits)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
        done += 1
        share = length.share(began, done)
    return done


@torch.no_grad()
def _report(network: PriorNetwork, test: _Cache, identity: str) -> dict[str, Any]:
    pixels = len(test.step) * SIDE**2
    codes, step = test.take(np.arange(len(test.step)))
    report: dict[str, Any] = {"of": identity, "fixed": 0.0, "order-0": 0.0}
    for c, k in zip(codes, network.codewords, strict=True):
        counts = torch.bincount(c.flatten(), minlength=k).double()
        entropy = float(torch.special.entr(counts / counts.sum()).sum()) / math.log(2)
        report["fixed"] += c.numel() * math.log2(k) / pixels
        report["order-0"] += c.numel() * entropy / pixels
    by_step = [float(b.double().sum()) / pixels for b in network.bits(codes, step)]
    report["float"] = sum(by_step)
    report["by step, bits per code"] = [
        round(b * pixels / s.of(codes[s.level]).numel(), 3) for b, s in zip(by_step, STEPS, strict=True)
    ]
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in report.items()}


def _integer_length(model: CodeModel, test: _Cache) -> float:
    """Bits per pixel of the exact tables."""
    total = 0.0
    for i, step in enumerate(test.step):
        own = [codes[i : i + 1] for codes in test.codes]
        walk = Walk(model, int(step), 1, *(side // 4 for side in own[0].shape[1:]))

        def choose(batch: Step, weights: I32, own: list[I32] = own) -> I32:
            nonlocal total
            symbols: I32 = batch.of(own[batch.level]).ravel()
            picked = np.take_along_axis(weights, symbols[:, None].astype(np.int64), 1)[:, 0]
            total += float((np.log2(weights.sum(1)) - np.log2(picked)).sum())
            return symbols

        for level in range(len(LEVELS)):
            walk.level(level, choose)
    return total / (len(test.step) * SIDE**2)
