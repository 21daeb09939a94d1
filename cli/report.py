"""What the user reads: errors, warnings and progress on stderr, results on stdout where they were asked for."""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from vqcodec.errors import (
    ChecksumError,
    CorruptError,
    DecodeError,
    NotVqcError,
    OutputError,
    TruncatedError,
    UnknownModelError,
    UnsupportedVersionError,
    VqcError,
    VqcWarning,
)

if TYPE_CHECKING:
    from vqcodec.cli.plan import Skip

__all__ = [
    "Progress",
    "is_quiet",
    "printable",
    "say",
    "say_error",
    "say_json",
    "say_result",
    "say_skipped",
    "say_warning",
    "saying_warnings",
    "with_hint",
]

# The layers that know bytes only cannot know the command line's remedies.
_HINTS: tuple[tuple[type[VqcError], str], ...] = (
    (NotVqcError, "only files made by vqcodec compress can be read"),
    (UnsupportedVersionError, "update vqcodec"),
    (UnknownModelError, "take the version of vqcodec that made it, or a newer one"),
    (TruncatedError, "get a whole copy, or save what is there by decompress --allow-truncated"),
    (ChecksumError, "get another copy, or save what is whole by decompress --conceal"),
    (CorruptError, "get another copy"),
)

# What a terminal would act on: control characters, marks that turn the direction of writing, separators of lines, and
# halves of surrogates, which stand for bytes of a name that are no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_NAMED = 5  # files that are named where many were skipped
_WIDTH = 78
_EVERY = 0.1  # seconds between two pictures of the progress line
_EARLY = 1.0  # seconds before which nobody can say how long the rest will take


def with_hint(error: VqcError) -> str:
    """The error's message, with the remedy that the command line offers for its kind."""
    if isinstance(error, DecodeError) and error.remedy:
        return f"{error}; {error.remedy}"
    for kind, hint in _HINTS:
        if isinstance(error, kind) and hint not in str(error):
            return f"{error}; {hint}"
    return str(error)


def printable(text: str) -> str:
    """Text in one line, in which nothing steers the terminal: a file's name may hold anything."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def say(text: str, details: str = "") -> None:
    """A message of one line, and lines of details below: on stderr, because stdout may carry data."""
    click.echo(printable(text) + (f"\n{details.rstrip()}" if details else ""), err=True)


def say_error(text: str, details: str = "") -> None:
    """One line that says what went wrong."""
    say(f"vqcodec: error: {text}", details)


def say_warning(text: str) -> None:
    """One line that says what was lost."""
    say(f"vqcodec: warning: {text}")


def say_skipped(skipped: Sequence[Skip]) -> None:
    """How many files were left alone for each reason, and the first of them by name."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for skip in skipped:
        by_reason[skip.reason].append(skip.source)
    for reason, names in by_reason.items():
        shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        say(f"{len(names)} file{'s' * (len(names) > 1)} skipped: {shown} ({reason})")


def is_quiet() -> bool:
    """Whether the command at work was told to say nothing but errors."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.params.get("quiet"))


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Within, what is lost is said as it comes, a line each, unless the command is quiet; other warnings stay."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, VqcWarning):
                others(message, category, filename, lineno, file, line)
            elif not is_quiet():
                say_warning(str(message))

        warnings.showwarning = show
        warnings.simplefilter("always", VqcWarning)
        yield


def say_result(lines: Sequence[str]) -> None:
    """Lines on stdout, which were asked for.

    Raises:
        OutputError: standard output is closed.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed; redirect it to a file")
    click.echo("\n".join(map(printable, lines)))


def say_json(record: Mapping[str, Any]) -> None:
    """One line of JSON on stdout per file.

    Raises:
        OutputError: standard output is closed.
    """
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    text = json.dumps(record, ensure_ascii=encoding != "utf8")
    text = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)  # within strings: JSON has none elsewhere
    if sys.stdout is None:
        raise OutputError("standard output is closed; redirect it to a file")
    click.echo(text)


class Progress:
    """A line on stderr that says which file is at work, how far it is, and how long all of them will take.

    Only where a person watches it.

    Attributes:
        weights: of the files, such as their sizes in bytes, which the estimate goes by.
    """

    def __init__(self, weights: Sequence[int], *, quiet: bool) -> None:
        self.weights = weights
        self.shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self.started = self.drawn = time.monotonic()
        self.done = 0  # files
        self.weight = 0.0  # of these
        self.name = ""
        self.current = 0  # weight of the file at work, where there is one at a time
        self.parts: dict[str, tuple[int, float]] = {}  # weight and share of the files at work, where there are several

    def at(self, name: str, weight: int = 0) -> None:
        """A file is at work now."""
        self.name, self.current = name, weight
        self._draw(0.0)

    def share(self, share: float) -> None:
        """So much of the file at work is done, 0 to 1."""
        if self.shown and time.monotonic() - self.drawn >= _EVERY:
            self._draw(min(max(share, 0.0), 1.0))

    def part(self, name: str, weight: int, share: float) -> None:
        """So much of one of several files at work is done, 0 to 1."""
        self.parts[name] = weight, share
        if self.shown and time.monotonic() - self.drawn >= _EVERY:
            self._draw(0.0)

    def finish(self, weight: int, name: str = "") -> None:
        """A file is finished, well or not; ``name`` where there are several at work."""
        self.parts.pop(name, None)
        self.done += 1
        self.weight += weight
        self.current = 0

    def clear(self) -> None:
        """Wipe the line before anything else is written."""
        if self.shown:
            click.echo(f"\r{'':<{_WIDTH}}\r", err=True, nl=False)

    def _draw(self, share: float) -> None:
        if self.shown:
            self.drawn = time.monotonic()
            click.echo(f"\r{self.line(share)[:_WIDTH]:<{_WIDTH}}", err=True, nl=False)

    def line(self, share: float) -> str:
        """What is shown: number of the file, its own share, that of all, time left, name."""
        files = len(self.weights)
        under_way = share * self.current + sum(weight * part for weight, part in self.parts.values())
        total = (self.weight + under_way) / max(sum(self.weights), 1)
        passed = time.monotonic() - self.started
        parts = [f"[{min(self.done + 1, files)}/{files}]"]
        if share:
            parts.append(f"{share:4.0%}")
        if files > 1 and total:
            parts.append(f"all {total:.0%}")
        if total and passed > _EARLY:
            parts.append(f"{_clock(passed * (1 - total) / total)} left")
        several = ", ".join(f"{name} {part:.0%}" for name, (_, part) in self.parts.items())
        return " ".join([*parts, printable(several or self.name)])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
