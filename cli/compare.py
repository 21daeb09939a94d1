"""``vqcodec compare``: how far two pictures or two sounds are apart, and what they weigh."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from vqcodec.cli import options
from vqcodec.cli.report import say, say_json, say_result
from vqcodec.cli.streams import is_regular
from vqcodec.errors import UsageError
from vqcodec.sources import check_writable, write_atomic

__all__ = ["compare"]


@click.command(no_args_is_help=True)
@click.argument("first", metavar="A", type=click.Path())
@click.argument("second", metavar="B", type=click.Path())
@click.option("--html", metavar="OUT.html", type=click.Path(), help="Also a page that shows both, with a slider.")
@click.option("-f", "--force", is_flag=True, help="Replace the page if it exists.")
@options.device
@options.threads
@options.max_pixels
@options.max_seconds
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON on stdout.")
def compare(
    first: str, second: str, html: str | None, force: bool, as_json: bool, **settings: Any
) -> None:  # settings: what decompress takes
    """Compare two pictures or two sounds, .vqc files or others: PSNR, SSIMULACRA2 where it is installed, sizes.

    Of sounds it is the signal-to-noise ratio, which says little about how a lossy one sounds.
    """
    from vqcodec.benchmarks import compare as measured

    for path in (first, second):
        if not is_regular(path):
            raise UsageError(f"{path}: is no regular file; save it to one")
    if html is not None:
        check_writable(Path(html), force=force)
    sides = [measured.load(path, settings) for path in (first, second)]
    result = measured.compare(*sides)
    if html is not None:
        write_atomic(Path(html), measured.page(*sides, result).encode(), force=force)
    if as_json:
        finite = {
            key: None if isinstance(value, float) and math.isinf(value) else value for key, value in result.items()
        }
        say_json(finite)
    else:
        say_result([f"{name:<12} {text}" for name, text in measured.lines(result)])
    if html is not None:
        say(f"{html}: written")
