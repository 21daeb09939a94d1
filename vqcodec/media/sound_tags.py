"""Tags of a sound as text, its cover picture as a FLAC block.

Tags are kept as UTF-8 lines ``KEY=value``, the keys as in Vorbis comments (upper case); inside a value a backslash, a
line feed and a carriage return are written ``\\\\``, ``\\n`` and ``\\r``. The cover is the body of a PICTURE block
(RFC 9639, 8.8), which Vorbis comments use as well; the picture of an ID3v2 tag is put into that form.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

__all__ = ["cover_image", "flac_picture", "pack_tags", "read_cover", "unpack_tags"]

_FRONT = 3
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {value: key for key, value in _ESCAPES.items()}
_OURS = re.compile(r" \(libsndfile-[\d.]+\)$")  # what the library adds to SOFTWARE when it writes


def pack_tags(tags: Mapping[str, str]) -> bytes:
    """Tags as text; empty ones are left out, and there are no bytes where there are no tags."""
    lines = []
    for key, value in tags.items():
        text = _OURS.sub("", value).rstrip("\0")
        if text:
            escaped = re.sub(r"[\\\n\r]", lambda found: _ESCAPES[found[0]], text)
            lines.append(f"{key.upper()}={escaped}\n")
    return "".join(lines).encode("utf-8", "replace")


def unpack_tags(text: bytes) -> dict[str, str]:
    """The inverse of :func:`pack_tags`; lines that are no tags are ignored, since the sound does not depend on them."""
    tags = {}
    for line in text.decode("utf-8", "replace").split("\n"):
        key, equals, value = line.partition("=")
        if key and equals:
            tags[key] = re.sub(r"\\[\\nr]", lambda found: _UNESCAPES[found[0]], value)
    return tags


def flac_picture(kind: int, mime: str, description: str, data: bytes) -> bytes:
    """Body of a PICTURE block; width, height and depth are left unknown (0), as RFC 9639 allows."""
    name, about = mime.encode("ascii", "replace"), description.encode("utf-8", "replace")
    head = struct.pack(f">II{len(name)}sI{len(about)}s", kind, len(name), name, len(about), about)
    return head + struct.pack(">5I", 0, 0, 0, 0, len(data)) + data


def cover_image(picture: bytes) -> bytes:
    """The image file inside a PICTURE block; empty where the block is damaged."""
    try:
        (name,) = struct.unpack_from(">I", picture, 4)
        (about,) = struct.unpack_from(">I", picture, 8 + name)
        (size,) = struct.unpack_from(">I", picture, 28 + name + about)
    except struct.error:
        return b""
    start = 32 + name + about
    return picture[start : start + size]


def read_cover(path: Path) -> tuple[bytes, int]:
    """The cover of a FLAC or MP3 file as the body of a PICTURE block, and how many pictures there were."""
    with path.open("rb") as file:
        start = file.read(10)
        if start[:4] == b"fLaC":
            file.seek(4)
            pictures = list(_flac_pictures(file))
        else:
            pictures = list(_id3_pictures(start, file)) if start[:3] == b"ID3" and len(start) == 10 else []
    pictures.sort(key=lambda picture: picture[:4] != struct.pack(">I", _FRONT))
    return (pictures[0] if pictures else b""), len(pictures)


def _flac_pictures(file: BinaryIO) -> Iterator[bytes]:
    while len(head := file.read(4)) == 4:
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 6:
            yield file.read(size)
        else:
            file.seek(size, 1)
        if head[0] & 0x80:
            return


def _id3_pictures(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    """APIC frames of ID3v2.3 and 2.4 (id3.org, 4.14 and 4.15)."""
    version, flags = start[3], start[5]
    tag = file.read(_synchsafe(start[6:]))
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
