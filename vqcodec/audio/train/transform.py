"""Stage "transform" of an audio model: both networks and the curves of the skeleton, end to end on rate and distance.

The start is the skeleton as a plain transform codec, whose stand-in prior is fitted first; then everything learns
together. Lines and envelope are rounded straight through for the distance and noisy for the rate.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.audio.attacks import short_frames
from vqcodec.audio.config import AudioConfig
from vqcodec.audio.mdct import HOP
from vqcodec.audio.model import load_audio_model
from vqcodec.audio.noise import quiet_noise
from vqcodec.audio.train.data import AudioSource, Folder
from vqcodec.audio.train.losses import bin_distance, complex_distance, loudness_distance, mel_distance, spectrum
from vqcodec.audio.train.mdct import imdct, mdct
from vqcodec.audio.train.network import AudioNetworks
from vqcodec.audio.train.rate import AudioRate
from vqcodec.errors import InputError
from vqcodec.train.loop import Length, continuing, follow, log_line, read_checkpoint, save_checkpoint, schedule
from vqcodec.train.processes import Processes, join_processes

__all__ = [
    "DEAD_ZONE",
    "AudioOptions",
    "coded",
    "distances",
    "load_tensors",
    "load_transform",
    "rounded",
    "short_of",
    "train_transform",
]

DEAD_ZONE = 0.18  # of the rounding in training, about what the search does later


@dataclass(frozen=True)
class AudioOptions:
    """Options of the stage; the defaults made the shipped weights.

    Attributes:
        batch, frames: stretches per step, and their length.
        rate, curve_rate, prior_rate: learning rates of the networks, the skeleton's curves and the stand-in prior;
            constant, then a cosine to 2 % from ``decay_from`` of the run on.
        start_steps: steps in which only the stand-in prior is fitted.
        loudness, mel, bins, spectral: weights of the distances.
        bit_price, bit_octave: a kbit/s weighs bit_price * 2 ** (step index / bit_octave).
        fineness: step indices are drawn as 255 * u ** fineness, u uniform: below 1, more coarse ones.
    """

    batch: int = 12
    frames: int = 60
    rate: float = 1.2e-3
    curve_rate: float = 3e-3
    prior_rate: float = 1e-2
    decay_from: float = 0.35
    averaging: float = 0.999
    start_steps: int = 60
    loudness: float = 1.0
    mel: float = 0.15
    bins: float = 0.3
    spectral: float = 1.0
    bit_price: float = 0.0008
    bit_octave: float = 25.0
    fineness: float = 0.7
    seed: int = 5


def rounded(x: Tensor, dead_zone: float = 0.0) -> Tensor:
    """Nearest integers, zero favoured; the gradient passes straight through."""
    return x + (x.sign() * torch.floor(x.abs() + 0.5 - dead_zone) - x).detach()


def _noisy(x: Tensor) -> Tensor:
    return x + torch.rand_like(x) - 0.5


def short_of(samples: Tensor) -> Tensor:
    """Short frames of samples [B, T * HOP], [B, T + 1], as the encoder chooses them."""
    return torch.from_numpy(short_frames(F.pad(samples, (HOP, HOP)).cpu().numpy())).to(samples.device)


def coded(transform: AudioNetworks, rate: AudioRate, samples: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Samples [B, N] after coding at step indices [B]; kbit/s of envelope and lines [B]."""
    short = short_of(samples)
    frames = mdct(samples, short)
    # Half precision pays on a GPU; most processors emulate it: five times slower than float32 with AVX2.
    half = partial(torch.autocast, samples.device.type, torch.bfloat16, enabled=samples.device.type == "cuda")
    with half():
        wanted, move = (x.float() for x in transform.analyse(frames, short, step))
    envelope = rounded(wanted)
    decoded = envelope * transform.envelope_unit(step)
    amplitude, log_step = transform.curves(decoded, step)
    values = transform.lines(frames, move, log_step)
    lines = rounded(values, DEAD_ZONE)
    line_bits = rate.lines(_noisy(values), lines.detach(), amplitude - log_step, step).sum((1, 2))
    envelope_bits = rate.bands(_noisy(wanted), envelope.detach(), step).sum((1, 2))
    noise = torch.from_numpy(quiet_noise(int(torch.randint(1 << 16, ())), frames.shape[1], len(frames)))
    with half():
        out = transform.synthesise(lines, decoded, noise.to(frames.device), short, step)
    per_second = 48.0 / samples.shape[1]  # kbit/s of a bit
    return imdct(out.float(), short), envelope_bits * per_second, line_bits * per_second


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Loudness, mel (two resolutions), bin and spectral distance of sounds [B, N] from originals; [4, B]."""
    medium_a, medium_b = spectrum(a, 1536), spectrum(b, 1536)
    fine, coarse = (mel_distance(spectrum(a, size), spectrum(b, size), size) for size in (1024, 4096))
    bins = bin_distance(spectrum(a, 2048), spectrum(b, 2048))
    loudness, spectral = loudness_distance(medium_a, medium_b), complex_distance(medium_a, medium_b)
    return torch.stack([loudness, fine + coarse, bins, spectral])


def _loss(distance: Tensor, kilobits: Tensor, step: Tensor, options: AudioOptions) -> Tensor:
    weights = torch.tensor([options.loudness, options.mel, options.bins, options.spectral], device=step.device)
    price = options.bit_price * 2 ** (step / options.bit_octave)
    total = weights @ distance + price * kilobits
    return (
        total / (0.3 + 0.014 * (step - 76).clamp(min=0))
    ).mean()  # about its size at this quality, so that all count alike


class _Training:
    """State of a run: models, optimiser, place in the schedule."""

    def __init__(self, config: AudioConfig, options: AudioOptions, processes: Processes) -> None:
        torch.manual_seed(options.seed)
        self.options, self.processes, self.device = options, processes, processes.device
        device = self.device
        self.transform = AudioNetworks(config).to(device)
        self.rate = AudioRate(len(config.edges) - 1).to(device)
        with torch.no_grad():
            knots = len(self.transform.envelope_step)
            self.transform.envelope_step.copy_(torch.linspace(0.3, 1.7, knots))
        networks = [*self.transform.analysis.parameters(), *self.transform.synthesis.parameters()]
        curves = [self.transform.shape, self.transform.tilt, self.transform.envelope_step]
        groups: list[dict[str, Any]] = [
            {"params": networks, "base": options.rate},
            {"params": curves, "base": options.curve_rate},
            {"params": list(self.rate.parameters()), "base": options.prior_rate},
        ]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        self.average = copy.deepcopy(self.transform)
        self.done, self.share = 0, 0.0

    def draw(self, source: AudioSource) -> tuple[Tensor, Tensor]:
        """Samples and step indices of a batch."""
        o = self.options
        samples = source.batch(o.batch, o.frames)
        step = torch.from_numpy((255 * source.rng.random(o.batch) ** o.fineness).astype(np.int64))
        return samples.to(self.device), step.to(self.device)

    def fit_rate(self, source: AudioSource) -> None:
        """The stand-in prior alone, on the skeleton's codes."""
        optimiser = torch.optim.Adam(self.rate.parameters(), lr=0.03)
        for i in range(self.options.start_steps):
            for group in optimiser.param_groups:
                group["lr"] = 0.03 * (1 - i / (1.1 * self.options.start_steps))
            _, envelope, lines = coded(self.transform, self.rate, *self.draw(source))
            optimiser.zero_grad(set_to_none=True)
            (envelope + lines).mean().backward()  # type: ignore[no-untyped-call]
            self.processes.share_gradients(self.rate.parameters())
            optimiser.step()

    def step(self, source: AudioSource) -> list[float]:
        """One step; returns loss, the four distances, and kbit/s of envelope and lines."""
        o = self.options
        lr = schedule(self.done, self.share, o.decay_from, warm=200)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * lr
        samples, step = self.draw(source)
        out, envelope, lines = coded(self.transform, self.rate, samples, step)
        distance = distances(out, samples)
        loss = _loss(distance, envelope + lines, step, o)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.share_gradients(p for group in self.optimiser.param_groups for p in group["params"])
        nn.utils.clip_grad_norm_(self.transform.parameters(), 1.0)
        self.optimiser.step()
        self.done += 1
        follow(self.average, self.transform, self.done, o.averaging)
        return [float(x.detach().mean()) for x in (loss, *distance, envelope, lines)]

    def save(self, path: Path) -> None:
        """What a resume needs: networks, average, optimiser, place in the schedule; data are drawn anew."""
        state = {
            "transform": self.transform.state_dict(), "rate": self.rate.state_dict(),
            "average": self.average.state_dict(), "optimiser": self.optimiser.state_dict(),
            "done": self.done, "share": self.share, "options": asdict(self.options),
        }  # fmt: skip
        save_checkpoint(path, state)

    def load(self, path: Path) -> None:
        """Inverse of :meth:`save`."""
        state = read_checkpoint(path, self.device)
        with continuing(path):
            load_tensors(self.transform, state["transform"], path)
            self.rate.load_state_dict(state["rate"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done, self.share = state["done"], state["share"]


@torch.no_grad()
def _held_out(training: _Training, source: AudioSource) -> dict[str, list[float]]:
    """Distances and kbit/s on held-out stretches by quality."""
    out = {}
    for index in (60, 120, 180, 210, 240):
        source.rng = np.random.default_rng(0)
        samples = source.batch(12, 200, jitter=0.0).to(training.device)
        step = torch.full((12,), index, device=training.device)
        decoded, envelope, lines = coded(training.average, training.rate, samples, step)
        values = [*distances(decoded, samples), envelope, lines]
        out[str(index)] = [round(float(x.mean()), 3) for x in values]
    return out


def train_transform(
    config: AudioConfig,
    run: Path,
    folders: Sequence[Folder],
    length: Length,
    *,
    resume: bool,
    init: Path | None = None,
    options: AudioOptions | None = None,
) -> None:
    """Train; ``run/transform.ckpt`` holds everything, and its moving average is the result.

    Args:
        config: shape of the model.
        run: folder of the run: checkpoint, log and converted sounds.
        folders: training sound, the last 4 % of each kept for the figures in the log.
        length: of the run.
        resume: go on from the checkpoint, with its optimiser and its place in the schedule.
        init: weights file with a transform to begin with instead of the skeleton alone.

    Raises:
        InputError: no sound, or a file that does not fit.
    """
    options = options or AudioOptions()
    processes = join_processes()
    training = _Training(config, options, processes)
    checkpoint, sounds = run / "transform.ckpt", run / "sounds"
    if resume:
        training.load(checkpoint)
    if processes.first:
        AudioSource(folders, sounds, options.seed)  # converts the sounds once, for all
    processes.wait()
    seed = [options.seed, processes.rank, training.done]
    source = AudioSource(folders, sounds, seed)
    if not resume:
        if init is not None:
            tensors = {k: torch.from_numpy(v.astype(np.float32)) for k, v in load_audio_model(init).transform.items()}
            for transform in (training.transform, training.average):
                load_tensors(transform, tensors, init)
        training.fit_rate(source)
    test = AudioSource(folders, sounds, options.seed, part="test")
    log = _Log(training, test, run, checkpoint) if processes.first else None
    began, before = time.monotonic(), training.share
    while True:
        training.share = processes.agreed(length.share(began, training.done, before))
        if training.share >= 1:
            break
        figures = training.step(source)
        if log is not None:
            log.after_step(figures)
    if log is not None:
        log.at_end()
    processes.wait()


class _Log:
    """Figures every minute, held-out ones and a checkpoint every four."""

    NAMES = ("loss", "loudness", "mel", "bins", "spectral", "envelope", "lines")

    def __init__(self, training: _Training, test: AudioSource, run: Path, checkpoint: Path) -> None:
        self.training, self.test, self.run, self.checkpoint = training, test, run, checkpoint
        self.began = self.shown = self.checked = time.monotonic()
        self.seen: list[list[float]] = []

    def after_step(self, figures: list[float]) -> None:
        self.seen.append(figures)
        now = time.monotonic()
        if now - self.shown <= 60:
            return
        self.shown = now
        line = {"stage": "transform", "step": self.training.done, "seconds": round(now - self.began)}
        line |= dict(zip(self.NAMES, np.mean(self.seen, 0).round(4).tolist(), strict=True))
        self.seen.clear()
        if now - self.checked > 240:
            self.checked = now
            line["held_out"] = _held_out(self.training, self.test)
            self.training.save(self.checkpoint)
        log_line(self.run, line)

    def at_end(self) -> None:
        self.training.save(self.checkpoint)
        done = self.training.done
        log_line(self.run, {"stage": "transform", "step": done, "held_out": _held_out(self.training, self.test)})


def load_transform(config: AudioConfig, run: Path) -> tuple[AudioNetworks, dict[str, Any]]:
    """The trained transform of a run, and what it was trained with.

    Raises:
        InputError: the run has no such transform.
    """
    transform, path = AudioNetworks(config), run / "transform.ckpt"
    state = read_checkpoint(path, torch.device("cpu"))
    with continuing(path):
        load_tensors(transform, state["average"], path)
        return transform.eval(), {"steps": state["done"], **state["options"]}


def load_tensors(transform: AudioNetworks, tensors: dict[str, Tensor], path: Path) -> None:
    """Tensors from a file into a transform.

    Raises:
        InputError: they are of another shape of model.
    """
    try:
        transform.load_state_dict(tensors)
    except RuntimeError as e:
        name = transform.config.name
        raise InputError(f"{path}: not a model of preset {name}; give the --preset that it was made with") from e
