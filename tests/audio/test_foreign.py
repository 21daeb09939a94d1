"""Sounds of formats that soundfile or ffmpeg read, and files of them that are cut."""

from __future__ import annotations

import io
import shutil
import struct

import numpy as np
import pytest
import soundfile
from audio.containers import PCM, RATE, frame, id3
from audio.reading import CASES, COVER, read

import vqcodec
from vqcodec.audio.files import Sound
from vqcodec.audio.metadata import read_metadata
from vqcodec.errors import InputError
from vqcodec.kinds import is_sound


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
