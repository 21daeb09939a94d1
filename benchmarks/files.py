"""Files that every benchmark reads and writes: the folder of data, the cache, results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from vqcodec.errors import InputError, OutputError

__all__ = ["cache_path", "find_files", "make_folder", "nearest_size", "spread", "write_json"]

Item = TypeVar("Item")


def find_files(folder: Path, suffixes: set[str], what: str) -> list[Path]:
    """Files of a folder with one of these suffixes, in order of name. ``what`` they are is said in errors.

    Raises:
        InputError: the folder is missing or holds no such file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that holds {what}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not paths:
        raise InputError(f"{folder}: no {what} in it (looked for {', '.join(sorted(suffixes))})")
    return paths


def spread(items: Sequence[Item], count: int | None) -> list[Item]:
    """``count`` of the items, spread evenly; all of them for None or where there are no more."""
    if count is None or count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def make_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made a folder ({error.strerror}); choose another --out") from error


def cache_path(folder: Path, name: str, facts: Sequence[object], content: NDArray[Any], suffix: str) -> Path:
    """Where the result of codec ``name`` is kept; keyed by facts and content, not by the name of the input."""
    key = hashlib.sha256(json.dumps([*facts, content.shape]).encode() + content.tobytes()).hexdigest()[:24]
    return folder / name / f"{key}{suffix}"


def write_json(path: Path, document: object) -> None:
    """Write results for people and programs."""
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def nearest_size(make: Callable[[int], bytes], low: int, high: int, size: float) -> bytes:
    """The file whose size in bytes is nearest to ``size``, by bisection over whole settings that make files grow."""
    best = b""
    while low <= high:
        middle = (low + high) // 2
        data = make(middle)
        if not best or abs(len(data) - size) < abs(len(best) - size):
            best = data
        if len(data) < size:
            low = middle + 1
        else:
            high = middle - 1
    return best
