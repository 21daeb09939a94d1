"""Which input becomes which output, and whether that may be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqcodec.cli.streams import STREAM
from vqcodec.errors import InputError, OutputError, UsageError
from vqcodec.sources import check_writable

__all__ = ["Pair", "check_pair", "plan"]


@dataclass(frozen=True)
class Pair:
    """One file to make.

    Attributes:
        source: a path, or ``-`` for standard input.
        target: a path, or ``-`` for standard output.
        parents: whether missing folders of the output are made.
    """

    source: str
    target: str
    parents: bool = False


def plan(
    arguments: Sequence[str], folder: str | None, *, suffixes: Sequence[str], new_suffix: Callable[[Path], str]
) -> list[Pair]:
    """Pairs of input and output from a command's arguments.

    Args:
        arguments: IN OUT, or with ``folder`` any number of files and folders.
        folder: where outputs go.
        suffixes: files of these are taken from a folder among the arguments; a file named by itself may have any.
        new_suffix: of the output in ``folder`` that an input becomes.

    Raises:
        UsageError: the arguments do not fit together, or two inputs would become one output.
        InputError: a folder without any such file.
    """
    if folder is None:
        if len(arguments) != 2:
            raise UsageError("give IN and OUT, or any number of inputs and -o OUTDIR")
        if Path(arguments[0]).is_dir():
            raise UsageError(f"{arguments[0]}: is a folder; give the folder for the outputs with -o OUTDIR")
        return [Pair(arguments[0], arguments[1])]
    if STREAM in arguments:
        raise UsageError("standard input has no name to go by in a folder; give IN and OUT instead of -o")
    pairs: dict[Path, str] = {}
    for argument in arguments:
        for source, below in _inputs(Path(argument), suffixes):
            target = Path(folder) / below.with_suffix(new_suffix(source))
            if target in pairs and pairs[target] != str(source):
                raise UsageError(f"{pairs[target]} and {source} would both become {target}; rename one of them")
            pairs[target] = str(source)
    return [Pair(source, str(target), parents=True) for target, source in pairs.items()]


def _inputs(argument: Path, suffixes: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Files of an argument, each with its path below the folder that outputs go to."""
    if not argument.is_dir():
        yield argument, Path(argument.name)
        return
    found = sorted(path for path in argument.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not found:
        raise InputError(f"{argument}: holds no file that ends in {' '.join(suffixes)}; name another folder")
    for path in found:
        yield path, path.relative_to(argument)


def check_pair(pair: Pair, *, force: bool) -> None:
    """Refuse a pair before any work is done for it.

    Raises:
        OutputError: the output cannot be written, or exists and ``force`` is not set.
        UsageError: input and output are one file, or a stream is a terminal.
    """
    if pair.source == STREAM and sys.stdin.isatty():
        raise UsageError("standard input is a terminal; name a file, or pipe one in")
    if pair.target == STREAM:
        if sys.stdout.isatty():
            raise OutputError("standard output is a terminal; redirect it, or name a file")
        return
    target = Path(pair.target)
    if pair.source != STREAM and target.is_file() and Path(pair.source).exists() and target.samefile(pair.source):
        raise UsageError(f"{pair.target}: is the input itself; name another output")
    check_writable(target, force=force, parents=pair.parents)
