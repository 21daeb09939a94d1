"""``vqcodec info``: facts from header and directory, without a model."""

from __future__ import annotations

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.report import say_error, say_json, say_result, with_hint
from vqcodec.cli.streams import naming_source, read_source
from vqcodec.errors import VqcError
from vqcodec.facts import AudioFacts, ImageFacts

__all__ = ["info"]


@click.command(no_args_is_help=True)
@options.paths
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per file.")
@click.pass_context
def info(ctx: click.Context, paths: tuple[str, ...], as_json: bool) -> None:
    """Print what .vqc files say about themselves; no model is loaded. A path may be - for standard input."""
    worst = 0
    for path in paths:
        try:
            with naming_source(path):
                facts = vqcodec.info(read_source(path))
        except VqcError as error:
            say_error(with_hint(error))
            worst = max(worst, error.exit_code)
            continue
        if as_json:
            say_json({"input": path, **facts})
        else:
            say_result([path, *_lines(facts)])
    ctx.exit(worst)


def _lines(facts: ImageFacts | AudioFacts) -> list[str]:
    if facts["kind"] == "image":
        alpha = " and alpha" if facts["alpha"] else ""
        deep = ", 16 bits per sample" if facts["depth"] == 16 else ""
        own = {"size": f"{facts['width']} x {facts['height']}, {facts['colour']}{alpha}{deep}"}
        rate = f"{facts['bpp']:.3f} bits per pixel"
    else:
        own = {
            "duration": _clock(facts["duration"]),
            "sound": f"{facts['sample_rate']:,} Hz, {facts['channels']} channel{'s'[: facts['channels'] > 1]}",
        }
        rate = f"{facts['kbps']:.2f} kbit/s, of which coded sound {facts['payload_kbps']:.2f}"
    cut = {}
    if facts["missing_bytes"]:
        there = facts["bytes"] - facts["missing_bytes"]
        cut = {"cut": f"the file ends after {there:,} of {facts['bytes']:,} bytes; decompress --allow-truncated"}
    shown = {
        "format": f"{facts['format_version']} ({facts['kind']})",
        **own,
        "quality": "lossless" if facts["lossless"] else f"{facts['quality']:g} (step {facts['step']})",
        "model": f"{facts['model_name'] or 'unknown to this version'} ({facts['model_id']})"
        if facts["model_id"]
        else "none needed",
        "bytes": f"{facts['bytes']:,} ({rate})",
        "chunks": f"{facts['chunks']}",
        "metadata": ", ".join(facts["metadata"]) or "none",
        **cut,
    }
    return [f"  {name:<9} {value}" for name, value in shown.items()]


def _clock(seconds: float) -> str:
    """As a player shows it, and milliseconds."""
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest / 1000:06.3f}" if hours else f"{minutes}:{rest / 1000:06.3f}"
