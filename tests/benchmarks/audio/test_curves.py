"""Means over clips, values at a rate, delta rates, and the tables of sounds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vqcodec.benchmarks.audio.codecs import available_codecs
from vqcodec.benchmarks.audio.curves import METRICS, AudioCurve, at_rate, average, delta_rates
from vqcodec.benchmarks.audio.measure import AudioMeasurement
from vqcodec.benchmarks.audio.table import as_markdown, tables

OPUS = next(codec for codec in available_codecs() if codec.name == "opus-vbr")
PESQ = METRICS[0]
MEL = METRICS[-1]
SAMPLE = AudioMeasurement("a", "speech", "opus-vbr", 6, 4.0, 3000, 2500, {"pesq": 2.0, "mel": 3.0}, 0.04, 0.02)


def line(name: str, factor: float, low: float = 1.0) -> AudioCurve:
    """PESQ rises and the mel distance falls by one per doubling of the rate, from 2 and 6 at ``factor`` * 4 kbit/s."""
    pesq = [low + 0.5 * index for index in range(7)]
    rates = [factor * 4 * 2 ** (value - 2) for value in pesq]
    return AudioCurve(
        codec=name,
        label=name,
        kind="speech",
        clips=3,
        settings=rates,
        kbps={"file": rates, "payload": [0.9 * rate for rate in rates]},
        metrics={"pesq": pesq, "mel": [8 - value for value in pesq]},
        encode_speed=[50.0] * 7,
        decode_speed=[100.0] * 7,
    )


def test_means_are_over_clips_and_speeds_over_seconds():
    long = replace(SAMPLE, clip="b", seconds=12.0, size=6000, payload=5000, metrics={"pesq": 3.0, "mel": 1.0})
    fine = [replace(item, setting=12, size=2 * item.size) for item in (SAMPLE, long)]
    other = [replace(SAMPLE, kind="music"), replace(SAMPLE, codec="mp3")]
    curve = average(OPUS, [*fine, SAMPLE, long, *other], "speech")
    assert curve is not None
    assert (curve.clips, curve.settings) == (2, [6, 12])
    assert curve.kbps["file"] == pytest.approx([5.0, 10.0])
    assert curve.kbps["payload"][0] == pytest.approx((5.0 + 10 / 3) / 2)
    assert curve.metrics == {"pesq": [2.5, 2.5], "mel": [2.0, 2.0]}
    assert curve.encode_speed[0] == pytest.approx(16 / 0.08)
    assert average(OPUS, [SAMPLE], "other") is None
    assert json.dumps(curve.as_json())


def test_a_metric_missing_for_one_clip_is_left_out():
    blank = replace(SAMPLE, clip="b", metrics={"pesq": None, "mel": 1.0})
    curve = average(OPUS, [SAMPLE, blank], "speech")
    assert curve is not None
    assert curve.metrics == {"pesq": [], "mel": [2.0]}
    assert at_rate(curve, PESQ, 6.0) is None


def test_values_at_a_rate_are_not_extrapolated():
    curve = line("opus-vbr", 1.0)
    assert at_rate(curve, PESQ, 8.0) == pytest.approx(3.0)
    assert at_rate(curve, MEL, 8.0) == pytest.approx(5.0)
    assert at_rate(curve, PESQ, 7.2, "payload") == pytest.approx(3.0)
    assert at_rate(curve, PESQ, 1.95) == pytest.approx(1.0)  # it ends at 2, which is near enough
    assert at_rate(curve, PESQ, 1.9) is None
    assert at_rate(curve, PESQ, 17) is None


def test_delta_rates_count_down_for_a_distance():
    anchor = line("opus-vbr", 1.0)
    half = delta_rates(anchor, line("vqcodec", 0.5), "file")
    assert {name: round(delta.percent, 3) for name, delta in half.items()} == {"pesq": -50, "mel": -50}
    short = delta_rates(anchor, line("vqcodec", 0.5, low=2.5), "payload")["mel"]
    assert short.percent == pytest.approx(-50)
    assert (short.low, short.high) == pytest.approx((4.0, 5.5))


def test_delta_rates_stop_at_24_kbps_of_the_anchor():
    delta = delta_rates(line("opus-vbr", 4.0), line("vqcodec", 2.0), "file")["pesq"]
    assert (delta.low, delta.high) == pytest.approx((1.0, 2 + 0.585), abs=0.02)


def test_tables_have_a_row_where_there_is_a_value():
    curves = [line("vqcodec", 0.5), line("opus-vbr", 1.0), replace(line("opus-vbr", 1.0), kind="music")]
    found = tables(curves, [1.0, 8.0])
    assert [table.heading for table in found] == [
        "Speech, 3 clips: at equal file rates",
        "Speech, 3 clips: BD-rate against opus-vbr",
        "Music, 3 clips: at equal file rates",
        "Music, 3 clips: BD-rate against opus-vbr",
        "Speech, 3 clips: every setting",
        "Music, 3 clips: every setting",
    ]
    assert found[0].columns == ["kbit/s", "codec", "PESQ-WB", "mel dB"]
    assert [row.texts for row in found[0].rows] == [
        ["1", "vqcodec", "1.00", "7.00"],
        ["8", "vqcodec", "4.00", "4.00"],
        ["8", "opus-vbr", "3.00", "5.00"],
    ]
    assert found[1].rows[0].texts == ["vqcodec", "-50.0 % / -50.0 %", "-50.0 % / -50.0 %"]
    assert len(found[4].rows) == 14
    text = as_markdown(found)
    assert text.count("Nothing is extrapolated") == 1
    assert "| opus-vbr | 4 | 4.00 | 3.60 | 2.00 | 6.00 | 50x | 100x |" in text
