"""Rate-distortion plots as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ["OURS_COLOUR", "Corner", "Line", "Plot", "draw"]

Corner = Literal["lower right", "upper right"]

OURS_COLOUR = "#000000"  # ours is black and thick, everybody else has a colour


@dataclass(frozen=True)
class Line:
    """One curve. Published ones, of other people's runs, are thin, gray and unnamed."""

    label: str
    colour: str
    rates: list[float]
    values: list[float]
    published: bool = False


@dataclass(frozen=True)
class Plot:
    """Titles of one plot, and where its legend leaves the curves free."""

    title: str
    rate_title: str
    value_title: str
    legend: Corner = "lower right"


def draw(path: Path, lines: Sequence[Line], plot: Plot) -> None:
    """Write one plot; at least one line must be of our own run."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.add_subplot()
    measured = [line for line in lines if not line.published]
    for line in lines:
        if line.published:
            axes.plot(line.rates, line.values, color="#b0b0b0", linewidth=0.8, zorder=1)
    for line in measured:
        ours = line.colour == OURS_COLOUR
        axes.plot(
            line.rates,
            line.values,
            color=line.colour,
            linewidth=2.6 if ours else 1.6,
            marker="o",
            markersize=3.5,
            label=line.label,
            zorder=3 if ours else 2,
        )
    if len(measured) < len(lines):
        axes.plot([], [], color="#b0b0b0", linewidth=0.8, label=f"published curves ({len(lines) - len(measured)})")
    _frame(axes, measured, plot)
    figure.savefig(path, dpi=150)


def _frame(axes: Axes, measured: Sequence[Line], plot: Plot) -> None:
    """Axes, ticks and limits; the limits follow what was measured, published curves are cut there."""
    rates = [rate for line in measured for rate in line.rates]
    values = [value for line in measured for value in line.values]
    margin = 0.03 * (max(values) - min(values))
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.1, max(rates) * 1.1)
    axes.set_ylim(min(values) - margin - 1e-3, max(values) + margin + 1e-3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(plot.rate_title)
    axes.set_ylabel(plot.value_title)
    axes.set_title(plot.title)
    axes.grid(True, which="both", linewidth=0.4, alpha=0.6)
    axes.legend(loc=plot.legend, framealpha=0.95)
