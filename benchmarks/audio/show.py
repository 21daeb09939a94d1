"""What people look at after the audio benchmark: plots, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vqcodec.benchmarks.audio.codecs import OURS
from vqcodec.benchmarks.audio.curves import METRICS, RATES, AudioCurve
from vqcodec.benchmarks.audio.table import count_of
from vqcodec.benchmarks.plots import OURS_COLOUR, Corner, Line, Plot, draw
from vqcodec.benchmarks.report import Report, Table, View

__all__ = ["describe", "draw_all"]

# Okabe and Ito (2008): told apart by readers with any colour vision.
COLOURS = {
    OURS: OURS_COLOUR,
    "vqcodec-mono": "#7a7a7a",
    "opus-vbr": "#0072b2",
    "opus-vbr-60": "#56b4e9",
    "opus-cbr": "#009e73",
    "opus-mono": "#cc79a7",
    "vorbis": "#e69f00",
    "mp3": "#d55e00",
    "aac": "#f0e442",
}


def _kinds(curves: Sequence[AudioCurve]) -> dict[str, list[AudioCurve]]:
    return {kind: [curve for curve in curves if curve.kind == kind] for kind in dict.fromkeys(c.kind for c in curves)}


def draw_all(folder: Path, curves: Sequence[AudioCurve], title: str) -> None:
    """A plot for each class, metric and way to count the rate: ``CLASS-METRIC.png``, ``CLASS-METRIC-payload.png``."""
    for kind, own in _kinds(curves).items():
        for metric in METRICS:
            for rate, words in RATES.items():
                lines = [
                    Line(curve.label, COLOURS[curve.codec], curve.kbps[rate], curve.metrics[metric.name])
                    for curve in own
                    if curve.metrics.get(metric.name)
                ]
                if lines:
                    name = f"{kind}-{metric.name}" + ("" if rate == "file" else f"-{rate}")
                    corner: Corner = "lower right" if metric.sign > 0 else "upper right"
                    plot = Plot(f"{title}: {kind}, {count_of(own[0].clips)}", f"kbit/s ({words})", metric.title, corner)
                    draw(folder / f"{name}.png", lines, plot)


def describe(
    title: str,
    setting: str,
    curves: Sequence[AudioCurve],
    tables: Sequence[Table],
    clips: Sequence[Mapping[str, object]],
) -> Report:
    """The page. ``clips`` are entries of ``audio_gallery.show_clip``, most wanted first."""
    metrics = [(metric.name, metric.title) for metric in METRICS]
    views = [
        View(f"{kind}, {words}", f"kbit/s ({words})", "kbit/s", metrics, [_as_data(curve, rate) for curve in own])
        for kind, own in _kinds(curves).items()
        for rate, words in RATES.items()
    ]
    return Report(title, setting, views, tables, "players.html", clips)


def _as_data(curve: AudioCurve, rate: str) -> dict[str, object]:
    return {
        "name": curve.codec,
        "label": curve.label,
        "published": False,
        "colour": COLOURS[curve.codec],
        "rate": [round(value, 4) for value in curve.kbps[rate]],
        **{m.name: [round(value, 4) for value in curve.metrics.get(m.name, [])] for m in METRICS},
    }
