"""Standard input and output as bytes; ``-`` stands for them."""

from __future__ import annotations

import sys

__all__ = ["STREAM", "read_source", "write_stdout"]

STREAM = "-"


def read_source(source: str) -> str | bytes:
    """The bytes of standard input, or the path as it is, which the library reads itself."""
    return sys.stdin.buffer.read() if source == STREAM else source


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, all of them."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
