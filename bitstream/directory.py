"""The directory: kinds and lengths of all parts, and how far each stage of a chunk reaches (SPEC.md, Directory)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from vqcodec.bitstream.header import SECTIONS, AudioHeader, Fields, ImageHeader
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import CorruptError, TruncatedError

__all__ = [
    "CHUNK_OVERHEAD",
    "SECTION_OVERHEAD",
    "ChunkEntry",
    "Directory",
    "check_plausible",
    "pack_directory",
    "parse_directory",
]

STAGES_FROM = 2_048  # payload bytes from which stage_ends are worth their 4 to 9 bytes
CHUNK_OVERHEAD = 6  # code_hash and CRC
SECTION_OVERHEAD = 4  # CRC
_MAX_STAGES = 16
_MAX_SECTIONS = 64
_MAX_LENGTH = 2**31 - 1
# What a byte of payload may stand for. Measured at the coarsest step: 2,900 pixels of a flat gray tile of image-4,
# 4,900 of one of tokens-7, 0.014 s of what is nearly silence in one channel of audio-5; the rest is
# room for models that guess better. What a whole file may ask for is bounded more tightly, by Limits.
_PIXELS_PER_BYTE = 32_768
_FREE_BYTES = 16
_SECONDS_PER_BYTE = 1 / 8  # times channels: what decoding costs follows the seconds, whatever the sample rate
_SAMPLES_PER_BYTE = 20_480  # times channels: what the samples take in memory follows the rate; enough for 384 kHz
_FREE_BYTES_SOUND = 64  # in all, for short sounds


@dataclass(frozen=True)
class ChunkEntry:
    """Payload bytes of a chunk, and of its stages (empty where not stored)."""

    length: int
    stage_ends: tuple[int, ...] = ()


@dataclass(frozen=True)
class Directory:
    """``sections``: (kind, body bytes) in file order; ``chunks`` in file order.

    With ``sparse`` a chunk without payload is not there at all: see ``sparse`` of the headers.
    """

    chunks: list[ChunkEntry]
    sections: list[tuple[int, int]] = field(default_factory=list)
    sparse: bool = False

    def size_of(self, entry: ChunkEntry) -> int:
        """Bytes of a chunk in the file."""
        return entry.length + CHUNK_OVERHEAD if entry.length or not self.sparse else 0

    def coded_samples(self, header: AudioHeader) -> int:
        """Samples of each channel of a sound in chunks that are there, all of them taken to be of one length."""
        there = sum(1 for entry in self.chunks if entry.length or not self.sparse)
        return -(-header.samples * there // max(len(self.chunks), 1))

    @property
    def body_bytes(self) -> int:
        """Bytes of all sections and chunks in the file."""
        sections = sum(length + SECTION_OVERHEAD for _, length in self.sections)
        return sections + sum(self.size_of(entry) for entry in self.chunks)


def pack_directory(directory: Directory) -> bytes:
    """Bytes of a directory.

    Raises:
        ValueError: stage_ends do not rise to the payload length, or there are more than 16.
    """
    out = bytearray()
    if directory.sections:
        out += write_varint(len(directory.sections))
        for kind, length in directory.sections:
            out += bytes([kind]) + write_varint(length)
    for entry in directory.chunks:
        out += write_varint(entry.length)
        ends = entry.stage_ends
        if ends and (list(ends) != sorted(ends) or ends[0] < 0 or ends[-1] != entry.length or len(ends) > _MAX_STAGES):
            raise ValueError(f"stage_ends {ends} must rise to the payload length {entry.length}")
        if entry.length >= STAGES_FROM:
            out.append(len(ends))
            for before, end in zip((0, *ends), ends[:-1], strict=False):
                out += write_varint(end - before)
    return bytes(out)


def parse_directory(data: bytes, pos: int, fields: Fields) -> tuple[Directory, int]:
    """Directory at ``pos`` and the offset after it; the CRC is the caller's to check.

    Raises:
        TruncatedError, CorruptError: see SPEC.md.
    """
    sections: list[tuple[int, int]] = []
    if fields.flags & SECTIONS:
        sections, pos = _parse_sections(data, pos)
    chunks = []
    for index in range(fields.chunks):
        entry, pos = _parse_chunk(data, pos, f"chunk {index}")
        chunks.append(entry)
    return Directory(chunks, sections, fields.header.sparse), pos


def _parse_sections(data: bytes, pos: int) -> tuple[list[tuple[int, int]], int]:
    count, pos = read_varint(data, pos, "sections")
    if not 1 <= count <= _MAX_SECTIONS:
        raise CorruptError(f"{count} sections are outside 1..{_MAX_SECTIONS}", "sections")
    sections: list[tuple[int, int]] = []
    for _ in range(count):
        if pos >= len(data):
            raise TruncatedError("the file ends inside the list of sections", "sections")
        kind = data[pos]
        length, pos = read_varint(data, pos + 1, "sections")
        if not 1 <= length <= _MAX_LENGTH:
            raise CorruptError(f"a section of {length} bytes", "sections")
        if sections and kind <= sections[-1][0]:
            raise CorruptError("kinds of sections do not rise", "sections")
        sections.append((kind, length))
    return sections, pos


def _parse_chunk(data: bytes, pos: int, place: str) -> tuple[ChunkEntry, int]:
    length, pos = read_varint(data, pos, place)
    if length > _MAX_LENGTH:
        raise CorruptError(f"a payload of {length} bytes", place)
    if length < STAGES_FROM:
        return ChunkEntry(length), pos
    if pos >= len(data):
        raise TruncatedError("the file ends inside the directory", place)
    count, pos = data[pos], pos + 1
    if count > _MAX_STAGES:
        raise CorruptError(f"{count} stages, at most {_MAX_STAGES} are allowed", place)
    ends: list[int] = []
    for _ in range(count - 1):
        growth, pos = read_varint(data, pos, place)
        ends.append(growth + (ends[-1] if ends else 0))
        if ends[-1] > length:
            raise CorruptError("a stage ends after its payload", place)
    return ChunkEntry(length, (*ends, length) if count else ()), pos


def check_plausible(fields: Fields, directory: Directory) -> None:
    """Refuse more samples than the payload bytes can hold, so that a tiny file cannot ask for a giant decode.

    Raises:
        CorruptError: more pixels, seconds or samples than SPEC.md allows for so many bytes.
    """
    header = fields.header
    if isinstance(header, ImageHeader):
        if header.lossless:
            return  # whose limit is that of the whole file
        tiles = header.grid[0] * header.grid[1]
        for index, entry in enumerate(directory.chunks[:tiles]):
            if not entry.length and header.layers:
                continue
            height, width = header.tile_size(index)
            if height * width > _PIXELS_PER_BYTE * (entry.length + _FREE_BYTES):
                raise CorruptError(f"{entry.length} bytes cannot hold {width} x {height} pixels", f"chunk {index}")
        return
    size = sum(entry.length for entry in directory.chunks)
    coded = directory.coded_samples(header)
    values, room = coded * header.channels, size + _FREE_BYTES_SOUND
    most = math.inf if header.lossless else _SECONDS_PER_BYTE * header.sample_rate  # FLAC costs no more at a low rate
    if values > min(_SAMPLES_PER_BYTE, most) * room:
        raise CorruptError(
            f"{coded} samples at {header.sample_rate} Hz in {header.channels} channels cannot come from {size} bytes",
            "header.samples",
        )
