"""What a sound file says beside its samples: tags and pictures of every container, speakers, and what is not right.

The one reader of tags. tinytag 2.3 (MIT) was tried instead: it loses repeated and non-numeric values, Windows-1252, APE
and unsynchronised ID3 tags, knows no RF64, W64 and CAF, and takes 100 s for 1 MiB of comments. mutagen is GPL.
Reading is linear in the bytes there are, and keeps at most what :class:`vqcodec.audio.tags.Found` holds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vqcodec.audio.chunks import View, read_chunks
from vqcodec.audio.id3 import id3v2_length, read_id3v2, read_tail
from vqcodec.audio.layout import MASK_TAG
from vqcodec.audio.tags import Found, parse_comments, parse_picture

__all__ = ["Metadata", "read_metadata"]

_MOST = 2**25  # bytes of one packet: twice what a .vqc file keeps, for base64
_FRAME = 64  # bytes of an MPEG frame in which a header for the whole file may begin and end
_TAIL = 16_384  # bytes at the end of MPEG audio, some ten frames or more
# By the field of a header: kbit/s of a frame of MPEG 1, of 2 and 2.5; Hz of MPEG 1, of which the others are parts.
_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HERTZ = (44_100, 48_000, 32_000)
_MOST_PAGE, _MOST_BEHIND = 65_307, 4_096  # bytes of an Ogg page; of what others append to a file
_CHUNKED = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"caff")
_BLOCK_NAMES = {2: "FLAC APPLICATION", 5: "FLAC CUESHEET"}


@dataclass
class Metadata:
    """What was found.

    Attributes:
        found: tags, picture, and the names of what is not kept.
        mask: speakers, where the file names them.
        vorbis_order: whether channels come in the order of Vorbis instead of WAVE's.
        view: how to show the file to the library that decodes samples, None: as it is.
        note: a sentence about samples that were promised and are not there, or nothing.
    """

    found: Found = field(default_factory=Found)
    mask: int | None = None
    vorbis_order: bool = False
    view: View | None = None
    note: str = ""


def read_metadata(path: Path) -> Metadata:
    """Read all of a sound file but its samples; whatever is damaged is left out.

    Raises:
        OSError: the file cannot be read.
    """
    out = Metadata()
    with path.open("rb") as file:
        before, offset = _before(file)
        file.seek(offset)
        start = file.read(12)
        if start[:4] == b"fLaC":
            _read_flac(file, offset, out)
        elif start[:4] == b"OggS":
            _read_ogg(file, offset, out)
        elif start[:4] in _CHUNKED and len(start) == 12:
            body = read_chunks(file, offset, out.found)
            out.mask, out.view, out.note = body.mask, body.view, body.note
        elif start[:4] == b".snd":
            out.note = _au_note(file, start)
        elif start[:1] == b"\xff":
            out.note = _mpeg_note(file, offset)
        out.found.merge(before)
        if start[:4] not in (*_CHUNKED, b"OggS", b".snd"):
            read_tail(file, out.found)
    _take_mask(out)
    return out


def _before(file: BinaryIO) -> tuple[Found, int]:
    """ID3v2 tags in front, which any container may have, and where it begins."""
    found, offset = Found(), 0
    while True:
        file.seek(offset)
        if not id3v2_length(file.read(10)):
            return found, offset
        file.seek(offset)
        tag = Found()
        offset += read_id3v2(file, tag)
        found.merge(tag)


def _take_mask(out: Metadata) -> None:
    """The mask that a comment names (RFC 9639, 8.6.2); it is no tag for the user."""
    for key, value in out.found.tags:
        if key == MASK_TAG and out.mask is None:
            try:
                out.mask = int(value, 16)
            except ValueError:
                continue
    out.found.tags = [tag for tag in out.found.tags if tag[0] != MASK_TAG]


def _read_flac(file: BinaryIO, offset: int, out: Metadata) -> None:
    """Blocks in front of the frames (RFC 9639, 8.1).

    The library refuses a file for any block that is damaged; then it is shown a file without all but what it needs.
    """
    file.seek(offset + 4)
    needed, sound, last = [], True, False
    while not last and len(head := file.read(4)) == 4:
        last, kind, size = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind not in (0, 3, 4, 6):
            if kind != 1:  # padding
                out.found.drop(_BLOCK_NAMES.get(kind, f"FLAC block {kind}"))
            sound &= kind < 7
            file.seek(size, 1)
            continue
        body = file.read(size)
        if kind == 4:
            sound &= len(body) == size and parse_comments(body, out.found)
        elif kind == 6:
            picture = parse_picture(body)
            sound &= picture is not None and picture.block() == body
            out.found.add_picture(body)
        else:
            needed.append(bytes([kind]) + head[1:] + body)
    start = file.tell()
    if last and needed and not sound:
        needed[-1] = bytes([needed[-1][0] | 0x80]) + needed[-1][1:]
        out.view = View(b"fLaC" + b"".join(needed), start, max(0, file.seek(0, 2) - start))


def _read_ogg(file: BinaryIO, offset: int, out: Metadata) -> None:
    """The second packet is the comment: of Vorbis I (4.2.1), of Opus (RFC 7845, 5.2), or a block of FLAC."""
    file.seek(offset)
    packets = _ogg_packets(file)
    first, second = next(packets, b""), next(packets, b"")
    opus, flac = first.startswith(b"OpusHead"), first.startswith(b"\x7fFLAC")
    out.vorbis_order = first[1:7] == b"vorbis" or (opus and first[18:19] == b"\1")
    parse_comments(second[4 if flac else 8 if opus else 7 :], out.found)
    if not _has_last_page(file):
        out.note = "its last page is not there; was it cut?"


def _has_last_page(file: BinaryIO) -> bool:
    """Whether an Ogg file ends with a page that says that it is the last (RFC 3533, 6), and all of that is there."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _MOST_PAGE - _MOST_BEHIND))
    tail = file.read()
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(tail) < at + 27 or not tail[at + 5] & 4:
        return False
    lacing = tail[at + 27 : at + 27 + tail[at + 26]]
    return len(lacing) == tail[at + 26] and at + 27 + len(lacing) + sum(lacing) <= len(tail)


def _ogg_packets(file: BinaryIO) -> Iterator[bytes]:
    """Packets of the first stream of an Ogg file (RFC 3533, 6), each up to what is kept of one."""
    packet, serial = bytearray(), None
    while len(head := file.read(27)) == 27 and head[:4] == b"OggS":
        lacing = file.read(head[26])
        body = file.read(sum(lacing))
        serial = head[14:18] if serial is None else serial
        if head[14:18] != serial:
            continue
        pos = 0
        for size in lacing:
            packet += body[pos : pos + size]
            pos += size
            if size < 255:
                yield bytes(packet)
                packet = bytearray()
        if len(packet) > _MOST:
            yield bytes(packet)
            return


def _mpeg_note(file: BinaryIO, offset: int) -> str:
    """MPEG audio, whose first frame may say how many bytes there are: under Xing's names or Fraunhofer's."""
    file.seek(offset)
    frame = file.read(_FRAME)
    promised = 0
    for name in (b"Xing", b"Info"):
        at = frame.find(name)
        if at >= 0 and len(frame) >= at + 16:
            flags, first, second = struct.unpack_from(">3I", frame, at + 4)
            promised = (second if flags & 1 else first) if flags & 2 else 0
    if frame[36:40] == b"VBRI":
        (promised,) = struct.unpack_from(">I", frame, 46)
    there = file.seek(0, 2) - offset
    if promised > there:
        return f"its header promises {promised:,} bytes of sound and only {there:,} are there; was it cut?"
    file.seek(max(offset, offset + there - _TAIL))
    return "" if promised or not _ends_in_a_frame(file.read()) else "its last frame is not all there; was it cut?"


def _ends_in_a_frame(tail: bytes) -> bool:
    """Whether the last bytes of MPEG audio end before the frame does that they end with."""
    tail = tail[:-128] if tail[-128:-125] == b"TAG" else tail
    at = next((i for i in range(len(tail)) if _follow(tail, i, 3)), len(tail))
    while at < len(tail):
        size = _frame_size(tail[at : at + 4])
        if not size:
            return False
        at += size
    return at > len(tail)


def _follow(content: bytes, at: int, count: int) -> bool:
    """Whether so many frames begin one after the other."""
    for _ in range(count):
        size = _frame_size(content[at : at + 4])
        if not size:
            return False
        at += size
    return True


def _frame_size(head: bytes) -> int:
    """Bytes of a frame of MPEG audio, layer III, by its header (ISO 11172-3, 2.4.2.3); 0 where that is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, place = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or rate == 3 or place in (0, 15):
        return 0
    kbits = (_KBITS if version == 3 else _KBITS_LOW)[place - 1]
    hertz = _HERTZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144_000 if version == 3 else 72_000) * kbits // hertz + (head[2] >> 1 & 1)


def _au_note(file: BinaryIO, start: bytes) -> str:
    """AU: magic, where the samples begin, how many bytes they are (all ones: not known)."""
    begin, promised = struct.unpack_from(">2I", start, 4)
    there = file.seek(0, 2) - begin
    if promised == 0xFFFF_FFFF or promised <= there:
        return ""
    return f"its header promises {promised:,} bytes of sound and only {there:,} are there; was it cut?"
