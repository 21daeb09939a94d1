"""Chunks of WAV (RIFF, RIFX, RF64, W64), AIFF and CAF files: the tags in them, and how much sound is really there.

The library that decodes samples gives up on chunks without a pad byte and believes a length that was never filled in.
Such a file is shown to it as a :class:`View`: a clean header, followed by the bytes of the samples.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vqcodec.audio.id3 import read_id3v2
from vqcodec.audio.tags import METADATA_BYTES, Found, decode_text

__all__ = ["INFO_NAMES", "Body", "View", "read_chunks"]

INFO_NAMES = {
    b"IART": "ARTIST",
    b"ICMT": "COMMENT",
    b"ICOP": "COPYRIGHT",
    b"ICRD": "DATE",
    b"IENG": "ENGINEER",
    b"IGNR": "GENRE",
    b"IKEY": "KEYWORDS",
    b"ILNG": "LANGUAGE",
    b"IMED": "MEDIA",
    b"IMUS": "COMPOSER",
    b"INAM": "TITLE",
    b"IPRD": "ALBUM",
    b"IPRT": "TRACKNUMBER",
    b"ISBJ": "SUBJECT",
    b"ISFT": "SOFTWARE",
    b"ISRC": "SOURCE",
    b"ITCH": "ENCODEDBY",
    b"ITRK": "TRACKNUMBER",
    b"IWRI": "LYRICIST",
}
"""Names of a RIFF INFO list (Multimedia Programming Interface 1.0, 2-14, and what is usual beside it)."""

_AIFF_NAMES = {b"NAME": "TITLE", b"AUTH": "ARTIST", b"(c) ": "COPYRIGHT", b"ANNO": "COMMENT"}
_CAF_NAMES = {"TRACK NUMBER": "TRACKNUMBER", "YEAR": "DATE", "RECORDED DATE": "DATE", "COMMENTS": "COMMENT"}
# Chunks that describe samples or fill space: nothing is lost without them.
_PLAIN = {b"fmt ", b"fact", b"data", b"ds64", b"PEAK", b"JUNK", b"junk", b"FLLR", b"PAD ", b"fver", b"FVER"}
_PLAIN |= {b"COMM", b"SSND", b"desc", b"free", b"pakt", b"kuki", b"chan", b"CHAN", b"id3 ", b"ID3 ", b"info"}
_KNOWN = _PLAIN | {b"LIST", b"bext", b"iXML", b"cue ", b"smpl", b"inst", b"_PMX", b"axml", b"umid", b"acid", b"DISP"}
_KNOWN |= {b"NAME", b"AUTH", b"(c) ", b"ANNO", b"MARK", b"INST", b"COMT", b"APPL", b"MIDI", b"AESD", b"minf", b"LGWV"}
_MOST_CHUNKS = 10_000
_UNKNOWN = 0x7FFF_0000  # 32-bit lengths from here on mean that a writer could not go back to fill in the right one


@dataclass(frozen=True)
class View:
    """A file as the library is to see it: ``head``, then ``size`` bytes of the file from ``start`` on."""

    head: bytes
    start: int
    size: int

    def open(self, path: Path) -> BinaryIO:
        """The view of a file at ``path`` as a readable, seekable file."""
        return io.BufferedReader(_Spliced(self, path.open("rb")), 2**18)


class _Spliced(io.RawIOBase):
    def __init__(self, view: View, file: BinaryIO) -> None:
        self._view, self._file, self._pos = view, file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._pos, len(self._view.head) + self._view.size)[whence]
        self._pos = max(0, base + offset)
        return self._pos

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        head, inside = self._view.head, self._pos - len(self._view.head)
        if inside < 0:
            data = head[self._pos : self._pos + len(buffer)]
        else:
            self._file.seek(self._view.start + inside)
            data = self._file.read(max(0, min(len(buffer), self._view.size - inside)))
        buffer[: len(data)] = data
        self._pos += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True)
class Body:
    """What the chunks of a file tell.

    Attributes:
        mask: speakers of a WAVE_FORMAT_EXTENSIBLE, or None.
        view: how to show the file to the library, None: as it is.
        note: a sentence about samples that were promised and are not there, or nothing.
    """

    mask: int | None = None
    view: View | None = None
    note: str = ""


@dataclass(frozen=True)
class _Dialect:
    """How chunks are written: name and length, what lengths count beside the body, where the next one may begin."""

    head: struct.Struct
    counted: int = 0
    align: int = 2


_RIFF = _Dialect(struct.Struct("<4sI"))
_RIFX = _Dialect(struct.Struct(">4sI"))  # also AIFF
_W64 = _Dialect(struct.Struct("<4s12xQ"), 24, 8)
_CAF = _Dialect(struct.Struct(">4sQ"), 0, 1)
_DIALECTS = {b"RIFF": _RIFF, b"RF64": _RIFF, b"BW64": _RIFF, b"RIFX": _RIFX, b"FORM": _RIFX}


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    start: int
    size: int


@dataclass
class _Walk:
    """Chunks of a file, and whether the library would find them too."""

    chunks: list[_Chunk] = field(default_factory=list)
    clean: bool = True

    def first(self, *kinds: bytes) -> _Chunk | None:
        return next((chunk for chunk in self.chunks if chunk.kind in kinds), None)


def read_chunks(file: BinaryIO, offset: int, found: Found) -> Body:
    """Read the chunks of a file whose container begins at ``offset``; tags are collected in ``found``."""
    size = file.seek(0, 2)
    file.seek(offset)
    start = file.read(12)
    family, form = start[:4], start[8:12]
    if family == b"riff":
        dialect, first = _W64, offset + 40
    elif family == b"caff":
        dialect, first = _CAF, offset + 8
    else:
        dialect, first = _DIALECTS[family], offset + 12
    walk = _walk(file, first, size, dialect)
    if family == b"BW64" or (family == b"RF64" and not walk.first(b"ds64")):  # the library knows neither
        walk.clean = False
    own = Found()
    for chunk in walk.chunks:
        _collect(file, chunk, dialect, own, found)
    found.merge(own)  # an ID3 tag has the last word: it keeps long, repeated and foreign texts better
    if dialect is _CAF:
        return _caf_body(file, walk, size)
    if form in (b"AIFF", b"AIFC"):
        return _aiff_body(file, walk, size, form)
    return _wave_body(file, walk, size, dialect)


def _walk(file: BinaryIO, pos: int, size: int, dialect: _Dialect) -> _Walk:
    """All chunks as far as the file is whole; a chunk of samples that does not say its length is the last."""
    walk = _Walk()
    step = dialect.head.size
    while pos + step <= size and len(walk.chunks) < _MOST_CHUNKS:
        file.seek(pos)
        kind, length = dialect.head.unpack(file.read(step))
        chunk = _Chunk(kind, pos + step, max(0, length - dialect.counted))
        walk.chunks.append(chunk)
        pos = chunk.start + chunk.size
        if kind in (b"data", b"SSND") and not chunk.size and not _chunk_at(file, pos, size, dialect):
            break
        if dialect.align == 8:
            pos += -pos % 8
        elif dialect.align == 2 and chunk.size % 2:
            file.seek(pos)
            near = file.read(5)
            missing = near[:4] in _KNOWN and near[1:5] not in _KNOWN
            walk.clean &= not missing
            pos += not missing
    return walk


def _chunk_at(file: BinaryIO, pos: int, size: int, dialect: _Dialect) -> bool:
    """Whether a chunk begins here rather than samples, or nothing follows at all."""
    file.seek(pos)
    head = file.read(dialect.head.size)
    if len(head) < dialect.head.size:
        return True
    kind, length = dialect.head.unpack(head)
    return bool(re.fullmatch(rb"[ -~]{4}", kind)) and pos + length <= size


def _note(promised: int | None, there: int) -> str:
    """A sentence where fewer bytes of sound are there than a header promises; None: it does not say."""
    if promised is None:
        return "its header does not say how much sound it holds; all up to the end of the file was read"
    if promised <= there:
        return ""
    return f"its header promises {promised:,} bytes of sound and only {there:,} are there; was it cut?"


def _length(walk: _Walk, data: _Chunk, there: int, promised: int) -> tuple[int | None, str]:
    """Bytes of sound to show to the library where it would not see them itself, else None; and the note."""
    if not there or (not data.size and data is not walk.chunks[-1]):
        return None if walk.clean else 0, ""
    unknown = not promised or promised in range(_UNKNOWN, 2**32)
    if promised <= there and promised:
        return None if walk.clean else promised, ""
    note = _note(None if unknown else promised, there)
    return (None if walk.clean and promised else there), note


def _wave_body(file: BinaryIO, walk: _Walk, size: int, dialect: _Dialect) -> Body:
    layout, data = walk.first(b"fmt "), walk.first(b"data")
    if layout is None or data is None:
        return Body()
    file.seek(layout.start)
    fmt = file.read(min(layout.size, 2**16))
    order = ">" if dialect is _RIFX else "<"
    extensible = len(fmt) >= 24 and struct.unpack_from(order + "H", fmt)[0] == 0xFFFE
    mask = struct.unpack_from(order + "I", fmt, 20)[0] if extensible else None
    promised = data.size
    sizes = walk.first(b"ds64")
    if sizes and promised == 0xFFFF_FFFF:
        file.seek(sizes.start + 8)
        promised = int.from_bytes(file.read(8), "little")
    length, note = _length(walk, data, size - data.start, promised)
    if length is None:
        return Body(mask, None, note)
    fact = walk.first(b"fact")
    extra = b""
    if fact and fact.size <= 16:
        file.seek(fact.start)
        extra = _written(dialect, b"fact", file.read(fact.size))
    return Body(mask, View(_wave_head(fmt, extra, length, order), data.start, length), note)


def _written(dialect: _Dialect, kind: bytes, body: bytes) -> bytes:
    order = ">" if dialect is _RIFX else "<"
    return struct.pack(order + "4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)


def _wave_head(fmt: bytes, extra: bytes, length: int, order: str) -> bytes:
    dialect = _RIFX if order == ">" else _RIFF
    chunks = _written(dialect, b"fmt ", fmt) + extra
    total = 4 + len(chunks) + 8 + length
    if order == ">" or total < 2**32 - 2**16:
        family = b"RIFX" if order == ">" else b"RIFF"
        return (
            struct.pack(order + "4sI4s", family, total, b"WAVE") + chunks + struct.pack(order + "4sI", b"data", length)
        )
    sizes = _written(dialect, b"ds64", struct.pack("<QQQI", total + 36, length, 0, 0))
    head = struct.pack("<4sI4s", b"RF64", 2**32 - 1, b"WAVE") + sizes + chunks
    return head + struct.pack("<4sI", b"data", 2**32 - 1)


def _caf_body(file: BinaryIO, walk: _Walk, size: int) -> Body:
    """The format allows a length of -1 for samples up to the end of the file, which the library takes for damage."""
    data = walk.first(b"data")
    if data is None or data.start + data.size <= size:
        return Body()
    there = size - data.start
    note = _note(data.size, there) if data.size < 2**63 else ""
    head = b"caff\0\1\0\0"
    for chunk in walk.chunks:
        if chunk.kind in (b"desc", b"kuki", b"pakt", b"chan"):
            file.seek(chunk.start)
            body = file.read(min(chunk.size, METADATA_BYTES))
            head += _CAF.head.pack(chunk.kind, len(body)) + body
    return Body(None, View(head + _CAF.head.pack(b"data", there), data.start, there), note)


def _aiff_body(file: BinaryIO, walk: _Walk, size: int, form: bytes) -> Body:
    common, data = walk.first(b"COMM"), walk.first(b"SSND")
    if common is None or data is None:
        return Body()
    length, note = _length(walk, data, size - data.start, data.size)
    if length is None:
        return Body(None, None, note)
    file.seek(common.start)
    body = file.read(min(common.size, 2**16))
    chunks = b"" if form == b"AIFF" else _written(_RIFX, b"FVER", struct.pack(">I", 0xA280_5140))
    chunks += _written(_RIFX, b"COMM", body)
    head = struct.pack(">4sI4s", b"FORM", 4 + len(chunks) + 8 + length, form) + chunks
    return Body(None, View(head + struct.pack(">4sI", b"SSND", length), data.start, length), note)


def _collect(file: BinaryIO, chunk: _Chunk, dialect: _Dialect, found: Found, embedded: Found) -> None:
    """Tags of one chunk, or its name among what is lost; those of an ID3 tag are collected in ``embedded``."""
    kind = chunk.kind.upper() if dialect is _W64 and chunk.kind == b"list" else chunk.kind
    file.seek(chunk.start)
    if kind in (b"id3 ", b"ID3 "):
        read_id3v2(file, embedded)
    elif kind == b"LIST":
        body = file.read(min(chunk.size, METADATA_BYTES))
        if body[:4] == b"INFO":
            _info(body, dialect, found)
        else:
            found.drop("LIST " + body[:4].decode("latin-1"))
    elif kind in _AIFF_NAMES and dialect is _RIFX:
        found.add(_AIFF_NAMES[kind], decode_text(file.read(min(chunk.size, METADATA_BYTES))))
    elif kind == b"info" and dialect is _CAF:
        _caf_info(file.read(min(chunk.size, METADATA_BYTES)), found)
    elif kind not in _PLAIN:
        found.drop(kind.decode("latin-1").strip())


def _info(body: bytes, dialect: _Dialect, found: Found) -> None:
    """Entries of an INFO list, also where the pad byte after an odd one is missing."""
    head = _RIFX.head if dialect is _RIFX else _RIFF.head
    pos = 4
    while pos + 8 <= len(body):
        kind, length = head.unpack_from(body, pos)
        raw = body[pos + 8 : pos + 8 + length]
        found.add(INFO_NAMES.get(kind, kind.decode("latin-1").strip()), decode_text(raw))
        pos += 8 + length
        if length % 2 and not (body[pos : pos + 4] in INFO_NAMES and body[pos + 1 : pos + 5] not in INFO_NAMES):
            pos += 1


def _caf_info(body: bytes, found: Found) -> None:
    """Pairs of texts, each ended by a NUL."""
    texts = body[4:].split(b"\0")
    for key, value in zip(texts[::2], texts[1::2], strict=False):
        name = decode_text(key).upper()
        found.add(_CAF_NAMES.get(name, name), decode_text(value))
