"""Where the parts of a file are: its header and directory, and whether all is there (SPEC.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vqcodec.bitstream.checks import crc32
from vqcodec.bitstream.directory import SECTION_OVERHEAD, ChunkEntry, Directory, check_plausible, parse_directory
from vqcodec.bitstream.header import TABLE_LAST, AudioHeader, Fields, ImageHeader, parse_header
from vqcodec.bitstream.limits import Limits
from vqcodec.bitstream.metadata import ALPHA, section_place
from vqcodec.errors import ChecksumError, CorruptError, TruncatedError

__all__ = ["END", "Layout", "check_crc", "check_length", "cut_in", "read_layout"]

END = b"\xed"
"""The last byte of a file."""


@dataclass(frozen=True)
class Layout:
    """Header and directory of a file, both verified. ``start``: offset of the first section or
    chunk; ``end``: of the end marker."""

    fields: Fields
    directory: Directory
    start: int
    end: int

    def section_spans(self) -> Iterator[tuple[int, int, int]]:
        """(kind, start, stop) of each section, its CRC included."""
        pos = self.start
        for kind, length in self.directory.sections:
            yield kind, pos, pos + length + SECTION_OVERHEAD
            pos += length + SECTION_OVERHEAD

    def chunk_spans(self) -> Iterator[tuple[int, ChunkEntry, int, int]]:
        """(index, entry, start, stop) of each chunk, code_hash and CRC included."""
        pos = self.start + sum(length + SECTION_OVERHEAD for _, length in self.directory.sections)
        for index, entry in enumerate(self.directory.chunks):
            size = self.directory.size_of(entry)
            yield index, entry, pos, pos + size
            pos += size


def read_layout(data: bytes, limits: Limits | None, *, allow_trailing: bool) -> Layout:
    fields = parse_header(data)
    if fields.flags & TABLE_LAST:
        check_crc(data, 0, fields.end, b"", "header.crc")
        start = fields.end + 4
        directory, end = _last_directory(data, fields, allow_trailing)
    else:
        directory, pos = parse_directory(data, fields.end, fields)
        check_crc(data, 0, pos, b"", "header.crc")
        start = pos + 4
        end = start + directory.body_bytes
    # Only now are the numbers known to be what was written: a damaged width is damage, not a picture over the limit.
    if limits is not None:
        header = fields.header
        coded = directory.coded_samples(header) if isinstance(header, AudioHeader) else 0
        fields.check_limits(limits, len(data), coded)
    if isinstance(fields.header, ImageHeader):
        alpha = any(kind == ALPHA for kind, _ in directory.sections)
        if (fields.header.alpha and not fields.header.lossless) != alpha:
            raise CorruptError("flag and section of alpha contradict each other", "header.flags")
    check_plausible(fields, directory)
    return Layout(fields, directory, start, end)


def _last_directory(data: bytes, fields: Fields, allow_trailing: bool) -> tuple[Directory, int]:
    """Directory behind the chunks, found from the end of the file, and the offset of the end marker."""
    if allow_trailing:
        raise CorruptError("a file with its directory last cannot have bytes after its end", "directory")
    end = len(data) - 1
    body = fields.end + 4
    if end - 8 < body or data[end:] != END:
        raise TruncatedError("the directory at the end of the file is missing", "directory")
    length = int.from_bytes(data[end - 4 : end], "little")
    start = end - 8 - length
    if start < body:
        raise CorruptError(f"a directory of {length} bytes", "directory")
    check_crc(data, start, end - 8, b"", "directory")
    directory, stop = parse_directory(data[: end - 8], start, fields)
    if stop != end - 8 or body + directory.body_bytes != start:
        raise CorruptError("lengths do not add up to the file", "directory")
    return directory, end


def check_crc(data: bytes, start: int, stop: int, prefix: bytes, place: str) -> None:
    if len(data) < stop + 4:
        raise TruncatedError("the file ends here", place)
    if crc32(prefix, data[start:stop]) != data[stop : stop + 4]:
        raise ChecksumError("bytes were damaged", place)


def check_length(data: bytes, layout: Layout, *, sections_only: bool = False) -> None:
    if len(data) > layout.end:
        return
    parts = [(section_place(kind), stop) for kind, _, stop in layout.section_spans()]
    if not sections_only:
        parts += [(f"chunk {index}", stop) for index, _, _, stop in layout.chunk_spans()] + [("end", layout.end + 1)]
    for place, stop in parts:
        if stop > len(data):
            raise cut_in(data, layout, place)


def cut_in(data: bytes, layout: Layout, place: str) -> TruncatedError:
    return TruncatedError(f"the file ends after {len(data)} of {layout.end + 1} bytes", place)
