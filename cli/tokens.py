"""``vqcodec tokens``, ``sample`` and ``restore``: what the codes of pictures are good for beside files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.errors import InputError, UsageError
from vqcodec.image.files import INPUT_SUFFIXES
from vqcodec.image.save import format_for, save_picture
from vqcodec.image.tokens.stored import read_tokens, write_tokens
from vqcodec.sources import check_writable, naming

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["restore", "sample", "tokens"]

_force = click.option("-f", "--force", is_flag=True, help="Replace outputs that exist.")
_seed = click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of what is drawn.")
_quiet = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
_path = click.Path(path_type=Path)
_NPZ = ".npz"


@click.command()
@click.argument("source", metavar="IN", type=_path)
@click.argument("target", metavar="OUT", type=_path)
@click.option(
    "--step",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    help="What a bit weighs against the error in the choice of codes; 0: nothing.",
)
@options.max_pixels
@options.threads
@_force
@_quiet
def tokens(
    source: Path, target: Path, *, step: int, max_pixels: int, threads: int | None, force: bool, quiet: bool
) -> None:
    """Codes of a picture, with their codebooks, and back.

    \b
    vqcodec tokens PICTURE OUT.npz
    vqcodec tokens IN.npz PICTURE

    A folder stands for the frames of a film, in order of name: as IN its pictures, as OUT the one that they go to.
    """
    if source.suffix.lower() == _NPZ:
        stored = read_tokens(source, max_pixels)
        with naming(str(source)):
            images = vqcodec.detokenize(stored, threads=threads)
        targets = [target] if stored.frames is None else _numbered(target, len(images))
        _save(images, targets, force=force, quiet=quiet)
        return
    if target.suffix.lower() != _NPZ:
        raise UsageError(f"{target}: give tokens a name that ends in {_NPZ}, or begin with such a file")
    check_writable(target, force=force)
    settings: dict[str, Any] = {"step": step, "max_pixels": max_pixels, "threads": threads}
    if source.is_dir():
        found = vqcodec.tokens_of_frames(_frames(source), **settings)
    else:
        found = vqcodec.tokens(str(source), **settings)
    write_tokens(found, target, force=force)
    if not quiet:
        frames = "" if found.frames is None else f"{found.frames} frames, "
        click.echo(f"{target}: {frames}{found.top.size:,} and {found.bottom.size:,} codes", err=True)


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=16, show_default=True, help="How many.")
@click.option("-o", "--output-dir", "folder", required=True, type=_path, help="Folder that they go to, as PNG.")
@click.option("--size", default="256x256", show_default=True, metavar="WxH", help="In pixels.")
@_seed
@click.option(
    "--temperature",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="1: as the prior has it; less: what is likelier; 0: the likeliest.",
)
@click.option("--like", metavar="FILE", help="Keep the coarse codes of this picture and draw the details.")
@options.max_pixels
@options.threads
@_force
@_quiet
def sample(count: int, folder: Path, size: str, *, like: str | None, force: bool, quiet: bool, **settings: Any) -> None:
    """Draw pictures from the prior: coarse codes first, then fine ones."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"size {size!r} is not known; give width and height, such as 256x256")
    images = vqcodec.sample(count, width=int(width), height=int(height), like=like, **settings)
    _save(images, _numbered(folder, count), force=force, quiet=quiet)


@click.command()
@click.argument("source", metavar="IN", type=_path)
@click.argument("target", metavar="OUT", type=_path)
@click.option("--mask", metavar="FILE", help="What is not black in this picture is a hole, and filled.")
@click.option("--denoise", is_flag=True, help="Take noise away.")
@click.option("--upscale", type=click.IntRange(2, 2), help="2: twice the size.")
@_seed
@options.max_pixels
@options.threads
@_force
@_quiet
def restore(source: Path, target: Path, *, force: bool, quiet: bool, **settings: Any) -> None:
    """Repair a picture: fill holes, take noise away, or double the size.

    \b
    vqcodec restore IN OUT --mask MASK
    vqcodec restore IN OUT --denoise
    vqcodec restore IN OUT --upscale 2

    A folder stands for the frames of a film, in order of name; OUT is then a folder too. What is coarse is smoothed
    over time.
    """
    film = source.is_dir()
    frames = _frames(source) if film else [str(source)]
    targets = _numbered(target, len(frames)) if film else [target]
    images = vqcodec.restore_frames(frames, **settings)
    _save(images, targets, force=force, quiet=quiet)


def _frames(folder: Path) -> list[str]:
    """Pictures of a folder in order of name.

    Raises:
        InputError: there is none.
    """
    found = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in INPUT_SUFFIXES)
    if not found:
        raise InputError(f"{folder}: holds no picture; name another folder")
    return found


def _numbered(folder: Path, count: int) -> list[Path]:
    """Names of so many pictures in a folder."""
    digits = max(3, len(str(count - 1)))
    return [folder / f"{i:0{digits}d}.png" for i in range(count)]


def _save(
    images: Sequence[Image.Image] | Iterator[Image.Image], targets: list[Path], *, force: bool, quiet: bool
) -> None:
    """Write pictures, each to its name; all names are looked at before anything is computed."""
    parents = len(targets) > 1 or targets[0].stem.isdecimal()
    for target in targets:
        format_for(target)
        check_writable(target, force=force, parents=parents)
    for target, image in zip(targets, images, strict=True):
        save_picture(image, target, force=force, parents=parents)
    if not quiet:
        what = str(targets[0]) if len(targets) == 1 else f"{targets[0].parent}: {len(targets)} pictures"
        click.echo(f"{what}, {image.width} x {image.height}", err=True)
