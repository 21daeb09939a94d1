"""``vqcodec completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vqcodec.cli.report import say_result

__all__ = ["completion"]


@click.command(no_args_is_help=True)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a SHELL complete vqcodec's commands, options and files.

    \b
    eval "$(vqcodec completion bash)"        in ~/.bashrc
    eval "$(vqcodec completion zsh)"         in ~/.zshrc
    vqcodec completion fish | source         in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    say_result(kind(ctx.find_root().command, {}, "vqcodec", "_VQCODEC_COMPLETE").source().splitlines())
