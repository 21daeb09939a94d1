"""Tags as text, and tags and covers out of every container, made by hand: what is kept, and at what cost."""

from __future__ import annotations

import base64
import struct
import time
import zlib
from pathlib import Path

import pytest
from audio.containers import COMM, DATA, FMT, SSND, aiff, ape, chunk, flac, frame, id3, info, ogg, synchsafe, w64, wav
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.audio.metadata import Metadata, read_metadata
from vqcodec.audio.tags import (
    METADATA_BYTES,
    MOST_TAGS,
    Found,
    comment_block,
    cover_image,
    decode_text,
    flac_picture,
    pack_tags,
    parse_comments,
    parse_picture,
    tag_pairs,
    unpack_tags,
)

CASES = Path(__file__).parent / "cases"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 3
MPEG = b"\xff\xfb" + bytes(50)
KEYS = st.text(st.characters(codec="ascii", min_codepoint=65, max_codepoint=90), min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


def comments(*tags: tuple[str, str]) -> bytes:
    return comment_block(tags)


def read(tmp_path, content: bytes) -> Metadata:
    path = tmp_path / "sound"
    path.write_bytes(content)
    return read_metadata(path)


def tags_of(tmp_path, content: bytes) -> list[tuple[str, str]]:
    return read(tmp_path, content).found.tags


@given(st.dictionaries(KEYS, st.lists(VALUES, min_size=1, max_size=3), max_size=4))
def test_tags_come_back(tags):
    assert unpack_tags(pack_tags(tag_pairs(tags))) == tags
    found = Found()
    assert parse_comments(comment_block(tag_pairs(tags)), found)
    assert found.tags == list(tag_pairs(tags))


def test_the_text_is_as_documented():
    assert (
        pack_tags([("title", "a=b"), ("comment", "one\ntwo\\\r"), ("genre", ""), ("a=b", "c"), ("ä", "c")])
        == b"TITLE=a=b\nCOMMENT=one\\ntwo\\\\\\r\n"
    )
    assert pack_tags([]) == b""
    assert list(tag_pairs({"A": "one", "B": ["two", "three"]})) == [("A", "one"), ("B", "two"), ("B", "three")]


def test_what_the_writing_library_adds_is_not_a_tag():
    assert pack_tags([("software", "LAME (libsndfile-1.2.2)")]) == b"SOFTWARE=LAME\n"


def test_damaged_text_is_no_error():
    assert unpack_tags(b"no tag\n=x\nA=\xff\n\\\nB=\\x") == {"A": ["\ufffd"], "B": ["\\x"]}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Caf\xe9", "Café"),
        ("Café".encode(), "Café"),
        (b"\x84quoted\x93", "„quoted“"),
        (b"\x81", "\x81"),
        (b"end\0rest", "end"),
        (b"", ""),
    ],
)
def test_texts_of_unknown_encoding(raw, text):
    assert decode_text(raw) == text


APIC = b"\0image/jpeg\0\3cover\0" + JPEG
WIDE = b"\1image/jpeg\0\3" + "Hülle".encode("utf-16") + b"\0\0" + JPEG
BIG_ENDIAN = b"\2image/jpeg\0\3" + "Ā Hülle".encode("utf-16-be") + b"\0\0" + JPEG
TITLE = b"\0some title"
UNSYNCHED = APIC.replace(b"\xff", b"\xff\0")


@pytest.mark.parametrize(
    "tag",
    [
        id3(3, frame(3, b"TIT2", TITLE), frame(3, b"APIC", APIC), bytes(40)),
        id3(4, frame(4, b"TIT2", TITLE), frame(4, b"APIC", APIC)),
        id3(3, frame(3, b"APIC", WIDE)),
        id3(4, frame(4, b"APIC", BIG_ENDIAN)),
        id3(3, frame(3, b"APIC", APIC).replace(b"\xff", b"\xff\0"), flags=0x80),
        id3(4, frame(4, b"APIC", synchsafe(len(APIC)) + UNSYNCHED, flags=3)),
        id3(4, frame(4, b"APIC", UNSYNCHED), flags=0x80),
        id3(4, frame(4, b"APIC", synchsafe(len(APIC)) + zlib.compress(APIC), flags=9)),
        id3(3, frame(3, b"APIC", struct.pack(">I", len(APIC)) + zlib.compress(APIC)).replace(b"\0\0\0\0", b"\0\0\0\0")),
        id3(3, struct.pack(">IHI", 6, 0, 0), frame(3, b"APIC", APIC), flags=0x40),
        id3(4, synchsafe(6) + b"\1\0", frame(4, b"APIC", APIC), flags=0x40),
        id3(4, frame(4, b"APIC", APIC.replace(b"\3cover", b"\0icon", 1)), frame(4, b"APIC", APIC)),
        id3(2, frame(2, b"PIC", b"\0JPG\3cover\0" + JPEG)),
        # iTunes: version 2.4 with a plain size
        id3(4, b"APIC" + struct.pack(">I", len(APIC)) + b"\0\0" + APIC, frame(4, b"TIT2", TITLE)),
    ],
)
def test_cover_of_an_id3_tag(tmp_path, tag):
    if zlib.compress(APIC) in tag and tag[3] == 3:
        tag = tag[:19] + b"\x80" + tag[20:]  # the frame's flag for compression
    found = read(tmp_path, tag + MPEG).found
    assert found.pictures == max(1, tag.count(b"APIC"))
    assert found.picture is not None
    assert cover_image(found.picture) == JPEG
    assert found.picture[:18] == struct.pack(">II", 3, 10) + b"image/jpeg"
    assert not found.lost


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ID3",
        b"RIFF" + bytes(40),
        id3(3),
        id3(2, b"PIC" + bytes(20)),
        id3(3, frame(3, b"APIC", b"")),
        id3(3, frame(3, b"APIC", b"\0image/jpeg\0\3no end")),
        id3(3, frame(3, b"APIC", APIC))[:40],
        id3(4, frame(4, b"TIT2", TITLE), flags=0x40),
        b"fLaC\x06\x00",
        flac((6, b"\0\0\0\3\xff\xff\xff\xff")),
        flac((6, b"")),
    ],
)
def test_no_cover_is_no_error(tmp_path, content):
    assert read(tmp_path, content).found.picture is None


@pytest.mark.parametrize("version", [3, 4])
def test_every_text_of_an_id3_tag(tmp_path, version):
    def text(name: bytes, body: bytes) -> bytes:
        return frame(version, name, body)

    tag = id3(
        version,
        text(b"TIT2", b"\0Caf\xe9"),
        text(b"TPE1", b"\1" + "Björk\0日本".encode("utf-16")),
        text(b"TPE2", "\3Jürgen\0".encode()),
        text(b"TPOS", b"\x001/2"),
        text(b"TCON", b"\0(17)\0(RX)\0(9)Thrash\0Own"),
        text(b"TSRC", b"\0QMTH31200012"),
        text(b"TXXX", b"\0replaygain_track_gain\0-3 dB"),
        text(b"TXXX", b"\1" + "Größe=1".encode("utf-16") + b"\0\0" + "5".encode("utf-16")),
        text(b"TXYZ", b"\0unknown"),
        text(b"COMM", b"\0eng\0a comment"),
        text(b"COMM", b"\0engabout\0another"),
        text(b"USLT", b"\1eng" + "\0".encode("utf-16") + "la la".encode("utf-16")),
        text(b"WOAR", b"http://a.example"),
        text(b"WXXX", b"\0shop\0http://b.example"),
        text(b"PRIV", b"owner\0\1\2"),
        text(b"TALB", b""),
    )
    found = read(tmp_path, tag + MPEG).found
    assert found.tags == [
        ("TITLE", "Café"),
        ("ARTIST", "Björk"),
        ("ARTIST", "日本"),
        ("ALBUMARTIST", "Jürgen"),
        ("DISCNUMBER", "1/2"),
        ("GENRE", "Rock"),
        ("GENRE", "Remix"),
        ("GENRE", "Thrash"),
        ("GENRE", "Own"),
        ("ISRC", "QMTH31200012"),
        ("REPLAYGAIN_TRACK_GAIN", "-3 dB"),
        ("GR__E_1", "5"),
        ("TXYZ", "unknown"),
        ("COMMENT", "a comment"),
        ("COMMENT:ABOUT", "another"),
        ("LYRICS", "la la"),
        ("WEBSITE", "http://a.example"),
        ("SHOP", "http://b.example"),
    ]
    assert list(found.lost) == ["ID3 PRIV"]


def test_an_old_id3_tag(tmp_path):
    tag = id3(2, frame(2, b"TT2", b"\0Old"), frame(2, b"TP1", b"\0Caf\xe9"), frame(2, b"TXX", b"\0mood\0calm"))
    assert tags_of(tmp_path, tag + MPEG) == [("TITLE", "Old"), ("ARTIST", "Café"), ("MOOD", "calm")]


def id3v1(title: bytes, comment: bytes = b"", track: int = 0, genre: int = 255) -> bytes:
    end = comment.ljust(28, b"\0") + bytes([0, track]) if track else comment.ljust(30, b"\0")
    return b"TAG" + title.ljust(30, b"\0") + b"Bj\xf6rk".ljust(30) + bytes(30) + b"1999" + end + bytes([genre])


def test_tags_at_the_end(tmp_path):
    old = id3v1(b"Caf\xe9 M\xfcller", b"note", 7, 17)
    plain = [("TITLE", "Café Müller"), ("ARTIST", "Björk"), ("DATE", "1999"), ("COMMENT", "note")]
    assert tags_of(tmp_path, MPEG + old) == [*plain, ("TRACKNUMBER", "7"), ("GENRE", "Rock")]
    items = ape(
        ("Title", b"Long title", 0), ("Artist", "A\0Bö".encode(), 0), ("Cover Art (Front)", b"a.jpg\0" + JPEG, 1)
    )
    found = read(tmp_path, id3(4, frame(4, b"TIT2", b"\3First")) + MPEG + items + old).found
    assert dict(found.tags)["TITLE"] == "First"
    assert [value for key, value in found.tags if key == "ARTIST"] == ["A", "Bö"]
    assert dict(found.tags)["DATE"] == "1999"
    assert found.picture == flac_picture(3, "image/jpeg", "", JPEG)


@pytest.mark.parametrize("size", range(0, 120, 7))
def test_damaged_tags_at_the_end_are_no_error(tmp_path, size):
    items = ape(("Title", b"Long title", 0), ("Artist", b"A", 0))
    found = read(tmp_path, MPEG + items[:size] + items[size + 3 :]).found
    assert set(found.tags) <= {("TITLE", "Long title"), ("ARTIST", "A"), ("TITLE", "g title"), ("ARTIST", "")} or size


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_info_of_a_wav(tmp_path, pad, after):
    entries = info((b"INAM", b"Caf\xe9\0"), (b"IART", b"Alice"), (b"IART", "Böb".encode()), (b"IXYZ", b"x\0"), pad=pad)
    parts = (FMT, DATA, entries) if after else (FMT, entries, DATA)
    found = read(tmp_path, wav(*parts)).found
    assert found.tags == [("TITLE", "Café"), ("ARTIST", "Alice"), ("ARTIST", "Böb"), ("IXYZ", "x")]


TAG = id3(4, frame(4, b"TIT2", b"\3From ID3"), frame(4, b"APIC", APIC))


@pytest.mark.parametrize("kind", [b"id3 ", b"ID3 "])
@pytest.mark.parametrize(
    "make",
    [
        lambda kind: wav(FMT, info((b"INAM", b"cut"), (b"ICMT", b"kept")), DATA, chunk(kind, TAG)),
        lambda kind: aiff(
            COMM,
            chunk(b"NAME", b"cut", order=">"),
            chunk(b"ANNO", b"kept", order=">"),
            chunk(b"SSND", SSND, order=">"),
            chunk(kind, TAG, order=">"),
        ),
    ],
)
def test_id3_inside_wav_and_aiff(tmp_path, make, kind):
    found = read(tmp_path, make(kind)).found
    assert found.tags == [("TITLE", "From ID3"), ("COMMENT", "kept")]
    assert found.picture == flac_picture(3, "image/jpeg", "cover", JPEG)


def test_other_chunks_are_named(tmp_path):
    content = wav(FMT, chunk(b"bext", bytes(602)), chunk(b"LIST", b"adtlxxxx"), chunk(b"JUNK", bytes(9)), DATA)
    assert list(read(tmp_path, content).found.lost) == ["bext", "LIST adtl"]


def test_info_of_a_w64(tmp_path):
    entries = b"INFO" + chunk(b"INAM", b"Caf\xe9\0\0")
    content = w64((b"fmt ", FMT[8:], None), (b"list", entries, None), (b"data", DATA[8:], None))
    assert tags_of(tmp_path, content) == [("TITLE", "Café")]


def test_info_of_a_caf(tmp_path):
    strings = struct.pack(">I", 2) + b"title\0Caf\xc3\xa9\0track number\0003\0"
    content = b"caff\0\1\0\0" + b"".join(
        struct.pack(">4sQ", kind, len(body)) + body for kind, body in ((b"desc", bytes(32)), (b"info", strings))
    )
    assert tags_of(tmp_path, content) == [("TITLE", "Café"), ("TRACKNUMBER", "3")]


def test_a_flac_file(tmp_path):
    icon, front = flac_picture(1, "image/png", "", b"icon"), flac_picture(3, "image/jpeg", "vorn", JPEG)
    block = comments(("ALBUMARTIST", "both"), ("mood", "Grün")).replace("ü".encode(), b"\xfc\0")
    content = flac((6, icon), (4, block), (6, front), (1, bytes(3)), (2, b"abcd"), (5, b"cues")) + b"\xff\xf8 frames"
    found = read(tmp_path, content).found
    # one byte of the text was replaced by two, one of them a NUL, which ends it
    assert found.tags == [("ALBUMARTIST", "both"), ("MOOD", "Grü")]
    assert found.picture == front
    assert found.pictures == 2
    assert list(found.lost) == ["FLAC APPLICATION", "FLAC CUESHEET"]
    assert cover_image(front) == JPEG
    assert cover_image(front[:20]) == b""


def test_a_flac_file_behind_id3(tmp_path):
    content = id3(3, frame(3, b"TIT2", b"\0ID3"), frame(3, b"TMOO", b"\0calm")) + flac(
        (4, comments(("TITLE", "Vorbis")))
    )
    assert tags_of(tmp_path, content) == [("TITLE", "Vorbis"), ("MOOD", "calm")]


def test_the_cases():
    two = read_metadata(CASES / "13-flac-two-artists.flac").found
    assert [value for key, value in two.tags if key == "ARTIST"] == ["Alice", "Bob"]
    assert len(two.tags) == 6
    assert two.picture is not None
    assert read_metadata(CASES / "11-latin1-info.wav").found.tags == [("TITLE", "Café Müller"), ("ARTIST", "Björk")]


@pytest.mark.parametrize(
    ("first", "before"), [(b"\x01vorbis", b"\x03vorbis"), (b"OpusHead", b"OpusTags"), (b"\x7fFLAC\1\0", b"\x04\0\1\2")]
)
def test_an_ogg_file(tmp_path, first, before):
    picture = flac_picture(3, "image/jpeg", "", JPEG * 300)
    encoded = base64.b64encode(picture).decode()
    block = comments(
        *(("ARTIST", "one"), ("METADATA_BLOCK_PICTURE", encoded), ("artist", "two"), ("METADATA_BLOCK_PICTURE", "!!!"))
    )
    pages = ogg(first + bytes(20)) + ogg(b"other stream", serial=b"9876") + ogg(before + block, b"sound" * 99)
    found = read(tmp_path, pages).found
    assert found.tags == [("ARTIST", "one"), ("ARTIST", "two")]
    assert found.picture == picture
    assert list(found.lost) == ["a picture that is damaged"]
    assert read(tmp_path, pages[:120]).found.tags == []


@pytest.mark.parametrize("size", range(30))
def test_cut_comments_are_no_error(size):
    block, found = comments(("A", "1"), ("B", "2")), Found()
    assert parse_comments(block[:size], found) is (size == len(block))
    assert set(found.tags) <= {("A", "1"), ("B", "2")}


def test_pictures():
    whole = flac_picture(3, "image/png", "ä", b"image")
    parsed = parse_picture(whole + b"more")
    assert parsed is not None
    assert parsed.block() == whole
    assert [parse_picture(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    assert parse_picture(flac_picture(3, "image/png", "", b"")) is None


def many_comments(size: int) -> bytes:
    count = size // 20
    return struct.pack("<II", 0, count) + b"".join(struct.pack("<I", 16) + b"A=%014d" % i for i in range(count))


def bomb(version: int) -> bytes:
    """Compressed frames that would inflate to 2 GB."""
    body = struct.pack(">I", 2**24) + zlib.compress(bytes(2**24), 9)
    return id3(version, *(b"PRIV" + struct.pack(">I", len(body)) + b"\0\x80" + body for _ in range(128)))


# What the readers took before: minutes for each of the first two.
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: ogg(b"OpusHead" + bytes(11), b"OpusTags" + many_comments(4 * 2**20)), id="Ogg comments"),
        pytest.param(lambda: ogg(b"OpusHead" + bytes(11), b"OpusTags" + bytes(2**25)), id="one Ogg packet"),
        pytest.param(lambda: flac((4, many_comments(2**24 - 8))), id="FLAC comments"),
        pytest.param(lambda: flac((4, struct.pack("<II", 0, 2**32 - 1) + bytes(2**24 - 16))), id="empty comments"),
        pytest.param(lambda: wav(*[chunk(b"xx%02d" % (i % 100), b"") for i in range(10**5)]), id="chunks"),
        pytest.param(lambda: wav(info(*[(b"INAM", b"a\0")] * 10**5)), id="INFO"),
        pytest.param(lambda: id3(3, *[frame(3, b"TXXX", b"\0a\0b")] * 10**5), id="TXXX"),
        pytest.param(lambda: id3(3, frame(3, b"TPE1", b"\0" + b"a\0" * 10**6)), id="values of TPE1"),
        pytest.param(lambda: id3(3, frame(3, b"APIC", b"\1image/x\0\3" + b"a\0\0" * 10**6)), id="APIC"),
        pytest.param(lambda: bomb(3), id="compressed frames"),
        pytest.param(lambda: id3(3, frame(3, b"TIT2", b"")) * 10**4, id="ID3 tags"),
        pytest.param(lambda: MPEG + ape(*[("A", b"b", 0)] * 10**5), id="APE"),
    ],
)
def test_cost_is_linear_and_what_is_kept_is_bounded(tmp_path, make):
    content = make()
    (tmp_path / "sound").write_bytes(content)
    start = time.process_time()
    found = read_metadata(tmp_path / "sound").found
    # 1 s for 4 MiB and more is far from what a quadratic reader takes, and far from what this one does.
    assert time.process_time() - start < 2 + len(content) / 2**22
    assert len(found.tags) <= MOST_TAGS
    assert sum(len(key) + len(value) for key, value in found.tags) <= METADATA_BYTES


def test_a_key_that_comes_a_million_times():
    text = b"A=b\n" * 4_000_000
    start = time.process_time()
    assert unpack_tags(text) == {"A": ["b"] * MOST_TAGS}
    assert time.process_time() - start < 2


def test_more_tags_than_are_kept_are_named():
    found = Found()
    for number in range(MOST_TAGS + 5):
        found.add("A", str(number))
    assert len(found.tags) == MOST_TAGS
    found.add("", "x")
    assert list(found.lost) == ["tags beyond 65,536 or 16 MiB", "tags without a name"]
