"""What a caller gives: inputs by path or by content, outputs whole or not at all, errors that name the file."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from warnings import warn

from vqcodec.errors import InputError, LimitError, OutputError, UsageError, VqcError, VqcWarning

__all__ = [
    "HEAD",
    "MOST_STREAMED",
    "Compressed",
    "NamedBytes",
    "Stream",
    "check_writable",
    "dense",
    "discard_unfinished",
    "head_of",
    "is_pipe",
    "larger_than",
    "name_of",
    "naming",
    "opened",
    "read_all",
    "read_compressed",
    "read_content",
    "scratch_folder",
    "spooling",
    "warn_all",
    "write_atomic",
]

Compressed = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
"""Bytes of a .vqc file, its path, or the file open for bytes."""

HEAD = 16
"""So many first bytes tell a picture from a sound."""

_VQC = b"\x89VQC"

MOST_STREAMED = 2**31
"""Bytes taken of what may never end; the largest picture of the default limits has 0.8 GB of samples."""

_PART = 2**24

_unfinished: set[Path] = set()  # temporary files that are being written


class NamedBytes(bytes):
    """Bytes that messages name as what they were read from, such as a pipe.

    Attributes:
        name: in front of errors and warnings, as a path would be.
    """

    name = ""

    @classmethod
    def of(cls, content: bytes, name: str) -> NamedBytes:
        """A copy that has a name."""
        named = cls(content)
        named.name = name
        return named


def name_of(source: object) -> str:
    """The path as it was given, or what else messages name an input by; nothing for one without a name."""
    if isinstance(source, (NamedBytes, Stream)):
        return source.name
    return os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else ""


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


class Stream:
    """An open file of the caller's, whose reading fails with our errors only; and reads as much as it is asked for.

    Attributes:
        name: in front of errors and warnings, as a path would be; or nothing.
    """

    def __init__(self, file: Any, name: str = "") -> None:
        if isinstance(file, io.TextIOBase):
            raise UsageError("the file was opened for text; open it for bytes, in mode 'rb'")
        if getattr(file, "closed", False) is True:
            raise InputError("the file given is closed; open it again")
        self.name = name
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer at the end only; all that is left where size is negative.

        Raises:
            InputError: the file cannot be read.
            UsageError: what it gives are not bytes.
        """
        parts, left = [], size
        while left:
            part = self._read(left)
            if not part:
                break
            parts.append(part)
            left = left if size < 0 else max(left - len(part), 0)
        return b"".join(parts)

    def _read(self, size: int) -> bytes:
        try:
            part = self._file.read(size)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile, or a text in disguise
            what = f"{self.name}: cannot" if self.name else "the file given cannot"
            raise InputError(f"{what} be read ({error}); open it for bytes, in mode 'rb'") from error
        if not isinstance(part, (bytes, bytearray, memoryview)):
            raise UsageError(f"the file given reads as {type(part).__name__}, not as bytes; open it in mode 'rb'")
        return bytes(part)


@contextmanager
def opened(source: Any) -> Iterator[Any]:
    """The source in one of the forms that the readers take: bytes of any type as bytes, a pipe as an open file.

    A pipe gives its bytes once, so that its name can be opened only once.

    Raises:
        InputError: a path that no file can have, or an open file that cannot be read.
        UsageError: a file that was opened for text.
    """
    if isinstance(source, (bytearray, memoryview)):
        yield bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        name = name_of(source)
        if not is_pipe(name):
            yield name
            return
        try:
            file = Path(name).open("rb")  # noqa: SIM115 - closed below, where errors of reading are not ours to judge
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror}); check its permissions") from error
        with file:
            yield Stream(file, name)
    elif hasattr(source, "read"):
        yield Stream(source, name_of(source))
    else:
        yield source


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for files that are needed for a while.

    Raises:
        OutputError: none can be made.
    """
    try:
        folder = tempfile.mkdtemp(prefix="vqcodec-")
    except OSError as error:
        raise OutputError(f"there is no folder for temporary files ({error.strerror}); set TMPDIR to one") from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def spooling() -> Iterator[None]:
    """Say of a temporary file that cannot be written what it is and what helps."""
    try:
        yield
    except OSError as error:
        where = tempfile.gettempdir()
        raise OutputError(
            f"a temporary file cannot be written ({error.strerror}); make room in {where}, or set TMPDIR"
        ) from error


def is_pipe(source: str | os.PathLike[str]) -> bool:
    """Whether a path names something that gives its bytes once: a pipe, a socket, a device.

    Raises:
        InputError: no file can have this name.
    """
    try:
        mode = Path(source).stat().st_mode
    except OSError:
        return False  # whoever opens it says why it cannot
    except ValueError as error:
        raise InputError(f"{os.fspath(source)!r}: no file can have this name ({error}); check the path") from error
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def larger_than(source: Any, data: bytes, *, lossless: bool = False) -> list[str]:
    """A note where the file made of a source (a path or bytes) is larger than that."""
    size = len(source) if isinstance(source, bytes) else len(data)
    if isinstance(source, (str, os.PathLike)):
        size = Path(source).stat().st_size
    if len(data) <= size:
        return []
    remedy = "leave out lossless" if lossless else "give a lower quality"
    return [f"has {size:,} bytes, the .vqc {len(data):,}; {remedy}, or keep the source as it is"]


def read_content(data: Compressed) -> tuple[bytes, str]:
    """Content and name of a file given by its bytes, its path, or open for bytes.

    Raises:
        InputError: there is no such file, or it cannot be read.
        UsageError: this is neither.
    """
    name = name_of(data)
    try:
        with opened(data) as source:
            if isinstance(source, bytes):
                return source, name
            if hasattr(source, "read"):
                return read_compressed(source, name or "the file"), name
            with Path(source).open("rb") as file:
                return read_compressed(file, name), name
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except OSError as error:
        raise InputError(f"{name or 'the file'}: cannot be read ({error.strerror}); name a .vqc file") from error
    except TypeError as error:
        raise UsageError(f"{type(data).__name__} is no file; give bytes, a path or an open file") from error


def read_compressed(file: BinaryIO | Stream, name: str = "standard input") -> bytes:
    """A .vqc file; of anything else, such as /dev/zero, the first bytes only, which suffice to say so.

    Raises:
        LimitError: it goes on and on.
    """
    head = file.read(HEAD)
    return head + read_all(file, name) if head.startswith(_VQC) else head


def read_all(file: BinaryIO | Stream, name: str = "standard input") -> bytes:
    """The rest of an open file, of which nobody knows whether it ends.

    Raises:
        LimitError: it goes on and on.
    """
    parts: list[bytes] = []
    while part := file.read(_PART):
        parts.append(part)
        if len(parts) * _PART > MOST_STREAMED:
            raise LimitError(f"{name}: has more than {MOST_STREAMED:,} bytes, which are not read into memory; cut it")
    return b"".join(parts)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file's name in front of errors that come from layers which know bytes only."""
    try:
        yield
    except VqcError as error:
        if name and not str(error).startswith(f"{name}: "):
            error.args = (f"{name}: {error}", *error.args[1:])
        raise


def dense(tensor: Any) -> Any:
    """The values of a torch tensor as an array, wherever they lie.

    Raises:
        UsageError: it has none, or they cannot be had.
    """
    try:
        return tensor.detach().cpu().numpy()
    except (TypeError, ValueError, RuntimeError) as error:  # NotImplementedError of the device meta is one of them
        detail = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"the tensor's values cannot be read ({detail}); give a dense one of a real device") from error


def check_writable(path: Path, *, force: bool, parents: bool = False) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Raises:
        OutputError: it exists and ``force`` is not set, it is a folder, or (without ``parents``) its folder is missing;
            no file can have this name.
    """
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r}: no file can have this name (it holds a zero byte); give another name")
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
