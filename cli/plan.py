"""Which input becomes which output, and whether that may be."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqcodec.cli.streams import STREAM
from vqcodec.errors import InputError, OutputError, UsageError, VqcError
from vqcodec.sources import check_writable

__all__ = ["Pair", "Plan", "Skip", "Taken", "check_pair", "is_folder", "plan", "settle_existing"]

_SIDE_FILE = "._"  # a Mac's, of what a foreign file system cannot hold; its name ends like that of the real file


@dataclass(frozen=True)
class Pair:
    """One file to make.

    Attributes:
        source: a path, or ``-`` for standard input.
        target: a path, or ``-`` for standard output.
        folder: of the outputs, which the target must not leave by a link and in which folders are made; or nothing.
    """

    source: str
    target: str
    folder: str = ""

    @property
    def parents(self) -> bool:
        """Whether missing folders of the output are made."""
        return bool(self.folder)


@dataclass(frozen=True)
class Skip:
    """A file that is left alone, and why."""

    source: str
    reason: str


@dataclass
class Plan:
    """What is to be done: pairs to make, inputs that are refused already, each with its error, and files left alone."""

    pairs: list[Pair] = field(default_factory=list)
    refused: list[tuple[Pair, VqcError]] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)


@dataclass(frozen=True)
class Taken:
    """What a command takes from a folder: files of these suffixes, and what the others are not."""

    suffixes: Sequence[str]
    what: str


def plan(arguments: Sequence[str], folder: str | None, taken: Taken, new_suffix: Callable[[Path], str]) -> Plan:
    """What a command's arguments ask for.

    Args:
        arguments: IN, IN OUT, or with ``folder`` any number of files and folders.
        folder: where outputs go.
        taken: from a folder among the arguments; a file named by itself may have any suffix.
        new_suffix: of the output that an input becomes where none is named.

    Raises:
        UsageError: the arguments do not fit together.
    """
    if folder == "":
        raise UsageError("the folder for the outputs is empty; name one after -o (. for the working folder)")
    if folder is None:
        return Plan([_single(arguments, new_suffix)])
    if STREAM in arguments:
        raise UsageError("standard input has no name to go by in a folder; give IN and OUT instead of -o")
    return _into_folder(arguments, folder, taken, new_suffix)


def _single(arguments: Sequence[str], new_suffix: Callable[[Path], str]) -> Pair:
    if len(arguments) > 2:
        raise UsageError("give IN and OUT, IN alone, or any number of inputs and -o OUTDIR")
    source = arguments[0]
    if is_folder(Path(source)):
        raise UsageError(f"{source}: is a folder; give the folder for the outputs with -o OUTDIR")
    if len(arguments) == 2:
        return Pair(source, arguments[1])
    if source == STREAM:
        raise UsageError("standard input has no name to go by; name the output, or give - for standard output")
    return Pair(source, str(Path(source).with_suffix(new_suffix(Path(source)))))


def _into_folder(arguments: Sequence[str], folder: str, taken: Taken, new_suffix: Callable[[Path], str]) -> Plan:
    made = Plan()
    sources: dict[Path, list[str]] = defaultdict(list)
    for argument in arguments:
        for source, below in _inputs(Path(argument), Path(folder), taken, made):
            try:
                target = Path(folder) / below.with_suffix(new_suffix(source))
            except VqcError as error:
                made.refused.append((Pair(str(source), ""), error))
                continue
            if str(source) not in sources[target]:
                sources[target].append(str(source))
    for target, rivals in sources.items():
        if len(rivals) == 1:
            made.pairs.append(Pair(rivals[0], str(target), folder))
            continue
        clash = UsageError(f"{' and '.join(rivals)} would each become {target}; rename all but one of them")
        made.refused += [(Pair(source, str(target), folder), clash) for source in rivals]
    return made


def _inputs(argument: Path, outputs: Path, taken: Taken, made: Plan) -> Iterator[tuple[Path, Path]]:
    """Files of an argument, each with its path below the folder that outputs go to; the rest is noted in the plan."""
    if not is_folder(argument):
        yield argument, Path(argument.name)
        return
    found = False
    for path in _files(argument, outputs, made):
        if path.name.startswith(_SIDE_FILE):
            made.skipped.append(Skip(str(path), "side files of a Mac"))
        elif path.suffix.lower() not in taken.suffixes:
            made.skipped.append(Skip(str(path), taken.what))
        else:
            found = True
            yield path, path.relative_to(argument)
    if not found:
        error = InputError(f"{argument}: holds no file that ends in {' '.join(taken.suffixes)}; name another folder")
        made.refused.append((Pair(str(argument), ""), error))


def _files(folder: Path, outputs: Path, made: Plan) -> Iterator[Path]:
    """All files below a folder, in order; the outputs' own folder is no input where it lies below."""

    def refuse(error: OSError) -> None:
        problem = InputError(f"{error.filename}: cannot be read ({error.strerror}); mend its permissions, or leave it")
        made.refused.append((Pair(str(error.filename), ""), problem))

    own = os.path.realpath(outputs)
    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if os.path.realpath(Path(place, name)) != own]
        links = [name for name in folders if Path(place, name).is_symlink()]
        made.skipped += [Skip(str(Path(place, name)), "links to folders") for name in sorted(links)]
        for path in (Path(place, name) for name in names):
            if path.is_file():
                found.append(path)
            else:
                made.skipped.append(Skip(str(path), "links to nothing, pipes and devices"))
    yield from sorted(found)


def is_folder(path: Path) -> bool:
    """Whether there is a folder of this name, which may be none that a file can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long; whoever opens it says so
        return False


def settle_existing(todo: Plan, *, force: bool, skip: bool) -> Plan:
    """The plan less what has been made already, where that is to be skipped.

    Raises:
        UsageError: it is to be replaced, too.
    """
    if not skip:
        return todo
    if force:
        raise UsageError("--force and --skip-existing contradict each other; give only one of them")
    left = [pair for pair in todo.pairs if pair.target == STREAM or not os.path.lexists(pair.target)]
    there = [Skip(pair.source, "the output exists") for pair in todo.pairs if pair not in left]
    return Plan(left, todo.refused, [*todo.skipped, *there])


def check_pair(pair: Pair, *, force: bool) -> None:
    """Refuse a pair before any work is done for it.

    Raises:
        InputError: standard input is closed.
        OutputError: the output cannot be written, lies elsewhere by a link, or exists and ``force`` is not set.
        UsageError: input and output are one file, or a stream is a terminal.
    """
    if pair.source == STREAM and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("standard input is a terminal; name a file, or pipe one in")
    if pair.target == STREAM:
        if sys.stdout is not None and sys.stdout.isatty():
            raise OutputError("standard output is a terminal; redirect it, or name a file")
        return
    target = Path(pair.target)
    check_writable(target, force=True, parents=pair.parents)
    if pair.source != STREAM and target.is_file() and Path(pair.source).exists() and target.samefile(pair.source):
        raise UsageError(f"{pair.target}: is the input itself; name another output")
    check_writable(target, force=force, parents=pair.parents)
    if pair.folder and not Path(os.path.realpath(target)).is_relative_to(os.path.realpath(pair.folder)):
        raise OutputError(f"{target}: a link leads out of {pair.folder}; remove the link, or write there directly")
