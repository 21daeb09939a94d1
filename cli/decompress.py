"""``vqcodec decompress``: .vqc files in, pictures and sounds out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.batch import Share, run_batch
from vqcodec.cli.plan import Pair, Taken, check_pair, plan, settle_existing
from vqcodec.cli.streams import STREAM, naming_source, open_stdout, output_name, read_source, write_stdout
from vqcodec.errors import ChecksumError, TruncatedError, UsageError, VqcWarning
from vqcodec.image.save import SUFFIXES, format_for, save_picture, write_picture
from vqcodec.kinds import SOUND_SUFFIXES, is_vqc_sound
from vqcodec.sources import head_of, is_pipe

__all__ = ["decompress"]


@click.command(no_args_is_help=True)
@options.paths
@options.start
@options.end
@click.option("--allow-truncated", is_flag=True, help="Decode what a cut file still holds.")
@click.option("--conceal", is_flag=True, help="Fill damaged parts instead of refusing the file.")
@click.option(
    "--depth",
    type=click.Choice(["8", "16"]),
    callback=lambda ctx, param, value: value and int(value),
    help="Bits per sample of a picture; without it, as the source had. 16 go into .png and .tiff.",
)
@click.option("--faithful", is_flag=True, help="The picture of the least squared error, not the one that looks best.")
@options.device
@options.common
@click.pass_context
def decompress(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    output_dir: str | None,
    force: bool,
    skip_existing: bool,
    **settings: Any,
) -> None:
    """Decompress to pictures and sounds.

    \b
    vqcodec decompress IN.vqc [OUT]
    vqcodec decompress IN.vqc... -o OUTDIR

    The suffix of OUT decides the format: .png .webp (lossless) .tiff .jpg .bmp and more for pictures, .wav .flac for
    sounds. IN may be - for standard input, OUT may be - for standard output, which is PNG or WAV, as is everything in
    OUTDIR; without OUT, the file goes beside IN.
    """
    running = options.running(settings)
    todo = plan(paths, output_dir, Taken((".vqc",), "no .vqc files by their names"), _new_suffix)
    todo = settle_existing(todo, force=force, skip=skip_existing)
    if running.as_json and any(pair.target == STREAM for pair in todo.pairs):
        raise UsageError("standard output cannot carry both the file and --json; name an output file")
    ctx.exit(run_batch(todo, partial(_decompress_one, settings=settings, force=force), _describe, running))


def _new_suffix(source: Path) -> str:
    """By what the first bytes say; what is no .vqc file fails when its turn comes, and is reported then.

    Raises:
        UsageError: it can be read once only.
    """
    if is_pipe(source):
        raise UsageError(f"{source}: is no file that can be read twice; give IN and OUT")
    return ".wav" if is_vqc_sound(head_of(source)) else ".png"


def _decompress_one(pair: Pair, share: Share | None, *, settings: dict[str, Any], force: bool) -> dict[str, Any]:
    target = Path(pair.target)
    if pair.target != STREAM and target.suffix.lower() not in (*SUFFIXES, *SOUND_SUFFIXES):
        what = f"the suffix {target.suffix}" if target.suffix else "a name without suffix"
        raise UsageError(f"{target}: cannot write {what}; use one of {' '.join((*SUFFIXES, *SOUND_SUFFIXES))}")
    check_pair(pair, force=force)
    with naming_source(pair.source), _recovering(settings):
        source = read_source(pair.source)
        make = _picture if vqcodec.info(source)["kind"] == "image" else _sound
        facts, notes = make(source, pair, settings | {"progress": share}, force)
    for note in notes:
        warnings.warn(f"{output_name(pair.target)}: {note}", VqcWarning, stacklevel=1)
    return facts


@contextmanager
def _recovering(settings: Mapping[str, Any]) -> Iterator[None]:
    """An error that comes although the damage was to be lived with does not advise to live with it."""
    try:
        yield
    except (TruncatedError, ChecksumError) as error:
        if settings["allow_truncated" if isinstance(error, TruncatedError) else "conceal"]:
            error.remedy = "get another copy"
        raise


def _picture(
    source: str | bytes, pair: Pair, settings: dict[str, Any], force: bool
) -> tuple[dict[str, Any], list[str]]:
    if pair.target != STREAM:
        format_for(Path(pair.target))
    image = vqcodec.decompress_samples(source, **settings)
    height, width, colours = image.pixels.shape
    mode = ("L" if colours == 1 else "RGB") + ("" if image.alpha is None else "A") + (";16" if image.deep else "")
    facts = {"kind": "image", "width": width, "height": height, "mode": mode}
    if pair.target != STREAM:
        return facts, save_picture(image, Path(pair.target), force=force, parents=pair.parents)
    buffer = io.BytesIO()
    notes = write_picture(image, buffer)
    write_stdout(buffer.getvalue())
    return facts, notes


def _sound(source: str | bytes, pair: Pair, settings: dict[str, Any], force: bool) -> tuple[dict[str, Any], list[str]]:
    from vqcodec.audio.save import check_sound_suffix, save_sound, write_sound

    if pair.target != STREAM:
        check_sound_suffix(Path(pair.target))
    sound = vqcodec.stream_sound(source, **settings)
    facts = {
        "kind": "audio",
        "duration": round(sound.samples / sound.sample_rate, 6),
        "sample_rate": sound.sample_rate,
        "channels": sound.channels,
    }
    if pair.target != STREAM:
        return facts, save_sound(sound, Path(pair.target), force=force, parents=pair.parents)
    with open_stdout() as file:
        return facts, write_sound(sound, file)


def _describe(facts: Mapping[str, Any]) -> str:
    if facts["kind"] == "image":
        return f"{facts['width']}x{facts['height']} {facts['mode']}, {facts['seconds']:.1f} s"
    layout = f"{facts['sample_rate']:,} Hz, {facts['channels']} channel{'s'[: facts['channels'] > 1]}"
    return f"{facts['duration']:.2f} s at {layout}, in {facts['seconds']:.1f} s"
