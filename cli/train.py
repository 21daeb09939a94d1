"""``vqcodec train``: make a model, one stage at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from vqcodec.errors import InputError, ModelError, OutputError, SelfCheckError

__all__ = ["train"]


_folder = click.Path(path_type=Path, exists=True, file_okay=False)
_photographs = click.option("--data", required=True, type=_folder, help="Photographs.")
_out = click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
_init = click.option(
    "--init", default="closed-form", show_default=True, metavar="closed-form|FILE", help="Where to begin."
)


@click.group()
def train() -> None:
    """Train a model, stage by stage (README, Training)."""


@contextmanager
def _training_in(out: Path) -> Iterator[None]:
    """Within, there is the folder of a run, and models are the user's files, by --init or of the stage before.

    A folder that was made for it and that nothing was written to, as with data that cannot be used, goes again.

    Raises:
        OutputError: the folder cannot be made.
        InputError: in place of a ModelError.
    """
    from vqcodec.train.loop import keep_pages

    keep_pages()  # before anything is made, because it starts the program again
    made: list[Path] = []
    try:
        try:
            made = [folder for folder in (out, *out.parents) if not folder.exists()]
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out}: cannot be made ({error.strerror}); name another folder by --out") from error
        yield
    except SelfCheckError:
        raise
    except ModelError as error:
        raise InputError(f"{error}; give a model.safetensors of the same medium that vqcodec train wrote") from error
    finally:
        with suppress(OSError):  # the first that holds something stays, and so do those above it
            for folder in made:
                folder.rmdir()


@train.command("image")
@_photographs
@_out
@click.option(
    "--stage",
    type=click.Choice(["start", "prior", "restore"]),
    default="start",
    show_default=True,
    help="start: closed form. prior: its network on cached codes. restore: the filter on cached planes.",
)
@_init
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of the stage.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Length of a gradient stage.")
@click.option("--steps", type=click.IntRange(1), help="Length of a gradient stage, in steps.")
@click.option("--crops", type=click.IntRange(16), help="Crops to fit or to cache.")
@click.option(
    "--preset", default="image", show_default=True, type=click.Choice(["image", "tiny"]), help="Shape of the model."
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed of the closed-form start.")
def image(data: Path, out: Path, **options: Any) -> None:  # the fields of RunOptions, one option each
    """Train an image model; RUN/model.safetensors is the model after the last stage."""
    from vqcodec.image.train.run import RunOptions, run_stage

    _check_options(options)
    with _training_in(out):
        run_stage(data, out, RunOptions(**options))
    click.echo(f"{out / 'model.safetensors'}: stage {options['stage']} is done", err=True)


def _check_options(options: dict[str, Any]) -> None:
    if options["minutes"] is not None and options["steps"] is not None:
        raise click.UsageError("give --minutes or --steps, not both")
    if options["minutes"] is not None and not math.isfinite(options["minutes"]):  # click lets nan through its ranges
        raise click.UsageError(f"--minutes {options['minutes']} has no end; give a number above 0")
    given = click.get_current_context().get_parameter_source("init") is click.core.ParameterSource.COMMANDLINE
    if options["resume"] and given:
        raise click.UsageError("--resume and --init contradict each other; give only one of them")


@train.command("tokens")
@_photographs
@_out
@click.option(
    "--stage",
    type=click.Choice(["network", "prior", "decoder"]),
    default="network",
    show_default=True,
    help="network: encoder, codebooks and decoder, end to end. prior: its integer network, on their codes. decoder: "
    "the decoder alone, whose codes stay.",
)
@_init
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of the network.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Length of the stage.")
@click.option("--steps", type=click.IntRange(1), help="Length of the stage, in steps.")
@click.option(
    "--crops", type=click.IntRange(16), help="Crops of the closed-form start, or that the prior is fitted on."
)
@click.option(
    "--preset",
    default="tokens-deep",
    show_default=True,
    type=click.Choice(["tokens", "tokens-deep", "tokens-tiny"]),
    help="Shape; tokens has fewer residual blocks.",
)
@click.option(
    "--adversarial",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Weight of a critic of decoded pictures, with a gradient penalty; 0: none.",
)
@click.option("--held-out", type=_folder, help="Photographs for the figures.")
@click.option("--seed", default=5, show_default=True, type=click.IntRange(0), help="Seed of crops and start.")
def tokens(data: Path, out: Path, **options: Any) -> None:  # the fields of TokensRunOptions, one option each
    """Train a tokens model; RUN/model.safetensors is the model after each stage."""
    from vqcodec.image.tokens.train.run import TokensRunOptions, run_tokens_stage

    _check_options(options)
    with _training_in(out):
        run_tokens_stage(data, out, TokensRunOptions(**options))
    click.echo(f"{out / 'model.safetensors'}: stage {options['stage']} is done", err=True)


@train.command("audio")
@click.option(
    "--data", required=True, multiple=True, metavar="DIR[:SHARE]", help="Sound; give it several times, with shares."
)
@_out
@click.option(
    "--stage",
    type=click.Choice(["transform", "prior"]),
    default="transform",
    show_default=True,
    help="transform: networks and curves, end to end. prior: integer prior and tables on their codes.",
)
@click.option("--init", default="skeleton", show_default=True, metavar="skeleton|FILE", help="Where to begin.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of the transform.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Length of the stage.")
@click.option("--steps", type=click.IntRange(1), help="Length of the transform's stage, in steps.")
@click.option("--stretches", type=click.IntRange(8), help="Stretches of four seconds that the prior is fitted on.")
@click.option("--preset", default="audio", show_default=True, type=click.Choice(["audio", "audio-tiny"]), help="Shape.")
def audio(data: tuple[str, ...], out: Path, **options: Any) -> None:  # the fields of AudioRunOptions
    """Train an audio model; RUN/model.safetensors is the model after stage prior."""
    from vqcodec.audio.train.run import AudioRunOptions, run_audio_stage

    _check_options(options)
    with _training_in(out):
        run_audio_stage(data, out, AudioRunOptions(**options))
    click.echo(f"{out}: stage {options['stage']} is done", err=True)
