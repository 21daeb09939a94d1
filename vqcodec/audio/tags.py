"""Tags of a sound as text, and the blocks in which FLAC, Vorbis and Opus files keep tags and pictures.

In a .vqc file tags are UTF-8 lines ``KEY=value``, the keys as in Vorbis comments (ASCII, upper case), where a key may
come more than once; inside a value a backslash, a line feed and a carriage return are written ``\\\\``, ``\\n`` and
``\\r``. The cover is the body of a PICTURE block (RFC 9639, 8.8), which Vorbis comments use as well.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping

__all__ = ["Tag", "comment_block", "cover_image", "flac_picture", "pack_tags", "parse_comments", "unpack_tags"]

Tag = tuple[str, str]

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {value: key for key, value in _ESCAPES.items()}
_KEY = re.compile(r"[ -<>-}]+")  # RFC 9639, 8.6
_OURS = re.compile(r" \(libsndfile-[\d.]+\)$")  # what that library adds to SOFTWARE when it writes


def pack_tags(tags: Iterable[Tag]) -> bytes:
    """Tags as text; empty ones and those without a proper name are left out."""
    lines = []
    for key, value in tags:
        text = _OURS.sub("", value).rstrip("\0")
        if text and _KEY.fullmatch(key):
            escaped = re.sub(r"[\\\n\r]", lambda found: _ESCAPES[found[0]], text)
            lines.append(f"{key.upper()}={escaped}\n")
    return "".join(lines).encode("utf-8", "replace")


def unpack_tags(text: bytes) -> dict[str, str]:
    """Tags by name, several of one name joined by "; ".

    Lines that are no tags are ignored, since the sound does not depend on them.
    """
    tags: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").split("\n"):
        key, equals, value = line.partition("=")
        if equals and _KEY.fullmatch(key):
            plain = re.sub(r"\\[\\nr]", lambda found: _UNESCAPES[found[0]], value)
            tags[key] = f"{tags[key]}; {plain}" if key in tags else plain
    return tags


def parse_comments(block: bytes) -> list[Tag]:
    """Tags of a Vorbis comment (RFC 9639, 8.6), as far as the block is whole."""
    tags = []
    try:
        (vendor,) = struct.unpack_from("<I", block)
        (count,) = struct.unpack_from("<I", block, 4 + vendor)
        pos = 8 + vendor
        for _ in range(count):
            (size,) = struct.unpack_from("<I", block, pos)
            (comment,) = struct.unpack_from(f"{size}s", block, pos + 4)
            key, _, value = comment.decode("utf-8", "replace").partition("=")
            tags.append((key.upper(), value))
            pos += 4 + size
    except struct.error:
        pass
    return tags


def comment_block(tags: Mapping[str, str]) -> bytes:
    """A Vorbis comment of these tags."""
    comments = [f"{key}={value}".encode("utf-8", "replace") for key, value in tags.items() if _KEY.fullmatch(key)]
    vendor = b"vqcodec"
    head = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(comments))
    return head + b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)


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
