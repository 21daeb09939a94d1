"""``vqcodec compress``: pictures and sounds in, .vqc files out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.batch import Share, run_batch
from vqcodec.cli.plan import Pair, Taken, check_pair, plan, settle_existing
from vqcodec.cli.streams import STREAM, open_source, write_stdout
from vqcodec.errors import UsageError
from vqcodec.image.files import INPUT_SUFFIXES
from vqcodec.kinds import SOUND_INPUT_SUFFIXES
from vqcodec.options import EFFORT, EFFORTS
from vqcodec.sources import is_pipe, write_atomic

__all__ = ["compress"]

_SHOWN = [
    "kind",
    "width",
    "height",
    "duration",
    "sample_rate",
    "channels",
    "lossless",
    "quality",
    "step",
    "bytes",
    "bpp",
    "kbps",
]


@click.command(no_args_is_help=True)
@options.paths
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(1, 100),
    help="1 (smallest) to 100 (best); unless a target is given 60 for pictures, 45 for sound.",
)
@click.option("--target-size", type=int, help="At most so many bytes.")
@click.option("--target-bpp", type=float, help="At most so many bits per pixel (pictures).")
@click.option(
    "--target-psnr",
    type=float,
    help="At least so many decibels, as decompress gives the picture; with --tune psnr, as decompress --faithful does.",
)
@click.option("--target-kbps", type=float, help="At most so many kbit/s (sound).")
@click.option("--lossless", is_flag=True, help="Lose nothing of up to 16 bits per sample (sound: 24).")
@click.option("--exact-alpha", is_flag=True, help="With --lossless: keep the colours of invisible pixels, too.")
@click.option(
    "--model",
    type=click.Choice(["image", "tokens"]),
    help="Of pictures; tokens for the lowest rates, 0.015 to 0.25 bits per pixel.",
)
@click.option(
    "--tune",
    type=click.Choice(["visual", "psnr"]),
    default="visual",
    show_default=True,
    help="What a picture's bits are spent on: how it looks, or the least squared error (see decompress --faithful).",
)
@click.option(
    "--effort",
    type=click.IntRange(EFFORTS[0], EFFORTS[-1]),
    default=EFFORT,
    show_default=True,
    help="1 is fastest, 9 makes the smallest file of the same quality (pictures).",
)
@options.device
@click.option(
    "--strip", is_flag=True, help="Leave out colour profile, EXIF (place, time, camera), XMP; tags and cover of sounds."
)
@click.option("--repair", is_flag=True, help="Replace samples that are no finite numbers (sound).")
@options.common
@click.pass_context
def compress(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    output_dir: str | None,
    force: bool,
    skip_existing: bool,
    **settings: Any,
) -> None:
    """Compress pictures and sounds.

    \b
    vqcodec compress IN [OUT.vqc]
    vqcodec compress IN... -o OUTDIR

    IN is any picture that Pillow reads, or a sound: WAV, FLAC, OGG, Opus, MP3 and more; or - for standard input. OUT
    may be - for standard output; without OUT, the file goes beside IN.
    """
    running = options.running(settings)
    taken = Taken((*INPUT_SUFFIXES, *SOUND_INPUT_SUFFIXES), "neither pictures nor sounds by their names")
    todo = plan(paths, output_dir, taken, lambda source: ".vqc")
    todo = settle_existing(todo, force=force, skip=skip_existing)
    if running.as_json and any(pair.target == STREAM for pair in todo.pairs):
        raise UsageError("standard output cannot carry both the file and --json; name an output file")
    ctx.exit(run_batch(todo, partial(_compress_one, settings=settings, force=force), _describe, running))


def _compress_one(pair: Pair, share: Share | None, *, settings: dict[str, Any], force: bool) -> dict[str, Any]:
    target = Path(pair.target)
    if pair.target != STREAM and target.suffix.lower() != ".vqc" and not is_pipe(pair.target):
        raise UsageError(f"{target}: an output ends in .vqc; for several inputs give -o OUTDIR")
    check_pair(pair, force=force)
    data = vqcodec.compress(open_source(pair.source), **settings, progress=share)
    if pair.target == STREAM:
        write_stdout(data)
    else:
        write_atomic(target, data, force=force, parents=pair.parents)
    facts = {key: value for key, value in vqcodec.info(data).items() if key in _SHOWN}
    if settings["target_psnr"] is not None:
        facts |= {"target_psnr": settings["target_psnr"], "faithful": settings["tune"] == "psnr"}
    return facts


def _describe(facts: Mapping[str, Any]) -> str:
    rate = f"{facts['bpp']:.3f} bits per pixel" if facts["kind"] == "image" else f"{facts['kbps']:.2f} kbit/s"
    kept = "lossless" if facts["lossless"] else f"quality {facts['quality']:.0f}"
    if "target_psnr" in facts and not facts["lossless"]:
        kept += f", at least {facts['target_psnr']:g} dB" + " by decompress --faithful" * facts["faithful"]
    return f"{facts['bytes']:,} bytes, {rate}, {kept}, {facts['seconds']:.1f} s"
