"""The command from end to end, with a stand-in for our codec and, where its tools are, with Opus."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import soundfile
from audio import fake_product as fake_audio
from click.testing import CliRunner
from PIL import Image

import vqcodec
from vqcodec.benchmarks.audio import codecs as audio_codecs
from vqcodec.benchmarks.audio.measure import AudioWork, Clip, find_clips, measure_work
from vqcodec.cli.bench import bench
from vqcodec.errors import InputError, OutputError, UsageError

HAS_OPUS = bool(shutil.which("opusenc") and shutil.which("opusdec"))
QUICK = ("--no-visqol", "--report-kbps", "8")

for package in ("pesq", "pystoi", "zimtohrli", "speechmos", "matplotlib"):
    pytest.importorskip(package)


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "speech_one.flac", fake_audio.voice(16000, 2), 16000)
    stereo = np.stack([fake_audio.voice(24000, 1.5, seed) for seed in (1, 2)], axis=1)
    soundfile.write(folder / "a_song.wav", stereo, 24000)
    (folder / "manifest.csv").write_text("file,kind\na_song.wav,music\n")
    return folder


@pytest.fixture
def ours(monkeypatch):
    monkeypatch.setattr(vqcodec, "compress", fake_audio.compress, raising=False)
    monkeypatch.setattr(vqcodec, "decompress", fake_audio.decompress, raising=False)


def call(*arguments, out, data):
    return CliRunner().invoke(bench, ["audio", "--data", str(data), "--out", str(out), *arguments])


@pytest.mark.usefixtures("ours")
def test_without_opus(sounds, tmp_path):
    out = tmp_path / "out"
    arguments = ("--no-opus", "--codecs", "vqcodec,mp3", "--qualities", "20,50,80", "--rates", "10,20")
    result = call(*QUICK, *arguments, "--report-clips", "1", out=out, data=sounds)
    assert result.exit_code == 0, result.output
    assert "Speech, 1 clip: at equal file rates" in result.output
    for name in ("pesq 0", "pystoi 0", "libsndfile", "vqcodec", "soxr"):
        assert name in result.output
    curves = json.loads((out / "curves.json").read_text())["curves"]
    assert {(curve["kind"], curve["codec"]) for curve in curves} == {
        (kind, codec) for kind in ("speech", "music") for codec in ("vqcodec", "mp3")
    }
    speech = next(curve for curve in curves if curve["codec"] == "vqcodec" and curve["kind"] == "speech")
    assert speech["settings"] == [20, 50, 80]
    assert speech["metrics"]["mel"] == sorted(speech["metrics"]["mel"], reverse=True)
    assert speech["kbps"]["payload"] < speech["kbps"]["file"]
    measurements = json.loads((out / "measurements.json").read_text())
    assert {item["clip"]: item["kind"] for item in measurements} == {"speech_one": "speech", "a_song": "music"}
    assert json.loads((out / "bd_rate.json").read_text()) == []  # nobody to compare with
    for name in ("speech-pesq.png", "speech-stoi-payload.png", "music-mel.png"):
        with Image.open(out / name) as plot:
            assert plot.width > 1000
    assert not (out / "music-pesq.png").exists()
    assert not (out / "cache" / "vqcodec").exists()
    assert len(list((out / "cache" / "mp3").iterdir())) == 10


@pytest.mark.usefixtures("ours")
@pytest.mark.skipif(not HAS_OPUS, reason="no opus-tools")
def test_with_opus_and_the_downmix(sounds, tmp_path, monkeypatch):
    monkeypatch.setattr(audio_codecs, "_OPUS", (6, 12, 24))
    out = tmp_path / "out"
    arguments = ("--codecs", "vqcodec", "--qualities", "10,40,70", "--downmix")
    result = call(*QUICK, *arguments, "--report-clips", "1", out=out, data=sounds)
    assert result.exit_code == 0, result.output
    assert "opusenc" in result.output
    rows = json.loads((out / "bd_rate.json").read_text())
    own = [row for row in rows if row["anchor"] == row["codec"]]
    assert len(own) == 4
    assert all(row["file"]["mel"]["percent"] == pytest.approx(0) for row in own)
    # The speech clip has one channel: the downmix would only be the same again.
    assert {row["kind"] for row in rows if row["codec"] == "opus-mono"} == {"music"}
    page = (out / "report.html").read_text()
    data = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.DOTALL).group(1))
    assert [view["label"] for view in data["views"]][:2] == ["speech, whole files", "speech, coded sound alone"]
    assert [entry["name"] for entry in data["entries"]] == ["speech_one", "a_song"]
    shown = data["entries"][1]["sizes"][0]["codecs"]
    assert list(shown) == ["vqcodec", "vqcodec-mono", "opus-vbr-60", "opus-mono"]
    assert shown["opus-mono"]["audio"].startswith("data:audio/ogg;base64,T2dnU")  # OggS
    assert shown["opus-mono"]["kbps"] == pytest.approx(8, rel=0.25)
    assert shown["vqcodec"]["spectrum"].startswith("data:image/webp;base64,")
    assert "@@" not in page
    # One name for two things in a page hides one of them.
    ids = re.findall(r'\bid[=:] ?"([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_cache_is_read_again_under_any_name(sounds, tmp_path, monkeypatch):
    codec = audio_codecs.select_codecs(["mp3"], opus=False)[0]
    work = AudioWork(codec, Clip(sounds / "speech_one.flac", "speech"), tmp_path / "cache", with_visqol=False)
    first = measure_work(work)
    (sounds / "speech_one.flac").rename(sounds / "speech_two.flac")
    monkeypatch.setattr("vqcodec.benchmarks.audio.measure.encode", None)
    again = measure_work(AudioWork(codec, Clip(sounds / "speech_two.flac", "speech"), work.cache, with_visqol=False))
    assert {item.clip for item in again} == {"speech_two"}
    assert [item.size for item in again] == [item.size for item in first]
    # The class decides what is measured.
    with pytest.raises(TypeError, match="not callable"):
        measure_work(AudioWork(codec, Clip(sounds / "speech_two.flac", "music"), work.cache, with_visqol=False))


def test_clips_by_class(sounds):
    soundfile.write(sounds / "music_b.flac", np.zeros(10), 8000)
    soundfile.write(sounds / "whale.flac", np.zeros(10), 8000)
    found = [(clip.path.stem, clip.kind) for clip in find_clips(sounds)]
    assert found == [("speech_one", "speech"), ("a_song", "music"), ("music_b", "music"), ("whale", "other")]
    assert [clip.path.stem for clip in find_clips(sounds, ["music"], 1)] == ["a_song"]
    with pytest.raises(InputError, match="--kinds"):
        find_clips(sounds / ".", ["other"], None) and find_clips(sounds.parent / "sounds", ["speech2"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--codecs", "speex"), UsageError),
        (("--qualities", "0.5"), UsageError),
        (("--kinds", "noise"), UsageError),
        (("--rates", "0"), UsageError),
        (("--report-kbps", "-1"), UsageError),
    ],
)
def test_bad_options_stop_before_any_work(sounds, tmp_path, arguments, error):
    result = call("--no-visqol", *arguments, out=tmp_path / "out", data=sounds)
    assert isinstance(result.exception, error)
    assert not (tmp_path / "out").exists()


def test_bad_folders(sounds, tmp_path):
    quick = ("--no-visqol", "--no-opus", "--codecs", "mp3")
    (tmp_path / "file").touch()
    assert isinstance(call(*quick, out=tmp_path / "file", data=sounds).exception, OutputError)
    assert isinstance(call(*quick, out=tmp_path / "out", data=tmp_path / "nowhere").exception, InputError)
    (sounds / "speech_bad.wav").write_bytes(b"RIFF")
    result = call(*quick, out=tmp_path / "out", data=sounds)
    assert isinstance(result.exception, InputError)
    assert "speech_bad.wav" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(sounds, tmp_path, monkeypatch):
    find = "vqcodec.benchmarks.extras.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None if name == "visqol" else True)
    result = call(out=tmp_path / "out", data=sounds)
    assert isinstance(result.exception, UsageError)
    assert re.search(r"visqol.*vqcodec\[bench\]", str(result.exception))
