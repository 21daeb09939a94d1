"""``vqcodec decompress``: .vqc files in, pictures out."""

from __future__ import annotations

import io
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.batch import run_batch
from vqcodec.cli.plan import Pair, check_pair, plan
from vqcodec.cli.streams import STREAM, read_source, write_stdout
from vqcodec.errors import UsageError, VqcWarning
from vqcodec.media import format_for, save_picture, write_picture

__all__ = ["decompress"]


@click.command(no_args_is_help=True)
@options.paths
@click.option("--allow-truncated", is_flag=True, help="Decode what a cut file still holds.")
@click.option("--conceal", is_flag=True, help="Fill damaged parts instead of refusing the file.")
@options.common
@click.pass_context
def decompress(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    output_dir: str | None,
    jobs: int,
    force: bool,
    quiet: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Decompress to pictures.

    \b
    vqcodec decompress IN.vqc OUT
    vqcodec decompress IN.vqc... -o OUTDIR

    The suffix of OUT decides the format: .png .webp (lossless) .tiff .jpg .bmp and more. IN may be - for standard
    input, OUT may be - for standard output, which is PNG, as is everything in OUTDIR.
    """
    pairs = plan(paths, output_dir, suffixes=(".vqc",), new_suffix=".png")
    if as_json and pairs[0].target == STREAM:
        raise UsageError("standard output cannot carry both the file and --json; name an output file")
    work = partial(_decompress_one, settings=settings, force=force)
    ctx.exit(run_batch(pairs, work, _describe, jobs=jobs, quiet=quiet, as_json=as_json))


def _decompress_one(pair: Pair, *, settings: dict[str, Any], force: bool) -> dict[str, Any]:
    target = Path(pair.target)
    if pair.target != STREAM:
        format_for(target)
    check_pair(pair, force=force)
    image = vqcodec.decompress(read_source(pair.source), **settings)
    if pair.target == STREAM:
        buffer = io.BytesIO()
        write_picture(image, buffer)
        write_stdout(buffer.getvalue())
    else:
        for note in save_picture(image, target, force=force, parents=pair.parents):
            warnings.warn(f"{target}: {note}", VqcWarning, stacklevel=1)
    return {"width": image.width, "height": image.height, "mode": image.mode}


def _describe(facts: dict[str, Any]) -> str:
    return f"{facts['width']}x{facts['height']} {facts['mode']}, {facts['seconds']:.1f} s"
