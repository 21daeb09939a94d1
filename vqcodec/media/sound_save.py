"""Sound out: 16-bit WAV or FLAC by the suffix of the name, block by block, with the tags that the format can hold."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from vqcodec.errors import OutputError, UsageError
from vqcodec.media.files import write_atomic
from vqcodec.media.kinds import SOUND_SUFFIXES
from vqcodec.media.sound import SoundStream

__all__ = ["check_sound_suffix", "save_sound", "write_sound"]

# Names of a RIFF INFO list (Multimedia Programming Interface 1.0, 2-14; ITRK as everybody writes it).
_INFO = {
    "TITLE": b"INAM",
    "ARTIST": b"IART",
    "ALBUM": b"IPRD",
    "TRACKNUMBER": b"ITRK",
    "DATE": b"ICRD",
    "GENRE": b"IGNR",
    "COMMENT": b"ICMT",
    "COPYRIGHT": b"ICOP",
    "SOFTWARE": b"ISFT",
}
_FLAC_TAGS = (*_INFO, "LICENSE")
_RIFF_LIMIT = 2**32 - 2**16


def check_sound_suffix(path: Path) -> None:
    """Refuse a name whose suffix asks for something else than WAV or FLAC.

    Raises:
        UsageError: it does.
    """
    if path.suffix.lower() not in SOUND_SUFFIXES:
        raise UsageError(f"{path}: cannot hold sound; use one of {' '.join(SOUND_SUFFIXES)}")


def save_sound(sound: SoundStream, path: Path, *, force: bool, parents: bool = False) -> list[str]:
    """Save a sound by the suffix of its name, whole or not at all.

    Args:
        sound: its blocks are used up; samples beyond full scale are clipped.
        path: where.
        force: whether an existing file may be replaced.
        parents: whether missing folders are made.

    Returns:
        What was lost, one sentence each.

    Raises:
        UsageError: unknown suffix.
        OutputError: the file exists and ``force`` is not set, or it cannot be written.
    """
    check_sound_suffix(path)
    notes: list[str] = []
    write = _write_flac if path.suffix.lower() == ".flac" else _write_wav
    write_atomic(path, partial(write, sound, notes, str(path)), force=force, parents=parents)
    return notes


def write_sound(sound: SoundStream, file: BinaryIO) -> list[str]:
    """Write a sound as WAV to an open file, which need not be seekable; returns what was lost."""
    notes: list[str] = []
    _write_wav(sound, notes, "standard output", file)
    return notes


def _pcm16(blocks: Iterator[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.int16]]:
    for block in blocks:
        yield np.clip(np.rint(block * np.float32(32_768)), -32_768, 32_767).astype("<i2")


def _write_wav(sound: SoundStream, notes: list[str], name: str, file: BinaryIO) -> None:
    """Written by hand, because the length is known beforehand and so nothing must be seekable.

    RIFF by Microsoft's Multimedia Programming Interface 1.0; RF64 beyond 4 GiB by EBU Tech 3306.
    """
    lost = [key for key in sound.tags if key not in _INFO]
    if lost:
        notes.append(f"WAV keeps no {', '.join(lost)}: dropped; .flac keeps more")
    if sound.picture is not None:
        notes.append("WAV keeps no cover picture: dropped; .flac keeps it")
    info = b"".join(_chunk(_INFO[key], value.encode() + b"\0") for key, value in sound.tags.items() if key in _INFO)
    width = 2 * sound.channels
    layout = struct.pack("<HHIIHH", 1, sound.channels, sound.sample_rate, sound.sample_rate * width, width, 16)
    body = _chunk(b"fmt ", layout) + (_chunk(b"LIST", b"INFO" + info) if info else b"")
    size = sound.samples * width
    if size < _RIFF_LIMIT - len(body):
        file.write(struct.pack("<4sI4s", b"RIFF", 4 + len(body) + 8 + size, b"WAVE") + body)
        file.write(struct.pack("<4sI", b"data", size))
    else:
        sizes = struct.pack("<QQQI", 4 + 36 + len(body) + 8 + size, size, sound.samples, 0)
        file.write(struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + _chunk(b"ds64", sizes) + body)
        file.write(struct.pack("<4sI", b"data", 0xFFFFFFFF))
    for block in _pcm16(sound.blocks):
        file.write(block.tobytes())


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)


def _write_flac(sound: SoundStream, notes: list[str], name: str, file: BinaryIO) -> None:
    lost = [key for key in sound.tags if key not in _FLAC_TAGS]
    if lost:
        notes.append(f"FLAC by this program keeps no {', '.join(lost)}: dropped")
    # The library goes back to correct its header, and knows no pictures: so by way of a file of its own.
    with tempfile.TemporaryDirectory(prefix="vqcodec-") as folder:
        path = Path(folder) / "sound.flac"
        try:
            with soundfile.SoundFile(path, "w", sound.sample_rate, sound.channels, "PCM_16") as out:
                for key in _FLAC_TAGS:
                    if key in sound.tags:
                        setattr(out, key.lower(), sound.tags[key])
                for block in _pcm16(sound.blocks):
                    out.write(block)
        except soundfile.LibsndfileError as error:
            detail = error.error_string.strip().rstrip(".")
            raise OutputError(
                f"{name}: cannot be stored as FLAC ({detail}); use .wav, or make room in {tempfile.gettempdir()}"
            ) from error
        with path.open("rb") as whole:
            _copy_with_picture(whole, file, sound.picture)


def _copy_with_picture(whole: BinaryIO, file: BinaryIO, picture: bytes | None) -> None:
    """Copy a FLAC file, a PICTURE block put behind the first one, which must be STREAMINFO (RFC 9639, 8)."""
    if picture is not None and len(picture) < 2**24:
        head = bytearray(whole.read(4 + 4 + 34))
        last, head[4] = head[4] & 0x80, head[4] & 0x7F
        file.write(bytes(head) + bytes([6 | last]) + len(picture).to_bytes(3, "big") + picture)
    shutil.copyfileobj(whole, file, 2**20)
