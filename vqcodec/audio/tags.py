"""Tags of a sound as text, and the blocks in which FLAC, Vorbis and Opus files keep tags and pictures.

In a .vqc file tags are UTF-8 lines ``KEY=value``, the keys as in Vorbis comments (ASCII, upper case), where a key may
come more than once; inside a value a backslash, a line feed and a carriage return are written ``\\\\``, ``\\n`` and
``\\r``. The cover is the body of a PICTURE block (RFC 9639, 8.8), which Vorbis comments use as well.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = [
    "METADATA_BYTES",
    "MOST_TAGS",
    "Found",
    "Picture",
    "Tag",
    "Tags",
    "comment_block",
    "cover_image",
    "decode_text",
    "flac_picture",
    "is_key",
    "pack_tags",
    "parse_comments",
    "parse_picture",
    "tag_pairs",
    "unpack_tags",
]

Tag = tuple[str, str]
Tags = dict[str, list[str]]
"""Values by key, each key's in their order."""

METADATA_BYTES = 2**24 - 1
"""Of tags and picture together; what a FLAC block can hold, and what a .vqc file may by default."""
MOST_TAGS = 2**16
"""More than this is no description of a sound; it bounds the memory that 16 MiB of the shortest tags would take."""
_TOO_MUCH = f"tags beyond {MOST_TAGS:,} or 16 MiB"

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {value: key for key, value in _ESCAPES.items()}
_KEY = re.compile(r"[ -<>-}]+")  # RFC 9639, 8.6
_NOT_KEY = re.compile(r"[^ -<>-}]")
_OURS = re.compile(r" \(libsndfile-[\d.]+\)$")  # what that library adds to SOFTWARE when it writes
_PICTURE_TAG = b"METADATA_BLOCK_PICTURE"  # in Vorbis comments, a PICTURE block in base64
_FRONT = 3  # picture type of a front cover


def decode_text(raw: bytes) -> str:
    """Text of a tag up to its first NUL: UTF-8 where it is that, else Windows-1252, whatever the container asks for."""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no meaning there
        return raw.decode("latin-1")


@dataclass
class Found:
    """Tags and pictures that one source in a file holds, bounded while they are collected.

    Attributes:
        tags: in the order of the file.
        picture: body of a PICTURE block, a front cover if there is one.
        pictures: how many were there.
        lost: names of what was there and is not kept, in order and once each.
    """

    tags: list[Tag] = field(default_factory=list)
    picture: bytes | None = None
    pictures: int = 0
    lost: dict[str, None] = field(default_factory=dict)
    _size: int = 0

    def add(self, key: str, value: str) -> None:
        """Keep a tag; characters that a key cannot have become underscores, an empty value is nothing."""
        if not value:
            return
        self._size += len(key) + len(value)
        if not key:
            self.drop("tags without a name")
        elif len(self.tags) >= MOST_TAGS or self._size > METADATA_BYTES:
            self.drop(_TOO_MUCH)
        else:
            self.tags.append((_NOT_KEY.sub("_", key).upper(), value))

    def add_picture(self, block: bytes) -> None:
        """Keep a PICTURE block's body if it is sound and better than what there is."""
        picture = parse_picture(block)
        if picture is None:
            self.drop("a picture that is damaged")
            return
        self.pictures += 1
        if self.picture is None or (picture.kind == _FRONT != int.from_bytes(self.picture[:4], "big")):
            self.picture = picture.block()

    def drop(self, name: str) -> None:
        """Remember that something is not kept."""
        if len(self.lost) < MOST_TAGS:
            self.lost[name] = None

    def merge(self, other: Found) -> None:
        """Add what another source of the same file says about keys that are not known yet."""
        known = {key for key, _ in self.tags}
        for key, value in other.tags:
            if key not in known:
                self.add(key, value)
        self.pictures += other.pictures if self.picture != other.picture else 0
        self.picture = self.picture or other.picture
        self.lost |= other.lost


def tag_pairs(tags: Mapping[str, str | Sequence[str]]) -> Iterator[Tag]:
    """Key and value of every tag; a plain text counts as a list of one."""
    for key, values in tags.items():
        for value in [values] if isinstance(values, str) else values:
            yield key, value


def is_key(name: str) -> bool:
    """Whether a Vorbis comment may have this name."""
    return bool(_KEY.fullmatch(name))


def pack_tags(tags: Iterable[Tag]) -> bytes:
    """Tags as text; empty ones and those without a proper name are left out."""
    lines = []
    for key, value in tags:
        text = _OURS.sub("", value).rstrip("\0")
        if text and _KEY.fullmatch(key):
            escaped = re.sub(r"[\\\n\r]", lambda found: _ESCAPES[found[0]], text)
            lines.append(f"{key.upper()}={escaped}\n")
    return "".join(lines).encode("utf-8", "replace")


def unpack_tags(text: bytes) -> Tags:
    """Tags by name, at most MOST_TAGS.

    Lines that are no tags are ignored, since the sound does not depend on them.
    """
    tags: Tags = {}
    for line in text.decode("utf-8", "replace").split("\n", MOST_TAGS)[:MOST_TAGS]:
        key, equals, value = line.partition("=")
        if equals and _KEY.fullmatch(key):
            plain = re.sub(r"\\[\\nr]", lambda found: _UNESCAPES[found[0]], value)
            tags.setdefault(key, []).append(plain)
    return tags


def parse_comments(block: bytes, found: Found) -> bool:
    """Collect the tags of a Vorbis comment (RFC 9639, 8.6), as far as the block is whole; returns whether it is."""
    size = len(block)
    if size < 8:
        return False
    pos = 8 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[pos - 4 : pos], "little")
    for number in range(count):
        if number == 2 * MOST_TAGS:  # however many are empty
            found.drop(_TOO_MUCH)
            return False
        start = pos + 4
        end = start + int.from_bytes(block[pos:start], "little")
        if max(start, end) > size:
            return False
        raw, pos = block[start:end], end
        key, equals, value = raw.partition(b"=")
        if key.upper() == _PICTURE_TAG:
            found.add_picture(_from_base64(value))
        elif equals:
            found.add(decode_text(key), decode_text(value))
        elif raw:
            found.drop("tags without a name")
    return pos <= size


def _from_base64(value: bytes) -> bytes:
    try:
        return base64.b64decode(value)
    except ValueError:
        return b""


def comment_block(tags: Iterable[Tag]) -> bytes:
    """A Vorbis comment of these tags."""
    comments = [f"{key}={value}".encode("utf-8", "replace") for key, value in tags if _KEY.fullmatch(key)]
    vendor = b"vqcodec"
    head = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(comments))
    return head + b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)


@dataclass(frozen=True)
class Picture:
    """A PICTURE block taken apart (RFC 9639, 8.8).

    Attributes:
        kind: what it shows; 3 is a front cover.
        mime: type of ``data``.
        description: text.
        size: width, height, bits per pixel and colours, 0 where unknown.
        data: the image file.
    """

    kind: int
    mime: bytes
    description: bytes
    size: tuple[int, int, int, int]
    data: bytes

    def block(self) -> bytes:
        """Body of the block."""
        head = struct.pack(">II", self.kind, len(self.mime)) + self.mime
        head += struct.pack(">I", len(self.description)) + self.description
        return head + struct.pack(">5I", *self.size, len(self.data)) + self.data


def flac_picture(kind: int, mime: str, description: str, data: bytes) -> bytes:
    """Body of a PICTURE block; width, height and depth are left unknown (0), as RFC 9639 allows."""
    about = description.encode("utf-8", "replace")
    return Picture(kind, mime.encode("ascii", "replace"), about, (0, 0, 0, 0), data).block()


def parse_picture(block: bytes) -> Picture | None:
    """A PICTURE block's body taken apart, without what follows the image; None where it is damaged or empty."""
    try:
        kind, name = struct.unpack_from(">II", block)
        (about,) = struct.unpack_from(">I", block, 8 + name)
        *size, length = struct.unpack_from(">5I", block, 12 + name + about)
    except struct.error:
        return None
    start = 32 + name + about
    data = block[start : start + length]
    if not data or len(data) != length:
        return None
    return Picture(kind, block[8 : 8 + name], block[12 + name : 12 + name + about], tuple(size), data)


def cover_image(picture: bytes) -> bytes:
    """The image file inside a PICTURE block; empty where the block is damaged."""
    parsed = parse_picture(picture)
    return parsed.data if parsed else b""
