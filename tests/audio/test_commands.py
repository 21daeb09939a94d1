"""Every verb on sounds, in process, with a codec that has learned nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import fails, names, vqc

import vqcodec
from vqcodec.audio.tags import flac_picture
from vqcodec.bitstream import read_vqc

pytestmark = pytest.mark.usefixtures("fake_codec")

RATE = 8_000


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16", always_2d=True)[0]


@pytest.fixture
def speech(tmp_path) -> Path:
    t = np.arange(9 * RATE)[:, None] / RATE
    sound = (0.3 * np.sin(2 * np.pi * 200 * t * [1, 2])).astype(np.float32)
    cover = flac_picture(3, "image/png", "", b"picture")
    vqcodec.Sound(sound, RATE, {"TITLE": "speech", "LICENSE": "CC0"}, cover).save(tmp_path / "speech.flac")
    return tmp_path / "speech.flac"


@pytest.fixture
def packed(tmp_path, speech) -> Path:
    path = tmp_path / "speech.vqc"
    path.write_bytes(vqcodec.compress(speech))
    return path


class TestCompress:
    def test_one_file(self, tmp_path, speech):
        result = vqc("compress", speech, tmp_path / "out.vqc", "-q", "80")
        assert result.exit_code == 0
        assert result.stdout == ""
        assert "speech.flac -> " in result.stderr
        assert "kbit/s, quality 80" in result.stderr
        assert (tmp_path / "out.vqc").read_bytes() == vqcodec.compress(speech, quality=80)

    def test_samples_that_are_no_numbers(self, tmp_path):
        sound = np.full(2 * RATE, 0.1, np.float32)
        sound[RATE] = np.nan
        soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
        fails(
            vqc("compress", tmp_path / "a.wav", tmp_path / "a.vqc"), 3, "a.wav: the sample at 1.000 s is not a finite"
        )
        result = vqc("compress", tmp_path / "a.wav", tmp_path / "a.vqc", "--repair")
        assert result.exit_code == 0
        assert "a.wav: 1 sample that is no finite number was replaced, the first at 1.000 s" in result.stderr

    def test_options_reach_the_encoder(self, tmp_path, speech):
        for options, same in (
            (["--target-size", "9000"], {"target_size": 9_000}),
            (["--target-kbps", "12.5"], {"target_kbps": 12.5}),
            (["--strip"], {"strip": True}),
        ):
            assert vqc("compress", speech, tmp_path / "o.vqc", "-f", *options).exit_code == 0
            assert (tmp_path / "o.vqc").read_bytes() == vqcodec.compress(speech, **same)

    def test_json(self, tmp_path, speech):
        record = json.loads(vqc("compress", speech, tmp_path / "out.vqc", "--json").stdout)
        assert record["kind"] == "audio"
        assert record["duration"] == 9
        assert record["kbps"] == pytest.approx(record["bytes"] * 8 / 9_000, abs=1e-3)

    def test_streams(self, speech):
        result = vqc("compress", "-", "-", data=speech.read_bytes())
        assert result.exit_code == 0
        assert result.stdout_bytes == vqcodec.compress(speech)

    def test_pictures_and_sounds_in_one_folder(self, tmp_path, speech, photo):
        tree = tmp_path / "tree"
        (tree / "a").mkdir(parents=True)
        speech.rename(tree / "a" / "one.FLAC")
        photo.rename(tree / "cover.png")
        assert vqc("compress", tree, "-o", tmp_path / "out").exit_code == 0
        assert names(tmp_path / "out") == ["a/one.vqc", "cover.vqc"]
        result = vqc("decompress", tmp_path / "out", "-o", tmp_path / "back")
        assert result.exit_code == 0
        assert names(tmp_path / "back") == ["a/one.wav", "cover.png"]
        assert "one.wav: WAV keeps no cover picture" in result.stderr

    def test_kind_by_content(self, tmp_path, speech):
        speech.rename(tmp_path / "speech.png")
        assert vqc("compress", tmp_path / "speech.png", tmp_path / "o.vqc").exit_code == 0
        assert vqcodec.info(tmp_path / "o.vqc")["kind"] == "audio"

    @pytest.mark.parametrize("option", ["--target-bpp", "--target-psnr"])
    def test_options_of_pictures(self, tmp_path, speech, option):
        fails(vqc("compress", speech, tmp_path / "o.vqc", option, "1"), 2, "speech.flac: ", "for pictures")
        assert names(tmp_path) == ["speech.flac"]

    def test_options_of_sound(self, tmp_path, photo):
        fails(vqc("compress", photo, tmp_path / "o.vqc", "--target-kbps", "6"), 2, "photo.png: ", "for sound")

    def test_out_of_reach(self, tmp_path, speech):
        fails(vqc("compress", speech, tmp_path / "o.vqc", "--target-kbps", "0.01"), 2, "speech.flac: ", "kbit/s")

    def test_too_long(self, tmp_path, speech):
        fails(vqc("compress", speech, tmp_path / "o.vqc", "--max-seconds", 8), 4, "speech.flac: ", "--max-seconds")

    def test_unreadable(self, tmp_path):
        (tmp_path / "bad.wav").write_bytes(b"RIFF1234WAVE")
        fails(vqc("compress", tmp_path / "bad.wav", tmp_path / "o.vqc"), 3, "bad.wav: cannot be read as sound")
        fails(
            vqc("compress", "-", tmp_path / "o.vqc", data=b"RIFF1234WAVE"), 3, "standard input: cannot be read as sound"
        )
        assert names(tmp_path) == ["bad.wav"]

    def test_bad_samples(self, tmp_path):
        soundfile.write(tmp_path / "bad.wav", np.array([0, np.nan]), RATE, subtype="FLOAT")
        fails(vqc("compress", tmp_path / "bad.wav", tmp_path / "o.vqc"), 3, "bad.wav: the sample at 0.000 s")


class TestDecompress:
    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_by_suffix(self, tmp_path, packed, suffix):
        out = tmp_path / f"out{suffix}"
        result = vqc("decompress", packed, out)
        assert result.exit_code == 0
        assert "9.00 s at 8,000 Hz, 2 channels" in result.stderr
        expected = np.rint(vqcodec.decompress(packed).samples * 32_768)
        assert np.array_equal(samples(out), expected)

    def test_tags(self, tmp_path, packed):
        assert vqc("decompress", packed, tmp_path / "out.flac").stderr.count("warning") == 0
        assert vqcodec.info(vqcodec.compress(tmp_path / "out.flac"))["metadata"] == ["tags", "picture"]
        assert vqc("decompress", packed, tmp_path / "out.wav").stderr.count("warning") == 2
        assert soundfile.SoundFile(tmp_path / "out.wav").title == "speech"

    def test_streams(self, packed):
        result = vqc("decompress", "-", "-", data=packed.read_bytes())
        assert result.exit_code == 0
        assert result.stdout_bytes[:4] == b"RIFF"
        data, rate = soundfile.read(io.BytesIO(result.stdout_bytes))
        assert (data.shape, rate) == ((9 * RATE, 2), RATE)

    @pytest.mark.parametrize(
        ("options", "first", "last"),
        [
            (["--start", "5"], 5, 9),
            (["--end", "0:01.5"], 0, 1.5),
            (["--start", "0:00:04", "--end", "4.25"], 4, 4.25),
            (["--start", "8.5", "--end", "1:00"], 8.5, 9),
        ],
    )
    def test_parts(self, tmp_path, packed, options, first, last):
        assert vqc("decompress", packed, tmp_path / "whole.wav").exit_code == 0
        assert vqc("decompress", packed, tmp_path / "part.wav", *options).exit_code == 0
        whole = samples(tmp_path / "whole.wav")[round(first * RATE) : round(last * RATE)].astype(int)
        part = samples(tmp_path / "part.wav")
        assert part.shape == whole.shape
        assert np.abs(part - whole).max() <= 1

    @pytest.mark.parametrize("time", ["x", "-1", "1:2:3:4", "1:", "1e3", "", "٣"])
    def test_no_time(self, tmp_path, packed, time):
        fails(vqc("decompress", packed, tmp_path / "o.wav", f"--start={time}"), 2, "--start", "not a time")

    def test_no_such_part(self, tmp_path, packed):
        fails(vqc("decompress", packed, tmp_path / "o.wav", "--start", "9"), 2, "speech.vqc: ", "lasts 9.000 s")
        assert not (tmp_path / "o.wav").exists()

    def test_parts_of_a_picture(self, tmp_path, photo):
        (tmp_path / "photo.vqc").write_bytes(vqcodec.compress(photo))
        fails(vqc("decompress", tmp_path / "photo.vqc", tmp_path / "o.png", "--end", "1"), 2, "photo.vqc: ", "picture")

    def test_suffix_of_the_other_kind(self, tmp_path, packed, photo):
        fails(vqc("decompress", packed, tmp_path / "o.png"), 2, "o.png: ", ".flac .wav")
        (tmp_path / "photo.vqc").write_bytes(vqcodec.compress(photo))
        fails(vqc("decompress", tmp_path / "photo.vqc", tmp_path / "o.wav"), 2, "o.wav: ", ".png")

    def test_json(self, tmp_path, packed):
        record = json.loads(vqc("decompress", packed, tmp_path / "o.flac", "--json", "--end", "2").stdout)
        assert (record["duration"], record["sample_rate"], record["channels"]) == (2, RATE, 2)

    def test_cut(self, tmp_path, packed):
        packed.write_bytes(packed.read_bytes()[:-10])
        out = tmp_path / "o.flac"
        fails(vqc("decompress", packed, out), 3, "speech.vqc: ", "--allow-truncated")
        assert not out.exists()
        result = vqc("decompress", packed, out, "--allow-truncated")
        assert result.exit_code == 0
        assert "1 of 3 chunks damaged or missing" in result.stderr
        assert len(samples(out)) == 9 * RATE

    def test_damaged(self, tmp_path, packed):
        data = bytearray(packed.read_bytes())
        data[data.index(read_vqc(bytes(data)).chunks[1].payload) + 9] ^= 1
        packed.write_bytes(data)
        out = tmp_path / "o.flac"
        fails(vqc("decompress", packed, out), 3, "speech.vqc: chunk 1: ", "--conceal")
        assert not out.exists()
        result = vqc("decompress", packed, out, "--conceal")
        assert result.exit_code == 0
        assert "speech.vqc: 1 of 3 chunks damaged or missing, concealed: 1 (from 4.0 s)" in result.stderr

    def test_too_long(self, tmp_path, packed):
        for verb in (["decompress", packed, tmp_path / "o.wav"], ["verify", packed]):
            fails(vqc(*verb, "--max-seconds", 8), 4, "speech.vqc: ", "raise the limit by --max-seconds")


class TestInfo:
    def test_text(self, packed):
        result = vqc("info", packed)
        assert result.exit_code == 0
        for word in ("speech.vqc", "0:09.000", "8,000 Hz, 2 channels", "step 142", "kbit/s", "chunks    3", "tags"):
            assert word in result.stdout

    def test_json(self, packed):
        facts = json.loads(vqc("info", "--json", packed).stdout)
        assert facts == {"input": str(packed), **vqcodec.info(packed)}

    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [(0.0005, "0:00.000"), (59.9996, "1:00.000"), (61.25, "1:01.250"), (7261.5, "2:01:01.500")],
    )
    def test_clock(self, seconds, shown):
        from vqcodec.cli.info import _clock

        assert _clock(seconds) == shown


class TestVerify:
    def test_fine(self, packed):
        result = vqc("verify", packed)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "speech.vqc: fine" in result.stderr

    def test_damage(self, packed):
        packed.write_bytes(packed.read_bytes()[:-1])
        fails(vqc("verify", packed), 3, "speech.vqc: ", "--allow-truncated")
