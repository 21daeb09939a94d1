"""``vqcodec info``: facts from the header, without a model."""

from __future__ import annotations

from typing import Any

import click

import vqcodec
from vqcodec.cli import options
from vqcodec.cli.report import say_error, say_json, with_hint
from vqcodec.cli.streams import read_source
from vqcodec.errors import VqcError

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
            facts = vqcodec.info(read_source(path))
        except VqcError as error:
            say_error(with_hint(error))
            worst = max(worst, error.exit_code)
            continue
        if as_json:
            say_json({"input": path, **facts})
        else:
            click.echo("\n".join([path, *_lines(facts)]))
    ctx.exit(worst)


def _lines(facts: dict[str, Any]) -> list[str]:
    shown = {
        "format": f"{facts['format_version']} ({facts['kind']})",
        "size": f"{facts['width']} x {facts['height']}, {facts['colour']}{' and alpha' if facts['alpha'] else ''}",
        "quality": f"{facts['quality']:.1f} (step {facts['step']})",
        "model": f"{facts['model_name'] or 'unknown to this version'} ({facts['model_id']})",
        "bytes": f"{facts['bytes']:,} ({facts['bpp']:.3f} bits per pixel)",
        "chunks": f"{facts['chunks']}",
        "metadata": ", ".join(facts["metadata"]) or "none",
    }
    return [f"  {name:<9} {value}" for name, value in shown.items()]
