"""Inputs and outputs of one file, where ``-`` stands for standard input and output."""

from __future__ import annotations

import sys
from pathlib import Path

from vqcodec.cli.batch import STREAM, Pair
from vqcodec.errors import OutputError, UsageError
from vqcodec.media import check_writable

__all__ = ["check_pair", "read_source", "write_stdout"]


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


def read_source(source: str) -> str | bytes:
    """The bytes of standard input, or the path as it is, which the library reads itself."""
    return sys.stdin.buffer.read() if source == STREAM else source


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, all of them."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
