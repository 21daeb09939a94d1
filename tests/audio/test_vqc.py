"""The public functions on sound, with a codec that has learned nothing: lengths, parts, targets, tags, damage."""

from __future__ import annotations

import io
import re
import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.audio.files import SoundSource
from vqcodec.audio.tags import flac_picture
from vqcodec.audio.tries import encode_sound
from vqcodec.bitstream import Chunk, read_vqc, write_vqc
from vqcodec.errors import (
    ChecksumError,
    CorruptError,
    InputError,
    LimitError,
    NotVqcError,
    TruncatedError,
    UnknownModelError,
    UsageError,
    VqcWarning,
)
from vqcodec.quality import quality_of_step, step_of_quality
from vqcodec.registry import AUDIO_MODELS, IMAGE_MODELS
from vqcodec.target import make_aim

# The codec of these tests has learned nothing, so that its files are often larger than FLAC.
pytestmark = pytest.mark.filterwarnings("ignore:.*or keep the source")

RATE = 16_000
TAGS = {"TITLE": ["Tüte"], "ARTIST": ["two\nlines"]}
COVER = flac_picture(3, "image/png", "", b"picture")


def music(seconds: float = 9.0, channels: int = 2, rate: int = RATE) -> np.ndarray:
    t = np.arange(round(seconds * rate))[:, None] / rate
    noise = np.random.default_rng(3).standard_normal((len(t), channels))
    return (0.3 * np.sin(2 * np.pi * 440 * t * (1 + np.arange(channels))) + 0.01 * noise).astype(np.float32)


@pytest.fixture(autouse=True)
def codec(fake_codec):
    return fake_codec


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.flac"
    soundfile.write(path, music(), RATE)
    return path


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("samples", [1, 2, 479, 96_000, 96_001])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_length_rate_and_layout(rate, samples, channels):
    sound = vqcodec.decompress(vqcodec.compress(music(samples / rate, channels, rate), sample_rate=rate))
    assert isinstance(sound, vqcodec.Sound)
    assert sound.samples.shape == (samples, channels)
    assert sound.samples.dtype == np.float32
    assert sound.sample_rate == rate


def test_the_frame_behind_the_last_whole_chunk_is_missed(codec):
    """Of a sound of whole chunks the last one is a frame alone, which ends the samples of the chunk before."""
    data = vqcodec.compress(music(8, 1, codec.core_rate), sample_rate=codec.core_rate)
    for stretch in ({}, {"start": 5.0}, {"end": 7.99}):
        with pytest.warns(VqcWarning, match=r"1 of 3 chunks damaged or missing, concealed: 2 \(from 8\.0 s\)"):
            vqcodec.decompress(data[:-3], allow_truncated=True, **stretch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vqcodec.decompress(data[:-3], allow_truncated=True, end=7.9)


def test_the_sound_comes_back_in_time():
    samples = music(2, rate=44_100)
    samples[:, 1] = 0  # no channel leaks into another
    back = vqcodec.decompress(vqcodec.compress(samples, sample_rate=44_100, quality=100)).samples
    assert np.abs(back - samples)[:, 0].mean() < 0.01
    assert np.abs(back[:, 1]).max() == 0


def test_all_kinds_of_input_agree(clip):
    import torch

    samples, _ = soundfile.read(clip, dtype="float32")
    data = vqcodec.compress(clip)
    with clip.open("rb") as file:
        assert vqcodec.compress(file) == data
    for source in (str(clip), clip.read_bytes(), vqcodec.Sound(samples, RATE)):
        assert vqcodec.compress(source) == data
    for source in (samples, samples.astype(np.float64), torch.from_numpy(samples.T.copy())):
        assert vqcodec.compress(source, sample_rate=RATE) == data
    assert vqcodec.compress(samples[:, 0], sample_rate=RATE) == vqcodec.compress(samples[:, :1], sample_rate=RATE)


def test_pictures_are_still_pictures(photo):
    data = vqcodec.compress(photo)
    with photo.open("rb") as file:
        assert vqcodec.compress(file) == data
    assert vqcodec.compress(photo.read_bytes()) == data
    assert vqcodec.info(data)["kind"] == "image"
    photo.rename(photo.with_suffix(".bin"))
    assert vqcodec.compress(photo.with_suffix(".bin")) == data


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 44_101, 96_000])
def test_a_part_is_a_slice_of_the_whole(codec, rate):
    data = vqcodec.compress(music(13, rate=rate), sample_rate=rate, quality=90)
    whole = vqcodec.decompress(data).samples
    for start, end, chunks in (
        (None, 0.001, {0}),
        (3.9, 4.1, {0, 1}),
        (4.5, 4.6, {1}),
        (5.5, 7.25, {1}),
        (7.999, 8.001, {1, 2}),
        (9, None, {2, 3}),
        (12.9999, 99.0, {3}),
    ):
        codec.decoded.clear()
        part = vqcodec.decompress(data, start=start, end=end).samples
        expected = whole[round((start or 0) * rate) : None if end is None else round(end * rate)]
        assert part.shape == expected.shape
        assert np.abs(part - expected).max() < 2e-6
        assert set(codec.decoded) == chunks


@pytest.mark.parametrize(
    ("start", "end"), [(-1, None), (None, -1), (None, 0), (5, 5), (5, 4), (9, None), (float("nan"), None), (1e99, None)]
)
def test_parts_that_are_none(start, end):
    data = vqcodec.compress(music(), sample_rate=RATE)
    with pytest.raises(UsageError, match=r"out of range|no sound from"):
        vqcodec.decompress(data, start=start, end=end)


def test_a_picture_has_no_seconds(photo):
    with pytest.raises(UsageError, match="picture"):
        vqcodec.decompress(vqcodec.compress(photo), start=1)


def test_streamed_and_whole_agree(tmp_path, clip):
    (tmp_path / "a.vqc").write_bytes(vqcodec.compress(clip))
    stream = vqcodec.stream_sound(tmp_path / "a.vqc")
    assert (stream.sample_rate, stream.channels, stream.samples) == (RATE, 2, 9 * RATE)
    blocks = list(stream.blocks)
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), vqcodec.decompress(tmp_path / "a.vqc").samples)


def test_a_picture_cannot_be_streamed(photo):
    with pytest.raises(InputError, match="picture"):
        vqcodec.stream_sound(vqcodec.compress(photo))


def test_info(clip):
    data = vqcodec.compress(clip, quality=61)
    facts = vqcodec.info(data)
    assert facts["kind"] == "audio"
    assert (facts["sample_rate"], facts["channels"], facts["samples"]) == (RATE, 2, 9 * RATE)
    assert facts["duration"] == 9
    assert facts["step"] == step_of_quality(61)
    assert facts["bytes"] == len(data)
    assert facts["kbps"] == pytest.approx(len(data) * 8 / 9_000, abs=1e-3)
    assert 0 < facts["payload_kbps"] < facts["kbps"]
    assert facts["chunks"] == 3
    assert facts["metadata"] == []
    assert facts["model_name"] is None


@pytest.mark.parametrize("options", [{"quality": 50}, {"target_kbps": 40}])
def test_progress_is_told(clip, options):
    for source in (clip, music(20)):
        told: list[float] = []
        rate = {} if source is clip else {"sample_rate": RATE}
        vqcodec.compress(source, progress=told.append, **options, **rate)
        assert told == sorted(told)
        assert 0 < told[0] <= told[-1] == (1.0 if "quality" in options else pytest.approx(0.6, abs=0.36))


class TestTargets:
    def test_size_and_rate_are_met_from_below(self, codec):
        samples = music()
        middle = vqcodec.compress(samples, sample_rate=RATE, quality=40)
        codec.encodes = 0
        data = vqcodec.compress(samples, sample_rate=RATE, target_size=len(middle))
        assert codec.encodes <= 10
        assert len(data) <= len(middle)
        step = vqcodec.info(data)["step"]
        assert step <= step_of_quality(40)
        finer = vqcodec.compress(samples, sample_rate=RATE, quality=quality_of_step(step - 1))
        assert len(finer) > len(middle)
        rate = len(middle) * 8 / 9_000
        assert vqcodec.compress(samples, sample_rate=RATE, target_kbps=rate + 1e-9) == data

    def test_a_generous_target_gives_the_best(self):
        data = vqcodec.compress(music(1), sample_rate=RATE, target_kbps=1e308)
        assert data == vqcodec.compress(music(1), sample_rate=RATE, quality=100)

    def test_out_of_reach_names_the_nearest(self):
        smallest = len(vqcodec.compress(music(), sample_rate=RATE, quality=1))
        with pytest.raises(UsageError, match="out of reach") as told:
            vqcodec.compress(music(), sample_rate=RATE, target_size=100)
        found = re.search(r"has ([\d,]+) bytes \(([\d.]+) kbit/s", str(told.value))
        assert found
        size, rate = int(found[1].replace(",", "")), float(found[2])
        assert size <= smallest
        assert size * 8 / 9_000 <= rate < size * 8 / 9_000 + 0.01
        assert len(vqcodec.compress(music(), sample_rate=RATE, target_size=size)) == size
        assert len(vqcodec.compress(music(), sample_rate=RATE, target_kbps=rate)) <= rate * 9_000 / 8

    @pytest.mark.parametrize("options", [{"target_bpp": 1}, {"target_psnr": 30}])
    def test_targets_of_pictures(self, options):
        with pytest.raises(UsageError, match="is for pictures"):
            vqcodec.compress(music(1), sample_rate=RATE, **options)

    def test_target_of_sound(self, photo):
        with pytest.raises(UsageError, match=r"photo\.png: target_kbps is for sound"):
            vqcodec.compress(photo, target_kbps=6)

    @pytest.mark.parametrize("options", [{"target_kbps": 0}, {"target_kbps": 6, "quality": 5}, {"quality": 101}])
    def test_out_of_range(self, options):
        with pytest.raises(UsageError):
            vqcodec.compress(music(1), sample_rate=RATE, **options)


class TestUse:
    def test_arrays_need_a_rate(self):
        import torch

        with pytest.raises(UsageError, match="sample_rate"):
            vqcodec.compress(music(1))
        with pytest.raises(UsageError, match="sample_rate"):
            vqcodec.compress(torch.zeros(2, 100))

    def test_files_say_their_own(self, clip):
        with pytest.raises(UsageError, match="leave it out"):
            vqcodec.compress(clip, sample_rate=RATE)

    def test_errors_name_the_file(self, tmp_path, clip):
        with pytest.raises(InputError, match=r"gone\.wav: no such file"):
            vqcodec.compress(tmp_path / "gone.wav")
        with pytest.raises(UsageError, match=r"clip\.flac: .*out of reach"):
            vqcodec.compress(clip, target_size=10)
        with pytest.raises(NotVqcError, match=r"clip\.flac: "):
            vqcodec.decompress(clip)
        (tmp_path / "a.vqc").write_bytes(vqcodec.compress(clip))
        with pytest.raises(UsageError, match=r"a\.vqc: there is no sound"):
            vqcodec.decompress(tmp_path / "a.vqc", start=10)

    def test_limits(self, clip):
        data = vqcodec.compress(clip)
        for function, source in ((vqcodec.compress, clip), (vqcodec.decompress, data), (vqcodec.verify, data)):
            with pytest.raises(LimitError):
                function(source, max_seconds=8)
            function(source, max_seconds=9)


class TestMetadata:
    def test_travels(self, tmp_path):
        vqcodec.Sound(music(1), RATE, TAGS, COVER).save(tmp_path / "a.flac")
        data = vqcodec.compress(tmp_path / "a.flac")
        assert vqcodec.info(data)["metadata"] == ["tags", "picture"]
        sound = vqcodec.decompress(data)
        assert sound.tags == TAGS
        assert sound.cover == b"picture"
        assert vqcodec.decompress(vqcodec.compress(sound)).tags == TAGS
        sound.save(tmp_path / "b.flac")
        assert vqcodec.info(vqcodec.compress(tmp_path / "b.flac"))["metadata"] == ["tags", "picture"]

    def test_is_stripped(self):
        sound = vqcodec.Sound(music(1), RATE, TAGS, COVER)
        assert vqcodec.info(vqcodec.compress(sound, strip=True))["metadata"] == []

    def test_what_is_lost_is_warned_about(self, tmp_path):
        vqcodec.Sound(music(1), RATE, {}, COVER).save(tmp_path / "a.flac")
        data = (tmp_path / "a.flac").read_bytes()
        block = b"\x06" + len(COVER).to_bytes(3, "big") + COVER
        (tmp_path / "a.flac").write_bytes(data[:42] + block + data[42:])
        with pytest.warns(VqcWarning, match=r"a\.flac: only one of its 2 pictures"):
            vqcodec.compress(tmp_path / "a.flac")


class TestDamage:
    @pytest.fixture
    def data(self) -> bytes:
        return vqcodec.compress(music(), sample_rate=RATE)

    def damaged(self, data: bytes, chunk: int) -> bytes:
        """One bit of a chunk's payload flipped."""
        payload = read_vqc(data).chunks[chunk].payload
        out = bytearray(data)
        out[data.index(payload) + 20] ^= 1
        return bytes(out)

    def test_cut(self, data):
        with pytest.raises(TruncatedError):
            vqcodec.verify(data[:-10])
        with pytest.warns(VqcWarning, match=r"2 of 3 chunks damaged or missing, concealed: 1 \(from 4\.0 s\), 2"):
            sound = vqcodec.decompress(data[: len(data) // 2], allow_truncated=True)
        assert sound.samples.shape == (9 * RATE, 2)
        assert np.array_equal(sound.samples[: 3 * RATE], vqcodec.decompress(data).samples[: 3 * RATE])

    def test_bad_bytes(self, tmp_path, data):
        bad = tmp_path / "bad.vqc"
        bad.write_bytes(self.damaged(data, 1))
        for function in (vqcodec.decompress, vqcodec.verify, vqcodec.stream_sound):
            with pytest.raises(ChecksumError, match=r"bad\.vqc: chunk 1: "):
                function(bad)
        with pytest.warns(VqcWarning, match=r"bad\.vqc: 1 of 3 chunks damaged"):
            sound = vqcodec.decompress(bad, conceal=True)
        whole = vqcodec.decompress(data).samples
        assert np.array_equal(sound.samples[8 * RATE + 500 :], whole[8 * RATE + 500 :])
        assert np.abs(sound.samples[5 * RATE : 7 * RATE]).max() == 0
        # Nothing to conceal where it was not asked for.
        assert np.array_equal(vqcodec.decompress(bad, conceal=True, end=2).samples, whole[: 2 * RATE])

    def test_wrong_codes(self, tmp_path, data):
        file = read_vqc(data)
        chunk = file.chunks[2]
        assert isinstance(chunk, Chunk)
        file.chunks[2] = replace(chunk, code_hash=chunk.code_hash ^ 1)
        bad = tmp_path / "bad.vqc"
        bad.write_bytes(write_vqc(file))
        for function in (vqcodec.decompress, vqcodec.verify):
            with pytest.raises(ChecksumError, match=r"bad\.vqc: chunk 2: codes differ"):
                function(bad)
        stream = vqcodec.stream_sound(bad)
        with pytest.raises(ChecksumError, match=r"bad\.vqc: chunk 2: codes differ"):
            list(stream.blocks)

    def test_unknown_model(self, data):
        file = read_vqc(data)
        file.header = replace(file.header, model_id=b"\0\1\2\3")
        with pytest.raises(UnknownModelError, match="00010203"):
            vqcodec.decompress(write_vqc(file))

    def test_models_of_the_other_kind(self, data, photo):
        for mine, other in ((data, IMAGE_MODELS[-1]), (vqcodec.compress(photo), AUDIO_MODELS[-1])):
            file = read_vqc(mine)
            file.header = replace(file.header, model_id=other.identity)
            for function in (vqcodec.decompress, vqcodec.verify):
                with pytest.raises(CorruptError) as caught:
                    function(write_vqc(file))
                assert caught.value.place == "header.model_id"

    def test_every_cut_is_an_error(self):
        data = vqcodec.compress(music(0.01, 1), sample_rate=RATE)
        for length in range(len(data)):
            with pytest.raises(TruncatedError if length else NotVqcError) as caught:
                vqcodec.decompress(data[:length])
            assert caught.value.place


def test_hours_fit_in_memory(codec):
    """A source of half an hour, of which no part is kept: 115 MB of samples go through a few MB."""
    block = np.random.default_rng(0).standard_normal((RATE, 1)).astype(np.float32) * 1e-5

    def blocks():
        for _ in range(1_800):
            yield block

    source = SoundSource(RATE, 1, {}, blocks)
    encode_sound(replace(source, blocks=lambda: iter([block])), make_aim(quality=1), codec)  # imports do not count
    tracemalloc.start()
    data = encode_sound(source, make_aim(quality=1), codec)
    total = 0
    for part in vqcodec.stream_sound(data).blocks:
        total += len(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 1_800 * RATE
    assert peak < 12e6 + 6 * len(data)


def test_seconds_of_an_open_file_are_spooled(clip):
    class OneWay(io.BufferedReader):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation("one way only")

    with OneWay(io.FileIO(clip)) as pipe:
        assert vqcodec.compress(pipe, target_kbps=50) == vqcodec.compress(clip, target_kbps=50)
