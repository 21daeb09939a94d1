"""What a caller may hand in as a file, and that only our errors come of what cannot be read."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vqcodec
from vqcodec.errors import InputError, OutputError, UsageError, VqcError
from vqcodec.sources import Stream, scratch_folder

READERS = [vqcodec.compress, vqcodec.decompress, vqcodec.info, vqcodec.verify, vqcodec.stream_sound]


class Broken(io.RawIOBase):
    """A disk that fails."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(5, "Input/output error")


class Reads:
    """An object whose read gives something."""

    def __init__(self, value: object) -> None:
        self.value = value

    def read(self, size: int = -1) -> object:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Piecemeal(io.RawIOBase):
    """An unbuffered file that gives three bytes at a time, as sockets do."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        part = self.data.read(min(3, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


class BytesPath:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "bad",
    [
        lambda: "a\0b",
        lambda: "a\ud800b",
        lambda: "x" * 5000,
        lambda: "",
        lambda: Path("/etc/hostname/below"),
        lambda: None,
        lambda: 7,
        lambda: [1],
        lambda: io.StringIO("text"),
        lambda: Broken(),
        lambda: Reads(None),
        lambda: Reads("text"),
        lambda: Reads(ValueError("I/O operation on closed file")),
        lambda: memoryview(bytes(64))[::2],
    ],
)
def test_what_is_no_file_is_our_error(reader: Callable[[object], object], bad: Callable[[], object]) -> None:
    with pytest.raises(VqcError) as caught:
        reader(bad())
    assert "\n" not in str(caught.value)


def test_a_file_open_for_writing_is_our_error(tmp_path: Path) -> None:
    with (tmp_path / "new").open("wb") as file, pytest.raises(InputError, match="in mode 'rb'"):
        vqcodec.decompress(file)


def test_every_form_of_a_file_gives_the_same(tmp_path: Path, rgb: np.ndarray) -> None:
    data = vqcodec.compress(rgb)
    path = tmp_path / "x.vqc"
    path.write_bytes(data)
    wanted = vqcodec.decompress(data).tobytes()
    spaced = memoryview(np.repeat(np.frombuffer(data, np.uint8), 2).tobytes())[::2]
    for form in (bytearray(data), memoryview(data), spaced, str(path), path, BytesPath(path), io.BytesIO(data)):
        assert vqcodec.decompress(form).tobytes() == wanted  # type: ignore[arg-type]
    assert vqcodec.decompress(Piecemeal(data)).tobytes() == wanted  # type: ignore[arg-type]
    with path.open("rb") as file:
        assert vqcodec.decompress(file).tobytes() == wanted


def test_sound_that_comes_piecemeal_is_told_from_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    vqcodec.Sound(np.zeros((500, 1), np.float32), 8_000).save(path)
    content = path.read_bytes()
    assert vqcodec.compress(Piecemeal(content)) == vqcodec.compress(path)  # type: ignore[arg-type]


def test_reading_as_much_as_is_asked_for() -> None:
    stream = Stream(Piecemeal(b"0123456789"))
    assert (stream.read(4), stream.read(0), stream.read(5), stream.read(9), stream.read()) == (
        b"0123", b"", b"45678", b"9", b"",
    )  # fmt: skip


def test_no_room_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.wav"
    vqcodec.Sound(np.zeros((500, 1), np.float32), 8_000).save(path)
    content = path.read_bytes()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match="set TMPDIR"):
        vqcodec.compress(content)
    with pytest.raises(OutputError, match="set TMPDIR"), scratch_folder():
        pass


def test_a_full_disk_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.wav"
    vqcodec.Sound(np.zeros((500, 1), np.float32), 8_000).save(path)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match=r"No space left on device.*make room in"):
        vqcodec.compress(io.BytesIO(path.read_bytes()))


def test_a_text_file_is_a_wrong_use(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("x")
    with path.open() as file, pytest.raises(UsageError, match="opened for text"):
        vqcodec.compress(file)  # type: ignore[arg-type]
