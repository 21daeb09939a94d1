"""Means of the audio benchmark over the clips of a class, and their delta rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

from vqcodec.benchmarks.audio.codecs import AudioCodec
from vqcodec.benchmarks.audio.measure import AudioMeasurement
from vqcodec.benchmarks.bd import BdRate, bd_rate, value_at_rate
from vqcodec.benchmarks.image.curves import mean_or_nothing

__all__ = ["METRICS", "RATES", "AudioCurve", "Metric", "at_rate", "average", "delta_rates"]

RATES = {"file": "whole files", "payload": "coded sound alone"}
TOP_RATE = 24.0  # kbit/s of the anchor's files: delta rates say nothing about what lies above
NEAR = 1.03  # a curve that ends within 3 % of a rate is read there at its end

Points = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Metric:
    """One measure: its title in plots, its short title in tables, decimals to print, and +1 where more is better."""

    name: str
    title: str
    short: str
    decimals: int
    sign: int = 1


METRICS = (
    Metric("pesq", "PESQ-WB (MOS-LQO)", "PESQ-WB", 2),
    Metric("stoi", "STOI", "STOI", 3),
    Metric("estoi", "ESTOI", "ESTOI", 3),
    Metric("dnsmos", "DNSMOS P.835, overall", "DNSMOS", 2),
    Metric("visqol", "ViSQOL (MOS-LQO)", "ViSQOL", 2),
    Metric("zimtohrli", "Zimtohrli (MOS)", "Zimtohrli", 2),
    Metric("mel", "log-mel distance (dB, lower is better)", "mel dB", 2, -1),
)


@dataclass(frozen=True)
class AudioCurve:
    """One codec on the clips of one class. Every list has one entry per setting.

    Attributes:
        kbps: mean over clips of the rate, for each of ``RATES``.
        metrics: mean over clips of each metric; an empty list where it was not measured on every clip.
        encode_speed, decode_speed: seconds of sound per second of processor time.
    """

    codec: str
    label: str
    kind: str
    clips: int
    settings: list[float]
    kbps: dict[str, list[float]]
    metrics: dict[str, list[float]]
    encode_speed: list[float]
    decode_speed: list[float]

    def as_json(self) -> dict[str, object]:
        """Plain data, rounded to what matters."""
        plain: dict[str, object] = asdict(self)
        for name in ("kbps", "metrics"):
            plain[name] = {key: [round(value, 4) for value in values] for key, values in getattr(self, name).items()}
        for name in ("encode_speed", "decode_speed"):
            plain[name] = [round(value, 2) for value in getattr(self, name)]
        return plain


def average(codec: AudioCodec, measurements: Sequence[AudioMeasurement], kind: str) -> AudioCurve | None:
    """The curve of one codec on one class, None where it was not run on it."""
    groups: dict[float, list[AudioMeasurement]] = defaultdict(list)
    for item in measurements:
        if item.codec == codec.name and item.kind == kind:
            groups[item.setting].append(item)
    if not groups:
        return None
    rows = [groups[setting] for setting in sorted(groups)]
    names = [metric.name for metric in METRICS if metric.name in rows[0][0].metrics]
    return AudioCurve(
        codec=codec.name,
        label=codec.label,
        kind=kind,
        clips=len(rows[0]),
        settings=sorted(groups),
        kbps={
            "file": [fmean(item.file_kbps for item in row) for row in rows],
            "payload": [fmean(item.payload_kbps for item in row) for row in rows],
        },
        metrics={name: mean_or_nothing([[item.metrics[name] for item in row] for row in rows]) for name in names},
        encode_speed=[_speed(row, "encode_seconds") for row in rows],
        decode_speed=[_speed(row, "decode_seconds") for row in rows],
    )


def _speed(row: Sequence[AudioMeasurement], name: str) -> float:
    # Seconds in all, so that short clips with their fixed costs do not weigh more than long ones.
    used: float = sum(getattr(item, name) for item in row)
    return sum(item.seconds for item in row) / max(1e-9, used)


def _points(curve: AudioCurve, metric: Metric, rate: str) -> Points:
    """Rates, and values that rise with quality."""
    return curve.kbps[rate], [metric.sign * value for value in curve.metrics[metric.name]]


def at_rate(curve: AudioCurve, metric: Metric, kbps: float, rate: str = "file") -> float | None:
    """A metric at one rate, interpolated; None where the curve does not reach that rate or lacks the metric."""
    rates = curve.kbps[rate]
    if not curve.metrics.get(metric.name) or not min(rates) / NEAR <= kbps <= max(rates) * NEAR:
        return None
    return metric.sign * value_at_rate(_points(curve, metric, rate), kbps)


def delta_rates(anchor: AudioCurve, curve: AudioCurve, rate: str) -> Mapping[str, BdRate]:
    """Delta rate per metric, over the values that the anchor has from its lowest rate up to ``TOP_RATE``."""
    deltas = {}
    for metric in METRICS:
        if anchor.metrics.get(metric.name) and curve.metrics.get(metric.name):
            points = _points(anchor, metric, rate)
            ends = min(points[0]), min(TOP_RATE, max(points[0]))
            interval = value_at_rate(points, ends[0]), value_at_rate(points, ends[1])
            delta = bd_rate(points, _points(curve, metric, rate), interval)
            low, high = sorted((metric.sign * delta.low, metric.sign * delta.high))
            deltas[metric.name] = replace(delta, low=low, high=high)
    return deltas
