"""Standard input and output as bytes; ``-`` stands for them."""

from __future__ import annotations

import sys
from typing import BinaryIO

__all__ = ["STREAM", "open_source", "read_source", "write_stdout"]

STREAM = "-"


def open_source(source: str) -> str | BinaryIO:
    """Standard input as an open file, since hours of sound are not read at once; or the path as it is."""
    return sys.stdin.buffer if source == STREAM else source


def read_source(source: str) -> str | bytes:
    """The bytes of standard input, or the path as it is, which the library reads itself."""
    return sys.stdin.buffer.read() if source == STREAM else source


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, all of them."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
