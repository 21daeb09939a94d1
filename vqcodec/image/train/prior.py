"""Stage "prior": the nonlinear branch of the prior, trained on cached codes by the length of the code.

Neither transform nor search is in the loop: crops are coded once under the model at hand, and every phase of every
slice is a regression of its own, since its context is codes only. Afterwards the tables are counted again under the new
rows.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqcodec.bitstream.tables import pack_probabilities
from vqcodec.image.codes import CodeModel
from vqcodec.image.model import ImageModel, code_model, integer_arrays, load_model, model_id, save_model
from vqcodec.image.train.code_cache import CodeCache, cache_codes, load_cache, save_cache
from vqcodec.image.train.code_replay import code_length, count_tables, fixed_length, replay, static_length
from vqcodec.image.train.data import CropSource, photographs_key
from vqcodec.prior.export import export_phase
from vqcodec.prior.integer import PriorSlice
from vqcodec.prior.network import PhaseNetwork, code_bits
from vqcodec.train.loop import Length, continuing, log_line, read_checkpoint, save_checkpoint
from vqcodec.train.phases import PhaseCodes, Rates, fit_phase, table_bits

__all__ = ["PriorOptions", "train_prior"]

Job = tuple[int, int]  # slice, phase


@dataclass(frozen=True)
class PriorOptions:
    """Options of the stage; the defaults made the shipped weights.

    Attributes:
        slices: those that get a branch. Chroma gains 0.3 % of its bits for a third of the prior's time: left out.
        width: units per hidden layer.
        crops, held_out: crops of 256 x 256 to train on, and for the figures.
        held_out_data: photographs for the figures; None takes other crops of the training photographs.
        rates: learning rates and positions per step.
    """

    slices: tuple[str, ...] = ("y3", "y2", "y1")
    width: int = 16
    crops: int = 1500
    held_out: int = 96
    held_out_data: Path | None = None
    rates: Rates = field(default_factory=Rates)
    seed: int = 21


def train_prior(
    run: Path, data: Path, length: Length, *, resume: bool, options: PriorOptions | None = None
) -> dict[str, Any]:
    """Train the branch of ``run/model.safetensors``, which is replaced at the end.

    Training starts from the linear part of the model at hand; branches that it has already are replaced.

    Args:
        run: folder of the run: model, cached codes, checkpoint and log.
        data: folder of training photographs, used where the codes are not cached yet.
        length: of the training of all phases together; shared out by their bits.
        resume: keep the phases that the checkpoint holds.

    Returns:
        Bits per pixel on held-out crops: fixed length, static tables, prior before, after in float, after in integers.

    Raises:
        InputError: a resume without a checkpoint.
    """
    options = options or PriorOptions()
    model = load_model(run / "model.safetensors")
    checkpoint = run / "prior.ckpt"
    done: dict[Job, Any] = read_checkpoint(checkpoint, torch.device("cpu")) if resume else {}
    train, test = _caches(model, run, data, options)
    before = code_length(model.codes, test)
    names = [s.name for s in model.config.slices]
    jobs = {job: bits for job, bits in before.items() if job[0] >= 0 and names[job[0]] in options.slices}
    whole = sum(jobs.values())
    for i, p, codes in replay(model.codes.slices, model.codes.levels, train, set(jobs)):
        if (i, p) in done:
            continue
        began = time.monotonic()
        network = _network(model.codes.slices[i], (i, p), options)
        bits = table_bits(model.codes.slices[i], model.codes.tables[i])
        part, seed = length.part(jobs[i, p] / whole), options.seed + 100 * i + p
        count = fit_phase(network, model.codes.slices[i], bits, codes, length=part, rates=options.rates, seed=seed)
        done[i, p] = network.state_dict()
        save_checkpoint(checkpoint, done)
        facts = {"slice": names[i], "phase": p, "steps": count, "seconds": round(time.monotonic() - began)}
        log_line(run, {"stage": "prior", **facts})
    networks = {job: _network(model.codes.slices[job[0]], job, options) for job in jobs}
    for job, network in networks.items():
        with continuing(checkpoint):
            network.load_state_dict(done[job])
    new = _with_networks(model, networks, train)
    report = _report(model.codes, new, networks, train, test, before)
    log_line(run, {"stage": "prior", "bits_per_pixel": report})
    held_out = options.held_out_data and options.held_out_data.name
    new.training = model.training | {"prior": asdict(options) | {"held_out_data": held_out} | asdict(length)}
    save_model(new, run / "model.safetensors")
    checkpoint.unlink(missing_ok=True)
    return report


def _caches(model: ImageModel, run: Path, data: Path, options: PriorOptions) -> tuple[CodeCache, CodeCache]:
    """Codes to train on and for the figures; kept by the model that made them and the files they are of."""
    out = []
    for name, folder, count, seed in (
        ("train", data, options.crops, options.seed),
        ("test", options.held_out_data or data, options.held_out, options.seed + 1),
    ):
        key = f"{model_id(model).hex()}-{photographs_key(folder)}-{count}-{seed}"
        path = run / f"prior-codes-{name}-{key}.npz"
        if not path.exists():
            save_cache(cache_codes(model, CropSource(folder, 256, seed), count, seed), path)
        out.append(load_cache(path))
    return out[0], out[1]


def _network(s: PriorSlice, job: Job, options: PriorOptions) -> PhaseNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(options.seed + 100 * job[0] + job[1])
        return PhaseNetwork(s, job[1], options.width)


def _with_networks(model: ImageModel, networks: dict[Job, PhaseNetwork], train: CodeCache) -> ImageModel:
    """The model with integer branches, and with all tables counted anew under the rows that they give."""
    config, codes = model.config, model.codes
    slices = list(codes.slices)
    for (i, p), network in networks.items():
        slices[i] = export_phase(network, slices[i], p)
    codes = replace(codes, slices=tuple(slices))
    stored = [model.stored[f"prior.{spec.name}.table"] for spec in config.slices]
    for i, probabilities in count_tables(config, codes, train, range(len(slices))).items():
        stored[i] = pack_probabilities(probabilities)
    arrays = integer_arrays(config, codes, stored, model.stored["prior.low.table"])
    return replace(model, codes=code_model(config, arrays), stored=arrays)


@torch.no_grad()
def _soft_length(network: PhaseNetwork, s: PriorSlice, bits: Tensor, codes: PhaseCodes) -> float:
    """Bits of one phase with float weights and soft rows."""
    total = 0.0
    for start in range(0, len(codes), 32768):
        pick = torch.arange(start, min(start + 32768, len(codes)))
        energy = network(codes.patches(pick), codes.step[pick])
        total += float(code_bits(bits, s, energy, codes.bins[pick], codes.symbols[pick]).double().sum())
    return total


def _report(
    old: CodeModel,
    new: ImageModel,
    networks: dict[Job, PhaseNetwork],
    train: CodeCache,
    test: CodeCache,
    before: dict[Job, float],
) -> dict[str, Any]:
    after = code_length(new.codes, test)
    soft = dict(after)
    for i, p, codes in replay(old.slices, old.levels, test, set(networks)):
        soft[i, p] = _soft_length(
            networks[i, p], new.codes.slices[i], table_bits(new.codes.slices[i], new.codes.tables[i]), codes
        )
    totals = {
        "fixed": fixed_length(old, test),
        "static": static_length(old, train, test),
        "before": sum(before.values()),
        "float": sum(soft.values()),
        "integer": sum(after.values()),
    }
    report: dict[str, Any] = {name: round(bits / test.pixels, 5) for name, bits in totals.items()}
    report["slices"] = {
        new.config.slices[i].name: [
            round(sum(b for job, b in bits.items() if job[0] == i) / test.pixels, 5) for bits in (before, soft, after)
        ]
        for i in sorted({i for i, _ in networks})
    }
    return report
