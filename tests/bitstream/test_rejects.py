"""Files that break one rule of SPEC.md each, check sums repaired: the error is the one that SPEC.md names."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from abuse.samples import MODEL, audio, image, rich_image

from vqcodec.bitstream import ImageHeader, Limits, VqcFile, read_header, read_vqc, write_vqc
from vqcodec.bitstream.checks import crc32
from vqcodec.bitstream.directory import ChunkEntry, Directory, pack_directory
from vqcodec.bitstream.header import SECTIONS, pack_header
from vqcodec.bitstream.metadata import ALPHA
from vqcodec.errors import (
    CorruptError,
    DecodeError,
    LimitError,
    NotVqcError,
    TruncatedError,
    UnsupportedVersionError,
)


def head(changes: dict[int, bytes], tail: bytes = b"") -> bytes:
    """Header of the small image with bytes replaced, and its CRC right for what came out; then ``tail``."""
    data = bytearray(write_vqc(image())[:20])
    for offset, value in sorted(changes.items(), reverse=True):
        data[offset : offset + 1] = value
    return bytes(data) + crc32(bytes(data)) + tail


def with_section(kind: int, body: bytes, flags: int = 8) -> bytes:
    """The small image with one hand-made section."""
    data = write_vqc(image())
    start = data[:9] + bytes([flags]) + data[10:19] + bytes([1, kind, len(body)]) + data[19:20]
    return start + crc32(start) + body + crc32(bytes([kind]), body) + data[24:]


def with_payload(payload: bytes) -> bytes:
    """The small image with a payload that the writer would refuse."""
    data = write_vqc(image(payload=b"x" * len(payload)))
    body = data[24:26] + payload
    return data[:24] + body + crc32(bytes(4), body) + data[-1:]


CHUNK = write_vqc(image())[24:]


@pytest.mark.parametrize(
    ("data", "error", "place"),
    [
        (b"", NotVqcError, "signature"),
        (b"\x89PNG\r\n\x1a\n", NotVqcError, "signature"),
        (b"\x89VQC", TruncatedError, "signature"),
        (b"\x89VQC\r\n\x1a\n\x10", TruncatedError, "header"),
        (head({8: b"\x20"}), UnsupportedVersionError, "header.version"),
        (head({9: b"\x80"}), UnsupportedVersionError, "header.flags"),
        (head({9: b"\x03"}), CorruptError, "header.flags"),
        (head({9: b"\x21"}), CorruptError, "header.flags"),
        (head({9: b"\x04"}, CHUNK), CorruptError, "header.flags"),
        (head({14: b"\xff\xff\x04"}), CorruptError, "header.model_hint"),
        (head({14: b"\x83\x00"}), CorruptError, "header.model_hint"),
        (head({16: b"\x00"}), CorruptError, "header.width"),
        (head({16: b"\xff\xff\xff\xff\x0f"}), CorruptError, "header.width"),
        (head({16: b"\xff\xff\xff\xff\xff\x0f"}), CorruptError, "header.width"),
        (head({17: b"\x00"}), CorruptError, "header.height"),
        (head({18: b"\x05"}), CorruptError, "header.tile_log2"),
        (head({18: b"\x0d"}), CorruptError, "header.tile_log2"),
        (head({16: b"\xff\xff\x7f", 17: b"\xff\xff\x7f"}), CorruptError, "header.chunks"),
        (head({9: b"\x08", 19: b"\x00\x0d"}), CorruptError, "sections"),
        (head({9: b"\x08", 19: b"\x41\x0d"}), CorruptError, "sections"),
        (head({9: b"\x08", 19: b"\x01\x01\x00\x0d"}), CorruptError, "sections"),
        (head({9: b"\x08", 19: b"\x01"})[:20], TruncatedError, "sections"),
        (head({19: b"\xff\xff\xff\xff\x0f"}), CorruptError, "chunk 0"),
        (head({19: b"\x80\x10\x11"}), CorruptError, "chunk 0"),
        (head({19: b"\x80\x10\x02\x81\x10"}), CorruptError, "chunk 0"),
        (head({16: b"\x80\x10", 17: b"\x80\x10", 18: b"\x0b"}, CHUNK), CorruptError, "chunk 0"),
        (with_payload(b"ends in zero\0"), CorruptError, "chunk 0"),
        (with_section(0x90, b"new"), UnsupportedVersionError, "section 0x90"),
        (with_section(ALPHA, b"\0\0"), CorruptError, "header.flags"),
        (with_section(1, b"\2abc"), CorruptError, "section icc"),
        (with_section(1, b"\1"), CorruptError, "section icc"),
        (with_section(1, b"\1\0" + zlib.compress(b"")), CorruptError, "section icc"),
        (with_section(1, b"\1\2" + zlib.compress(b"a")), CorruptError, "section icc"),
        (with_section(1, b"\1\1" + zlib.compress(b"ab")), CorruptError, "section icc"),
        (with_section(1, b"\1\1" + zlib.compress(b"a") + b"x"), CorruptError, "section icc"),
        (with_section(1, b"\1\1" + zlib.compress(b"a")[:-1]), CorruptError, "section icc"),
        (with_section(1, b"\1\x80\x80\x01abcd"), CorruptError, "section icc"),
        (with_section(ALPHA, b"\0", 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\0\0\0", 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\3\0", 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\1garbage", 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\2garbage", 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\1" + zlib.compress(bytes(40 * 49 - 1), 9, -15), 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\1" + zlib.compress(bytes(40 * 49 + 1), 9, -15), 12), CorruptError, "section alpha"),
        (with_section(ALPHA, b"\1" + zlib.compress(b"\4" * 40 * 49, 9, -15), 12), CorruptError, "section alpha"),
        (write_vqc(image())[:-1] + b"\xee", CorruptError, "end"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(getattr(value, "__name__", value)),
)
def test_reject(data: bytes, error: type[DecodeError], place: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_vqc(data)
    assert (type(caught.value), caught.value.place) == (error, place)


@pytest.mark.parametrize("field", range(5))
def test_reject_audio_fields(field: int) -> None:
    data = write_vqc(audio())
    places = ["sample_rate", "channels", "samples", "chunk_frames", "chunks"]
    offsets = [16, 19, 20, 23, 25]
    changed = data[: offsets[field]] + b"\0" + data[offsets[field] :]
    with pytest.raises(CorruptError, match=f"header.{places[field]}"):
        read_vqc(changed)


def test_sections_must_rise() -> None:
    data = write_vqc(image())
    for kinds in ([1, 1], [2, 1]):
        start = data[:9] + b"\x08" + data[10:19] + bytes([2, kinds[0], 2, kinds[1], 2]) + data[19:20]
        with pytest.raises(CorruptError, match="do not rise"):
            read_vqc(start + crc32(start))


def test_what_a_minor_version_may_add_is_skipped() -> None:
    data = bytearray(write_vqc(image()))
    data[8] = 0x1F
    data[20:24] = crc32(bytes(data[:20]))
    assert read_vqc(bytes(data)).chunks == image().chunks
    newer = with_section(0x33, b"from the future")
    assert read_vqc(newer).metadata == {}
    assert read_header(newer).section_sizes == {"0x33": 15}


LIMITS: list[tuple[Callable[[], VqcFile], Limits]] = [
    (image, Limits(pixels=48 * 40 - 1)),
    (image, Limits(side=47)),
    (audio, Limits(channels=1)),
    (audio, Limits(seconds=2)),
    (rich_image, Limits(metadata_bytes=320)),
]


@pytest.mark.parametrize(("sample", "limits"), LIMITS)
def test_limits(sample: Callable[[], VqcFile], limits: Limits) -> None:
    data = write_vqc(sample())
    with pytest.raises(LimitError, match=r"raise (the limit by --max-(pixels|seconds)|Limits\.)"):
        read_vqc(data, limits=limits)
    assert read_vqc(data).header == sample().header


def test_limits_hold_before_anything_is_allocated() -> None:
    # 65,535 x 65,535 pixels with an alpha plane that is two bytes in the file and four gigabytes in memory.
    header = ImageHeader(65_535, 65_535, 0, True, True, MODEL, 0, 12)
    directory = pack_directory(Directory([ChunkEntry(300)] * 256, [(ALPHA, 2)]))
    start = pack_header(header, 256, SECTIONS) + directory
    data = start + crc32(start) + b"\0\7" + crc32(bytes([ALPHA]), b"\0\7")
    with pytest.raises(LimitError, match="65535 x 65535 pixels"):
        read_vqc(data, allow_truncated=True)
