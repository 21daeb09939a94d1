"""``vqcodec verify``: is every byte right, and do the codes decode."""

from __future__ import annotations

from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.report import Progress, say, say_error, say_json, with_hint
from vqcodec.cli.streams import read_source
from vqcodec.errors import VqcError

__all__ = ["verify"]


@click.command(no_args_is_help=True)
@options.paths
@options.max_pixels
@options.max_seconds
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per file on stdout.")
@click.pass_context
def verify(ctx: click.Context, /, paths: tuple[str, ...], quiet: bool, as_json: bool, **settings: Any) -> None:
    """Check that every byte of .vqc files is right, and that they decode to the codes that were encoded.

    A path may be - for standard input.
    """
    progress = Progress(len(paths), quiet=quiet or as_json)
    worst = 0
    for done, path in enumerate(paths):
        progress.at(done, path)
        message, code = "", 0
        try:
            vqcodec.verify(read_source(path), **settings)
        except VqcError as error:
            message, code = with_hint(error), error.exit_code
        progress.clear()
        worst = max(worst, code)
        if as_json:
            say_json({"input": path, "ok": not code} | ({"error": message, "exit_code": code} if code else {}))
        if code:
            say_error(message)
        elif not quiet and not as_json:
            say(f"{path}: fine")
    ctx.exit(worst)
