"""The command line. This module imports click only; each command's module is imported when it is called."""

from __future__ import annotations

import click

from vqcodec.cli.lazy import LazyCommand, LazyGroup

__all__ = ["main"]

COMMANDS = {
    "compress": LazyCommand("vqcodec.cli.compress:compress", "Compress pictures and sounds to .vqc files."),
    "decompress": LazyCommand("vqcodec.cli.decompress:decompress", "Decompress .vqc files to pictures and sounds."),
    "tokens": LazyCommand("vqcodec.cli.tokens:tokens", "Codes of a picture or of frames, and back."),
    "sample": LazyCommand("vqcodec.cli.tokens:sample", "Draw pictures from the model of tokens."),
    "restore": LazyCommand("vqcodec.cli.tokens:restore", "Fill holes, take noise away, or double the size."),
    "info": LazyCommand("vqcodec.cli.info:info", "Print what a .vqc file says about itself."),
    "verify": LazyCommand("vqcodec.cli.verify:verify", "Check that .vqc files are whole and their codes decode."),
    "compare": LazyCommand("vqcodec.cli.compare:compare", "Say how far two pictures or two sounds are apart."),
    "doctor": LazyCommand("vqcodec.cli.doctor:doctor", "Check this installation and this machine."),
    "model-info": LazyCommand("vqcodec.cli.model_info:model_info", "Print the models: parameters and cost."),
    "bench": LazyCommand("vqcodec.cli.bench:bench", "Measure against other codecs."),
    "train": LazyCommand("vqcodec.cli.train:train", "Train a model."),
    "completion": LazyCommand("vqcodec.cli.completion:completion", "Print what a shell needs to complete vqcodec."),
}


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from vqcodec import __version__

        click.echo(f"vqcodec {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version.",
)
def main() -> None:
    """Small pictures and sounds by a learned codec whose files decode to the same codes on every machine."""
