"""Standard input and output as bytes; ``-`` stands for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from vqcodec.errors import OutputError
from vqcodec.sources import is_pipe, read_content

__all__ = ["STREAM", "open_source", "open_stdout", "read_source", "write_stdout"]

STREAM = "-"


def open_source(source: str) -> str | BinaryIO:
    """Standard input as an open file, since hours of sound are not read at once; or the path as it is."""
    return sys.stdin.buffer if source == STREAM else source


def read_source(source: str) -> str | bytes:
    """The bytes of standard input or of a pipe, which can be read once only; or the path, which the library reads."""
    if source == STREAM:
        return sys.stdin.buffer.read()
    return read_content(source)[0] if is_pipe(source) else source


@contextmanager
def open_stdout() -> Iterator[BinaryIO]:
    """Standard output for bytes, all of which are written at the end.

    Raises:
        OutputError: it cannot take them.
        BrokenPipeError: the reader is gone, which is no error of anybody's.
    """
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, all of them."""
    with open_stdout() as file:
        file.write(data)
