"""One self-contained HTML file: curves, tables, examples to compare. Pictures and sounds share all but the examples.

``report.html`` holds the page, the chart and their script; ``pictures.html`` and ``players.html`` the examples.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

__all__ = ["LARGEST", "Report", "Table", "TableRow", "View", "read", "write_report"]

LARGEST = 10_000_000  # bytes; a report that cannot be mailed is not read


@dataclass(frozen=True)
class View:
    """What the chart shows at a time.

    Attributes:
        label: its name where the page has several.
        rate_title: title of the horizontal axis; ``unit`` is its short form, for a point under the mouse.
        metrics: name and title of each vertical axis.
        curves: name, label, colour, published (bool), rate (list), and a list for each metric, empty if not measured.
    """

    label: str
    rate_title: str
    unit: str
    metrics: Sequence[tuple[str, str]]
    curves: Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class TableRow:
    """One line of a table: the codec's name, whether its figures are somebody else's, and the texts."""

    name: str
    published: bool
    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table with its heading and what is to be said below it. A ``folded`` one shows its rows when clicked."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[TableRow]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Report:
    """What the page shows. ``entries`` are the examples as ``gallery``, a file of this package, wants them."""

    title: str
    setting: str
    views: Sequence[View]
    tables: Sequence[Table]
    gallery: str
    entries: Sequence[Mapping[str, object]] = ()


def write_report(path: Path, report: Report) -> int:
    """Write the page; returns how many examples fitted under ``LARGEST`` (the rest is left out, from the end)."""
    shown = len(report.entries)
    page = _page(report, shown)
    while shown and len(page) > LARGEST:
        shown -= 1
        page = _page(report, shown)
    path.write_text(page, encoding="utf-8")
    return shown


def read(name: str) -> str:
    """A file of this package."""
    return files("vqcodec.benchmarks").joinpath(name).read_text(encoding="utf-8")


def _page(report: Report, shown: int) -> str:
    data = {
        "views": [
            {
                "label": view.label,
                "rate_title": view.rate_title,
                "unit": view.unit,
                "metrics": [{"name": name, "title": title} for name, title in view.metrics],
                "curves": list(view.curves),
            }
            for view in report.views
        ],
        "entries": list(report.entries[:shown]),
    }
    page = read("report.html")
    parts = {
        "@@GALLERY@@": read(report.gallery),
        "@@SLIDER@@": read("slider.html"),
        "@@TITLE@@": html.escape(report.title),
        "@@SETTING@@": html.escape(report.setting),
        "@@TABLES@@": "\n".join(map(_table, report.tables)),
        # "</" would end the script element if a label held it.
        "@@DATA@@": json.dumps(data).replace("</", "<\\/"),
    }
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    body = []
    for row in table.rows:
        kind = "published" if row.published else "own"
        texts = "".join(f"<td>{html.escape(text)}</td>" for text in row.texts)
        body.append(f'<tr class="{kind}" data-codec="{html.escape(row.name)}">{texts}</tr>')
    heading, note = html.escape(table.heading), f"<p>{html.escape(table.note)}</p>"
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>\n{note}"
    if table.folded:
        return f"<details><summary>{heading}</summary>\n{whole}</details>"
    return f"<h2>{heading}</h2>\n{whole}"
