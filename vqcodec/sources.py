"""Inputs by path or by content, and errors that name the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vqcodec.errors import InputError, VqcError

__all__ = ["HEAD", "head_of", "name_of", "naming", "read_content"]


HEAD = 16
"""So many first bytes tell a picture from a sound."""


def name_of(source: object) -> str:
    """The path as it was given, or nothing for an input without one."""
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""


def head_of(source: Any) -> bytes:
    """The first bytes of a path, of bytes, or of an open file, which are read from it; nothing of anything else."""
    if isinstance(source, bytes):
        return source[:HEAD]
    if isinstance(source, (str, os.PathLike)):
        try:
            with Path(source).open("rb") as file:
                return file.read(HEAD)
        except OSError:
            return b""  # whoever opens it for good says why it cannot
    return bytes(source.read(HEAD)) if hasattr(source, "read") else b""


def read_content(data: bytes | str | os.PathLike[str]) -> tuple[bytes, str]:
    """Content and name of a file given by its bytes or its path.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), ""
    name = os.fspath(data)
    try:
        return Path(name).read_bytes(), name
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); name a .vqc file") from error


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file's name in front of errors that come from layers which know bytes only."""
    try:
        yield
    except VqcError as error:
        if name and not str(error).startswith(f"{name}: "):
            error.args = (f"{name}: {error}", *error.args[1:])
        raise
