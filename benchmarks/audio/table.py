"""The audio benchmark's tables, as columns and rows of texts; Markdown and the report print the same."""

from __future__ import annotations

from collections.abc import Sequence

from vqcodec.benchmarks.audio.codecs import ANCHORS
from vqcodec.benchmarks.audio.curves import METRICS, RATES, AudioCurve, Metric, at_rate, delta_rates
from vqcodec.benchmarks.image.table import markdown_table, show
from vqcodec.benchmarks.report import Table, TableRow

__all__ = ["as_markdown", "count_of", "tables"]

NOTHING = "-"

NOTES = {
    "means": "Rates are means over the clips, of whole files and of coded sound alone (Opus: packets without Ogg "
    "pages; ours: the chunks' streams). Speed is seconds of sound per second of processor time on one "
    "thread, entropy coding included; that of Opus includes starting its tools.",
    "rates": f"Interpolated over log(rate) of whole files; {NOTHING} where a codec does not go that low or high.",
    "delta": "Mean difference of rate at equal quality in percent, whole files / coded sound alone; negative is "
    "better. PCHIP over log(rate), over the values the anchor has from its lowest rate to 24 kbit/s. Where a curve "
    "covers only a part of that, the part is named; below a fifth there is no value. Nothing is extrapolated.",
}


def tables(curves: Sequence[AudioCurve], rates: Sequence[float]) -> list[Table]:
    """For each class: metrics at these rates and delta rates against each anchor; then every measured point."""
    found, last = [], []
    for kind in dict.fromkeys(curve.kind for curve in curves):
        own = [curve for curve in curves if curve.kind == kind]
        head = f"{kind.capitalize()}, {count_of(own[0].clips)}"
        metrics = [metric for metric in METRICS if any(curve.metrics.get(metric.name) for curve in own)]
        found.append(_at_rates(head, own, metrics, rates))
        for name in ANCHORS:
            found += [_deltas(head, curve, own, metrics) for curve in own if curve.codec == name]
        last.append(_means(head, own, metrics))
    return found + last


def count_of(clips: int) -> str:
    """So many clips, in words."""
    return f"{clips} clip{'s' * (clips != 1)}"


def _text(value: float | None, metric: Metric) -> str:
    return NOTHING if value is None else f"{value:.{metric.decimals}f}"


def _at_rates(head: str, curves: Sequence[AudioCurve], metrics: Sequence[Metric], rates: Sequence[float]) -> Table:
    rows = []
    for rate in rates:
        for curve in curves:
            values = [at_rate(curve, metric, rate) for metric in metrics]
            if any(value is not None for value in values):
                texts = [_text(value, metric) for value, metric in zip(values, metrics, strict=True)]
                rows.append(TableRow(curve.codec, False, [f"{rate:g}", curve.label, *texts]))
    columns = ["kbit/s", "codec", *(metric.short for metric in metrics)]
    return Table(f"{head}: at equal file rates", columns, rows, NOTES["rates"])


def _deltas(head: str, anchor: AudioCurve, curves: Sequence[AudioCurve], metrics: Sequence[Metric]) -> Table:
    rows = []
    for curve in curves:
        deltas = [delta_rates(anchor, curve, rate) for rate in RATES]
        texts = [" / ".join(show(delta.get(metric.name)) for delta in deltas) for metric in metrics]
        rows.append(TableRow(curve.codec, False, [curve.label, *texts]))
    columns = ["codec", *(metric.short for metric in metrics)]
    return Table(f"{head}: BD-rate against {anchor.label}", columns, rows, NOTES["delta"])


def _means(head: str, curves: Sequence[AudioCurve], metrics: Sequence[Metric]) -> Table:
    rows = []
    for curve in curves:
        for index, setting in enumerate(curve.settings):
            values = [curve.metrics.get(metric.name) or None for metric in metrics]
            texts = [_text(v[index] if v else None, metric) for v, metric in zip(values, metrics, strict=True)]
            rates = [f"{curve.kbps[rate][index]:.2f}" for rate in RATES]
            speeds = [f"{speed[index]:.0f}x" for speed in (curve.encode_speed, curve.decode_speed)]
            rows.append(TableRow(curve.codec, False, [curve.label, f"{setting:g}", *rates, *texts, *speeds]))
    columns = ["codec", "setting", "file kbit/s", "payload kbit/s", *(metric.short for metric in metrics)]
    return Table(f"{head}: every setting", [*columns, "encode", "decode"], rows, NOTES["means"], folded=True)


def as_markdown(found: Sequence[Table]) -> str:
    """All tables, each below its heading; what they mean at the end, once."""
    parts = [
        f"## {table.heading}\n\n{markdown_table(table.columns, [row.texts for row in table.rows])}\n" for table in found
    ]
    notes = dict.fromkeys(f"{table.heading.split(': ')[1].split(' against')[0]}: {table.note}" for table in found)
    return "\n".join([*parts, *(f"{note[0].upper()}{note[1:]}\n" for note in notes)])
