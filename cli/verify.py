"""``vqcodec verify``: is every byte right, and do the codes decode."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.report import Progress, say, say_error, say_json, say_warning, with_hint
from vqcodec.cli.streams import STREAM, input_name, naming_source, open_source, read_source, weight_of
from vqcodec.errors import UsageError, VqcError, VqcWarning

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

    With --against, a lossless file must hold ORIGINAL exactly, colour profile and all; of others it is told how far
    away they are as decompress gives them, without --faithful, colours of invisible pixels apart. EXIF, XMP and tags
    are not compared. A path, or ORIGINAL, may be - for standard input.
    """
    if against is not None and len(paths) > 1:
        raise UsageError("--against is for one file; verify the others by themselves")
    if against == STREAM and STREAM in paths:
        raise UsageError("standard input can be read once only; name the file or the original")
    weights = [weight_of(path) for path in paths]
    progress = Progress(weights, quiet=quiet or as_json)
    worst = 0
    for path, weight in zip(paths, weights, strict=True):
        progress.at(path)
        found = _checked(path, against, settings)
        progress.finish(weight)
        progress.clear()
        worst = max(worst, found.code)
        if as_json:
            say_json(found.record(path))
        elif not quiet:
            for note in found.notes:
                say_warning(note)
        if found.code:
            say_error(found.message)
        elif not quiet and not as_json:
            say(f"{input_name(path)}: fine{_distance(found.decibels, against)}")
    ctx.exit(worst)


@dataclass
class _Found:
    """What is to be said of a file."""

    message: str = ""
    code: int = 0
    decibels: float | None = None
    notes: list[str] = field(default_factory=list)

    def record(self, path: str) -> dict[str, Any]:
        """The same for programs."""
        out: dict[str, Any] = {"input": path, "ok": not self.code}
        if self.code:
            out |= {"error": self.message, "exit_code": self.code}
        elif self.decibels is not None:
            out["psnr"] = self.decibels if math.isfinite(self.decibels) else None
        return out | ({"warnings": self.notes} if self.notes else {})


def _checked(path: str, against: str | None, settings: dict[str, Any]) -> _Found:
    found = _Found()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VqcWarning)
        try:
            with naming_source(path):
                original = None if against is None else open_source(against)
                found.decibels = vqcodec.verify(read_source(path), against=original, **settings)
        except VqcError as error:
            found.message, found.code = with_hint(error), error.exit_code
    found.notes = [str(each.message) for each in caught]
    return found


def _distance(decibels: float | None, original: str | None) -> str:
    if decibels is None or original is None:
        return ""
    name = input_name(original)
    return f", {decibels:.2f} dB from {name}" if math.isfinite(decibels) else f", the same as {name}"
