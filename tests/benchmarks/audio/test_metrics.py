"""Metrics of sound: identity is best, damage is worse, what cannot be measured is None."""

from __future__ import annotations

import numpy as np
import pytest
from audio.fake_product import voice

from vqcodec.benchmarks.audio import metrics as audio_metrics

RATE = 16000
CLEAN = voice(RATE, 3)
NOISE = np.random.default_rng(9).normal(size=len(CLEAN)).astype(np.float32)
SLIGHT, STRONG = CLEAN + 0.002 * NOISE, CLEAN + 0.05 * NOISE


@pytest.mark.parametrize(("name", "package"), [("pesq_wb", "pesq"), ("stoi", "pystoi"), ("estoi", "pystoi")])
def test_speech_metrics_fall_with_noise(name, package):
    pytest.importorskip(package)
    measure = getattr(audio_metrics, name)
    values = [measure(CLEAN, other, RATE) for other in (CLEAN, SLIGHT, STRONG)]
    assert values[0] > values[1] > values[2]
    assert values[0] == pytest.approx({"pesq_wb": 4.644, "stoi": 1, "estoi": 1}[name], abs=0.001)


@pytest.mark.parametrize("speech", [True, False])
def test_visqol_falls_with_noise(speech):
    for package in ("visqol", "numba", "ai_edge_litert"):
        pytest.importorskip(package)
    values = [audio_metrics.visqol(CLEAN, other, RATE, speech=speech) for other in (CLEAN, SLIGHT, STRONG)]
    assert values[0] > values[1] > values[2]
    assert audio_metrics.visqol(CLEAN, 0 * CLEAN, RATE, speech=speech) is None
    assert audio_metrics.visqol(CLEAN[:1000], CLEAN[:1000], RATE, speech=speech) is None


def test_zimtohrli_falls_with_noise():
    pytest.importorskip("zimtohrli")
    values = [audio_metrics.zimtohrli(CLEAN, other, RATE) for other in (CLEAN, SLIGHT, STRONG)]
    assert values[0] == pytest.approx(5, abs=0.01)
    assert values[0] > values[1] > values[2]
    assert audio_metrics.zimtohrli(0 * CLEAN, CLEAN, RATE) is None


def test_dnsmos_falls_with_noise_and_needs_no_reference():
    pytest.importorskip("speechmos")
    long = voice(20 * RATE, 3)
    noise = np.random.default_rng(9).normal(size=len(long)).astype(np.float32)
    clean, noisy = (audio_metrics.dnsmos(sound, RATE) for sound in (long, long + 0.1 * noise))
    assert 1 <= noisy < clean <= 5
    assert 1 <= audio_metrics.dnsmos(CLEAN, RATE) <= 5  # shorter than its window
    assert audio_metrics.dnsmos(0 * CLEAN, RATE) is None


def test_what_cannot_be_measured_is_none():
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    for reference, decoded in ((0 * CLEAN, CLEAN), (CLEAN, 0 * CLEAN), (CLEAN[:200], CLEAN[:200])):
        assert audio_metrics.pesq_wb(reference, decoded, RATE) is None
    assert audio_metrics.stoi(CLEAN[:200], CLEAN[:200], RATE) is None


def test_mel_distance_is_in_decibels():
    # Broadband noise at half the amplitude lies 6.02 dB lower in every band.
    assert audio_metrics.mel_distance(NOISE, NOISE / 2, RATE) == pytest.approx(6.02, abs=0.01)
    assert audio_metrics.mel_distance(CLEAN, CLEAN, RATE) == 0
    # Both below the floor: nothing to tell apart.
    assert audio_metrics.mel_distance(1e-7 * NOISE, 1e-8 * NOISE, RATE) == 0


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_mel_distance_is_for_every_rate_and_length(rate):
    for length in (1, 100, rate):
        sound = NOISE[:length] if length < len(NOISE) else np.resize(NOISE, length)
        assert audio_metrics.mel_distance(sound, sound / 2, rate) > 0


def test_stereo_is_compared_as_its_downmix():
    stereo = np.stack([CLEAN + NOISE, CLEAN - NOISE], axis=1)
    other = np.stack([CLEAN, CLEAN], axis=1)
    assert audio_metrics.mel_distance(stereo, other, RATE) < 0.01


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        audio_metrics.mel_distance(CLEAN, CLEAN[1:], RATE)
