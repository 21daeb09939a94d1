"""The .vqc file: writing and reading its parts (SPEC.md). Codes and pixels are not its business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vqcodec.bitstream.checks import crc32
from vqcodec.bitstream.directory import (
    SECTION_OVERHEAD,
    ChunkEntry,
    Directory,
    check_plausible,
    pack_directory,
    parse_directory,
)
from vqcodec.bitstream.header import SECTIONS, TABLE_LAST, AudioHeader, Fields, ImageHeader, pack_header, parse_header
from vqcodec.bitstream.limits import Limits
from vqcodec.bitstream.metadata import (
    ALPHA,
    FILLER,
    METADATA,
    decode_metadata,
    encode_metadata,
    inflated_size,
    section_place,
)
from vqcodec.errors import ChecksumError, CorruptError, DecodeError, TruncatedError, UnsupportedVersionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Chunk", "FileInfo", "VqcFile", "read_header", "read_vqc", "write_vqc"]

_END = b"\xed"
_CRITICAL = 0x80


@dataclass(frozen=True)
class Chunk:
    """One independently decodable tile or stretch: one range-coder stream, stage after stage, coarse first.

    Attributes:
        payload: the stream, without trailing zero bytes. An empty one stands for no chunk where the header is sparse.
        stage_ends: bytes of payload needed to decode stage i wholly, rising to len(payload) of the whole chunk.
            Not stored, and empty when read, where the payload is shorter than 2,048 bytes.
        code_hash: ``checks.code_hash`` of the decoded codes, 16 bits.
        complete: False where the file was cut: payload is then a prefix and neither it nor code_hash is verified.
    """

    payload: bytes
    stage_ends: tuple[int, ...]
    code_hash: int
    complete: bool = True


@dataclass
class VqcFile:
    """A file's parts.

    Attributes:
        chunks: tiles in raster order, or stretches of sound in order. None: damaged or missing, skipped on request.
        layers: of a picture with layers the exact one of each tile, likewise; else empty.
        metadata: "icc", "exif", "xmp", "tags", "picture", each as the bytes of its own format.
        alpha: uint8 [H, W], or None.
        lost: names of sections that are damaged or missing, skipped on request: those of metadata, "alpha", or "0x..".
        cut: whether bytes are missing at the end.
        faults: what is wrong with chunks of which nobody knew whether they are wanted, by their number.
    """

    header: ImageHeader | AudioHeader
    chunks: list[Chunk | None]
    layers: list[Chunk | None] = field(default_factory=list, kw_only=True)
    metadata: dict[str, bytes] = field(default_factory=dict)
    alpha: npt.NDArray[np.uint8] | None = None
    lost: list[str] = field(default_factory=list)
    cut: bool = False
    faults: dict[int, DecodeError] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class FileInfo:
    """What a file says about itself before any part is unpacked.

    Attributes:
        version: (major, minor) of the format.
        overhead: bytes that are neither coded symbols nor a section's body.
        payload_sizes: bytes of coded symbols per chunk.
        section_sizes: bytes in the file of "icc", "exif", "xmp", "tags", "picture", "alpha"; unknown kinds as "0x..".
        file_size: bytes of the whole file.
        missing: bytes that a cut file lacks of these.
    """

    header: ImageHeader | AudioHeader
    version: tuple[int, int]
    overhead: int
    payload_sizes: list[int]
    section_sizes: dict[str, int]
    file_size: int
    missing: int = 0


@dataclass(frozen=True)
class _Layout:
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


def write_vqc(file: VqcFile, *, table_last: bool = False) -> bytes:
    """Bytes of a file.

    Args:
        table_last: write the directory behind the chunks, as a writer must that cannot seek.

    Raises:
        ValueError: a field is outside its range, a chunk is None, not complete, or ends in a zero byte.
    """
    sections = _section_bodies(file)
    chunks = [_writable(index, chunk) for index, chunk in enumerate([*file.chunks, *file.layers])]
    data = _joined(file.header, sections, chunks, table_last)
    lacking = _least_size(file.header, chunks) - len(data)
    if lacking > 0:  # nearly all of it is flat or silent
        sections = sorted([*sections, (FILLER, bytes(lacking))])
        data = _joined(file.header, sections, chunks, table_last)
    return data


def _least_size(header: ImageHeader | AudioHeader, chunks: list[Chunk]) -> int:
    """Bytes that a file must have to be read by default."""
    if isinstance(header, ImageHeader):
        return Limits.least_size(header.width, header.height, lossless=header.lossless)
    if header.lossless:
        return 0
    coded = _directory(header, [], chunks).coded_samples(header)
    return Limits.least_size_of_sound(header.sample_rate, header.channels, header.samples, coded)


def _directory(header: ImageHeader | AudioHeader, sections: list[tuple[int, bytes]], chunks: list[Chunk]) -> Directory:
    entries = [ChunkEntry(len(chunk.payload), chunk.stage_ends) for chunk in chunks]
    return Directory(entries, [(kind, len(body)) for kind, body in sections], header.sparse)


def _joined(
    header: ImageHeader | AudioHeader, sections: list[tuple[int, bytes]], chunks: list[Chunk], table_last: bool
) -> bytes:
    directory = _directory(header, sections, chunks)
    flags = SECTIONS * bool(sections) | TABLE_LAST * table_last
    head, table = pack_header(header, len(chunks), flags), pack_directory(directory)
    check_plausible(parse_header(head), directory)
    bodies = [body + crc32(bytes([kind]), body) for kind, body in sections]
    bodies += [_chunk_bytes(index, chunk) for index, chunk in enumerate(chunks) if chunk.payload or not header.sparse]
    if table_last:
        tail = [table, crc32(table), len(table).to_bytes(4, "little")]
    else:
        head, tail = head + table, []
    return b"".join([head, crc32(head), *bodies, *tail, _END])


def _section_bodies(file: VqcFile) -> list[tuple[int, bytes]]:
    unknown = set(file.metadata) - set(METADATA.values())
    if unknown:
        raise ValueError(f"unknown metadata {sorted(unknown)}")
    named = [(kind, file.metadata[name]) for kind, name in METADATA.items() if name in file.metadata]
    sections = [(kind, encode_metadata(value)) for kind, value in named]
    header, alpha = file.header, file.alpha
    wanted = isinstance(header, ImageHeader) and header.alpha and not header.lossless
    if wanted != (alpha is not None):
        raise ValueError("header.alpha and the alpha plane contradict each other")
    if isinstance(header, ImageHeader) and alpha is not None:
        from vqcodec.bitstream.alpha import encode_alpha

        if alpha.dtype.str != "|u1" or alpha.shape != (header.height, header.width):
            raise ValueError(f"alpha must be uint8 [{header.height}, {header.width}]")
        sections.append((ALPHA, encode_alpha(alpha)))
    return sections


def _writable(index: int, chunk: Chunk | None) -> Chunk:
    if chunk is None or not chunk.complete:
        raise ValueError(f"chunk {index} is not complete")
    if chunk.payload.endswith(b"\0") or not 0 <= chunk.code_hash <= 0xFFFF:
        raise ValueError(f"chunk {index}: payload must not end in a zero byte, code_hash must have 16 bits")
    return chunk


def _chunk_bytes(index: int, chunk: Chunk) -> bytes:
    body = chunk.code_hash.to_bytes(2, "little") + chunk.payload
    return body + crc32(index.to_bytes(4, "little"), body)


def read_header(data: bytes, *, limits: Limits | None = None) -> FileInfo:
    """Facts of a file from its header and directory; sections and chunks are not touched, and may be missing.

    Raises:
        DecodeError: header or directory are not whole and valid.
        LimitError: the picture or sound is over the limits, where limits are given.
    """
    layout = _read_layout(data, limits, allow_trailing=False)
    directory = layout.directory
    payloads = [entry.length for entry in directory.chunks]
    named = {section_place(kind).removeprefix("section "): length for kind, length in directory.sections}
    size = layout.end + 1
    overhead = size - sum(payloads) - sum(named.values())
    missing = max(0, size - len(data))
    return FileInfo(layout.fields.header, layout.fields.version, overhead, payloads, named, size, missing)


def read_vqc(
    data: bytes,
    *,
    limits: Limits | None = None,
    allow_trailing: bool = False,
    allow_truncated: bool = False,
    conceal: bool = False,
    part: bool = False,
) -> VqcFile:
    """Parts of a file, every check sum verified.

    Args:
        limits: what to accept (default: ``Limits()``).
        allow_trailing: ignore bytes after the end marker.
        allow_truncated: take what there is of a cut file: a partial chunk has complete=False, a missing one is None, a
            section that is not whole is dropped and named in ``lost``. Header and directory must be whole.
        conceal: a damaged chunk becomes None, a damaged section is dropped and named, instead of an error.
        part: not all chunks may be wanted: the error of one that is damaged or missing is kept in ``faults``.

    Raises:
        DecodeError: the bytes break a rule of SPEC.md; ``.place`` says where.
        LimitError: over the limits; nothing was allocated.
    """
    limits = limits or Limits()
    layout = _read_layout(data, limits, allow_trailing=allow_trailing)
    if not allow_truncated:
        _check_length(data, layout, sections_only=part)
    if data[layout.end : layout.end + 1] not in (_END, b""):
        raise CorruptError("no end marker", "end")
    if len(data) > layout.end + 1 and not allow_trailing:
        raise CorruptError(f"{len(data) - layout.end - 1} bytes after the end", "end")
    file = VqcFile(layout.fields.header, [], cut=len(data) <= layout.end)
    bodies = _read_sections(data, layout, file, conceal)
    faults = file.faults if part else None
    chunks = _read_chunks(data, layout, faults, conceal=conceal, cut=allow_truncated)
    header = layout.fields.header
    tiles = len(chunks) // 2 if isinstance(header, ImageHeader) and header.layers else len(chunks)
    file.chunks, file.layers = chunks[:tiles], chunks[tiles:]
    _unpack_sections(file, bodies, limits, conceal)
    return file


def _read_layout(data: bytes, limits: Limits | None, *, allow_trailing: bool) -> _Layout:
    fields = parse_header(data)
    if fields.flags & TABLE_LAST:
        _check_crc(data, 0, fields.end, b"", "header.crc")
        start = fields.end + 4
        directory, end = _last_directory(data, fields, allow_trailing)
    else:
        directory, pos = parse_directory(data, fields.end, fields)
        _check_crc(data, 0, pos, b"", "header.crc")
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
    return _Layout(fields, directory, start, end)


def _last_directory(data: bytes, fields: Fields, allow_trailing: bool) -> tuple[Directory, int]:
    """Directory behind the chunks, found from the end of the file, and the offset of the end marker."""
    if allow_trailing:
        raise CorruptError("a file with its directory last cannot have bytes after its end", "directory")
    end = len(data) - 1
    body = fields.end + 4
    if end - 8 < body or data[end:] != _END:
        raise TruncatedError("the directory at the end of the file is missing", "directory")
    length = int.from_bytes(data[end - 4 : end], "little")
    start = end - 8 - length
    if start < body:
        raise CorruptError(f"a directory of {length} bytes", "directory")
    _check_crc(data, start, end - 8, b"", "directory")
    directory, stop = parse_directory(data[: end - 8], start, fields)
    if stop != end - 8 or body + directory.body_bytes != start:
        raise CorruptError("lengths do not add up to the file", "directory")
    return directory, end


def _check_crc(data: bytes, start: int, stop: int, prefix: bytes, place: str) -> None:
    if len(data) < stop + 4:
        raise TruncatedError("the file ends here", place)
    if crc32(prefix, data[start:stop]) != data[stop : stop + 4]:
        raise ChecksumError("bytes were damaged", place)


def _check_length(data: bytes, layout: _Layout, *, sections_only: bool = False) -> None:
    if len(data) > layout.end:
        return
    parts = [(section_place(kind), stop) for kind, _, stop in layout.section_spans()]
    if not sections_only:
        parts += [(f"chunk {index}", stop) for index, _, _, stop in layout.chunk_spans()] + [("end", layout.end + 1)]
    for place, stop in parts:
        if stop > len(data):
            raise _cut_in(data, layout, place)


def _cut_in(data: bytes, layout: _Layout, place: str) -> TruncatedError:
    return TruncatedError(f"the file ends after {len(data)} of {layout.end + 1} bytes", place)


def _read_sections(data: bytes, layout: _Layout, file: VqcFile, conceal: bool) -> dict[int, bytes]:
    """Verified bodies of the sections that are whole and known; others that are lost are named in the file."""
    bodies = {}
    for kind, start, stop in layout.section_spans():
        known = kind in METADATA or kind == ALPHA
        if kind & _CRITICAL and not known:
            raise UnsupportedVersionError("needs a newer program", section_place(kind))
        if stop > len(data):
            _lose(file, kind)
            continue
        try:
            _check_crc(data, start, stop - 4, bytes([kind]), section_place(kind))
        except ChecksumError:
            if not conceal:
                raise
            _lose(file, kind)
            continue
        if known:
            bodies[kind] = data[start : stop - 4]
    return bodies


def _lose(file: VqcFile, kind: int) -> None:
    if kind == FILLER:
        return
    file.lost.append(section_place(kind).removeprefix("section "))


def _unpack_sections(file: VqcFile, bodies: dict[int, bytes], limits: Limits, conceal: bool) -> None:
    """Unpack every section by itself, so that one that is damaged takes no other with it."""
    sizes = {}
    for kind, body in bodies.items():
        try:
            sizes[kind] = 0 if kind == ALPHA else inflated_size(body, section_place(kind))
        except DecodeError:
            if not conceal:
                raise
            _lose(file, kind)
    limits.check_metadata(sum(sizes.values()))
    for kind in sizes:
        try:
            if kind != ALPHA:
                file.metadata |= decode_metadata({kind: bodies[kind]}, limits)
            elif isinstance(file.header, ImageHeader):
                from vqcodec.bitstream.alpha import decode_alpha

                file.alpha = decode_alpha(bodies[kind], file.header.height, file.header.width)
        except DecodeError:
            if not conceal:
                raise
            _lose(file, kind)


def _read_chunks(
    data: bytes, layout: _Layout, faults: dict[int, DecodeError] | None, *, conceal: bool, cut: bool
) -> list[Chunk | None]:
    """All chunks, None for those that are lost. What was not allowed to be so goes to ``faults``, or is raised."""
    chunks: list[Chunk | None] = []
    for index, entry, start, stop in layout.chunk_spans():
        chunk = None
        try:
            if stop > len(data) and not cut:
                raise _cut_in(data, layout, f"chunk {index}")
            chunk = _read_chunk(data, index, entry, start, stop)
        except DecodeError as error:
            if not conceal or isinstance(error, TruncatedError):
                if faults is None:
                    raise
                faults[index] = error
        chunks.append(chunk)
    return chunks


def _read_chunk(data: bytes, index: int, entry: ChunkEntry, start: int, stop: int) -> Chunk | None:
    if start == stop:
        return Chunk(b"", (), 0)
    code_hash = int.from_bytes(data[start : start + 2], "little")
    payload = data[start + 2 : stop - 4]
    if stop > len(data):
        return Chunk(payload, entry.stage_ends, code_hash, complete=False) if payload else None
    _check_crc(data, start, stop - 4, index.to_bytes(4, "little"), f"chunk {index}")
    if payload.endswith(b"\0"):
        raise CorruptError("payload ends in a zero byte", f"chunk {index}")
    return Chunk(payload, entry.stage_ends, code_hash)
