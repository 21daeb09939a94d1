"""What people look at after the image benchmark: plots, and the report's chart and table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqcodec.benchmarks.image.codecs import OURS
from vqcodec.benchmarks.image.curves import Curve
from vqcodec.benchmarks.image.table import COLUMNS, Row, cells
from vqcodec.benchmarks.plots import OURS_COLOUR, Line, Plot, draw
from vqcodec.benchmarks.report import Report, Table, TableRow, View

__all__ = ["describe", "draw_all"]

# Okabe and Ito (2008): told apart by readers with any colour vision.
COLOURS = {
    OURS: OURS_COLOUR,
    "vqcodec-psnr": "#8c6d31",
    "jpeg-420": "#d55e00",
    "jpeg-444": "#e69f00",
    "jpeg": "#b39ddb",
    "webp": "#009e73",
    "avif-420": "#0072b2",
    "avif-444": "#56b4e9",
    "jxl": "#cc79a7",
}
PUBLISHED = "#9a9a9a"


@dataclass(frozen=True)
class Metric:
    """One vertical axis: its name for files, its title, and how to read it off a curve."""

    name: str
    title: str
    values: Callable[[Curve], list[float]]


METRICS = (
    Metric("psnr", "PSNR-RGB (dB)", lambda curve: curve.psnr),
    Metric("ms_ssim", "MS-SSIM-RGB (dB)", lambda curve: curve.ms_ssim_db),
    Metric("ssimulacra2", "SSIMULACRA2", lambda curve: curve.ssimulacra2),
    Metric("st_lpips", "ST-LPIPS, VGG (dB)", lambda curve: curve.st_lpips_db),
)


def _colour(curve: Curve) -> str:
    return PUBLISHED if curve.published else COLOURS.get(curve.name, PUBLISHED)


def draw_all(folder: Path, curves: Sequence[Curve], title: str) -> None:
    """One plot for each metric that any curve of our own run has."""
    for metric in METRICS:
        shown = [curve for curve in curves if metric.values(curve)]
        if any(not curve.published for curve in shown):
            lines = [
                Line(curve.label, _colour(curve), curve.bpp, metric.values(curve), curve.published) for curve in shown
            ]
            draw(folder / f"{metric.name}.png", lines, Plot(title, "bits per pixel (whole files)", metric.title))


def describe(
    title: str,
    setting: str,
    note: str,
    rows: Sequence[Row],
    curves: Sequence[Curve],
    pictures: Sequence[dict[str, object]] = (),
) -> Report:
    """The page. ``pictures`` are entries of ``gallery.show_picture``, most wanted first."""
    metrics = [(metric.name, metric.title) for metric in METRICS]
    view = View("", "bits per pixel", "bpp", metrics, [_as_data(curve) for curve in curves])
    lines = [TableRow(row.curve.name, row.curve.published, cells(row)) for row in rows]
    return Report(title, setting, [view], [Table("BD-rate and times", COLUMNS, lines, note)], "pictures.html", pictures)


def _as_data(curve: Curve) -> dict[str, object]:
    return {
        "name": curve.name,
        "label": curve.label,
        "published": curve.published,
        "colour": _colour(curve),
        "rate": [round(value, 5) for value in curve.bpp],
        **{metric.name: [round(value, 4) for value in metric.values(curve)] for metric in METRICS},
    }
