"""The command line as a function call, and what its tests ask of it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from vqcodec.cli import main


def vqc(*arguments: object, data: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=data, prog_name="vqcodec")


def fails(result: Result, code: int, *words: str) -> None:
    """One clear line on stderr with these words, nothing on stdout, this exit code."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    line = result.stderr.strip().splitlines()[-1]
    assert line.lower().startswith(("vqcodec: error: ", "error: "))
    for word in words:
        assert word in line


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image
