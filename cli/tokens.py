"""``vqcodec tokens``, ``sample`` and ``restore``: what the codes of pictures are good for beside files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.plan import Pair, Skip, check_pair, is_folder
from vqcodec.cli.report import is_quiet, say, say_skipped
from vqcodec.cli.streams import STREAM, input_name, naming_source, output_name, read_any, write_stdout
from vqcodec.errors import InputError, UsageError
from vqcodec.image.files import INPUT_SUFFIXES
from vqcodec.image.save import SUFFIXES, format_for, save_picture, write_picture
from vqcodec.image.tokens.stored import ZIP, pack_tokens, read_tokens, write_tokens
from vqcodec.options import TEMPERATURE
from vqcodec.sources import head_of, is_pipe, warn_all

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["restore", "sample", "tokens"]

_NPZ = ".npz"


@click.command(no_args_is_help=True)
@options.one_path("source", "IN")
@options.one_path("target", "OUT")
@click.option(
    "--step",
    type=click.IntRange(0, 255),
    help="What a bit weighs against the error in the choice of codes; 0, nothing, unless told.",
)
@options.max_pixels
@options.threads
@options.force
@options.quiet
def tokens(
    source: str, target: str, *, step: int | None, max_pixels: int, threads: int | None, force: bool, quiet: bool
) -> None:
    """Codes of a picture, with their codebooks, and back.

    \b
    vqcodec tokens PICTURE OUT.npz
    vqcodec tokens IN.npz PICTURE

    A folder stands for the frames of a film, 2.png before 10.png: as IN its pictures, as OUT the one that they go to.
    IN and OUT may be - for standard input and output; a picture is then written as PNG.
    """
    film = is_folder(Path(source))
    content = source if film else read_any(source)
    if Path(source).suffix.lower() == _NPZ or head_of(content).startswith(ZIP):
        if step is not None:
            raise UsageError("--step is for the choice of codes, and these are chosen already; leave it out")
        _paint(source, content, target, max_pixels=max_pixels, threads=threads, force=force)
        return
    if target != STREAM and Path(target).suffix.lower() != _NPZ and not is_pipe(target):
        raise UsageError(f"{target}: give tokens a name that ends in {_NPZ}, or begin with such a file")
    check_pair(Pair(source, target), force=force)
    settings: dict[str, Any] = {"step": step or 0, "max_pixels": max_pixels, "threads": threads}
    frames = _frames(source) if film else None
    found = vqcodec.tokens(content, **settings) if frames is None else vqcodec.tokens_of_frames(frames, **settings)
    if target == STREAM:
        write_stdout(pack_tokens(found))
    else:
        write_tokens(found, target, force=force)
    if not quiet:
        count = "" if found.frames is None else f"{found.frames} frames, "
        say(f"{source} -> {target}: {count}{found.top.size:,} and {found.bottom.size:,} codes")


def _paint(
    source: str, content: str | bytes, target: str, *, max_pixels: int, threads: int | None, force: bool
) -> None:
    """A file of tokens to the picture, or the pictures of a film, that they are of."""
    stored = read_tokens(content, max_pixels=max_pixels)
    pairs = [Pair(source, target)]
    if stored.frames is not None:
        pairs = _numbered([source] * stored.frames, target, f"the {stored.frames} frames of {input_name(source)}")
    _check(pairs, force=force)
    with naming_source(source):
        images = vqcodec.detokenize(stored, max_pixels=max_pixels, threads=threads)
    _save(images, pairs, force=force)


@click.command(no_args_is_help=True)
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=16, show_default=True, help="How many.")
@click.option("-o", "--output-dir", "folder", required=True, type=click.Path(), help="Folder that they go to, as PNG.")
@click.option("--size", metavar="WxH", help="In pixels; 256x256 unless told.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of what is drawn.")
@click.option(
    "--temperature",
    type=click.FloatRange(0),
    default=TEMPERATURE,
    show_default=True,
    help="1: as the prior has it; less: what is likelier; 0: the likeliest.",
)
@click.option(
    "--like", metavar="FILE", help="Keep the coarse codes of this picture, and its size, and draw the details."
)
@options.max_pixels
@options.threads
@options.force
@options.quiet
def sample(
    count: int, folder: str, *, size: str | None, like: str | None, force: bool, quiet: bool, **settings: Any
) -> None:
    """Draw pictures from the prior: coarse codes first, then fine ones."""
    if size is not None:
        found = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", size)
        if found is None:
            raise UsageError(f"size {size!r} is not known; give width and height, such as 256x256")
        settings |= {"width": int(found[1]), "height": int(found[2])}
    pairs = _numbered([""] * count, folder, "pictures that are drawn")
    _check(pairs, [] if like is None else [like], force=force)
    _save(vqcodec.sample(count, like=None if like is None else read_any(like), **settings), pairs, force=force)


@click.command(no_args_is_help=True)
@options.one_path("source", "IN")
@options.one_path("target", "OUT")
@click.option(
    "--mask",
    metavar="FILE",
    help="What is neither black nor transparent in this picture is a hole, however dark it is, and filled.",
)
@click.option("--denoise", is_flag=True, help="Take noise away.")
@click.option("--upscale", type=click.IntRange(2, 2), help="2: twice the size.")
@click.option("--seed", type=click.IntRange(0), help="Of what is drawn in holes; 1 unless told.")
@options.max_pixels
@options.threads
@options.force
@options.quiet
def restore(source: str, target: str, *, mask: str | None, force: bool, quiet: bool, **settings: Any) -> None:
    """Repair a picture: fill holes, take noise away, or double the size.

    \b
    vqcodec restore IN OUT --mask MASK
    vqcodec restore IN OUT --denoise
    vqcodec restore IN OUT --upscale 2

    A folder stands for the frames of a film, 2.png before 10.png; OUT is then another folder. What is coarse is
    smoothed over time. IN or MASK may be - for standard input, OUT for standard output, which is PNG.
    """
    if source == mask == STREAM:
        raise UsageError("standard input can be read once only; name IN or MASK")
    film = _frames(source) if is_folder(Path(source)) else None
    pairs = [Pair(source, target)]
    if film is not None:
        pairs = _numbered(film, target, f"the frames of {source}")
        if is_folder(Path(target)) and Path(target).samefile(source):
            raise UsageError(f"{target}: is the folder of the inputs, among which outputs would be lost; name another")
    _check(pairs, [] if mask is None else [mask], force=force)
    frames: Sequence[str | bytes] = [read_any(source)] if film is None else film
    images = vqcodec.restore_frames(frames, mask=None if mask is None else read_any(mask), **settings)
    _save(images, pairs, force=force)


def _frames(folder: str) -> list[str]:
    """Pictures of a folder in order of name, 2 before 10; what else it holds is told.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        inside = sorted(Path(folder).iterdir(), key=lambda path: natural(path.name))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); mend its permissions") from error
    found, skipped = [], []
    for path in inside:
        if path.name.startswith("._"):
            skipped.append(Skip(str(path), "side files of a Mac"))
        elif path.suffix.lower() not in INPUT_SUFFIXES or not path.is_file():
            skipped.append(Skip(str(path), "no pictures by their names"))
        else:
            found.append(str(path))
    if not found:
        raise InputError(f"{folder}: holds no picture; name another folder")
    if not is_quiet():
        say_skipped(skipped)
    return found


def natural(name: str) -> tuple[list[str | int], str]:
    """What to sort names by so that numbers in them count as numbers."""
    parts = re.split("([0-9]+)", name)  # text, number, text ...
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name


def _numbered(sources: Sequence[str], folder: str, what: str) -> list[Pair]:
    """A picture in a folder for each source.

    Raises:
        UsageError: that is no name of a folder.
    """
    path = Path(folder)
    if folder in ("", STREAM) or (path.suffix.lower() in SUFFIXES and not is_folder(path)):
        raise UsageError(
            f"{output_name(folder) or 'an empty name'}: {what} go to a folder; name one without such a suffix"
        )
    digits = max(3, len(str(len(sources) - 1)))
    return [Pair(source, str(path / f"{i:0{digits}d}.png"), folder) for i, source in enumerate(sources)]


def _check(pairs: Iterable[Pair], others: Iterable[str] = (), *, force: bool) -> None:
    """Look at all names before anything is computed.

    Args:
        others: inputs beside the pairs' own, which may not be written over, either.
    """
    for pair in pairs:
        if pair.target != STREAM:
            format_for(Path(pair.target))
        for source in (pair.source, *others):
            check_pair(Pair(source, pair.target, pair.folder), force=force)


def _save(images: Iterable[Image.Image], pairs: Sequence[Pair], *, force: bool) -> None:
    """Write pictures, each to its name."""
    for pair, image in zip(pairs, images, strict=True):
        if pair.target == STREAM:
            buffer = io.BytesIO()
            notes = write_picture(image, buffer)
            write_stdout(buffer.getvalue())
        else:
            notes = save_picture(image, Path(pair.target), force=force, parents=pair.parents)
        warn_all(notes, output_name(pair.target))
    if not is_quiet():
        what = pairs[0].target if not pairs[0].folder else f"{pairs[0].folder}: {len(pairs)} pictures"
        say(f"{what}, {image.width} x {image.height}")
