"""Standard input and output as bytes; ``-`` stands for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO

from vqcodec.errors import InputError, OutputError
from vqcodec.sources import NamedBytes, Stream, is_pipe, naming, opened, read_all, read_compressed, read_content

__all__ = [
    "STREAM",
    "input_name",
    "naming_source",
    "open_source",
    "open_stdout",
    "output_name",
    "prepare",
    "read_any",
    "read_source",
    "silence",
    "weight_of",
    "write_stdout",
]

STREAM = "-"


def prepare() -> None:
    """Make the three standard streams fit to work with.

    One that the caller closed is opened on nothing, lest the next file opened take its number and somebody's C code
    write into it; Python has said by then that it is not there. A name that cannot be shown is shown by its bytes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def silence(stream: TextIO | None) -> None:
    """Let what is left in a stream's buffer go nowhere, so that Python does not complain about it once more on exit."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def input_name(source: str) -> str:
    """An input as messages name it."""
    return "standard input" if source == STREAM else source


def output_name(target: str) -> str:
    """An output as messages name it."""
    return "standard output" if target == STREAM else target


def _stdin() -> Stream:
    if sys.stdin is None:
        raise InputError("standard input: it is closed; name a file, or pipe one in")
    return Stream(sys.stdin.buffer, input_name(STREAM))


def weight_of(source: str) -> int:
    """What a file counts in the estimate of the time left: its bytes, but never nothing."""
    try:
        return os.stat(source).st_size + 1  # noqa: PTH116 - of a name that may be none
    except (OSError, ValueError):
        return 1


def open_source(source: str) -> str | Stream:
    """Standard input as an open file, since hours of sound are not read at once; or the path as it is.

    Raises:
        InputError: standard input is closed.
    """
    return _stdin() if source == STREAM else source


def read_source(source: str) -> str | NamedBytes:
    """The bytes of standard input or of a pipe, which can be read once only; or the path, which the library reads.

    Raises:
        InputError: standard input is closed, or the pipe cannot be read.
        LimitError: it goes on and on.
    """
    if source == STREAM:
        return NamedBytes.of(read_compressed(_stdin()), input_name(source))
    return NamedBytes.of(read_content(source)[0], source) if is_pipe(source) else source


def read_any(source: str) -> str | NamedBytes:
    """As :func:`read_source`, of files of any kind."""
    if source != STREAM and not is_pipe(source):
        return source
    with opened(open_source(source)) as file:
        return NamedBytes.of(read_all(file, input_name(source)), input_name(source))


@contextmanager
def naming_source(source: str) -> Iterator[None]:
    """Errors of an input name it, also those of reading it."""
    with naming(input_name(source)):
        try:
            yield
        except OutputError as error:
            failed = error
        else:
            return
    raise failed  # that one names the output


@contextmanager
def open_stdout() -> Iterator[BinaryIO]:
    """Standard output for bytes, all of which are written at the end.

    Raises:
        OutputError: it is closed, or cannot take them.
        BrokenPipeError: the reader is gone, which is no error of anybody's.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, all of them."""
    with open_stdout() as file:
        file.write(data)
