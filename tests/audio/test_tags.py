"""Tags as text, and the cover out of FLAC and ID3 containers made by hand."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.audio.metadata import read_metadata
from vqcodec.audio.tags import (
    comment_block,
    cover_image,
    flac_picture,
    pack_tags,
    parse_comments,
    unpack_tags,
)

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 3
KEYS = st.text(st.characters(codec="ascii", min_codepoint=65, max_codepoint=90), min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.dictionaries(KEYS, VALUES))
def test_tags_come_back(tags):
    assert unpack_tags(pack_tags(tags.items())) == tags
    assert dict(parse_comments(comment_block(tags))) == tags


def test_the_text_is_as_documented():
    assert (
        pack_tags([("title", "a=b"), ("comment", "one\ntwo\\\r"), ("genre", ""), ("a=b", "c"), ("ä", "c")])
        == b"TITLE=a=b\nCOMMENT=one\\ntwo\\\\\\r\n"
    )
    assert pack_tags([]) == b""


def test_what_the_writing_library_adds_is_not_a_tag():
    assert pack_tags([("software", "LAME (libsndfile-1.2.2)")]) == b"SOFTWARE=LAME\n"


def test_damaged_text_is_no_error():
    assert unpack_tags(b"no tag\n=x\nA=\xff\n\\\nB=\\x") == {"A": "\ufffd", "B": "\\x"}


def synchsafe(n: int) -> bytes:
    return bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])


def id3(version: int, frames: bytes, flags: int = 0) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(frames)) + frames


def frame(version: int, kind: bytes, body: bytes, flags: int = 0) -> bytes:
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    return kind + size + bytes([0, flags]) + body


APIC = b"\0image/jpeg\0\3cover\0" + JPEG
WIDE = b"\1image/jpeg\0\3" + "Hülle".encode("utf-16") + b"\0\0" + JPEG
TITLE = b"\0some title"
UNSYNCHED = APIC.replace(b"\xff", b"\xff\0")


@pytest.mark.parametrize(
    "tag",
    [
        id3(3, frame(3, b"TIT2", TITLE) + frame(3, b"APIC", APIC) + bytes(40)),
        id3(4, frame(4, b"TIT2", TITLE) + frame(4, b"APIC", APIC)),
        id3(3, frame(3, b"APIC", WIDE)),
        id3(3, frame(3, b"APIC", APIC).replace(b"\xff", b"\xff\0"), flags=0x80),
        id3(4, frame(4, b"APIC", synchsafe(len(APIC)) + UNSYNCHED, flags=3)),
        id3(3, struct.pack(">IHI", 6, 0, 0) + frame(3, b"APIC", APIC), flags=0x40),
        id3(4, synchsafe(6) + b"\1\0" + frame(4, b"APIC", APIC), flags=0x40),
        id3(4, frame(4, b"APIC", APIC.replace(b"\3cover", b"\0icon", 1)) + frame(4, b"APIC", APIC)),
    ],
)
def test_cover_of_an_id3_tag(tmp_path, tag):
    path = tmp_path / "a.mp3"
    path.write_bytes(tag + b"\xff\xfb" + bytes(50))
    tags, (picture, *others) = read_metadata(path)
    assert tags is None
    assert len(others) == tag.count(b"APIC") - 1
    assert cover_image(picture) == JPEG
    assert picture[:18] == struct.pack(">II", 3, 10) + b"image/jpeg"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ID3",
        b"RIFF" + bytes(40),
        id3(3, b""),
        id3(2, b"PIC" + bytes(20)),
        id3(3, frame(3, b"APIC", b"")),
        id3(3, frame(3, b"APIC", b"\0image/jpeg\0\3no end")),
        id3(3, frame(3, b"APIC", APIC))[:40],
        id3(4, frame(4, b"TIT2", TITLE), flags=0x40),
        b"fLaC\x06\x00",
    ],
)
def test_no_cover_is_no_error(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read_metadata(path)[1] == []


def test_a_flac_file(tmp_path):
    icon, front = flac_picture(1, "image/png", "", b"icon"), flac_picture(3, "image/jpeg", "vorn", JPEG)
    comments = comment_block({"ALBUMARTIST": "both", "MOOD": "Grün"})
    blocks = [(0, bytes(34)), (6, icon), (4, comments), (6, front), (1, bytes(3))]
    data = b"fLaC"
    for i, (kind, body) in enumerate(blocks):
        data += bytes([kind | 0x80 * (i == len(blocks) - 1)]) + len(body).to_bytes(3, "big") + body
    (tmp_path / "a.flac").write_bytes(data + b"\xff\xf8 frames")
    assert read_metadata(tmp_path / "a.flac") == ([("ALBUMARTIST", "both"), ("MOOD", "Grün")], [front, icon])
    assert cover_image(front) == JPEG
    assert cover_image(front[:20]) == b""


def ogg(*packets: bytes, serial: bytes = b"1234") -> bytes:
    """Pages of at most 255 lacing values."""
    lacing, body = [], b"".join(packets)
    for packet in packets:
        lacing += [255] * (len(packet) // 255) + [len(packet) % 255]
    pages, pos = b"", 0
    for start in range(0, len(lacing), 255):
        part = bytes(lacing[start : start + 255])
        size = sum(part)
        pages += b"OggS" + bytes(10) + serial + bytes(8) + bytes([len(part)]) + part + body[pos : pos + size]
        pos += size
    return pages


@pytest.mark.parametrize(
    ("first", "before"), [(b"\x01vorbis", b"\x03vorbis"), (b"OpusHead", b"OpusTags"), (b"\x7fFLAC\1\0", b"\x04\0\1\2")]
)
def test_an_ogg_file(tmp_path, first, before):
    picture = flac_picture(3, "image/jpeg", "", JPEG * 300)
    encoded = base64.b64encode(picture).decode()
    comments = comment_block({"ARTIST": "one", "METADATA_BLOCK_PICTURE": encoded})
    comments = comments.replace(b"\x02\0\0\0", b"\x04\0\0\0", 1)
    comments += b"\x0a\0\0\0artist=two" + b"\x1a\0\0\0METADATA_BLOCK_PICTURE=!!!"
    pages = ogg(first + bytes(20)) + ogg(b"other stream", serial=b"9876") + ogg(before + comments, b"sound" * 99)
    (tmp_path / "a.ogg").write_bytes(pages)
    tags, pictures = read_metadata(tmp_path / "a.ogg")
    assert tags == [("ARTIST", "one"), ("ARTIST", "two")]
    assert pictures == [picture]
    assert unpack_tags(pack_tags(tags)) == {"ARTIST": "one; two"}
    (tmp_path / "cut.ogg").write_bytes(pages[:120])
    assert read_metadata(tmp_path / "cut.ogg") == ([], [])


@pytest.mark.parametrize("size", range(30))
def test_cut_comments_are_no_error(size):
    block = comment_block({"A": "1", "B": "2"})
    assert set(parse_comments(block[:size])) <= {("A", "1"), ("B", "2")}
