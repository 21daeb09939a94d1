"""What a file is made of: chunks and sections, each verified by itself, so that a fault takes nothing else with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vqcodec.bitstream.directory import ChunkEntry
from vqcodec.bitstream.header import AudioHeader, ImageHeader
from vqcodec.bitstream.layout import Layout, check_crc, cut_in
from vqcodec.bitstream.limits import Limits
from vqcodec.bitstream.metadata import ALPHA, FILLER, METADATA, decode_metadata, inflated_size, section_place
from vqcodec.errors import ChecksumError, CorruptError, DecodeError, TruncatedError, UnsupportedVersionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Chunk", "VqcFile", "read_chunks", "read_sections", "unpack_sections"]

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


def read_sections(data: bytes, layout: Layout, file: VqcFile, conceal: bool) -> dict[int, bytes]:
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
            check_crc(data, start, stop - 4, bytes([kind]), section_place(kind))
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


def unpack_sections(file: VqcFile, bodies: dict[int, bytes], limits: Limits, conceal: bool) -> None:
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


def read_chunks(
    data: bytes, layout: Layout, faults: dict[int, DecodeError] | None, *, conceal: bool, cut: bool
) -> list[Chunk | None]:
    """All chunks, None for those that are lost. What was not allowed to be so goes to ``faults``, or is raised."""
    chunks: list[Chunk | None] = []
    for index, entry, start, stop in layout.chunk_spans():
        chunk = None
        try:
            if stop > len(data) and not cut:
                raise cut_in(data, layout, f"chunk {index}")
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
    check_crc(data, start, stop - 4, index.to_bytes(4, "little"), f"chunk {index}")
    if payload.endswith(b"\0"):
        raise CorruptError("payload ends in a zero byte", f"chunk {index}")
    return Chunk(payload, entry.stage_ends, code_hash)
