"""One stage of training of an image model, as the command line calls it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vqcodec.errors import InputError
from vqcodec.image.config import PRESETS
from vqcodec.image.model import ImageModel, integer_arrays, load_model, save_model
from vqcodec.image.train.closed_form import fit_closed_form
from vqcodec.image.train.data import CropSource
from vqcodec.image.train.prior import PriorOptions, train_prior
from vqcodec.image.train.synthesis import RestoreOptions, train_restore
from vqcodec.image.units import BIT_WEIGHT
from vqcodec.train.loop import Length, model_to_begin_with

__all__ = ["RunOptions", "run_stage"]

START_CROPS = 768


@dataclass(frozen=True)
class RunOptions:
    """What ``vqcodec train image`` was asked for; see its help."""

    stage: str
    init: str = "closed-form"
    resume: bool = False
    minutes: float | None = None
    steps: int | None = None
    crops: int | None = None
    preset: str = "image"
    seed: int = 1


def run_stage(data: Path, run: Path, options: RunOptions) -> None:
    """Run one stage.

    Raises:
        InputError: no photographs, or no model to begin with.
        UsageError: a gradient stage without a length.
    """
    run.mkdir(parents=True, exist_ok=True)
    model = run / "model.safetensors"
    if not options.resume and (init := model_to_begin_with(options.init, "closed-form")):
        save_model(load_model(init), model)  # not before it is known to be one
    if options.stage == "start":
        _start(data, model, options)
        return
    if not model.exists():
        raise InputError(f"{model}: not there; run --stage start first, or give --init FILE")
    length = Length.of(options.minutes, options.steps)
    if options.stage == "prior":
        prior = PriorOptions() if options.crops is None else replace(PriorOptions(), crops=options.crops)
        train_prior(run, data, length, resume=options.resume, options=prior)
    else:
        settings = RestoreOptions.here()
        settings = settings if options.crops is None else replace(settings, crops=options.crops)
        train_restore(run, data, length, resume=options.resume, options=settings)


def _start(data: Path, path: Path, options: RunOptions) -> None:
    """The closed-form start: takes minutes, and gives the same model for the same seed, crops and library versions."""
    config = PRESETS[options.preset]
    count = options.crops or START_CROPS
    crops = CropSource(data, 256, seed=options.seed).batch(count)
    step = np.random.default_rng(options.seed + 1).integers(0, 256, count)
    fit = fit_closed_form(config, crops, step, verbose=True)
    arrays = integer_arrays(config, fit.model, fit.stored, fit.low_stored)
    training = {"start": {"crops": count, "seed": options.seed, "bit_weight": BIT_WEIGHT}}
    model = ImageModel(config, fit.colour, fit.codebooks, fit.trust, fit.model, stored=arrays, training=training)
    save_model(model, path)
