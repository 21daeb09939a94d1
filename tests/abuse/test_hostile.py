"""A sample of the hostile files in the suite, and what the dearest files may cost; the large run is abuse.hostile."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from abuse.bases import bases
from abuse.cost import flat_picture, long_hush, long_silence, measure, wrong_sound
from abuse.craft import assemble, crafted
from abuse.hostile import Tally, judge, run
from abuse.mutate import Mutant

import vqcodec
from vqcodec import registry
from vqcodec.bitstream import (
    AudioHeader,
    Chunk,
    ImageHeader,
    Limits,
    RangeDecoder,
    VqcFile,
    read_header,
    read_vqc,
    write_vqc,
)
from vqcodec.errors import ChecksumError, CorruptError, LimitError, VqcWarning
from vqcodec.image.codec import ImageCodec


def test_a_sample_of_hostile_files() -> None:
    tally = run(140, seed=7, outputs_each=50, seconds=40)
    assert not tally.faults, "\n".join(tally.faults)
    assert tally.ends["files"] > 20


def test_the_judge_sees_what_it_should() -> None:
    base = bases()[0]
    other = next(b for b in bases() if b.name == "colour")
    tally = Tally()
    judge(base, Mutant("another file", other.data), tally, mended=False)
    assert tally.faults == ["another file: not detected"]
    judge(base, Mutant("another file", other.data, same_codes=True), tally, mended=True)
    assert tally.faults[1:] == ["another file: other codes under a check that fits"]


def test_every_hostile_file_can_be_made() -> None:
    """Of a small lossless picture, which has small tiles, a large one once had more than a header can say."""
    exact = next(base for base in bases() if base.name == "exact")
    for seed in range(12):
        assert len(list(islice(crafted(exact, np.random.default_rng(seed)), 6))) == 6


@pytest.mark.parametrize("size", [0, 1, 7, 112, 300])
def test_a_tile_of_few_bytes_is_refused_before_it_is_decoded(size: int) -> None:
    """Once the bytes are used up zeros follow, for which a whole megapixel used to be decoded."""
    codec = registry.load_image_codec()
    payload = np.random.default_rng(size).integers(1, 256, size, dtype=np.uint8).tobytes()
    header = ImageHeader(1024, 1024, 255, False, False, codec.model_id, codec.model_hint)
    for gray in (False, True):
        data = assemble(replace(header, gray=gray), [Chunk(payload, (), 0)])
        with pytest.raises(CorruptError, match=r"^chunk 0: .*(cannot hold 1024 x 1024|no encoder writes)"):
            vqcodec.decompress(data)


@pytest.mark.parametrize(("rate", "seconds", "channels"), [(1, 86_400, 1), (24_000, 60, 8), (1_048_575, 3_000, 2)])
def test_sound_of_few_bytes_is_refused(rate: int, seconds: int, channels: int) -> None:
    codec = registry.load_audio_codec()
    header = AudioHeader(rate, channels, rate * seconds, 0, codec.model_id, codec.model_hint, codec.chunk_frames)
    chunks = -(-(50 * seconds + 1) // 200)
    with pytest.raises(CorruptError, match=r"header\.samples: .* cannot come from"):
        vqcodec.decompress(assemble(header, [Chunk(b"\1", (), 0)] * chunks), max_seconds=10**9)
    filled = assemble(header, [Chunk(b"\1" * (40 * channels), (), 0)] * chunks)
    with pytest.raises((CorruptError, LimitError)):
        vqcodec.decompress(filled)


def test_what_encoders_write_is_never_too_short() -> None:
    """The dearest streams that there are: flat and silent, at the finest and the coarsest step."""
    images, sounds = registry.load_image_codec(), registry.load_audio_codec()
    for value in (0, 77, 255):
        for step in (0, 255):
            pixels = np.full((200, 130, 1), value, np.uint8)
            header = ImageHeader(130, 200, step, True, False, images.model_id, 0)
            images.decode_codes(header, images.encode(pixels, step))  # both raise where a stream is refused
    for step in (0, 255):
        chunks = list(sounds.encode([np.full((60_000, 1), 2.0**-16, np.float32)], step))
        header = AudioHeader(48_000, 1, 60_000, step, sounds.model_id, 0, 200)
        assert chunks[0].payload
        assert len(list(sounds.decode_codes(header, chunks))) == 1


def test_the_bound_counts_what_symbols_cost(tiny_codec: ImageCodec) -> None:
    tables = tiny_codec.model.codes.low_tables
    rows = np.zeros(100, np.int32)
    common = np.full(100, int(tables.weights[0].argmax()), np.int32)
    share = tables.weights[0].max() / tables.weights[0].sum()
    assert tables.bits(rows, common) == pytest.approx(-100 * np.log2(share), rel=1e-4)
    with pytest.raises(CorruptError, match="too short"):
        RangeDecoder(b"\1", 10**6).decode(np.zeros(1000, np.int32), tables)
    assert RangeDecoder(b"\1").decode(np.zeros(1000, np.int32), tables).size == 1000  # cut: as far as it reaches


def test_the_dearest_files_cost_what_the_specification_says() -> None:
    """Two megapixels and twelve seconds; generous, because the machine may be busy."""
    picture = flat_picture(1_000)
    assert vqcodec.info(picture)["bytes"] < 1_100
    cost = measure(picture)
    assert cost.memory < 250 * 2**20
    assert cost.seconds < 20
    sound = measure(long_hush(300))
    assert sound.memory < 150 * 2**20
    assert sound.seconds < 10
    silence = measure(long_silence(300, 48_000))
    assert silence.memory < 450 * 2**20
    assert silence.seconds < 10


def test_a_small_file_of_many_pixels_is_refused() -> None:
    data = flat_picture(3_000)
    header = read_header(data).header
    assert isinstance(header, ImageHeader)
    chunk = read_vqc(data).chunks[0]
    assert chunk is not None
    large = assemble(replace(header, width=1024 * 7, height=1024), [chunk] * 7)
    with pytest.raises(
        LimitError,
        match=r"over the limit of 5,\d{3},\d{3} for a file of [23],\d{3} bytes; raise the limit by --max-pixels",
    ):
        read_vqc(large)
    read_vqc(large, limits=Limits(pixels=200_000_000))


def test_a_small_file_of_long_sound_is_refused() -> None:
    """What is nearly silence is the dearest sound that there is."""
    long = assemble(*hush(100))
    with pytest.raises(
        LimitError, match=r"over the limit of \d+ s in all channels together for a file of [\d,]+ bytes; raise"
    ):
        read_vqc(long)
    read_vqc(long, limits=Limits(seconds=10 * 86_400))


def test_a_small_file_of_long_silence_is_refused() -> None:
    data = long_silence(2_000, 48_000)
    header = read_header(data).header
    assert isinstance(header, AudioHeader)
    long = assemble(replace(header, samples=2_000 * 4 * 48_000 - 960), [Chunk(b"", (), 0)] * 2_000)
    slow = assemble(replace(header, sample_rate=1, samples=2_000 * 4 - 1), [Chunk(b"", (), 0)] * 2_000)
    for data in (long, slow):
        with pytest.raises(LimitError, match=r"samples of silence.*: over the limit of [\d,]+ in all channels"):
            read_vqc(data)
    read_vqc(long, limits=Limits(seconds=10 * 86_400))


def hush(count: int) -> tuple[AudioHeader, list[Chunk]]:
    """So many chunks of 4 s and 100 bytes, too few for what the limits take to be no silence."""
    codec = registry.load_audio_codec()
    samples = (count * codec.chunk_frames - 1) * codec.hop
    header = AudioHeader(codec.core_rate, 1, samples, 255, codec.model_id, codec.model_hint, codec.chunk_frames)
    return header, [Chunk(bytes(99) + b"\1", (), 0)] * count


def test_a_long_hush_is_filled_up_and_opens() -> None:
    header, chunks = hush(40)
    long = VqcFile(header, list(chunks))
    data = write_vqc(long)
    assert read_header(data).section_sizes.keys() == {"filler"}
    assert read_vqc(data).chunks == long.chunks
    assert write_vqc(read_vqc(data)) == data
    assert vqcodec.info(data)["metadata"] == []
    cut = read_vqc(data[:-5], allow_truncated=True, limits=Limits(seconds=10**6))
    assert cut.lost == []


def test_what_is_no_sound_costs_a_concealing_reader_little() -> None:
    """Every chunk used to be synthesised, found to be codes or not."""
    cost = measure(wrong_sound(2_000, 8), conceal=True)
    assert cost.seconds < 0.3 * measure(long_hush(2_000, 48_000, 8)).seconds


def test_a_large_flat_picture_is_filled_up_and_opens() -> None:
    data = flat_picture(3_000)
    file = read_vqc(data)
    assert isinstance(file.header, ImageHeader)
    wide = VqcFile(replace(file.header, width=1024 * 7, height=1024), file.chunks[:1] * 7)
    written = write_vqc(wide)
    assert read_header(written).section_sizes.keys() == {"filler"}
    assert read_vqc(written).chunks == wide.chunks
    assert write_vqc(read_vqc(written)) == written
    assert vqcodec.info(written)["metadata"] == []
    cut = read_vqc(written[:-5], allow_truncated=True, limits=Limits(pixels=200_000_000))
    assert cut.lost == []


def test_wrong_codes_of_sound_are_concealed_where_that_was_asked_for() -> None:
    base = next(b for b in bases() if b.name == "mono")
    codec = registry.load_audio_codec()
    samples = np.random.default_rng(0).normal(0, 0.05, (400_000, 1)).astype(np.float32)
    chunks = list(codec.encode([samples], 200))
    header = replace(base.file.header, sample_rate=48_000, samples=len(samples), step=200)
    chunks[1] = replace(chunks[1], code_hash=chunks[1].code_hash ^ 1)
    data = assemble(header, chunks)
    with pytest.raises(ChecksumError, match="chunk 1"):
        vqcodec.decompress(data)
    with pytest.warns(VqcWarning, match=r"the codes of chunk 1 \(from 4\.0 s\) are wrong: concealed"):
        sound = vqcodec.decompress(data, conceal=True)
    assert np.abs(sound.samples[:190_000]).max() > 0.01
    assert np.abs(sound.samples[194_000:380_000]).max() < 0.01


def test_nothing_of_a_sound_left_is_an_error() -> None:
    base = next(b for b in bases() if b.name == "mono")
    broken = bytearray(base.data)
    broken[-6] ^= 1
    with pytest.raises(ChecksumError, match="nothing of the sound can be recovered"):
        vqcodec.decompress(bytes(broken), conceal=True)


def test_lost_tags_of_a_sound_are_warned_of() -> None:
    base = next(b for b in bases() if b.name == "stereo")
    at = base.data.index(b"TITLE")
    broken = base.data[:at] + b"X" + base.data[at + 1 :]
    with pytest.warns(VqcWarning, match="its tags are lost"):
        assert vqcodec.decompress(broken, conceal=True).tags == {}
