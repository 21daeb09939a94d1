"""The list of audio codecs, that each one runs, and what it weighs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from audio import fake_product as fake_audio

import vqcodec
from vqcodec.benchmarks.audio import codecs as audio_codecs
from vqcodec.benchmarks.audio import metrics as audio_metrics
from vqcodec.benchmarks.audio.codecs import ANCHORS, decode, encode, payload_size, select_codecs
from vqcodec.benchmarks.audio.ogg import packet_sizes
from vqcodec.benchmarks.audio.show import COLOURS
from vqcodec.errors import InputError, UsageError

RATE = 24000
SOUND = np.stack([fake_audio.voice(RATE, 2, seed) for seed in (0, 1)], axis=1)
HAS_OPUS = bool(shutil.which("opusenc") and shutil.which("opusdec"))
MISSING = {"opus": not HAS_OPUS, "aac": not shutil.which("ffmpeg")}
CODECS = {codec.name: codec for codec in audio_codecs.available_codecs()}
OTHERS = [
    pytest.param(codec, marks=pytest.mark.skipif(MISSING.get(codec.family, False), reason="its tools are missing"))
    for codec in CODECS.values()
    if codec.family != "vqcodec"
]


@pytest.fixture
def ours(monkeypatch):
    monkeypatch.setattr(vqcodec, "compress", fake_audio.compress, raising=False)
    monkeypatch.setattr(vqcodec, "decompress", fake_audio.decompress, raising=False)


@pytest.mark.parametrize("codec", OTHERS, ids=lambda codec: codec.name)
def test_settings_rise_and_come_back_aligned(codec):
    assert list(codec.settings) == sorted(set(codec.settings))
    likeness, sizes = [], []
    for setting in (codec.settings[0], codec.settings[-1]):
        data, encode_seconds = encode(codec, SOUND, RATE, setting)
        decoded, decode_seconds = decode(codec, data, SOUND, RATE)
        assert decoded.shape == (len(SOUND), 1 if codec.downmix else 2)
        assert encode_seconds >= 0
        assert decode_seconds >= 0
        assert 0 < payload_size(codec, data) <= len(data)
        sizes.append(len(data))
        likeness.append(np.corrcoef(audio_metrics.mono(SOUND), audio_metrics.mono(decoded))[0, 1])
    assert sizes[0] < sizes[1]
    assert likeness[0] < likeness[1]
    # A codec that shifts by even 1 ms would lose this at its finest setting.
    assert likeness[1] > 0.9


def test_a_shift_is_taken_back():
    mono = audio_metrics.mono(SOUND)
    for shift in (-1105, -1, 0, 1, 2257):
        moved = np.roll(mono, shift)[:, None]
        found = audio_codecs._align(mono, moved)
        assert np.array_equal(found[3000:-3000, 0][:30000], mono[3000:-3000][:30000])


def test_ours_goes_through_the_public_api(ours):
    codec = CODECS["vqcodec"]
    data, _ = encode(codec, SOUND, RATE, 50)
    assert 0 < len(data) - payload_size(codec, data) < 100
    decoded, _ = decode(codec, data, SOUND, RATE)
    assert np.array_equal(decoded, fake_audio.decompress(data).samples)
    mono, _ = decode(CODECS["vqcodec-mono"], encode(CODECS["vqcodec-mono"], SOUND, RATE, 50)[0], SOUND, RATE)
    assert mono.shape == (len(SOUND), 1)


@pytest.mark.skipif(not HAS_OPUS, reason="no opus-tools")
def test_opus_packets_are_weighed_without_their_pages():
    codec = replace(CODECS["opus-cbr"], settings=(12,))
    data, _ = encode(codec, SOUND, RATE, 12)
    packets = packet_sizes(data)
    assert packets[0] == 19  # OpusHead of a stream with one or two channels
    assert len(set(packets[2:])) == 1  # hard CBR
    assert packets[2] * 8 / 0.02 / 1000 == pytest.approx(12, abs=0.3)
    assert payload_size(codec, data) == sum(packets[2:])


@pytest.mark.parametrize("data", [b"OggS", b"RIFF" + bytes(60)])
def test_what_is_no_ogg_is_said(data):
    with pytest.raises(InputError, match="byte 0"):
        packet_sizes(data)


def test_packets_run_over_segments_and_pages():
    def page(*lacing: int) -> bytes:
        return b"OggS" + bytes(22) + bytes([len(lacing), *lacing]) + bytes(sum(lacing))

    assert packet_sizes(page(3) + page(255, 255) + page(0, 7)) == [3, 510, 7]


def names(codecs):
    return [codec.name for codec in codecs]


def test_selection(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    assert names(select_codecs([])) == ["vqcodec", "opus-vbr", "opus-vbr-60", "opus-cbr", "vorbis", "mp3", "aac"]
    assert names(select_codecs(["mp3"])) == [*ANCHORS, "mp3"]
    assert names(select_codecs(["mp3"], opus=False)) == ["mp3"]
    assert names(select_codecs(["vqcodec"], downmix=True)) == ["vqcodec", "vqcodec-mono", *ANCHORS, "opus-mono"]
    assert names(select_codecs(["vqcodec-mono"])) == ["vqcodec-mono", *ANCHORS, "opus-mono"]
    ours, *others = select_codecs([], (90, 10, 10))
    assert ours.settings == (10, 90)
    assert all(90 not in codec.settings for codec in others)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "ffmpeg" else f"/usr/bin/{tool}")
    assert "aac" not in names(select_codecs([]))
    with pytest.raises(UsageError, match="apt install ffmpeg"):
        select_codecs(["aac"])


def test_what_cannot_be_selected_is_said(monkeypatch):
    with pytest.raises(UsageError, match=r"speex.*opus-vbr"):
        select_codecs(["mp3", "speex"])
    with pytest.raises(UsageError, match="nothing to measure"):
        select_codecs(["opus-cbr"], opus=False)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(UsageError, match=r"opus-tools.*--no-opus"):
        select_codecs(["vqcodec"])


def test_every_codec_has_a_colour() -> None:
    """Whatever is installed here: AAC, for one, is measured only where ffmpeg is."""
    assert {codec.name for codec in audio_codecs.available_codecs()} == COLOURS.keys()
    assert len(set(COLOURS.values())) == len(COLOURS)
