"""One stage of training of an audio model, as the command line calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vqcodec.audio.config import AUDIO_PRESETS
from vqcodec.audio.model import save_audio_model
from vqcodec.audio.train.data import AudioSource, find_folder
from vqcodec.audio.train.noise import fit_noise
from vqcodec.audio.train.prior import AudioPriorOptions, fit_audio_prior
from vqcodec.audio.train.transform import load_transform, train_transform
from vqcodec.errors import InputError, UsageError
from vqcodec.train.loop import Length, log_line, model_to_begin_with

__all__ = ["AudioRunOptions", "run_audio_stage"]


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
        UsageError: the transform without a length, or the prior with steps.
    """
    run.mkdir(parents=True, exist_ok=True)
    config, folders = AUDIO_PRESETS[options.preset], [find_folder(text) for text in data]
    if options.stage == "transform":
        length = Length.of(options.minutes, options.steps)
        init = model_to_begin_with(options.init, "skeleton")
        train_transform(config, run, folders, length, resume=options.resume, init=init)
        return
    if options.steps is not None:
        raise UsageError("stage prior takes --minutes, not --steps")
    if not (run / "transform.ckpt").exists():
        raise InputError(f"{run / 'transform.ckpt'}: not there; run --stage transform first")
    prior = AudioPriorOptions()
    prior = replace(prior, minutes=options.minutes or prior.minutes, stretches=options.stretches or prior.stretches)
    transform, made_by = load_transform(config, run)
    names = ("held", "before", "after")
    found = fit_noise(transform, AudioSource(folders, run / "sounds", prior.seed))
    log_line(run, {"stage": "noise"} | dict(zip(names, found, strict=True)))
    model = fit_audio_prior(config, transform, folders, run, prior)
    shares = {"data": [f"{folder.path.name}:{folder.share:g}" for folder in folders]}
    model.training = {"transform": made_by | shares, "prior": asdict(prior) | shares}
    save_audio_model(model, run / "model.safetensors")
