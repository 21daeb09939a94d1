"""One stage of training, as the command line calls it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vqcodec.errors import InputError, UsageError
from vqcodec.models.audio_store import save_audio_model
from vqcodec.models.config import AUDIO_PRESETS, PRESETS
from vqcodec.models.store import ImageModel, integer_arrays, save_model
from vqcodec.quantize.units import BIT_WEIGHT
from vqcodec.train.audio_data import parse_folder
from vqcodec.train.audio_prior import AudioPriorOptions, fit_audio_prior
from vqcodec.train.audio_stage import load_transform, train_transform
from vqcodec.train.closed_form import fit_closed_form
from vqcodec.train.data import CropSource
from vqcodec.train.prior_stage import PriorOptions, train_prior
from vqcodec.train.restore_stage import RestoreOptions, train_restore

__all__ = ["AudioRunOptions", "RunOptions", "run_audio_stage", "run_stage"]

START_CROPS = 768
# Large tensors are mapped and unmapped at every operation by default; keeping the pages saves a third of a step.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


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
    _keep_pages()
    run.mkdir(parents=True, exist_ok=True)
    model = run / "model.safetensors"
    if options.init != "closed-form" and not options.resume:
        if not Path(options.init).is_file():
            raise InputError(f"{options.init}: no such model; give a .safetensors file of a run, or closed-form")
        shutil.copyfile(options.init, model)
    if options.stage == "start":
        _start(data, model, options)
        return
    if not model.exists():
        raise InputError(f"{model}: not there; run --stage start first, or give --init FILE")
    if options.minutes is None and options.steps is None:
        raise UsageError(f"stage {options.stage} needs --minutes or --steps")
    minutes, steps, resume = options.minutes, options.steps, options.resume
    if options.stage == "prior":
        prior = PriorOptions() if options.crops is None else replace(PriorOptions(), crops=options.crops)
        train_prior(run, data, minutes=minutes, steps=steps, resume=resume, options=prior)
    else:
        settings = RestoreOptions() if options.crops is None else replace(RestoreOptions(), crops=options.crops)
        train_restore(run, data, minutes=minutes, steps=steps, resume=resume, options=settings)


@dataclass(frozen=True)
class AudioRunOptions:
    """What ``vqcodec train audio`` was asked for; see its help."""

    stage: str
    init: str = "skeleton"
    resume: bool = False
    minutes: float | None = None
    steps: int | None = None
    stretches: int | None = None
    preset: str = "audio"


def run_audio_stage(data: Sequence[str], run: Path, options: AudioRunOptions) -> None:
    """Run one stage of an audio model.

    Args:
        data: folders of sound, each ``DIR`` or ``DIR:SHARE``.

    Raises:
        InputError: no sound, or nothing to begin with.
        UsageError: the transform without a length.
    """
    _keep_pages()
    run.mkdir(parents=True, exist_ok=True)
    config, folders = AUDIO_PRESETS[options.preset], [parse_folder(text) for text in data]
    if options.stage == "transform":
        if options.minutes is None and options.steps is None:
            raise UsageError("stage transform needs --minutes or --steps")
        init = None if options.init == "skeleton" else Path(options.init)
        if init is not None and not init.is_file():
            raise InputError(f"{init}: no such model; give a .safetensors file of a run, or skeleton")
        train_transform(
            config, run, folders, minutes=options.minutes, steps=options.steps, resume=options.resume, init=init
        )
        return
    if options.steps is not None:
        raise UsageError("stage prior takes --minutes, not --steps")
    if not (run / "transform.ckpt").exists():
        raise InputError(f"{run / 'transform.ckpt'}: not there; run --stage transform first")
    prior = AudioPriorOptions()
    prior = replace(prior, minutes=options.minutes or prior.minutes, stretches=options.stretches or prior.stretches)
    model = fit_audio_prior(config, load_transform(config, run), folders, run, prior)
    save_audio_model(model, run / "model.safetensors")


def _start(data: Path, path: Path, options: RunOptions) -> None:
    """The closed-form start: minutes, exact, repeatable from the seed."""
    config = PRESETS[options.preset]
    count = options.crops or START_CROPS
    try:
        crops = CropSource(data, 256, seed=options.seed).batch(count)
    except ValueError as e:
        raise InputError(f"{e}; give a folder of photographs") from e
    step = np.random.default_rng(options.seed + 1).integers(0, 256, count)
    fit = fit_closed_form(config, crops, step, verbose=True)
    arrays = integer_arrays(config, fit.model, fit.stored, fit.low_stored)
    training = {"start": {"crops": count, "seed": options.seed, "bit_weight": BIT_WEIGHT}}
    model = ImageModel(config, fit.colour, fit.codebooks, fit.trust, fit.model, stored=arrays, training=training)
    save_model(model, path)


def _keep_pages() -> None:
    """Start again with malloc settings that suit training, where the C library reads them."""
    if sys.platform == "linux" and "MALLOC_MMAP_MAX_" not in os.environ and sys.argv[0].endswith("vqcodec"):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MALLOC})  # noqa: S606 - ourselves
