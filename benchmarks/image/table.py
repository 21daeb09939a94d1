"""Delta rates of every curve against one anchor, as data, as Markdown and as rows for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from vqcodec.benchmarks.bd import BdRate, bd_rate, value_at_rate
from vqcodec.benchmarks.image.curves import Curve

__all__ = ["COLUMNS", "Row", "cells", "compare", "explain", "markdown", "markdown_table", "show"]

FULL = 0.999  # rounding at the ends of an interval is not a gap

Points = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Row:
    """One curve against the anchor. All but ``psnr`` are None where either curve lacks the metric."""

    curve: Curve
    psnr: BdRate
    ms_ssim: BdRate | None
    ssimulacra2: BdRate | None
    st_lpips: BdRate | None

    def as_json(self) -> dict[str, object]:
        """Plain data, without the curve itself."""
        deltas: dict[str, BdRate | None] = {
            "psnr-rgb": self.psnr,
            "ms-ssim-rgb-db": self.ms_ssim,
            "ssimulacra2": self.ssimulacra2,
        }
        deltas["st-lpips-vgg-db"] = self.st_lpips
        return {
            "codec": self.curve.name,
            "label": self.curve.label,
            "published": self.curve.published,
            **{name: asdict(value) if value else None for name, value in deltas.items()},
        }


def _at_the_same_rates(anchor: Curve, of_anchor: list[float], of_test: Points, span: tuple[float, float]) -> BdRate:
    """Delta rate on another metric, over the values that the anchor has at the rates where its PSNR spans ``span``."""
    rates = [_rate_at(anchor, value) for value in span]
    low, high = (value_at_rate((anchor.bpp, of_anchor), rate) for rate in rates)
    return bd_rate((anchor.bpp, of_anchor), of_test, (low, high))


def _rate_at(curve: Curve, psnr: float) -> float:
    # The roles of the two axes are swapped: log-interpolation over the rate is not needed for the end of an interval.
    inside = min(max(psnr, min(curve.psnr)), max(curve.psnr))
    low, high = min(curve.bpp), max(curve.bpp)
    for _ in range(60):
        middle = (low + high) / 2
        if value_at_rate((curve.bpp, curve.psnr), middle) < inside:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def compare(anchor: Curve, curves: Sequence[Curve], psnr_range: tuple[float, float]) -> list[Row]:
    """A row for every curve, best PSNR delta first, curves without a value last."""
    rows = []
    for curve in curves:
        ms_ssim = perceptual = features = None
        if anchor.ms_ssim and curve.ms_ssim:
            points = (curve.bpp, curve.ms_ssim_db)
            ms_ssim = _at_the_same_rates(anchor, anchor.ms_ssim_db, points, psnr_range)
        if anchor.ssimulacra2 and curve.ssimulacra2:
            points = (curve.bpp, curve.ssimulacra2)
            perceptual = _at_the_same_rates(anchor, anchor.ssimulacra2, points, psnr_range)
        if anchor.st_lpips and curve.st_lpips:
            features = _at_the_same_rates(anchor, anchor.st_lpips_db, (curve.bpp, curve.st_lpips_db), psnr_range)
        psnr = bd_rate((anchor.bpp, anchor.psnr), (curve.bpp, curve.psnr), psnr_range)
        rows.append(Row(curve, psnr, ms_ssim, perceptual, features))
    return sorted(rows, key=lambda row: (row.psnr.percent is None, row.psnr.percent))


def show(delta: BdRate | None) -> str:
    """A delta rate as text: the figure alone where the curve covers the interval, else with the part it covers."""
    if delta is None:
        return "not measured"
    if delta.percent is None:
        return f"no value ({100 * delta.coverage:.0f} % covered)"
    text = f"{delta.percent:+.1f} %"
    return text if delta.coverage >= FULL else f"{text} (part: {delta.low:.1f} to {delta.high:.1f})"


def explain(anchor: Curve, psnr_range: tuple[float, float]) -> str:
    """What the figures of the table mean, in one paragraph."""
    low, high = psnr_range
    return (
        f"BD-rate against {anchor.label}: mean difference of rate at equal quality, PCHIP over log(rate); negative is "
        f"better. PSNR over {low:g} to {high:g} dB; MS-SSIM (in dB), SSIMULACRA2 "
        "and ST-LPIPS (VGG, in dB) over the values the anchor has at "
        "the rates of that interval. A curve that does not reach both ends is averaged over the part that it covers, "
        "which is then named; below a fifth of the interval there is no value. Nothing is extrapolated."
    )


def _span(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def _seconds(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" if values else ""


COLUMNS = ("codec", "PSNR-RGB", "MS-SSIM", "SSIMULACRA2", "ST-LPIPS", "bpp", "PSNR dB", "encode s", "decode s")


def cells(row: Row) -> tuple[str, ...]:
    """The texts of one row, in the order of ``COLUMNS``."""
    curve = row.curve
    return (
        curve.label + (" [published]" if curve.published else ""),
        show(row.psnr),
        show(row.ms_ssim),
        show(row.ssimulacra2),
        show(row.st_lpips),
        _span(curve.bpp, 2),
        _span(curve.psnr, 1),
        # Published times come from other machines.
        "" if curve.published else _seconds(curve.encode_seconds),
        "" if curve.published else _seconds(curve.decode_seconds),
    )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns and rows of texts as a table in Markdown, without a line feed at the end."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(rows: Sequence[Row], note: str) -> str:
    """The table in Markdown, the explanation below it."""
    return f"{markdown_table(COLUMNS, [cells(row) for row in rows])}\n\n{note}\n"
