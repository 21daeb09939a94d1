"""What soundfile does not read of a sound file: all comments of FLAC, Vorbis and Opus; pictures, also of ID3."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from vqcodec.audio.tags import Tag, flac_picture, parse_comments

__all__ = ["read_metadata"]

_FRONT = b"\0\0\0\3"
_PICTURE_TAG = "METADATA_BLOCK_PICTURE"
_MOST = 2**25  # bytes of one packet or tag: twice what a .vqc file keeps, for base64


def read_metadata(path: Path) -> tuple[list[Tag] | None, list[bytes]]:
    """Tags of a sound file, None where it is of a kind that soundfile may read them from; and its pictures.

    Pictures are bodies of PICTURE blocks (RFC 9639, 8.8), the front cover first. Whatever is damaged is left out.
    """
    with path.open("rb") as file:
        start = file.read(10)
        file.seek(4 if start[:4] == b"fLaC" else 0)
        tags: list[Tag] | None = None
        pictures: list[bytes] = []
        if start[:4] == b"fLaC":
            blocks = list(_flac_blocks(file))
            tags = [tag for kind, body in blocks if kind == 4 for tag in parse_comments(body)]
            pictures = [body for kind, body in blocks if kind == 6]
        elif start[:4] == b"OggS":
            tags = _ogg_tags(file)
            pictures = [_from_base64(value) for key, value in tags if key == _PICTURE_TAG]
            tags = [tag for tag in tags if tag[0] != _PICTURE_TAG]
        elif start[:3] == b"ID3" and len(start) == 10:
            pictures = list(_id3_pictures(file))
    return tags, sorted(filter(None, pictures), key=lambda picture: picture[:4] != _FRONT)


def _flac_blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each whole block of comments or picture (RFC 9639, 8.1)."""
    while len(head := file.read(4)) == 4:
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F in (4, 6):
            body = file.read(size)
            if len(body) == size:
                yield head[0] & 0x7F, body
        else:
            file.seek(size, 1)
        if head[0] & 0x80:
            return


def _ogg_tags(file: BinaryIO) -> list[Tag]:
    """The second packet is the comment: of Vorbis I (4.2.1), of Opus (RFC 7845, 5.2), or a block of FLAC."""
    packets = list(islice(_ogg_packets(file), 2))
    if len(packets) < 2:
        return []
    before = 4 if packets[0].startswith(b"\x7fFLAC") else 8 if packets[0].startswith(b"OpusHead") else 7
    return parse_comments(packets[1][before:])


def _ogg_packets(file: BinaryIO) -> Iterator[bytes]:
    """Packets of the first stream of an Ogg file (RFC 3533, 6)."""
    packet, serial = b"", None
    while len(head := file.read(27)) == 27 and head[:4] == b"OggS" and len(packet) < _MOST:
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
                yield packet
                packet = b""


def _from_base64(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError):
        return b""


def _id3_pictures(file: BinaryIO) -> Iterator[bytes]:
    """APIC frames of ID3v2.3 and 2.4 (id3.org, 4.14 and 4.15)."""
    start = file.read(10)
    version, flags = start[3], start[5]
    tag = file.read(min(_synchsafe(start[6:]), _MOST))
    if version not in (3, 4):
        return
    if flags & 0x80 and version == 3:
        tag = tag.replace(b"\xff\0", b"\xff")
    pos = 0
    if flags & 0x40:
        pos = _synchsafe(tag[:4]) if version == 4 else 4 + int.from_bytes(tag[:4], "big")
    while pos + 10 <= len(tag) and tag[pos]:
        size = _synchsafe(tag[pos + 4 : pos + 8]) if version == 4 else int.from_bytes(tag[pos + 4 : pos + 8], "big")
        body = tag[pos + 10 : pos + 10 + size]
        if tag[pos : pos + 4] == b"APIC" and len(body) == size:
            yield from _apic(_plain_frame(body, tag[pos + 9]) if version == 4 else body)
        pos += 10 + size


def _plain_frame(body: bytes, flags: int) -> bytes:
    body = body[4:] if flags & 1 else body  # a length in front
    return body.replace(b"\xff\0", b"\xff") if flags & 2 else body


def _synchsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _apic(body: bytes) -> Iterator[bytes]:
    mime, _, rest = body[1:].partition(b"\0")
    wide = body[:1] in (b"\1", b"\2")
    encoding = {b"\0": "latin-1", b"\1": "utf-16", b"\2": "utf-16-be"}.get(body[:1], "utf-8")
    found = re.match(rb"(?s)(.)((?:..)*?)\0\0" if wide else rb"(?s)(.)(.*?)\0", rest)
    if found and rest[found.end() :]:
        text = found[2].decode(encoding, "replace")
        yield flac_picture(found[1][0], mime.decode("latin-1"), text, rest[found.end() :])
