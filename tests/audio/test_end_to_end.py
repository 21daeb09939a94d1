"""Sound through the real codec: what the codec and all around it promise together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from abuse.mutate import bit_flips, check_mutations, truncations
from command_line import vqc

import vqcodec
from vqcodec.bitstream import read_vqc, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, DecodeError, TruncatedError, UsageError, VqcWarning

RATE = 16_000
quiet = pytest.mark.filterwarnings("ignore::vqcodec.errors.VqcWarning")


def voice(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A buzz that comes and goes, with a little noise; each channel another pitch."""
    t = np.arange(round(seconds * rate))[:, None] / rate
    pitch = 2 * np.pi * 120 * (1 + 0.5 * np.arange(channels))
    buzz = sum(np.sin(k * pitch * t) / k for k in range(1, 12)) * np.abs(np.sin(5 * t))
    return (0.2 * buzz + np.random.default_rng(0).normal(0, 0.002, buzz.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def data() -> bytes:
    """9 s in three chunks."""
    return vqcodec.compress(voice(9), sample_rate=RATE, quality=20)


@pytest.fixture(scope="module")
def whole(data) -> np.ndarray:
    return vqcodec.decompress(data).samples


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (24_000, 3), (44_100, 2), (192_000, 1)])
@pytest.mark.parametrize("samples", [1, 479, 4_801])
def test_every_length_rate_and_layout(rate, channels, samples):
    given = voice(samples / rate, rate, channels)
    sound = vqcodec.decompress(vqcodec.compress(given, sample_rate=rate, quality=50))
    assert sound.samples.shape == (samples, channels)
    assert sound.sample_rate == rate
    assert np.isfinite(sound.samples).all()


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_better_with_quality_and_in_time(rate, channels):
    given = voice(2, rate, channels)
    ratios, sizes = [], []
    for quality in (10, 60, 100):
        data = vqcodec.compress(given, sample_rate=rate, quality=quality)
        error = vqcodec.decompress(data).samples - given
        ratios.append(10 * np.log10((given**2).sum() / (error**2).sum()))
        sizes.append(len(data))
    assert ratios == sorted(ratios)
    assert ratios[-1] > 15  # a shift by one sample would cost more
    assert sizes == sorted(set(sizes))


def test_rate_target():
    data = vqcodec.compress(voice(4), sample_rate=RATE, target_kbps=8)
    assert 7 < vqcodec.info(data)["kbps"] <= 8


@pytest.mark.parametrize(("start", "end"), [(None, 0.5), (3.9, 4.2), (5, 5.001), (8.5, None)])
def test_a_part_is_a_slice_of_the_whole(data, whole, start, end):
    part = vqcodec.decompress(data, start=start, end=end).samples
    expected = whole[round((start or 0) * RATE) : None if end is None else round(end * RATE)]
    assert part.shape == expected.shape
    assert np.abs(part - expected).max() < 1e-4


def test_silence_is_silent_and_small():
    data = vqcodec.compress(np.zeros((48_000 * 10, 2), np.float32), sample_rate=48_000)
    assert vqcodec.info(data)["kbps"] < 1
    assert np.abs(vqcodec.decompress(data).samples).max() < 1e-4


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("samples", [1, 2, 50])
def test_few_samples_are_exact_where_that_is_smaller(samples, dtype):
    sound = np.zeros(samples, dtype)
    sound[0] = 0.5 if dtype == np.float32 else 2**14
    small = vqcodec.compress(sound, sample_rate=44_100)
    assert len(small) <= 60
    assert vqcodec.info(small)["lossless"]
    assert vqcodec.decompress(small).samples[:, 0].tolist() == [0.5] + [0] * (samples - 1)
    for target in ({"target_size": 60}, {"target_size": 1_000}):
        assert vqcodec.compress(sound, sample_rate=44_100, **target) == small
    with pytest.raises(UsageError, match=rf"has {len(small)} bytes \(.*exact\)"):
        vqcodec.compress(sound, sample_rate=44_100, target_size=len(small) - 1)


def test_few_samples_are_coded_where_exact_ones_are_larger_or_clipped():
    noise = np.random.default_rng(1).uniform(-1, 1, 4_000).astype(np.float32)
    assert not vqcodec.info(vqcodec.compress(noise, sample_rate=RATE))["lossless"]
    assert not vqcodec.info(vqcodec.compress(np.full(1, 1.5, np.float32), sample_rate=RATE))["lossless"]


def test_info_names_the_model(data):
    facts = vqcodec.info(data)
    assert facts["model_name"] == "audio-5"
    assert facts["chunks"] == 3


def test_command_line(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(1), RATE)
    assert vqc("compress", tmp_path / "a.wav", tmp_path / "a.vqc", "--target-kbps", 10).exit_code == 0
    assert vqc("verify", tmp_path / "a.vqc").exit_code == 0
    assert "audio-5" in vqc("info", tmp_path / "a.vqc").stdout
    assert vqc("decompress", tmp_path / "a.vqc", tmp_path / "b.flac").exit_code == 0
    assert soundfile.info(tmp_path / "b.flac").frames == RATE


class TestDamage:
    def test_a_part_needs_only_its_own_chunks(self, data, whole):
        """Chunk 1 is whole, and its part is had without leave to conceal; not what lies near the others."""
        bad = bytearray(data)
        for index in (0, 2):
            bad[data.index(read_vqc(data).chunks[index].payload) + 20] ^= 1
        part = vqcodec.decompress(bytes(bad), start=4.5, end=7.5).samples
        assert np.abs(part - whole[round(4.5 * RATE) : round(7.5 * RATE)]).max() < 1e-6
        for stretch, place in (({}, 0), ({"start": 4.2}, 0), ({"start": 4.5}, 2), ({"start": 5, "end": 7.8}, 2)):
            with pytest.raises(ChecksumError, match=f"chunk {place}: bytes were damaged"):
                vqcodec.decompress(bytes(bad), **stretch)

    def test_a_part_of_a_cut_file(self, data, whole):
        cut = data[: data.index(read_vqc(data).chunks[2].payload) + 20]
        part = vqcodec.decompress(cut, start=1, end=7.5).samples
        assert np.abs(part - whole[RATE : round(7.5 * RATE)]).max() < 1e-6
        for stretch in ({"start": 1, "end": 7.8}, {"start": 1, "conceal": True}):
            with pytest.raises(TruncatedError, match=r"chunk 2: the file ends after \d+ of \d+ bytes"):
                vqcodec.decompress(cut, **stretch)
        with pytest.warns(VqcWarning, match=r"concealed: 2 \(from 8\.0 s\)"):
            vqcodec.decompress(cut, start=1, allow_truncated=True)

    def test_flips_and_cuts_name_their_place(self, data):
        small = vqcodec.compress(voice(0.05), sample_rate=RATE, quality=20)
        assert check_mutations(small, vqcodec.decompress) == 9 * len(small)
        assert check_mutations(data, vqcodec.decompress, flips=200, cuts=50) == 250
        assert check_mutations(data, vqcodec.verify, flips=20, cuts=10, seed=1) == 30

    def test_wrong_codes_under_right_check_sums(self):
        """Bits of the stream flipped, its CRC repaired: an error in the chunk or, in the last bits, the same codes."""
        data = vqcodec.compress(voice(0.3), sample_rate=RATE, quality=30)
        file, expected = read_vqc(data), vqcodec.decompress(data).samples
        (chunk,) = file.chunks
        assert chunk is not None
        harmless, places = 0, set()
        for mutant in bit_flips(chunk.payload, 100):
            if mutant.data[-1] == 0:
                continue
            try:
                sound = vqcodec.decompress(write_vqc(replace(file, chunks=[replace(chunk, payload=mutant.data)])))
            except DecodeError as error:
                places.add(error.place)
                continue
            assert np.array_equal(sound.samples, expected), mutant.what
            harmless += 1
        assert harmless <= 3
        assert places == {"chunk 0"}

    @pytest.mark.parametrize(
        ("change", "place", "words"),
        [
            ({"step": 3}, "chunk 0", "not those that were written|no encoder writes"),  # either, by the codes
            ({"channels": 2}, "chunk 0", "not those that were written|no encoder writes"),
            ({"samples": 1}, "header.chunks", "3 chunks do not make 1 samples"),
            ({"samples": 13 * RATE}, "header.chunks", "3 chunks do not make 208000 samples"),
            ({"sample_rate": 48_000}, "header.chunks", "3 chunks do not make 144000 samples"),
            ({"chunk_frames": 100}, "header.chunk_frames", "chunks of 100 frames, this model has 200"),
        ],
    )
    def test_headers_that_do_not_fit_the_codes(self, data, change, place, words):
        file = read_vqc(data)
        with pytest.raises((ChecksumError, CorruptError), match=words) as caught:
            vqcodec.decompress(write_vqc(replace(file, header=replace(file.header, **change))))
        assert caught.value.place == place

    def test_a_bad_chunk_is_reported_or_concealed(self, data, whole):
        payload = read_vqc(data).chunks[1].payload
        bad = bytearray(data)
        bad[data.index(payload) + 20] ^= 1
        with pytest.raises(ChecksumError, match="chunk 1"):
            vqcodec.decompress(bytes(bad))
        with pytest.warns(VqcWarning, match="1 of 3 chunks"):
            sound = vqcodec.decompress(bytes(bad), conceal=True)
        far = np.r_[0 : 3 * RATE, len(whole) - RATE // 2 : len(whole)]
        assert np.array_equal(sound.samples[far], whole[far])
        assert np.abs(sound.samples[5 * RATE : 7 * RATE]).max() < 1e-3

    @quiet
    def test_lenient_reading_gives_sound_or_decode_errors(self, data, whole):
        decoded, places = 0, {"header"}
        for mutant in [*bit_flips(data, 12), *truncations(data, 12)]:
            try:
                sound = vqcodec.decompress(mutant.data, allow_truncated=True, conceal=True)
            except DecodeError as error:
                places.add(error.place)
                continue
            assert sound.samples.shape == whole.shape
            assert np.isfinite(sound.samples).all()
            decoded += 1
        assert decoded > 10
        assert all(places)
