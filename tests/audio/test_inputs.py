"""Sounds that are not as they should be: lengths, pad bytes, tags, layouts, limits."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio.containers import COMM, DATA, FMT, PCM, RATE, SSND, aiff, chunk, fmt, frame, id3, info, w64, wav
from audio.reading import CASES, COVER, PROMISED, UNKNOWN, assert_all_there, read

import vqcodec
from vqcodec.audio import vqc
from vqcodec.audio.files import Sound, array_source
from vqcodec.audio.layout import DEFAULT_MASKS, MASK_TAG
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import flac_picture
from vqcodec.bitstream import Chunk, read_vqc, write_vqc
from vqcodec.errors import InputError, LimitError, UsageError, VqcWarning


@pytest.mark.parametrize("family", [b"RIFF", b"RIFX", b"RF64", b"BW64"])
@pytest.mark.parametrize(
    ("claim", "there", "note"),
    [
        (2_000, 1_000, ""),
        (0, 1_000, UNKNOWN),
        (0xFFFF_FFFF, 1_000, UNKNOWN),
        (0x7FFF_F000, 1_000, UNKNOWN),
        (5_000, 1_000, PROMISED),
        (2_000, 400, PROMISED),
        (2_000, 0, None),
    ],
)
def test_length_of_a_wav(family, claim, there, note):
    order = ">" if family == b"RIFX" else "<"
    data = PCM[:there].astype(order + "i2").tobytes()
    chunks = [chunk(b"fmt ", fmt(order=order), order=order)]
    if family in (b"RF64", b"BW64") and claim == 2_000:
        chunks.insert(0, chunk(b"ds64", struct.pack("<QQQI", 2_100, 2_000, 1_000, 0)))
        claim = 0xFFFF_FFFF
    content = wav(*chunks, chunk(b"data", data, size=claim, order=order), family=family)
    if note is None:
        with pytest.raises(InputError, match="holds no samples"):
            read(content)
    else:
        assert_all_there(content, note, there)


@pytest.mark.parametrize(
    ("claim", "there", "note"), [(2_000, 1_000, ""), (0, 1_000, UNKNOWN), (-24, 1_000, UNKNOWN), (2_000, 400, PROMISED)]
)
def test_length_of_a_w64(claim, there, note):
    assert_all_there(w64((b"fmt ", FMT[8:], None), (b"data", PCM[:there].tobytes(), claim)), note, there)


@pytest.mark.parametrize(
    ("claim", "there", "note"),
    [(None, 1_000, ""), (0, 1_000, UNKNOWN), (9_000, 1_000, PROMISED), (2_008, 400, PROMISED)],
)
def test_length_of_an_aiff(claim, there, note):
    assert_all_there(aiff(COMM, chunk(b"SSND", SSND[: 8 + 2 * there], size=claim, order=">")), note, there)


@pytest.mark.parametrize(("claim", "note"), [(2_000, ""), (0xFFFF_FFFF, ""), (9_000, PROMISED)])
def test_length_of_an_au(claim, note):
    head = struct.pack(">4s5I", b".snd", 24, claim, 3, RATE, 1)
    assert_all_there(head + PCM.astype(">i2").tobytes(), note)


@pytest.mark.parametrize(("claim", "note"), [(2_004, ""), (2**64 - 1, ""), (9_000, PROMISED)])
def test_length_of_a_caf(claim, note):
    layout = struct.pack(">d4s5I", RATE, b"lpcm", 0, 2, 1, 1, 16)
    content = b"caff\0\1\0\0" + struct.pack(">4sQ", b"desc", 32) + layout + struct.pack(">4sQ", b"data", claim)
    assert_all_there(content + bytes(4) + PCM.astype(">i2").tobytes(), note)


@pytest.mark.parametrize(
    "chunks",
    [
        [FMT, chunk(b"JUNK", b"abc", pad=False), DATA],
        [chunk(b"JUNK", b"abc", pad=False), FMT, DATA],
        [FMT, info((b"INAM", b"abc"), pad=False), DATA],
        [FMT, DATA, chunk(b"JUNK", b"abc")],
        [FMT, chunk(b"JUNK", b"abc")[:-1] + b"\xff", DATA],  # padded, not by a zero
        [FMT, DATA, info((b"INAM", b"abc\0"))],
    ],
)
def test_pad_bytes_of_a_wav(chunks):
    assert_all_there(wav(*chunks))


def test_pad_bytes_of_an_aiff():
    name = chunk(b"NAME", b"abc", pad=False, order=">")
    content = aiff(name, COMM, chunk(b"SSND", SSND, order=">"))
    assert_all_there(content)
    assert read(content)[1].metadata == {"tags": b"TITLE=abc\n"}


def test_a_wav_that_is_really_empty():
    with pytest.raises(InputError, match="holds no samples"):
        read(wav(FMT, chunk(b"data", b""), info((b"INAM", b"abc\0"))))


def test_24_bits_and_compressed_samples_are_shown_as_they_are():
    """What is wrong with the header must not change how samples are read."""
    wide = (PCM.astype("<i4") << 16).tobytes()
    packed = b"".join(wide[i + 1 : i + 4] for i in range(0, len(wide), 4))
    assert_all_there(wav(chunk(b"fmt ", fmt(bits=24)), chunk(b"data", packed, size=0)), UNKNOWN)
    file = io.BytesIO()
    soundfile.write(file, PCM, RATE, format="WAV", subtype="IMA_ADPCM")
    content = file.getvalue()
    place = content.index(b"data") + 4
    expected, _ = read(content)
    got, sound = read(content[:place] + bytes(4) + content[place + 4 :])
    assert np.array_equal(got[: len(expected)], expected)
    assert sound.notes[0].startswith(UNKNOWN)


class TestFlac:
    @pytest.fixture
    def plain(self) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, PCM, RATE, format="FLAC")
        return file.getvalue()

    def test_unknown_length(self):
        samples, sound = read(CASES / "15-flac-unknown-length.flac")
        assert samples.shape == (16_000, 1)
        assert sound.notes == ()

    def test_behind_id3(self, plain):
        tag = id3(3, frame(3, b"TIT2", b"\0abc"))
        assert_all_there(tag + plain)
        assert read(tag * 2 + plain)[1].metadata == {"tags": b"TITLE=abc\n"}

    @pytest.mark.parametrize("body", [b"", b"\0\0\0\3\xff\xff\xff\xff", COVER[:-3], COVER + b"more"])
    def test_a_damaged_picture_does_not_cost_the_sound(self, plain, body):
        block = b"\x06" + len(body).to_bytes(3, "big") + body
        for tag in (b"", id3(3, frame(3, b"TIT2", b"\0abc"))):
            assert_all_there(
                tag + plain[:42] + block + plain[42:], lost="" if body[:-4] == COVER else "not kept: a pict"
            )

    def test_damaged_comments_do_not_cost_the_sound(self, plain):
        block = b"\x04\0\0\x0c" + struct.pack("<III", 0, 5, 2**31)
        assert_all_there(plain[:42] + block + plain[42:])

    def test_a_cut_file(self, plain):
        with pytest.raises(InputError, match="is the file whole"):
            read(plain[: len(plain) // 2])
        known = plain.replace(struct.pack(">I", len(PCM)), struct.pack(">I", 5_000), 1)
        with pytest.raises(InputError, match=r"ends after 1,000 of 5,000 samples; is the file whole\?"):
            read(known)


FREQUENCIES = [300, 600, 900, 80, 1_200, 1_500, 1_800, 2_100]


@pytest.mark.parametrize("name", [f"{kind}.{suffix}" for kind, suffix in (("vorbis", "ogg"), ("opus", "opus"))])
@pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
def test_vorbis_and_opus_come_in_wave_order(name, channels):
    """Files made by another encoder from a WAV file with one tone in each channel, bass in the fourth."""
    samples, sound = read(CASES / name.replace(".", f"-{channels}."))
    spectrum = np.abs(np.fft.rfft(samples[2_000:10_000], n=48_000, axis=0))
    expected = FREQUENCIES[:3] + FREQUENCIES[4:5] + FREQUENCIES[5:6] if channels == 5 else FREQUENCIES[:channels]
    assert np.allclose(spectrum.argmax(0), expected, atol=2)
    assert sound.channels == channels


class TestLayout:
    def tone(self, channels: int) -> np.ndarray:
        return np.repeat(PCM[:, None] / np.float32(32_768), channels, 1) * np.linspace(
            0.1, 1, channels, dtype=np.float32
        )

    def fields(self, path: Path) -> tuple[int, ...]:
        data = path.read_bytes()
        return struct.unpack_from("<HH", data, 20) + struct.unpack_from("<I", data, 40)

    @pytest.mark.parametrize("channels", range(3, 9))
    def test_more_than_two_channels_are_extensible(self, tmp_path, channels):
        Sound(self.tone(channels), RATE).save(tmp_path / "a.wav")
        assert self.fields(tmp_path / "a.wav") == (0xFFFE, channels, DEFAULT_MASKS[channels])
        samples, sound = read(tmp_path / "a.wav")
        assert np.allclose(samples, self.tone(channels), atol=1e-4)
        assert sound.metadata == {}
        assert soundfile.info(tmp_path / "a.wav").format == "WAVEX"

    @pytest.mark.parametrize("channels", [1, 2])
    def test_two_channels_are_not(self, tmp_path, channels):
        Sound(self.tone(channels), RATE).save(tmp_path / "a.wav")
        assert self.fields(tmp_path / "a.wav")[:2] == (1, channels)

    @pytest.mark.parametrize(("channels", "mask"), [(4, 0x107), (6, 0x60F), (2, 0x600), (3, 0), (1, 0x8)])
    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    @pytest.mark.parametrize("strip", [False, True])
    def test_other_speakers_travel(self, tmp_path, fake_codec, channels, mask, suffix, strip):
        data = np.rint(self.tone(channels) * 32_768).astype("<i2").tobytes()
        (tmp_path / "in.wav").write_bytes(
            wav(chunk(b"fmt ", fmt(channels, mask)), info((b"INAM", b"abc\0")), chunk(b"data", data))
        )
        sound = vqcodec.decompress(vqcodec.compress(tmp_path / "in.wav", strip=strip))
        assert sound.channel_mask == mask
        assert ("TITLE" in sound.tags) is not strip
        sound.save(tmp_path / f"out{suffix}")
        _, back = read(tmp_path / f"out{suffix}")
        assert f"{MASK_TAG}=0x{mask:X}\n".encode() in back.metadata["tags"]
        if suffix == ".wav":
            assert self.fields(tmp_path / "out.wav") == (0xFFFE, channels, mask)

    def test_the_usual_speakers_need_no_tag(self, tmp_path, fake_codec):
        sound = vqcodec.decompress(vqcodec.compress(CASES / "18-quad-mask33.wav"))
        assert sound.tags == {}
        assert sound.channel_mask == 0x33
        sound.save(tmp_path / "a.wav")
        assert self.fields(tmp_path / "a.wav") == (0xFFFE, 4, 0x33)

    @pytest.mark.parametrize("text", ["no number", "0xFFFFFFFFFFF", "-1", "0xFF"])
    def test_speakers_that_cannot_be(self, text):
        assert Sound(self.tone(4), RATE, {MASK_TAG: [text]}).channel_mask == 0x33


class TestLimits:
    def test_samples_of_all_channels_count(self):
        with pytest.raises(LimitError, match=r"the array: .* samples of 8 channels.*--max-seconds"):
            array_source(np.zeros((2 * 96_000, 8), np.int16), 192_000, max_seconds=2)
        array_source(np.zeros((24_000, 8), np.int16), 48_000, max_seconds=2)

    def test_a_small_file_may_not_ask_for_all_memory(self, fake_codec):
        data = vqcodec.compress(np.zeros((48_000 * 60, 2), np.int16), sample_rate=48_000)
        assert vqcodec.decompress(data).samples.shape == (48_000 * 60, 2)
        large = SoundStream(48_000, 2, 2**28, iter([]))
        with pytest.raises(LimitError, match=r"2\.0 GiB of samples from 12,600 bytes .* stream_sound"):
            vqc.collect(large, [Chunk(bytes(12_600), (), 0), None])

    def test_no_memory(self, monkeypatch):
        def refuse(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(vqc.np, "empty", refuse)
        with pytest.raises(LimitError, match="too much for memory"):
            vqc.collect(SoundStream(48_000, 2, 2**20, iter([])), [])


def test_a_cover_that_is_larger_than_the_target_names_the_remedy(fake_codec):
    sound = Sound(
        PCM[:, None] / np.float32(32_768), RATE, {}, flac_picture(3, "", "", np.random.default_rng(1).bytes(9_000))
    )
    with pytest.raises(UsageError, match=r"out of reach.*leave out its picture \(9,\d\d\d bytes\) by --strip"):
        vqcodec.compress(sound, target_size=5_000)
    assert len(vqcodec.compress(sound, target_size=5_000, strip=True)) <= 5_000
    with pytest.raises(UsageError) as caught:
        vqcodec.compress(sound, target_size=20)
    assert "--strip" not in str(caught.value)


def test_more_tags_than_are_kept_are_warned_of(fake_codec):
    file = read_vqc(vqcodec.compress(PCM, sample_rate=RATE))
    data = write_vqc(replace(file, metadata={"tags": b"A=b\n" * 200_000}))
    with pytest.warns(VqcWarning, match="only the first 65,536 of its tags"):
        assert len(vqcodec.decompress(data).tags["A"]) == 65_536


def test_stripped_of_metadata_nothing_is_said_about_them(tmp_path, fake_codec, recwarn):
    content = wav(FMT, chunk(b"bext", bytes(602)), chunk(b"data", PCM.tobytes(), size=0))
    (tmp_path / "a.wav").write_bytes(content)
    vqcodec.compress(tmp_path / "a.wav", strip=True)
    assert [str(warning.message).split(": ")[1].split(";")[0] for warning in recwarn.list] == [UNKNOWN]
    recwarn.clear()
    vqcodec.compress(tmp_path / "a.wav")
    assert [str(warning.message).split(": ")[1] for warning in recwarn.list][1] == "not kept"
