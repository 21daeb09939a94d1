"""Rate-distortion plots as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from vqcodec.benchmarks.codecs import OURS
from vqcodec.benchmarks.curves import Curve

__all__ = ["COLOURS", "METRICS", "Metric", "colour", "draw_all"]

# Okabe and Ito (2008): told apart by readers with any colour vision. Ours is black and thick.
COLOURS = {
    OURS: "#000000",
    "jpeg-420": "#d55e00",
    "jpeg-444": "#e69f00",
    "jpeg": "#b39ddb",
    "webp": "#009e73",
    "avif-420": "#0072b2",
    "avif-444": "#56b4e9",
    "jxl": "#cc79a7",
}


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
)


def colour(name: str) -> str:
    """The colour of a codec, gray for published curves."""
    return COLOURS.get(name, "#9a9a9a")


def draw_all(folder: Path, curves: Sequence[Curve], title: str) -> list[Path]:
    """One plot for each metric that any curve of our own run has; returns the files written."""
    paths = []
    for metric in METRICS:
        shown = [curve for curve in curves if metric.values(curve)]
        if not any(not curve.published for curve in shown):
            continue
        path = folder / f"{metric.name}.png"
        _draw(shown, metric, title).savefig(path, dpi=150)
        paths.append(path)
    return paths


def _draw(curves: Sequence[Curve], metric: Metric, title: str) -> Figure:
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.add_subplot()
    measured = [curve for curve in curves if not curve.published]
    for curve in curves:
        if curve.published:
            axes.plot(curve.bpp, metric.values(curve), color="#b0b0b0", linewidth=0.8, zorder=1)
    for curve in measured:
        thick = 2.6 if curve.name == OURS else 1.6
        axes.plot(
            curve.bpp,
            metric.values(curve),
            color=colour(curve.name),
            linewidth=thick,
            marker="o",
            markersize=3.5,
            label=curve.label,
            zorder=3 if curve.name == OURS else 2,
        )
    if len(measured) < len(curves):
        axes.plot([], [], color="#b0b0b0", linewidth=0.8, label=f"published curves ({len(curves) - len(measured)})")
    _frame(axes, measured, metric, title)
    return figure


def _frame(axes: object, measured: Sequence[Curve], metric: Metric, title: str) -> None:
    """Axes, ticks and limits; the limits follow what was measured, published curves are cut there."""
    from matplotlib.axes import Axes
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    assert isinstance(axes, Axes)
    rates = [rate for curve in measured for rate in curve.bpp]
    values = [value for curve in measured for value in metric.values(curve)]
    margin = 0.03 * (max(values) - min(values)) + 0.1
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.1, max(rates) * 1.1)
    axes.set_ylim(min(values) - margin, max(values) + margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bits per pixel (whole files)")
    axes.set_ylabel(metric.title)
    axes.set_title(title)
    axes.grid(True, which="both", linewidth=0.4, alpha=0.6)
    axes.legend(loc="lower right", framealpha=0.95)
