"""``vqcodec verify``: is every byte right, and do the codes decode."""

from __future__ import annotations

import math
from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.report import Progress, say, say_error, say_json, with_hint
from vqcodec.cli.streams import naming_source, read_source, weight_of
from vqcodec.errors import UsageError, VqcError

__all__ = ["verify"]


@click.command(no_args_is_help=True)
@options.paths
@click.option(
    "--against", metavar="ORIGINAL", help="Check as well that the one file given holds this picture or sound."
)
@options.threads
@options.max_pixels
@options.max_seconds
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per file on stdout.")
@click.pass_context
def verify(
    ctx: click.Context, /, paths: tuple[str, ...], against: str | None, quiet: bool, as_json: bool, **settings: Any
) -> None:
    """Check that every byte of .vqc files is right, and that they decode to the codes that were encoded.

    With --against, a lossless file must hold ORIGINAL exactly; of others it is told how far away they are. A path may
    be - for standard input.
    """
    if against is not None and len(paths) > 1:
        raise UsageError("--against is for one file; verify the others by themselves")
    weights = [weight_of(path) for path in paths]
    progress = Progress(weights, quiet=quiet or as_json)
    worst = 0
    for path, weight in zip(paths, weights, strict=True):
        progress.at(path)
        message, code, decibels = "", 0, None
        try:
            with naming_source(path):
                decibels = vqcodec.verify(read_source(path), against=against, **settings)
        except VqcError as error:
            message, code = with_hint(error), error.exit_code
        progress.finish(weight)
        progress.clear()
        worst = max(worst, code)
        if as_json:
            found = {} if decibels is None else {"psnr": decibels if math.isfinite(decibels) else None}
            say_json({"input": path, "ok": not code} | ({"error": message, "exit_code": code} if code else found))
        if code:
            say_error(message)
        elif not quiet and not as_json:
            say(f"{path}: fine{_distance(decibels, against)}")
    ctx.exit(worst)


def _distance(decibels: float | None, original: str | None) -> str:
    if decibels is None:
        return ""
    return f", {decibels:.2f} dB from {original}" if math.isfinite(decibels) else f", the same as {original}"
