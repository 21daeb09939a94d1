"""What the user reads: errors, warnings and progress on stderr, results on stdout where they were asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from vqcodec.errors import (
    ChecksumError,
    CorruptError,
    LimitError,
    NotVqcError,
    TruncatedError,
    UnknownModelError,
    UnsupportedVersionError,
    VqcError,
)

__all__ = ["INTERRUPTED", "TERMINATED", "Progress", "say", "say_error", "say_json", "say_warning", "with_hint"]

INTERRUPTED = 130
TERMINATED = 143

# The layers that know bytes only cannot know the command line's remedies.
_HINTS: tuple[tuple[type[VqcError], str], ...] = (
    (NotVqcError, "only files made by vqcodec compress can be read"),
    (UnsupportedVersionError, "update vqcodec"),
    (UnknownModelError, "update vqcodec"),
    (TruncatedError, "get a whole copy, or save what is there by decompress --allow-truncated"),
    (ChecksumError, "get another copy, or save what is whole by decompress --conceal"),
    (CorruptError, "get another copy"),
)

# The last words of the bitstream's own messages, and the option that sets what they name.
_LIMITS = {"pixels)": "--max-pixels", "seconds)": "--max-seconds"}


def with_hint(error: VqcError) -> str:
    """The error's message, with the remedy that the command line offers for its kind."""
    for kind, hint in _HINTS:
        if isinstance(error, kind) and hint not in str(error):
            return f"{error}; {hint}"
    if isinstance(error, LimitError) and "--max-" not in str(error):
        option = _LIMITS.get(str(error).rpartition("(raise Limits.")[2])
        return f"{error}; raise the limit by {option}" if option else str(error)
    return str(error)


def say(text: str) -> None:
    """A message: on stderr, because stdout may carry data."""
    click.echo(text, err=True)


def say_error(text: str) -> None:
    """One line that says what went wrong."""
    say(f"vqcodec: error: {text}")


def say_warning(text: str) -> None:
    """One line that says what was lost."""
    say(f"vqcodec: warning: {text}")


def say_json(record: Mapping[str, Any]) -> None:
    """One line of JSON on stdout per file."""
    click.echo(json.dumps(record, ensure_ascii=False))


class Progress:
    """A line on stderr that says which file is at work; only where a person watches it."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.total = total
        self.shown = not quiet and sys.stderr.isatty()

    def at(self, done: int, name: str) -> None:
        """Show that ``done`` files are finished and ``name`` is at work."""
        if self.shown:
            width = 78
            click.echo(f"\r{f'[{done + 1}/{self.total}] {name}'[:width]:<{width}}", err=True, nl=False)

    def clear(self) -> None:
        """Wipe the line before anything else is written."""
        if self.shown:
            click.echo(f"\r{'':<78}\r", err=True, nl=False)
