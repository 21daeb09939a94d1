"""Options that more than one command takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["common", "device", "jobs", "max_pixels", "output_folder", "paths"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

paths: Decorator = click.argument("paths", nargs=-1, required=True, type=click.Path(allow_dash=True))
output_folder: Decorator = click.option(
    "-o",
    "--output-dir",
    metavar="OUTDIR",
    type=click.Path(file_okay=False),
    help="Treat every argument as input (files, folders) and write into OUTDIR, keeping each folder's tree.",
)
jobs: Decorator = click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Files at work at the same time."
)
device: Decorator = click.option(
    "--device", default="auto", show_default=True, help="Where the networks run: auto, cpu, cuda or cuda:N."
)
max_pixels: Decorator = click.option(
    "--max-pixels", type=click.IntRange(1), default=100_000_000, show_default=True, help="Refuse larger pictures."
)
_force: Decorator = click.option("-f", "--force", is_flag=True, help="Replace outputs that exist.")
_quiet: Decorator = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per file on stdout.")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that writes files."""
    for option in (_json, _quiet, _force, max_pixels, device, jobs, output_folder):
        command = option(command)
    return command
