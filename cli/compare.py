"""``vqcodec compare``: how far two pictures or two sounds are apart, and what they weigh."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.report import say, say_json, say_result
from vqcodec.errors import UsageError
from vqcodec.kinds import is_sound, is_vqc, is_vqc_sound
from vqcodec.sources import check_writable, head_of, is_pipe, warn_all, write_atomic

if TYPE_CHECKING:
    from vqcodec.benchmarks.compare import PictureSide, SoundSide

__all__ = ["compare"]


@click.command(no_args_is_help=True)
@click.argument("first", metavar="A", type=click.Path())
@click.argument("second", metavar="B", type=click.Path())
@click.option("--html", metavar="OUT.html", type=click.Path(), help="Also a page that shows both, with a slider.")
@click.option("-f", "--force", is_flag=True, help="Replace the page if it exists.")
@options.threads
@options.max_pixels
@options.max_seconds
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON on stdout.")
def compare(
    first: str, second: str, html: str | None, force: bool, as_json: bool, **settings: Any
) -> None:  # settings: what decompress takes
    """Compare two pictures or two sounds, .vqc files or others: PSNR, SSIMULACRA2 where it is installed, sizes.

    Pictures are compared in sRGB at 8 bits, transparent parts on white. Of sounds it is the signal-to-noise ratio,
    which says little about how a lossy one sounds.
    """
    from vqcodec.benchmarks import compare as measured

    for path in (first, second):
        if is_pipe(path):
            raise UsageError(f"{path}: is no regular file; save it to one")
    if html is not None:
        check_writable(Path(html), force=force)
    a, b = _load(first, settings), _load(second, settings)
    result = measured.compare(a, b)
    if html is not None:
        write_atomic(Path(html), measured.page(a, b, result).encode(), force=force)
    if as_json:
        finite = {
            key: None if isinstance(value, float) and math.isinf(value) else value for key, value in result.items()
        }
        say_json(finite)
    else:
        say_result([f"{name:<12} {text}" for name, text in measured.lines(result)])
    if html is not None:
        say(f"{html}: written")


def _load(path: str, settings: Mapping[str, Any]) -> PictureSide | SoundSide:
    """A file of any kind that vqcodec reads or writes; ``settings`` are those of :func:`vqcodec.decompress`.

    Raises:
        VqcError: it cannot be read.
    """
    from vqcodec.benchmarks.compare import PictureSide, SoundSide

    head = head_of(path)
    what: Any = path
    if is_vqc(head):
        what = vqcodec.decompress(path, **settings, depth=None if is_vqc_sound(head) else 8)
    if isinstance(what, vqcodec.Sound):
        return SoundSide(Path(path), what.samples, what.sample_rate)
    if what is path and is_sound(head, path):
        from vqcodec.audio.vqc import open_source

        with open_source(path, None, b"", settings["max_seconds"]) as sound:
            warn_all(sound.notes, path)
            return SoundSide(
                Path(path),
                np.concatenate([np.zeros((0, sound.channels), np.float32), *sound.blocks()]),
                sound.sample_rate,
            )
    from vqcodec.image.files import load_picture

    picture = load_picture(what, max_pixels=settings["max_pixels"], strip=True)
    warn_all(picture.notes, path)
    pixels = np.broadcast_to(picture.pixels, (*picture.pixels.shape[:2], 3))
    if picture.alpha is not None:
        share = picture.alpha[:, :, None].astype(np.float32) / 255
        pixels = np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)
    return PictureSide(Path(path), pixels)
