"""The container: golden bytes, round trips, cut and damaged files, fixed cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from abuse.samples import MODEL, audio, image, rich_image
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import AudioHeader, Chunk, ImageHeader, VqcFile, read_header, read_vqc, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, TruncatedError

# The format is frozen: if this changes, old files are lost.
GOLDEN = (
    "89565143 0d0a1a0a 10 00 01234567 03 5a 30 28 0a"  # signature, 1.0, flags, model, hint, step, 48 x 40, tile
    "0d 5fa9e70b"  # length of the chunk, CRC
    "efbe 636f6465642073796d626f6c73 1e0e2de5 ed"  # code hash, payload, CRC, end
)


def same(a: VqcFile, b: VqcFile) -> bool:
    equal_alpha = (a.alpha is None) == (b.alpha is None) and (a.alpha is None or np.array_equal(a.alpha, b.alpha))
    return (a.header, a.chunks, a.metadata) == (b.header, b.chunks, b.metadata) and equal_alpha


def test_golden_bytes() -> None:
    assert write_vqc(image()).hex() == GOLDEN.replace(" ", "")
    assert same(read_vqc(bytes.fromhex(GOLDEN)), image())


def test_fixed_cost_of_a_small_image() -> None:
    largest = image(16_383, 1_024, b"x" * 16_383)
    assert len(write_vqc(image())) - len(b"coded symbols") == 31
    header = ImageHeader(1024, 1024, 255, False, False, MODEL, 127)
    assert len(write_vqc(VqcFile(header, [Chunk(b"x" * 1000, (), 1)]))) - 1000 == 34
    with pytest.raises(ValueError, match="chunks"):
        write_vqc(largest)


@pytest.mark.parametrize("table_last", [False, True])
@pytest.mark.parametrize("sample", [image, rich_image, audio])
def test_round_trip_of_samples(sample: object, table_last: bool) -> None:
    file = sample()  # type: ignore[operator]
    assert same(read_vqc(write_vqc(file, table_last=table_last)), file)


payloads = st.binary(max_size=40).map(lambda b: b.rstrip(b"\0"))
hashes = st.integers(0, 0xFFFF)
meta_image = st.dictionaries(st.sampled_from(["icc", "exif", "xmp"]), st.binary(max_size=300))
meta_audio = st.dictionaries(st.sampled_from(["tags", "picture"]), st.binary(max_size=300))


@st.composite
def image_files(draw: st.DrawFn) -> VqcFile:
    side = st.integers(1, 200)
    alpha = draw(st.booleans())
    fields = (draw(side), draw(side), draw(st.integers(0, 255)), draw(st.booleans()), alpha)
    model = (draw(st.binary(min_size=4, max_size=4)), draw(hashes))
    header = ImageHeader(*fields, *model, draw(st.integers(6, 12)), draw(st.booleans()))
    rows, columns = header.grid
    chunks: list[Chunk | None] = [Chunk(draw(payloads), (), draw(hashes)) for _ in range(rows * columns)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    plane = rng.integers(0, draw(st.integers(1, 256)), (header.height, header.width), dtype=np.uint8)
    if header.tile_log2 > 10:  # tiles beyond a megapixel must not be empty
        chunks = [Chunk(b"some bytes", (), 0) for _ in chunks]
    return VqcFile(header, chunks, draw(meta_image), plane if alpha else None)


@st.composite
def audio_files(draw: st.DrawFn) -> VqcFile:
    rate, channels = draw(st.integers(1, 192_000)), draw(st.integers(1, 8))
    samples = draw(st.integers(1, max(6 * rate // channels, 1)))  # so many may do without a byte
    step, frames = draw(st.integers(0, 255)), draw(st.integers(1, 2**20))
    header = AudioHeader(rate, channels, samples, step, MODEL, draw(hashes), frames)
    drawn = [draw(payloads) for _ in range(draw(st.integers(1, 5)))]
    chunks: list[Chunk | None] = [Chunk(p, (), draw(hashes) if p else 0) for p in drawn]  # an empty one is not there
    return VqcFile(header, chunks, draw(meta_audio))


@settings(max_examples=150, deadline=None)
@given(st.one_of(image_files(), audio_files()), st.booleans())
def test_round_trip_of_any_file(file: VqcFile, table_last: bool) -> None:
    data = write_vqc(file, table_last=table_last)
    assert same(read_vqc(data), file)
    assert read_header(data).header == file.header
    assert write_vqc(read_vqc(data), table_last=table_last) == data


def test_stage_ends_are_stored_from_2048_bytes() -> None:
    for size, kept in ((2047, ()), (2048, (1, 700, 2048))):
        file = image(payload=b"x" * size)
        file.chunks = [Chunk(b"x" * size, (1, 700, size), 1)]
        chunk = read_vqc(write_vqc(file)).chunks[0]
        assert chunk is not None
        assert chunk.stage_ends == kept


def test_read_header_needs_no_bodies() -> None:
    data = write_vqc(rich_image())
    info = read_header(data)
    assert info.version == (1, 0)
    assert info.payload_sizes == [0, 10, 20, 2100]
    assert list(info.section_sizes) == ["icc", "exif", "xmp", "alpha"]
    assert info.file_size == len(data)
    assert info.overhead + 2130 + sum(info.section_sizes.values()) == len(data)
    assert info.missing == 0
    assert read_header(data[:80]) == replace(info, missing=len(data) - 80)


def test_cut_files_give_what_is_whole() -> None:
    file = rich_image()
    data = write_vqc(file)
    last = data.index(file.chunks[3].payload)  # type: ignore[union-attr]
    with pytest.raises(TruncatedError, match="chunk 3"):
        read_vqc(data[: last + 500])
    cut = read_vqc(data[: last + 500], allow_truncated=True)
    assert cut.chunks[:3] == file.chunks[:3]
    partial = cut.chunks[3]
    assert partial is not None
    assert (len(partial.payload), partial.complete) == (500, False)
    assert [end <= 500 for end in partial.stage_ends] == [True, True, True, False, False]
    assert cut.metadata == file.metadata
    assert cut.alpha is not None
    assert read_vqc(data[:last], allow_truncated=True).chunks[3] is None
    assert same(read_vqc(data[:-1], allow_truncated=True), file)
    # With its check sum gone a payload may be whole, but nobody knows.
    unsure = read_vqc(data[:-2], allow_truncated=True).chunks[3]
    assert unsure is not None
    assert (len(unsure.payload), unsure.complete) == (2100, False)


def test_damaged_parts_are_named_or_concealed() -> None:
    file = rich_image()
    data = bytearray(write_vqc(file))
    data[data.index(file.chunks[2].payload)] ^= 1  # type: ignore[union-attr]
    data[data.index(b"<x/>")] ^= 1
    with pytest.raises(ChecksumError, match="section xmp"):
        read_vqc(bytes(data))
    healed = read_vqc(bytes(data), conceal=True)
    assert healed.chunks == [*file.chunks[:2], None, file.chunks[3]]
    assert sorted(healed.metadata) == ["exif", "icc"]
    assert healed.lost == ["xmp"]
    assert healed.alpha is not None
    assert not healed.cut


def test_trailing_bytes() -> None:
    data = write_vqc(image())
    with pytest.raises(CorruptError, match="end: 3 bytes"):
        read_vqc(data + b"abc")
    assert same(read_vqc(data + b"abc", allow_trailing=True), image())
    with pytest.raises(CorruptError, match="directory"):
        read_vqc(write_vqc(image(), table_last=True) + b"abc", allow_trailing=True)


def test_metadata_is_deflated_where_it_pays() -> None:
    assert read_header(write_vqc(rich_image())).section_sizes["icc"] < 40
    assert read_header(write_vqc(rich_image())).section_sizes["exif"] == 1 + 4
    file = image()
    file.metadata = {"xmp": bytes(5_000_000)}  # beyond the ratio that readers accept: stored
    assert same(read_vqc(write_vqc(file)), file)


def broken(**changes: object) -> VqcFile:
    file = image()
    for name, value in changes.items():
        setattr(file, name, value)
    return file


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (broken(chunks=[None]), "not complete"),
        (broken(chunks=[Chunk(b"x", (), 0, complete=False)]), "not complete"),
        (broken(chunks=[Chunk(b"x\0", (), 0)]), "zero byte"),
        (broken(chunks=[Chunk(b"x", (), 65536)]), "16 bits"),
        (broken(chunks=[Chunk(b"x", (2, 1), 0)]), "stage_ends"),
        (broken(chunks=[]), "0 chunks"),
        (broken(metadata={"gps": b""}), "unknown metadata"),
        (broken(alpha=np.zeros((40, 48), np.uint8)), "alpha"),
        (broken(header=ImageHeader(48, 40, 90, False, True, MODEL, 3), alpha=np.zeros((40, 47), np.uint8)), "alpha"),
        (broken(header=ImageHeader(0, 40, 90, False, False, MODEL, 3)), "width"),
        (broken(header=ImageHeader(48, 40, 256, False, False, MODEL, 3)), "step"),
        (broken(header=ImageHeader(48, 40, 90, False, False, b"123", 3)), "model_id"),
        (broken(header=ImageHeader(48, 40, 90, False, False, MODEL, 3, 13)), "tile_log2"),
        (broken(header=ImageHeader(4096, 4096, 90, False, False, MODEL, 3, 12)), "cannot hold"),
        (broken(header=AudioHeader(44100, 0, 1, 0, MODEL, 0, 1)), "channels"),
    ],
)
def test_the_writer_refuses(file: VqcFile, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_vqc(file)
