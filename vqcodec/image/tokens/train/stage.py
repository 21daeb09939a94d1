"""Stage "network": encoder, codebooks and decoder end to end."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vqcodec.image.tokens.config import PRESETS
from vqcodec.image.tokens.model import TokensModel, load_tokens, save_tokens
from vqcodec.image.tokens.train.adversary import Adversary
from vqcodec.image.tokens.train.loss import TokensLoss, Weights
from vqcodec.image.tokens.train.network import Found, TokensNetwork
from vqcodec.image.tokens.train.prior import knows_counts_alone, static_prior
from vqcodec.image.tokens.train.start import fit_colour, start_network, to_planes
from vqcodec.image.train.data import CropSource, batches, photographs
from vqcodec.train.loop import Length, continuing, follow, log_line, read_checkpoint, save_checkpoint, schedule
from vqcodec.train.processes import Processes, join_processes
from vqcodec.train.soap import Soap

__all__ = ["NetworkOptions", "train_network"]

LINEAR = ("top_in", "bottom_in", "expected", "linear")  # parts that begin in closed form: they take smaller steps
DECODER = ("top_out", "at8", "at4", "at2", "linear")  # parts that codes do not depend on
SAVE_EVERY, SHOW_EVERY = 180.0, 300.0  # seconds
RESEED_EVERY, RESEED_UNTIL = 50, 0.8  # steps, share of the run
COUNTED, COUNTED_DECAY = 60, 0.95  # batches that are counted before training goes on from a model
SHOWN_WEIGHTS = (0.01, 0.04, 0.15)  # of a bit, for which figures are shown


@dataclass(frozen=True)
class NetworkOptions:
    """Options of the stage; what the shipped weights were made with is in their file and card.

    Attributes:
        preset: shape of the model.
        start_crops: of the closed-form start.
        batch, side: crops per step and their side.
        weights: of the terms of the loss.
        learning_rate: constant, then a cosine to 2 % from ``decay_from`` of the run on.
        averaging: share that averaged weights keep at every step, at most.
        decay: of the codebooks' statistics.
        least: a codeword chosen less than this share of the mean is put elsewhere.
        bit_weights: least and largest weight of a bit in the choice of codes, in units of what is usually left over;
            each crop has its own, evenly spread in its logarithm.
        adversarial: weight of what the critic says of decoded pictures; 0 trains none (see :mod:`adversary`).
        held_out_data: photographs for the figures; None takes other crops of the training photographs.
        held_out: crops for the figures, 256 x 256.
    """

    preset: str = "tokens-deep"
    start_crops: int = 600
    batch: int = 8
    side: int = 128
    weights: Weights = field(default_factory=Weights)
    learning_rate: float = 7e-4
    decay_from: float = 0.4
    averaging: float = 0.998
    decay: float = 0.99
    least: float = 0.05
    bit_weights: tuple[float, float] = (0.01, 0.3)
    adversarial: float = 0.0
    held_out_data: Path | None = None
    held_out: int = 16
    seed: int = 5
    soap: bool = True
    slow: float = 0.05

    @classmethod
    def here(cls, **changed: Any) -> NetworkOptions:
        """The defaults, changed; on a machine with a GPU with larger steps, which take it hardly longer."""
        if torch.cuda.is_available():
            changed = {"batch": 80, "side": 192, "learning_rate": 1.2e-3, "decay_from": 0.3} | changed
        return cls(**changed)


def train_network(
    run: Path,
    data: Path,
    length: Length,
    *,
    resume: bool,
    options: NetworkOptions | None = None,
    start: Path | None = None,
    decoder: bool = False,
) -> None:
    """Train the networks and codebooks; ``run/model.safetensors`` is written at the end.

    Its prior is the one of the model to begin with, for the next stage to go on from, or one of counts alone.

    Args:
        run: folder of the run: checkpoint and log.
        data: folder of training photographs.
        length: of the run.
        resume: go on from the checkpoint, with its optimiser and its place in the schedule.
        start: a model to begin with; None begins in closed form.
        decoder: train the decoder alone, of the model in the folder: its codes stay the same, and so does its prior.

    Raises:
        InputError: a resume without a checkpoint, or no photograph is large enough.
    """
    options = options or NetworkOptions.here()
    processes = join_processes()
    path = run / "model.safetensors"
    trainer = _Trainer(data, options, processes, DECODER if decoder else None)
    checkpoint = run / ("decoder.ckpt" if decoder else "network.ckpt")
    share = trainer.load(checkpoint) if resume else 0.0
    begun = trainer.begun if resume else decoder or start is not None
    old = load_tokens(start or path) if begun else None
    if not resume:
        trainer.start(old)
    began = saved = time.monotonic()
    shown, before, losses = -SHOW_EVERY + began, share, []
    while True:
        share = processes.agreed(length.share(began, trainer.done, before))
        now = time.monotonic()
        if share < 1:
            losses.append(trainer.step(share))
        if processes.first and (now - shown > SHOW_EVERY or share >= 1):
            shown = now
            line = {"stage": "network", "step": trainer.done, "seconds": round(now - began), "share": round(share, 4)}
            means = {k: round(float(np.mean([x[k] for x in losses])), 5) for k in losses[0]} if losses else {}
            log_line(run, line | means | trainer.figures())
            losses.clear()
        if processes.first and (now - saved > SAVE_EVERY or share >= 1):
            saved = now
            trainer.save(checkpoint, share)
        if share >= 1:
            break
    if processes.first:
        model = trainer.model()
        if old is not None:
            _keep(model, old, decoder=decoder)
        save_tokens(model, path)
    processes.wait()


def _keep(model: TokensModel, old: TokensModel, *, decoder: bool) -> None:
    """Give a trained model the prior, and its record, of the model that it began as, if that knows more than counts."""
    if decoder:
        model.codes, model.training = old.codes, old.training | {"decoder": model.training["network"]}
    elif not knows_counts_alone(old.codes):
        model.codes, model.training = old.codes, old.training | model.training


class _Trainer:
    """Network, its average, optimiser and losses; one step, figures and checkpoints."""

    def __init__(
        self, data: Path, options: NetworkOptions, processes: Processes, only: Sequence[str] | None = None
    ) -> None:
        torch.manual_seed(options.seed)
        self.options, self.processes, self.device, self.done = options, processes, processes.device, 0
        source = CropSource(data, options.side, seed=options.seed + processes.rank)
        self.crops = batches(source, options.batch, ahead=self.device.type == "cuda")
        self.rng = np.random.default_rng(options.seed + 100 + processes.rank)
        self.generator = torch.Generator().manual_seed(options.seed)
        test = CropSource(options.held_out_data or data, 256, seed=1000 + options.seed)
        self.test = torch.from_numpy(test.batch(options.held_out))
        self.network = TokensNetwork(PRESETS[options.preset]).to(self.device)
        self.average = copy.deepcopy(self.network)
        self.loss = TokensLoss(torch.eye(3), options.weights).to(self.device)
        self.data = data
        self.only = only
        if only is not None:
            self.network.requires_grad_(False)
            for name in only:
                self.network.parts[name].requires_grad_(True)
        slow = [p for name in LINEAR for p in self.network.parts[name].parameters()]
        fast = [p for p in self.network.parameters() if all(p is not q for q in slow)]
        groups = [{"params": fast, "factor": 1.0}, {"params": slow, "factor": options.slow}]
        every = 20 if self.device.type == "cuda" else 10  # there, turning the bases takes as long as the steps between
        self.optimiser = Soap(groups, every=every) if options.soap else torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.adversary = Adversary(processes) if options.adversarial else None
        self.reseeded = 0
        self.begun = False  # with a model, in the run's folder as long as it lasts, whose prior is kept

    def start(self, model: TokensModel | None) -> None:
        """Colour, linear parts and codebooks in closed form, or those of a model; the same in every process."""
        if model is not None:
            self.begun = True
            self.loss.colour.copy_(torch.from_numpy(model.colour))
            self.network.load(model.config, model.network, model.words, model.error)
            self._count()
            self.average.load_state_dict(self.network.state_dict())
            return
        source = CropSource(self.data, self.options.side, seed=self.options.seed + 50)
        crops = source.batch(self.options.start_crops)
        self.loss.colour.copy_(torch.from_numpy(fit_colour(crops)))
        planes = to_planes(torch.from_numpy(crops), self.loss.colour.cpu())
        network = self.network.cpu()
        start_network(network, planes, torch.Generator().manual_seed(self.options.seed))
        self.network.to(self.device)
        self.average.load_state_dict(self.network.state_dict())

    @torch.no_grad()
    def _count(self) -> None:
        """How often each codeword is chosen, which a model does not say and the choice under bits needs."""
        for _ in range(COUNTED):
            planes, weight = self._batch()
            for book, codes in zip(self.network.books(), self.network(planes, weight).codes, strict=True):
                book.count(codes, weight, COUNTED_DECAY)
                self.processes.share_means(book.buffers())

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Planes, and the weight of a bit for each crop."""
        o = self.options
        crops = next(self.crops).to(self.device)
        least, largest = (math.log(w) for w in o.bit_weights)
        weight = np.exp(self.rng.uniform(least, largest, o.batch))
        return to_planes(crops, self.loss.colour), torch.from_numpy(weight).float().to(self.device)

    def step(self, share: float) -> dict[str, float]:
        """One step; the terms of the loss."""
        o = self.options
        for group in self.optimiser.param_groups:
            group["lr"] = group["factor"] * o.learning_rate * schedule(self.done, share, o.decay_from)
        planes, weight = self._batch()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            found = self.network(planes, weight)
        loss: Tensor
        terms: dict[str, float]
        loss, terms = self.loss(found, planes)
        if self.adversary is not None:
            terms |= self.adversary.learn(planes, found.planes)
            loss = loss + o.adversarial * self.adversary.judge(found.planes)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.share_gradients(self.network.parameters())
        terms["norm"] = float(nn.utils.clip_grad_norm_(self.network.parameters(), 2.0))
        self.optimiser.step()
        self.done += 1
        if self.only is None:
            self._update_codebooks(found, weight, reseed=self.done % RESEED_EVERY == 0 and share < RESEED_UNTIL)
        follow(self.average, self.network, self.done, o.averaging)
        return terms

    def _update_codebooks(self, found: Found, weight: Tensor, *, reseed: bool) -> None:
        """Codewords towards what chose them; those that are dead elsewhere. All processes hold the same."""
        o = self.options
        for book, z, codes in zip(self.network.books(), found.vectors, found.codes, strict=True):
            book.follow(z.detach().float(), codes, weight, o.decay)
            self.processes.share_means(book.buffers())
            if reseed:
                self.reseeded += book.reseed(z.detach().float(), codes, o.least, self.generator)
                self.processes.spread(book.buffers())

    @torch.inference_mode()
    def figures(self) -> dict[str, Any]:
        """On held-out crops by weight of a bit: order-0 bits per pixel, PSNR, ST-LPIPS; use of the codebooks."""
        self.average.load_state_dict(dict(self.network.named_buffers()), strict=False)
        out: dict[str, Any] = {"reseeded": self.reseeded}
        self.reseeded = 0
        for weight in SHOWN_WEIGHTS:
            codes: list[tuple[Tensor, ...]] = []
            rows = []
            for crops in torch.split(self.test, 4):
                planes = to_planes(crops.to(self.device), self.loss.colour)
                found = self.average(planes, torch.full((len(crops),), weight, device=self.device))
                a, b = (self.loss.rgb(x).round().clamp(0, 255) for x in (found.planes, planes))
                psnr = 10 * torch.log10(255**2 / (a - b).square().mean((1, 2, 3)))
                network = self.loss.network
                perceptual = psnr * 0 if network is None else network(a, b)
                rows.append(torch.stack([psnr, perceptual], 1))
                codes.append(found.codes)
            bits, use = 0.0, []
            for level, book in enumerate(self.network.books()):
                counts = torch.bincount(torch.cat([c[level].flatten() for c in codes]), minlength=len(book.words))
                entropy = float(torch.special.entr(counts / counts.sum()).sum()) / np.log(2)
                bits += entropy * int(counts.sum()) / (self.test.shape[0] * self.test.shape[1] * self.test.shape[2])
                use.append(round(2**entropy / len(book.words), 3))
            psnr, perceptual = torch.cat(rows).mean(0).tolist()
            out[f"at {weight:.2f}"] = [round(bits, 4), round(psnr, 3), round(perceptual, 4), *use]
        return out

    def model(self) -> TokensModel:
        """The averaged networks as a model whose prior knows counts alone."""
        books = self.network.books()
        top, bottom, residual = (book.words.cpu().numpy() for book in books)
        counts = [book.counts.cpu().numpy() for book in books]
        facts = {"steps": self.done, "photographs": len(photographs(self.data))}
        held_out = self.options.held_out_data and self.options.held_out_data.name
        config = self.network.config
        return TokensModel(
            config=config,
            colour=self.loss.colour.cpu().numpy(),
            words=(top, bottom, residual),
            error=np.array([float(book.error) for book in books[:2]], np.float32),
            network=self.average.arrays(),
            codes=static_prior(config, counts),
            training={"network": asdict(self.options) | {"held_out_data": held_out} | facts},
        )

    def save(self, path: Path, share: float) -> None:
        """Write a checkpoint."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(), "average": self.average.state_dict(), "colour": self.loss.colour,
            "optimiser": self.optimiser.state_dict(), "done": self.done, "share": share,
            "begun": self.begun,
        }  # fmt: skip
        if self.adversary is not None:
            state["adversary"] = self.adversary.state()
        save_checkpoint(path, state)

    def load(self, path: Path) -> float:
        """Go on from a checkpoint; returns its place in the schedule."""
        state = read_checkpoint(path, self.device)
        with continuing(path):
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.loss.colour.copy_(state["colour"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.adversary is not None and "adversary" in state:
                self.adversary.load(state["adversary"])
            self.done, self.begun = state["done"], state["begun"]
            return float(state["share"])
