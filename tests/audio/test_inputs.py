"""Sounds that are not as they should be, or not in the order or the format that they should be in."""

from __future__ import annotations

import io
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio.containers import COMM, DATA, FMT, PCM, RATE, SSND, aiff, chunk, fmt, frame, id3, info, w64, wav

import vqcodec
from vqcodec.audio import vqc
from vqcodec.audio.files import Sound, SoundSource, array_source, open_sound, sound_source
from vqcodec.audio.layout import DEFAULT_MASKS, MASK_TAG
from vqcodec.audio.metadata import read_metadata
from vqcodec.audio.save import save_sound
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import METADATA_BYTES, flac_picture
from vqcodec.bitstream import Chunk, read_vqc, write_vqc
from vqcodec.errors import InputError, LimitError, UsageError, VqcWarning
from vqcodec.kinds import is_sound

CASES = Path(__file__).parent / "cases"
COVER = flac_picture(3, "image/png", "", b"\x89PNG picture")
DAY = 86_400
UNKNOWN = "its header does not say how much sound it holds"
PROMISED = "its header promises"


def read(source, **options) -> tuple[np.ndarray, SoundSource]:
    with open_sound(source, max_seconds=DAY, **options) as sound:
        return np.concatenate(list(sound.blocks())), sound


def assert_all_there(content: bytes, note: str = "", samples: int = len(PCM), lost: str = "") -> None:
    """The file gives its first samples, and says what is wrong with it and nothing else."""
    got, sound = read(content)
    assert np.array_equal(got[:, 0] * 32_768, PCM[:samples])
    expected = [start for start in (note, lost) if start]
    assert len(sound.notes) == len(expected)
    assert all(text.startswith(start) for text, start in zip(sound.notes, expected, strict=True))


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


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """A program in its place that writes what it is told to, as W64 and FLAC."""
    (tmp_path / "bin").mkdir()
    soundfile.write(tmp_path / "s.w64", PCM, RATE, format="W64", subtype="PCM_16")
    Sound(PCM[:100, None] / np.float32(32_768), RATE, {"TITLE": ["abc"]}, COVER).save(tmp_path / "t.flac")
    program = tmp_path / "bin" / "ffmpeg"

    def make(script: str) -> None:
        program.write_text(f'#!/bin/sh\nfor out; do :; done\nout="${{out#file:}}"\n{script}\n')
        program.chmod(0o755)

    make(f'case "$out" in *.w64) cp {tmp_path}/s.w64 "$out";; *) cp {tmp_path}/t.flac "$out";; esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return make


class TestCut:
    """What is missing of a sound that can be decoded as far as it goes is told."""

    @pytest.mark.parametrize(("kind", "subtype"), [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")])
    def test_in_the_middle(self, kind, subtype):
        buffer = io.BytesIO()
        noise = 0.1 * np.random.default_rng(0).normal(size=(2, 48_000 * 2)).T
        soundfile.write(buffer, noise, 48_000, format=kind, subtype=subtype)
        content = buffer.getvalue()
        assert read(content)[1].notes == ()
        assert read(content + b"TAG".ljust(128, b"\0"))[1].notes == ()
        samples, sound = read(content[: len(content) * 2 // 3])
        assert 24_000 < len(samples) < 90_000
        (note,) = sound.notes
        assert note.endswith("was it cut?")

    @pytest.mark.parametrize("rate", [44_100, 24_000, 11_025])
    def test_mp3_without_a_header(self, tmp_path, rate):
        buffer, path = io.BytesIO(), tmp_path / "a.mp3"
        soundfile.write(buffer, 0.1 * np.random.default_rng(0).normal(size=2 * rate), rate, format="MP3")
        content = buffer.getvalue()
        bare = content[content.index(content[:2], 4) :]
        for there, note in (
            (bare, ""),
            (bare + b"TAG".ljust(128, b"\0"), ""),
            (bare[:-1], "its last frame is not all there; was it cut?"),
            (bare[:-1] + b"TAG".ljust(128, b"\0"), "its last frame is not all there; was it cut?"),
            (bare + b"something else", ""),
        ):
            path.write_bytes(there)
            assert read_metadata(path).note == note

    @pytest.mark.parametrize(
        ("head", "promised"),
        [
            (b"Xing" + struct.pack(">3I", 3, 9, 5_000), 5_000),
            (b"Info" + struct.pack(">2I", 2, 5_000), 5_000),
            (b"Info" + struct.pack(">2I", 1, 5_000), 0),
            (b"VBRI" + bytes(6) + struct.pack(">I", 5_000), 5_000),
            (b"Xing", 0),
        ],
    )
    def test_headers_of_mp3(self, tmp_path, head, promised):
        path = tmp_path / "a.mp3"
        start = b"\xff\xfb\x90\x00" + bytes(32) + head
        path.write_bytes(id3(4, frame(4, b"TIT2", b"\3a")) + start.ljust(5_000, b"\0"))
        assert read_metadata(path).note == ""
        path.write_bytes(id3(4, frame(4, b"TIT2", b"\3a")) + start.ljust(4_000, b"\0"))
        assert bool(read_metadata(path).note) is bool(promised)

    def test_by_ffmpeg(self, ffmpeg, tmp_path):
        ffmpeg(
            'echo "[matroska,webm @ 0x560b3d5a5880] File ended prematurely" >&2\n'
            f'case "$out" in *.w64) cp {tmp_path}/s.w64 "$out";; *) cp {tmp_path}/t.flac "$out";; esac'
        )
        _, sound = read(FOREIGN["mp4"])
        assert sound.notes == ("it is damaged, and what is left is read (File ended prematurely); was it cut?",)

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
    @pytest.mark.parametrize("suffix", ["wma", "aac"])
    def test_by_the_real_program(self, suffix):
        content = (CASES / f"tone.{suffix}").read_bytes()
        _, sound = read(content[: len(content) * 2 // 3 + 5])
        assert [note for note in sound.notes if note.endswith("was it cut?")]


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


class TestOut:
    @pytest.mark.parametrize("bits", [16, 24])
    def test_many_tags_do_not_hide_the_samples_of_a_wav(self, tmp_path, bits):
        """Behind 64 KiB of short ones the library finds no samples, so they go to the end."""
        path = tmp_path / "a.wav"
        samples = PCM[:999, None] / np.float32(32_768)
        Sound(samples, RATE, {"TITLE": ["========="] * 9_000, "ARTIST": ["me"]}, bits=bits).save(path)
        assert np.array_equal(soundfile.read(path, always_2d=True)[0], samples)
        content = path.read_bytes()
        assert int.from_bytes(content[4:8], "little") == len(content) - 8
        got, sound = read(path)
        assert np.array_equal(got, samples)
        assert sound.notes == ()
        assert sound.metadata["tags"].count(b"TITLE=") == 9_000
        assert sound.metadata["tags"].endswith(b"ARTIST=me\n")

    def stream(self, tags=None, picture: bytes | None = None) -> SoundStream:
        return SoundStream(RATE, 1, len(PCM), iter([PCM[:, None] / np.float32(32_768)]), tags or {}, picture)

    @pytest.mark.parametrize("picture", [b"", b"\0\0\0\3\xff\xff\xff\xff", COVER[:-3], flac_picture(3, "a", "b", b"")])
    def test_a_damaged_picture_is_not_written(self, tmp_path, picture):
        notes = save_sound(self.stream({"TITLE": ["x"]}, picture), tmp_path / "a.flac", force=False)
        assert notes == ["its cover picture is damaged: dropped"]
        assert soundfile.info(tmp_path / "a.flac").frames == len(PCM)
        assert_all_there((tmp_path / "a.flac").read_bytes())

    def test_what_follows_a_picture_is_not_written(self, tmp_path):
        assert save_sound(self.stream({}, COVER + b"more"), tmp_path / "a.flac", force=False) == []
        assert read(tmp_path / "a.flac")[1].metadata == {"picture": COVER}

    def test_more_tags_than_flac_holds(self, tmp_path):
        tags = {"A": ["x" * (METADATA_BYTES - 1_000), "y" * 2_000, "z"], "B": ["kept"]}
        notes = save_sound(self.stream(tags), tmp_path / "a.flac", force=False)
        assert notes == ["FLAC keeps no more than 16 MiB of tags: 1 dropped"]
        assert soundfile.info(tmp_path / "a.flac").frames == len(PCM)

    def test_the_lengths_of_tags_count(self, tmp_path, monkeypatch):
        monkeypatch.setattr("vqcodec.audio.save.METADATA_BYTES", 64 + 7 * 1_000)
        for count, lost in ((1_000, 0), (1_002, 2)):
            notes = save_sound(self.stream({"A": ["x"] * count}), tmp_path / "b.flac", force=True)
            assert [note.split(": ")[1] for note in notes] == [f"{lost} dropped"] * (lost > 0)
        assert soundfile.info(tmp_path / "b.flac").frames == len(PCM)

    @pytest.mark.filterwarnings("ignore:.*WAV keeps no")
    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_several_values_stay_several(self, tmp_path, fake_codec, suffix):
        data = vqcodec.compress(CASES / "13-flac-two-artists.flac")
        sound = vqcodec.decompress(data)
        assert sound.tags["ARTIST"] == ["Alice", "Bob"]
        assert vqcodec.decompress(vqcodec.compress(sound)).tags == sound.tags
        sound.save(tmp_path / f"a{suffix}")
        back = vqcodec.decompress(vqcodec.compress(tmp_path / f"a{suffix}"))
        assert back.tags["ARTIST"] == ["Alice", "Bob"]

    def test_names_that_flac_cannot_hold(self, tmp_path):
        notes = save_sound(self.stream({"a=b": ["x"], "TITLE": ["y"]}), tmp_path / "a.flac", force=False)
        assert notes == ["FLAC keeps no tags named 'a=b': dropped; names are of ASCII without ="]
        assert read(tmp_path / "a.flac")[1].metadata["tags"] == b"TITLE=y\n"

    def test_own_names_of_an_info_list_come_back(self, tmp_path):
        assert save_sound(self.stream({"IXYZ": ["x"], "ENGINEER": ["e"]}), tmp_path / "a.wav", force=False) == []
        assert read(tmp_path / "a.wav")[1].metadata["tags"] == b"IXYZ=x\nENGINEER=e\n"
        notes = save_sound(self.stream({"ISRC": ["x"]}), tmp_path / "b.wav", force=False)
        assert notes == ["WAV keeps no ISRC: dropped; .flac keeps more"]


class TestRepair:
    def broken(self) -> np.ndarray:
        samples = (PCM[:, None] / np.float32(32_768)).repeat(2, 1)
        samples[400:403, 1] = np.nan
        samples[0, 0], samples[-1, 0] = np.inf, -np.inf
        return samples

    def expected(self) -> np.ndarray:
        out = self.broken()
        out[400:403, 1] = out[399, 1] + (out[403, 1] - out[399, 1]) * np.array([0.25, 0.5, 0.75])
        out[0, 0], out[-1, 0] = out[1, 0], out[-2, 0]
        return out

    def test_refused_with_the_time(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", self.broken()[1:], RATE, subtype="FLOAT")
        with pytest.raises(InputError, match=r"a\.wav: the sample at 0\.025 s is not a finite number; .*--repair"):
            read(tmp_path / "a.wav")

    def test_replaced(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", self.broken(), RATE, subtype="FLOAT")
        sources = [
            open_sound(tmp_path / "a.wav", max_seconds=DAY, repair=True),
            array_source(self.broken(), RATE, max_seconds=DAY, repair=True),
            sound_source(Sound(self.broken(), RATE), max_seconds=DAY, repair=True),
        ]
        for source in sources:
            opened = source.__enter__() if hasattr(source, "__enter__") else source
            with pytest.warns(VqcWarning, match=r": 5 samples that are no finite numbers were replaced, .* 0\.000 s"):
                first = np.concatenate(list(opened.blocks()))
            assert np.allclose(first, self.expected(), atol=1e-6)
            assert np.array_equal(np.concatenate(list(opened.blocks())), first)  # and is told once
            if opened is not source:
                source.__exit__(None, None, None)

    def test_a_channel_without_any_number_is_silence(self):
        source = array_source(np.full((10, 1), np.nan), RATE, max_seconds=DAY, repair=True)
        with pytest.warns(VqcWarning, match="10 samples"):
            assert not np.concatenate(list(source.blocks())).any()

    def test_too_loud_is_still_refused(self):
        source = array_source(np.array([np.nan, 12_000.0]), RATE, max_seconds=DAY, repair=True)
        with pytest.raises(InputError, match=r"at 0\.000 s is 12000; .* scale"):
            list(source.blocks())

    def test_by_the_public_function(self, fake_codec):
        with pytest.raises(InputError, match="repair=True"):
            vqcodec.compress(self.broken(), sample_rate=RATE)
        with pytest.warns(VqcWarning, match="the array: 5 samples"):
            data = vqcodec.compress(self.broken(), sample_rate=RATE, repair=True, target_kbps=200)
        assert np.isfinite(vqcodec.decompress(data).samples).all()


FOREIGN = {
    "m4a": b"\0\0\0\x20ftypM4A \0\0\2\0",
    "mp4": b"\0\0\0\x20ftypisom\0\0\2\0",
    "wma": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "aac": b"\xff\xf1\x50\x80\0\0\0\0",
    "webm": b"\x1a\x45\xdf\xa3\0\0\0\0",
    "wv": b"wvpk\0\0\0\0",
}


class TestForeign:
    @pytest.mark.parametrize("suffix", FOREIGN)
    def test_without_ffmpeg(self, tmp_path, monkeypatch, suffix):
        monkeypatch.setenv("PATH", str(tmp_path))
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(FOREIGN[suffix] + bytes(100))
        assert is_sound(FOREIGN[suffix])
        with pytest.raises(InputError, match=rf"a\.{suffix}: is .* ffmpeg .*: ffmpeg -i a\.{suffix} -vn a\.flac"):
            vqcodec.compress(path)
        with pytest.raises(InputError, match=r"the input: is .* ffmpeg"):
            vqcodec.compress(path.read_bytes())

    def test_pictures_are_not_taken_for_sounds(self):
        for brand in (b"avif", b"heic", b"mif1"):
            assert not is_sound(b"\0\0\0\x20ftyp" + brand)

    def test_converted(self, tmp_path, ffmpeg):
        (tmp_path / "a.m4a").write_bytes(FOREIGN["m4a"])
        for source in (tmp_path / "a.m4a", FOREIGN["m4a"], io.BytesIO(FOREIGN["m4a"])):
            samples, sound = read(source)
            assert np.array_equal(samples[:, 0] * 32_768, PCM)
            assert sound.metadata == {"tags": b"TITLE=abc\n", "picture": COVER}
            assert sound.notes == ()

    def test_a_video(self, tmp_path, ffmpeg):
        ffmpeg(
            'echo "  Stream #0:0: Video: h264, yuv420p" >&2\n'
            f'case "$out" in *.w64) cp {tmp_path}/s.w64 "$out";; *) exit 1;; esac'
        )
        _, sound = read(FOREIGN["mp4"])
        assert [note.split(":")[0].split(",")[0] for note in sound.notes] == [
            "only its sound is kept",
            "its tags and cover were dropped",
        ]

    def test_no_sound_in_it(self, ffmpeg):
        ffmpeg('echo "Stream map 0:a:0 matches no streams." >&2; exit 1')
        with pytest.raises(InputError, match=r"cannot be read as MP4 .*matches no streams.*hold sound"):
            read(FOREIGN["mp4"])

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
    @pytest.mark.parametrize("suffix", ["m4a", "wma", "aac"])
    def test_by_the_real_program(self, suffix):
        samples, sound = read(CASES / f"tone.{suffix}")
        assert sound.sample_rate == 48_000
        assert len(samples) == pytest.approx(24_000, abs=2_100)
        spectrum = np.abs(np.fft.rfft(samples[4_000:20_000, 0], n=48_000))
        assert spectrum.argmax() == pytest.approx(440, abs=3)
        expected = {"m4a": "TITLE=Café\nARTIST=Björk\n", "wma": "TITLE=Café\n"}.get(suffix, "")
        assert sound.metadata.get("tags", b"").decode() == expected
        assert ("picture" in sound.metadata) is (suffix == "m4a")
        assert sound.notes == ()


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
