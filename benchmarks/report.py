"""One self-contained HTML file: curves, table, and a slider that compares two codecs at about the same size."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from vqcodec.benchmarks.curves import Curve
from vqcodec.benchmarks.plots import METRICS, colour
from vqcodec.benchmarks.table import COLUMNS, Row, cells

__all__ = ["LARGEST", "Report", "write_report"]

LARGEST = 10_000_000  # bytes; a report that cannot be mailed is not read


@dataclass(frozen=True)
class Report:
    """What the page shows. ``pictures`` are entries of ``gallery.show_picture``, most wanted first."""

    title: str
    setting: str
    note: str
    rows: Sequence[Row]
    curves: Sequence[Curve]
    pictures: Sequence[dict[str, object]] = field(default_factory=tuple)


def write_report(path: Path, report: Report) -> int:
    """Write the page; returns how many pictures fitted under ``LARGEST`` (the rest is left out, from the end)."""
    shown = len(report.pictures)
    page = _page(report, shown)
    while shown and len(page) > LARGEST:
        shown -= 1
        page = _page(report, shown)
    path.write_text(page, encoding="utf-8")
    return shown


def _page(report: Report, shown: int) -> str:
    template = files("vqcodec.benchmarks").joinpath("report.html").read_text(encoding="utf-8")
    data = {
        "metrics": [{"name": metric.name, "title": metric.title} for metric in METRICS],
        "curves": [_curve(curve) for curve in report.curves],
        "pictures": list(report.pictures[:shown]),
    }
    parts = {
        "@@TITLE@@": html.escape(report.title),
        "@@SETTING@@": html.escape(report.setting),
        "@@NOTE@@": html.escape(report.note),
        "@@TABLE@@": _table(report.rows),
        # "</" would end the script element if a label held it.
        "@@DATA@@": json.dumps(data).replace("</", "<\\/"),
    }
    for mark, text in parts.items():
        template = template.replace(mark, text)
    return template


def _curve(curve: Curve) -> dict[str, object]:
    return {
        "name": curve.name,
        "label": curve.label,
        "published": curve.published,
        "colour": colour("" if curve.published else curve.name),
        "bpp": [round(value, 5) for value in curve.bpp],
        **{metric.name: [round(value, 4) for value in metric.values(curve)] for metric in METRICS},
    }


def _table(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    body = []
    for row in rows:
        kind = "published" if row.curve.published else "own"
        texts = "".join(f"<td>{html.escape(text)}</td>" for text in cells(row))
        body.append(f'<tr class="{kind}" data-codec="{html.escape(row.curve.name)}">{texts}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
