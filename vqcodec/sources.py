"""What a caller gives: inputs by path or by content, outputs whole or not at all, errors that name the file."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from warnings import warn

from vqcodec.errors import InputError, LimitError, OutputError, VqcError, VqcWarning

__all__ = [
    "HEAD",
    "Compressed",
    "check_writable",
    "discard_unfinished",
    "head_of",
    "name_of",
    "naming",
    "read_all",
    "read_compressed",
    "read_content",
    "warn_all",
    "write_atomic",
]

Compressed = bytes | bytearray | memoryview | str | os.PathLike[str]
"""Bytes of a .vqc file, or its path."""

HEAD = 16
"""So many first bytes tell a picture from a sound."""

_VQC = b"\x89VQC"

MOST_STREAMED = 2**31
"""Bytes taken of what may never end; the largest picture of the default limits has 0.8 GB of samples."""

_unfinished: set[Path] = set()  # temporary files that are being written


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


def read_content(data: Compressed) -> tuple[bytes, str]:
    """Content and name of a file given by its bytes or its path.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), ""
    name = os.fspath(data)
    try:
        with Path(name).open("rb") as file:
            return read_compressed(file, name), name
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); name a .vqc file") from error


def read_compressed(file: BinaryIO, name: str = "standard input") -> bytes:
    """A .vqc file; of anything else, such as /dev/zero, the first bytes only, which suffice to say so.

    Raises:
        LimitError: it goes on and on.
    """
    head = file.read(HEAD)
    return head + read_all(file, name) if head.startswith(_VQC) else head


def read_all(file: BinaryIO, name: str = "standard input") -> bytes:
    """The rest of an open file, of which nobody knows whether it ends.

    Raises:
        LimitError: it goes on and on.
    """
    data = file.read(MOST_STREAMED + 1)
    if len(data) > MOST_STREAMED:
        raise LimitError(f"{name}: has more than {MOST_STREAMED:,} bytes, which are not read into memory; cut it")
    return data


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file's name in front of errors that come from layers which know bytes only."""
    try:
        yield
    except VqcError as error:
        if name and not str(error).startswith(f"{name}: "):
            error.args = (f"{name}: {error}", *error.args[1:])
        raise


def check_writable(path: Path, *, force: bool, parents: bool = False) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Raises:
        OutputError: it exists and ``force`` is not set, it is a folder, or (without ``parents``) its folder is missing;
            no file can have this name.
    """
    try:
        there = path.exists()
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file, or give the folder with -o")
        if path.is_file() and not force:
            raise OutputError(f"{path}: exists already; use --force to replace it")
        if path.is_symlink() and not there and not force:
            raise OutputError(f"{path}: is a link to {path.readlink()}, which is not there; remove it, or use --force")
        if not parents and not path.parent.is_dir():
            raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"{path}: cannot be written ({reason}); give another name") from error


def write_atomic(
    path: Path, content: bytes | Callable[[BinaryIO], object], *, force: bool, parents: bool = False
) -> None:
    """Write a file through a temporary one beside it, so that it appears whole or not at all.

    Args:
        path: where; a link is followed, a device or pipe is written directly. An existing file keeps its permissions.
        content: bytes, or a function that is handed the open file and writes them.
        force: whether an existing file may be replaced.
        parents: whether missing folders are made.

    Raises:
        OutputError: the file cannot be written.
    """
    write = content if callable(content) else lambda file: file.write(content)
    check_writable(path, force=force, parents=parents)
    target = Path(os.path.realpath(path))
    try:
        if parents:
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            with target.open("wb") as device:
                write(device)
            return
        # Created by plain open, not by tempfile, so that the user's umask decides who may read it.
        temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.tmp")
        _unfinished.add(temporary)
        try:
            with open(temporary, "xb", opener=_opener(target)) as file:
                write(file)
            check_writable(path, force=force)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            _unfinished.discard(temporary)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _opener(target: Path) -> Callable[[str, int], int] | None:
    """Opens what will replace the target, so that nobody else may read it who might not read that."""
    if not target.exists():
        return None
    permissions = stat.S_IMODE(target.stat().st_mode) & 0o777

    def opener(name: str, flags: int) -> int:
        descriptor = os.open(name, flags, permissions & 0o700 | 0o200)
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, permissions)  # what the umask took away
        return descriptor

    return opener


def discard_unfinished() -> None:
    """Remove the temporary files that are being written; for a process that leaves without unwinding."""
    for temporary in [*_unfinished]:
        with suppress(OSError):
            temporary.unlink()


def warn_all(notes: Sequence[str], name: str) -> None:
    """Say what cannot be kept of an input, in front of it its name."""
    for note in notes:
        warn(f"{name}: {note}" if name else note, VqcWarning, stacklevel=4)
