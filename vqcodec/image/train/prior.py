"""Stage "prior": the networks of the prior, trained on cached codes by the length of the code.

Neither transform nor search is in the loop: crops are coded once under the model at hand, and every level is a network
of its own, since what it sees is codes only. Afterwards the tables are counted again under the new rows.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vqcodec.bitstream.tables import pack_probabilities
from vqcodec.image.model import ImageModel, code_model, integer_arrays, load_model, model_id, save_model
from vqcodec.image.seen import low_units, whole_codewords
from vqcodec.image.sight import Sight
from vqcodec.image.train.code_cache import CodeCache, cache_codes, load_cache, save_cache
from vqcodec.image.train.code_replay import code_length, count_tables, fixed_length, static_length
from vqcodec.image.train.data import CropSource, photographs_key
from vqcodec.image.train.level_training import LevelTrainer, Widths, export_level, level_codes
from vqcodec.prior.integer import PriorSlice
from vqcodec.train.loop import Length, continuing, log_line, read_checkpoint, save_checkpoint

__all__ = ["PriorOptions", "train_prior"]


@dataclass(frozen=True)
class PriorOptions:
    """Options of the stage; the model's card says where the shipped weights departed from these.

    Attributes:
        slices: those that get a network.
        widths: of the networks.
        crops, held_out: crops of 256 x 256 to train on, and for the figures.
        even: share of the crops to train on, beside these, that are coded with even steps.
        held_out_data: photographs for the figures; None takes other crops of the training photographs.
        learning_rate: of SOAP; constant at first, then a cosine.
        batch: positions of a phase in a step, about.
    """

    slices: tuple[str, ...] = ("y4", "y3", "y2", "y1")
    widths: Widths = field(default_factory=Widths)
    crops: int = 2000
    held_out: int = 160
    even: float = 0.25
    held_out_data: Path | None = None
    learning_rate: float = 3e-3
    batch: int = 1 << 15
    seed: int = 21


def train_prior(
    run: Path, data: Path, length: Length, *, resume: bool, options: PriorOptions | None = None
) -> dict[str, Any]:
    """Train the networks of ``run/model.safetensors``, which is replaced at the end.

    Training starts from the linear parameters of the model at hand; networks that it has already are replaced.

    Args:
        run: folder of the run: model, cached codes, checkpoint and log.
        data: folder of training photographs, used where the codes are not cached yet.
        length: of the training of all networks together; shared out by the bits of their slices.
        resume: keep the networks that the checkpoint holds.

    Returns:
        Bits per pixel on held-out crops: fixed length, static tables, prior before, after in float, after in integers.

    Raises:
        InputError: a resume without a checkpoint.
    """
    options = options or PriorOptions()
    model = load_model(run / "model.safetensors")
    checkpoint = run / "prior.ckpt"
    done: dict[int, Any] = read_checkpoint(checkpoint, torch.device("cpu")) if resume else {}
    train, test = _caches(model, run, data, options)
    before = _by_slice(code_length(model.codes, test))
    config, codes, sight = model.config, model.codes, _sight(model)
    jobs = [i for i, s in enumerate(config.slices) if s.name in options.slices]
    with continuing(checkpoint):
        if not set(done) <= set(jobs):
            raise KeyError("slices that get no network")
    whole = sum(before[i] for i in jobs)
    slices, networks, soft = list(codes.slices), {}, {}
    for i in jobs:
        began = time.monotonic()
        known, seed = level_codes(codes, sight, train, i), options.seed + 100 * i
        trainer = LevelTrainer(config.slices[i], codes.slices[i], codes.tables[i], known, options.widths, seed)
        if i in done:
            with continuing(checkpoint):
                trainer.network.load_state_dict(done[i])
            trainer.count()
        else:
            steps = trainer.fit(length.part(before[i] / whole), options.learning_rate, options.batch)
            done[i] = trainer.network.state_dict()
            save_checkpoint(checkpoint, done)
            facts = {"slice": config.slices[i].name, "steps": steps, "seconds": round(time.monotonic() - began)}
            log_line(run, {"stage": "prior", **facts})
        soft[i] = trainer.length(level_codes(codes, sight, test, i))
        slices[i], networks[i] = export_level(trainer.network, codes.slices[i])
    whole_sight = Sight.of(sight.units, sight.codewords, networks)
    new = _with_networks(model, slices, whole_sight, train)
    report = _report(model, new, train, test, before, soft)
    log_line(run, {"stage": "prior", "bits_per_pixel": report})
    held_out = options.held_out_data and options.held_out_data.name
    new.training = model.training | {"prior": asdict(options) | {"held_out_data": held_out} | asdict(length)}
    save_model(new, run / "model.safetensors")
    checkpoint.unlink(missing_ok=True)
    return report


def _report(
    old: ImageModel,
    new: ImageModel,
    train: CodeCache,
    test: CodeCache,
    before: dict[int, float],
    soft: dict[int, float],
) -> dict[str, Any]:
    """Bits per pixel.

    Args:
        before: bits of all slices under the old model.
        soft: of the slices with a network, in float.
    """
    after = _by_slice(code_length(new.codes, test))
    totals = {
        "fixed": fixed_length(old.codes, test),
        "static": static_length(old.codes, train, test),
        "before": sum(before.values()),
        "float": sum((after | soft).values()),
        "integer": sum(after.values()),
    }
    report: dict[str, Any] = {name: round(bits / test.pixels, 5) for name, bits in totals.items()}
    report["slices"] = {
        new.config.slices[i].name: [round(bits[i] / test.pixels, 5) for bits in (before, soft, after)] for i in soft
    }
    return report


def _by_slice(bits: dict[tuple[int, int], float]) -> dict[int, float]:
    """Bits by slice, -1 for the low band, from those by slice and phase."""
    out: dict[int, float] = {}
    for (i, _), count in bits.items():
        out[i] = out.get(i, 0.0) + count
    return out


def _caches(model: ImageModel, run: Path, data: Path, options: PriorOptions) -> tuple[CodeCache, CodeCache]:
    """Codes to train on and for the figures; kept by the model that made them and the files they are of."""
    out = []
    for name, folder, count, seed, even in (
        ("train", data, options.crops, options.seed, False),
        ("even", data, round(options.even * options.crops), options.seed + 2, True),
        ("test", options.held_out_data or data, options.held_out, options.seed + 1, False),
    ):
        key = f"{model_id(model).hex()}-{photographs_key(folder)}-{count}-{seed}"
        path = run / f"prior-codes-{name}-{key}.npz"
        if not path.exists():
            save_cache(cache_codes(model, CropSource(folder, 256, seed), count, seed, even=even), path)
        out.append(load_cache(path))
    return out[0] + out[1], out[2]


def _sight(model: ImageModel) -> Sight:
    """What networks would see of the model's pictures; it has none."""
    luma = [i for i, s in enumerate(model.config.slices) if not s.chroma and s.level > 1]
    words = whole_codewords(model.config, model.codebooks)
    return Sight.of(low_units(model.config), dict(zip(luma, words, strict=False)), {})


def _with_networks(model: ImageModel, slices: list[PriorSlice], sight: Sight, train: CodeCache) -> ImageModel:
    """The model with other linear parameters and with networks, and all tables counted anew under their rows."""
    config, codes = model.config, replace(model.codes, slices=tuple(slices), sight=sight)
    stored = [model.stored[f"prior.{spec.name}.table"] for spec in config.slices]
    for i, probabilities in count_tables(config, codes, train, range(len(slices))).items():
        stored[i] = pack_probabilities(probabilities)
    arrays = integer_arrays(config, codes, stored, model.stored["prior.low.table"])
    return replace(model, codes=code_model(config, arrays), stored=arrays)
