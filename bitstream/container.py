"""The .vqc file: writing and reading it as a whole (SPEC.md). Codes and pixels are not its business."""

from __future__ import annotations

from dataclasses import dataclass

from vqcodec.bitstream.checks import crc32
from vqcodec.bitstream.directory import ChunkEntry, Directory, check_plausible, pack_directory
from vqcodec.bitstream.header import SECTIONS, TABLE_LAST, AudioHeader, ImageHeader, pack_header, parse_header
from vqcodec.bitstream.layout import END, check_length, read_layout
from vqcodec.bitstream.limits import Limits
from vqcodec.bitstream.metadata import ALPHA, FILLER, METADATA, encode_metadata, section_place
from vqcodec.bitstream.parts import Chunk, VqcFile, read_chunks, read_sections, unpack_sections
from vqcodec.errors import CorruptError

__all__ = ["Chunk", "FileInfo", "VqcFile", "read_header", "read_vqc", "write_vqc"]


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
    return b"".join([head, crc32(head), *bodies, *tail, END])


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
    layout = read_layout(data, limits, allow_trailing=False)
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
    layout = read_layout(data, limits, allow_trailing=allow_trailing)
    if not allow_truncated:
        check_length(data, layout, sections_only=part)
    if data[layout.end : layout.end + 1] not in (END, b""):
        raise CorruptError("no end marker", "end")
    if len(data) > layout.end + 1 and not allow_trailing:
        raise CorruptError(f"{len(data) - layout.end - 1} bytes after the end", "end")
    file = VqcFile(layout.fields.header, [], cut=len(data) <= layout.end)
    bodies = read_sections(data, layout, file, conceal)
    faults = file.faults if part else None
    chunks = read_chunks(data, layout, faults, conceal=conceal, cut=allow_truncated)
    header = layout.fields.header
    tiles = len(chunks) // 2 if isinstance(header, ImageHeader) and header.layers else len(chunks)
    file.chunks, file.layers = chunks[:tiles], chunks[tiles:]
    unpack_sections(file, bodies, limits, conceal)
    return file
