"""One stage of training of a tokens model, as the command line calls it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vqcodec.errors import InputError, UsageError
from vqcodec.image.tokens.config import PRESETS
from vqcodec.image.tokens.model import load_tokens, save_tokens
from vqcodec.image.tokens.train.prior import PriorOptions, train_prior
from vqcodec.image.tokens.train.stage import NetworkOptions, train_network
from vqcodec.train.loop import Length, model_to_begin_with

__all__ = ["TokensRunOptions", "run_tokens_stage"]


@dataclass(frozen=True)
class TokensRunOptions:
    """What ``vqcodec train tokens`` was asked for; see its help."""

    stage: str
    init: str = "closed-form"
    resume: bool = False
    minutes: float | None = None
    steps: int | None = None
    crops: int | None = None
    preset: str = "tokens-deep"
    adversarial: float = 0.0
    held_out: Path | None = None
    seed: int = 5


def run_tokens_stage(data: Path, run: Path, options: TokensRunOptions) -> None:
    """Run one stage.

    Raises:
        InputError: no photographs, or no model to begin with.
        UsageError: no length, or an option that is not for the stage.
    """
    run.mkdir(parents=True, exist_ok=True)
    model = run / "model.safetensors"
    length = Length.of(options.minutes, options.steps)
    if options.adversarial and options.stage == "prior":
        raise UsageError("--adversarial is for stages network and decoder, which make pictures; leave it out")
    if not options.resume and (init := model_to_begin_with(options.init, "closed-form")):
        known = load_tokens(init)
        if options.stage == "network" and not PRESETS[options.preset].extends(known.config):
            raise InputError(
                f"{init}: a model of the preset {known.config.name}, as which {options.preset} cannot begin; "
                f"give --preset {known.config.name}, or another --init"
            )
        save_tokens(known, model)  # not before it is known to be one that fits
    if options.stage == "network":
        network = NetworkOptions.here(
            preset=options.preset,
            adversarial=options.adversarial,
            held_out_data=options.held_out,
            seed=options.seed,
        )
        network = network if options.crops is None else replace(network, start_crops=options.crops)
        start = model if options.init != "closed-form" else None
        train_network(run, data, length, resume=options.resume, options=network, start=start)
        return
    if not model.exists():
        raise InputError(f"{model}: not there; run --stage network first, or give --init FILE")
    if options.stage == "decoder":
        network = NetworkOptions.here(
            preset=load_tokens(model).config.name,
            adversarial=options.adversarial,
            held_out_data=options.held_out,
            seed=options.seed + 1,
        )
        train_network(run, data, length, resume=options.resume, options=network, decoder=True)
        return
    prior = PriorOptions(held_out_data=options.held_out)
    train_prior(run, data, length, prior if options.crops is None else replace(prior, crops=options.crops))
