"""Files out: all or nothing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vqcodec.errors import OutputError

__all__ = ["check_writable", "write_atomic"]


def check_writable(path: Path, *, force: bool, parents: bool = False) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Raises:
        OutputError: it exists and ``force`` is not set, it is a folder, or (without ``parents``) its folder is missing.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file, or give the folder with -o")
    if path.is_file() and not force:
        raise OutputError(f"{path}: exists already; use --force to replace it")
    if not parents and not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")


def write_atomic(path: Path, write: Callable[[BinaryIO], object], *, force: bool, parents: bool = False) -> None:
    """Write a file through a temporary one beside it, so that it appears whole or not at all.

    Args:
        path: where; a link is followed, a device or pipe is written directly.
        write: is handed the open file.
        force: whether an existing file may be replaced.
        parents: whether missing folders are made.

    Raises:
        OutputError: the file cannot be written.
    """
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
        temporary = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                write(file)
            check_writable(path, force=force)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
