"""Options that more than one command takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from vqcodec.errors import UsageError

if TYPE_CHECKING:
    from vqcodec.cli.batch import Running

__all__ = [
    "common",
    "device",
    "end",
    "force",
    "jobs",
    "max_pixels",
    "max_seconds",
    "one_path",
    "output_folder",
    "paths",
    "quiet",
    "running",
    "start",
    "threads",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """An empty name would stand for the working folder."""
    if "" in value:
        raise click.UsageError("an argument is empty; name a file (is a variable of the shell not set?)", ctx)
    return value


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    return _names(ctx, param, (value,))[0]


def one_path(name: str, metavar: str) -> Decorator:
    """An argument that is one file or folder."""
    return click.argument(name, metavar=metavar, type=click.Path(allow_dash=True), callback=_name)


paths: Decorator = click.argument("paths", nargs=-1, required=True, type=click.Path(allow_dash=True), callback=_names)
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
_cluster: Decorator = click.option(
    "--cluster",
    metavar="ADDRESS",
    default="",
    help="Have the work done by the Dask scheduler at this address (needs the cluster extra and a shared file system).",
)
threads: Decorator = click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(1),
    help="Threads for each file; without it, as many as there are cores for it.",
)
device: Decorator = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the codes of pictures are worked on; auto: on a CUDA device where there is one.",
)
max_pixels: Decorator = click.option(
    "--max-pixels", type=click.IntRange(1), default=100_000_000, show_default=True, help="Refuse larger pictures."
)
max_seconds: Decorator = click.option(
    "--max-seconds", type=click.IntRange(1), default=86_400, show_default=True, help="Refuse longer sounds."
)


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Seconds of 90, 1:30 or 0:01:30.5."""
    if value is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", value, re.ASCII):
        raise click.BadParameter(f"{value!r} is not a time; give seconds (90), m:ss (1:30) or h:mm:ss (1:02:30)")
    seconds = 0.0
    for part in value.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


start: Decorator = click.option("--start", metavar="TIME", callback=_seconds, help="Begin at 90 or 1:30 (sound).")
end: Decorator = click.option("--end", metavar="TIME", callback=_seconds, help="Stop at 90 or 1:30 (sound).")
force: Decorator = click.option("-f", "--force", is_flag=True, help="Replace outputs that exist.")
_skip: Decorator = click.option("--skip-existing", is_flag=True, help="Leave inputs alone whose output exists.")
quiet: Decorator = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per file on stdout.")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that writes files."""
    parts = (_json, quiet, _skip, force, max_seconds, max_pixels, _cluster, threads, jobs, output_folder)
    for option in parts:
        command = option(command)
    return command


def running(given: dict[str, Any]) -> Running:
    """How the batch is run, taken out of what was given; the rest are the codec's own options.

    Raises:
        UsageError: options that contradict each other.
    """
    from vqcodec.cli.batch import Running  # here, because what only reads files needs no processes

    out = Running(
        **{name: given.pop(name) for name in ("jobs", "quiet", "as_json", "cluster")}, threads=given["threads"]
    )
    if out.cluster and out.jobs > 1:
        raise UsageError("--jobs and --cluster contradict each other; the cluster's workers decide how many run")
    given["threads"] = out.threads_of_each
    return out
