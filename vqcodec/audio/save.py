"""Sound out: WAV or FLAC of 16 or 24 bits by the suffix of the name, block by block, with the tags that it can hold."""

from __future__ import annotations

import re
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

from vqcodec.audio.chunks import INFO_NAMES
from vqcodec.audio.layout import MASK_TAG, mask_of
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import METADATA_BYTES, Tag, comment_block, is_key, parse_picture, tag_pairs
from vqcodec.errors import OutputError, UsageError
from vqcodec.kinds import SOUND_SUFFIXES
from vqcodec.sources import scratch_folder, write_atomic

__all__ = ["check_sound_suffix", "save_sound", "write_sound"]

# Names of a RIFF INFO list by ours; where two are read as one of ours, the usual one is written.
_INFO = {value: key for key, value in INFO_NAMES.items() if key != b"IPRT"}
_EXTENSIBLE = 0xFFFE
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")  # KSDATAFORMAT_SUBTYPE_PCM
# Bytes of tags in front of the samples, which libsndfile does not find behind 64 KiB of short ones.
_MOST_BEFORE = 2**15
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


def _pcm(sound: SoundStream) -> Iterator[npt.NDArray[np.int32]]:
    """Blocks of whole numbers, as many bits as the sound has."""
    full = 2 ** (sound.bits - 1)
    for block in sound.blocks:
        yield np.clip(np.rint(block * np.float32(full)), -full, full - 1).astype("<i4")


def _write_wav(sound: SoundStream, notes: list[str], name: str, file: BinaryIO) -> None:
    """Written by hand, because the length is known beforehand and so nothing must be seekable.

    RIFF by Microsoft's Multimedia Programming Interface 1.0; RF64 beyond 4 GiB by EBU Tech 3306.
    """
    kept = [(kind, value) for key, value in tag_pairs(sound.tags) if (kind := _info_name(key))]
    lost = [key for key in sound.tags if key != MASK_TAG and not _info_name(key)]
    if lost:
        names = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
        notes.append(f"WAV keeps no {names}: dropped; .flac keeps more")
    if sound.picture is not None:
        notes.append("WAV keeps no cover picture: dropped; .flac keeps it")
    info = b"".join(_chunk(kind, value.encode("utf-8", "replace") + b"\0") for kind, value in kept)
    width = sound.bits // 8 * sound.channels
    tag = _EXTENSIBLE if sound.channels > 2 or MASK_TAG in sound.tags else 1
    layout = struct.pack(
        "<HHIIHH", tag, sound.channels, sound.sample_rate, sound.sample_rate * width, width, sound.bits
    )
    if tag == _EXTENSIBLE:
        layout += struct.pack("<HHI", 22, sound.bits, mask_of(sound.tags, sound.channels)) + _PCM_GUID
    body, tags = _chunk(b"fmt ", layout), _chunk(b"LIST", b"INFO" + info) if info else b""
    before, behind = (tags, b"") if len(tags) < _MOST_BEFORE else (b"", tags)
    body += before
    size = sound.samples * width
    padded = size + size % 2 + len(behind)  # of the whole, not of the chunk (RIFF)
    if size < _RIFF_LIMIT - len(body) - len(behind):
        file.write(struct.pack("<4sI4s", b"RIFF", 4 + len(body) + 8 + padded, b"WAVE") + body)
        file.write(struct.pack("<4sI", b"data", size))
    else:
        sizes = struct.pack("<QQQI", 4 + 36 + len(body) + 8 + padded, size, sound.samples, 0)
        file.write(struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + _chunk(b"ds64", sizes) + body)
        file.write(struct.pack("<4sI", b"data", 0xFFFFFFFF))
    for block in _pcm(sound):
        file.write(block.view(np.uint8).reshape(-1, 4)[:, : sound.bits // 8].tobytes())
    file.write(b"\0" * (size % 2) + behind)


def _info_name(key: str) -> bytes:
    """Name of a tag in an INFO list; empty where it has none."""
    if key in _INFO:
        return _INFO[key]
    return key.encode() if re.fullmatch("I[A-Z0-9]{3}", key) and key.encode() not in INFO_NAMES else b""


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)


def _write_flac(sound: SoundStream, notes: list[str], name: str, file: BinaryIO) -> None:
    blocks = _metadata_blocks(sound, notes)
    # The library goes back to correct its header, and knows neither all tags nor pictures: so by way of a file.
    with scratch_folder() as folder:
        path = folder / "sound.flac"
        try:
            with soundfile.SoundFile(path, "w", sound.sample_rate, sound.channels, f"PCM_{sound.bits}") as out:
                for block in _pcm(sound):
                    out.write(block << 32 - sound.bits)
        except soundfile.LibsndfileError as error:
            detail = error.error_string.strip().rstrip(".")
            raise OutputError(
                f"{name}: cannot be stored as FLAC ({detail}); use .wav, or make room in {tempfile.gettempdir()}"
            ) from error
        with path.open("rb") as whole:
            _copy_with_metadata(whole, file, blocks)


def _metadata_blocks(sound: SoundStream, notes: list[str]) -> list[tuple[int, bytes]]:
    """Kind and body of the blocks for tags and cover, as far as a FLAC file can hold them and stay readable."""
    tags: list[Tag] = []
    room, lost = METADATA_BYTES - 64, 0
    for key, value in tag_pairs(sound.tags):
        size = 5 + len(key) + len(value.encode("utf-8", "replace"))
        if size <= room:
            tags.append((key, value))
            room -= size
        else:
            lost += 1
    if bad := [key for key in sound.tags if not is_key(key)]:
        notes.append(f"FLAC keeps no tags named {', '.join(map(repr, bad[:8]))}: dropped; names are of ASCII without =")
    if lost:
        notes.append(f"FLAC keeps no more than 16 MiB of tags: {lost:,} dropped")
    blocks = [(4, comment_block(tags))]
    if sound.picture is None:
        return blocks
    picture = parse_picture(sound.picture)
    if picture is None:
        notes.append("its cover picture is damaged: dropped")
    elif len(block := picture.block()) > METADATA_BYTES:
        notes.append("FLAC keeps no picture of more than 16 MiB: dropped")
    else:
        blocks.append((6, block))
    return blocks


def _copy_with_metadata(whole: BinaryIO, file: BinaryIO, metadata: list[tuple[int, bytes]]) -> None:
    """Copy a FLAC file with other metadata; of its own blocks stream info and seek table stay (RFC 9639, 8)."""
    whole.read(4)
    head, blocks = b"\0", []
    while not head[0] & 0x80:
        head = whole.read(4)
        body = whole.read(int.from_bytes(head[1:], "big"))
        if head[0] & 0x7F in (0, 3):
            blocks.append((head[0] & 0x7F, body))
    blocks += metadata
    file.write(b"fLaC")
    for i, (kind, body) in enumerate(blocks):
        last = 0x80 * (i == len(blocks) - 1)
        file.write(bytes([kind | last]) + len(body).to_bytes(3, "big") + body)
    shutil.copyfileobj(whole, file, 2**20)
