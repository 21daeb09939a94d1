"""The image benchmark: measure, average, compare, draw, report. ``vqcodec bench image`` calls ``run``."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vqcodec.benchmarks.extras import need
from vqcodec.benchmarks.files import make_folder, spread, write_json
from vqcodec.benchmarks.image.codecs import ANCHOR, MODERN, Codec, select_codecs
from vqcodec.benchmarks.image.curves import Curve, average, read_folder, write_curve
from vqcodec.benchmarks.image.gallery import GalleryWork, show_picture
from vqcodec.benchmarks.image.measure import Work, find_pictures, measure_all
from vqcodec.benchmarks.image.show import describe, draw_all
from vqcodec.benchmarks.image.table import compare, explain, markdown
from vqcodec.benchmarks.report import write_report
from vqcodec.errors import UsageError
from vqcodec.workers import in_processes

__all__ = ["ImageBench", "run"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageBench:
    """What to measure.

    Attributes:
        data: folder of pictures.
        out: folder for results; ``out/cache`` keeps the results of the classical codecs for the next run.
        codecs: names; empty for all that are installed. The anchor is always added.
        qualities: quality settings for our own codec; empty for the built-in list.
        images: use only so many pictures, spread evenly over the folder.
        jobs: processes. Times are comparable only within one value of it, and best with 1.
        perceptual: also SSIMULACRA2 and ST-LPIPS (slow).
        published: folder of result files in CompressAI's schema to show beside ours.
        psnr_range: interval of the PSNR delta rate in dB.
        report_images: how many pictures the report shows; 0 for none.
        report_bpp: file sizes that the report compares at, in bits per pixel.
    """

    data: Path
    out: Path
    codecs: tuple[str, ...] = ()
    qualities: tuple[float, ...] = ()
    images: int | None = None
    jobs: int = 1
    perceptual: bool = True
    published: Path | None = None
    psnr_range: tuple[float, float] = (27.0, 37.0)
    report_images: int = 4
    report_bpp: tuple[float, ...] = (0.25, 0.5, 1.0)


def run(config: ImageBench, progress: Progress = lambda *_: None) -> str:
    """Run the benchmark, write everything into ``config.out``, return the table of what was measured in Markdown.

    Args:
        config: what to measure.
        progress: called with what is being done, items done, items in all.

    Raises:
        InputError: no pictures, or one that cannot be read; a published file of another kind.
        OutputError: the folder cannot be written.
        UsageError: an unknown codec, an option out of range, or a missing package of the bench extra.
    """
    _check(config)
    codecs = select_codecs(config.codecs, config.qualities)
    paths = find_pictures(config.data, config.images)
    published = read_folder(config.published) if config.published else []
    make_folder(config.out / "curves")
    work = [Work(codec, path, config.out / "cache", config.perceptual) for codec in codecs for path in paths]
    results = measure_all(work, config.jobs, lambda done, total: progress("measuring", done, total))
    setting = _setting(config, len(paths))
    own = [average(codec, results, setting) for codec in codecs]
    for curve in own:
        write_curve(config.out / "curves" / f"{curve.name}.json", curve)
    write_json(config.out / "measurements.json", [asdict(item) for item in results])
    pictures = _pictures(config, codecs, paths, progress)
    return _conclude(config, [*own, *published], setting, pictures)


def _check(config: ImageBench) -> None:
    if config.perceptual:
        need("ssimulacra2", "stlpips_pytorch")
    low, high = config.psnr_range
    if not 0 < low < high:
        raise UsageError(f"--psnr-range {low:g} {high:g}: the first must be above 0 and below the second")
    if any(not 1 <= quality <= 100 for quality in config.qualities):
        raise UsageError("--qualities: each must be from 1 to 100")
    if any(rate <= 0 for rate in config.report_bpp):
        raise UsageError("--report-bpp: each must be above 0")


def _setting(config: ImageBench, count: int) -> str:
    times = f"times from {config.jobs} process{'es' * (config.jobs > 1)} at once on {os.cpu_count()} cores"
    return f"{count} pictures of {config.data.resolve().name}, whole files, {platform.machine()}, {times}."


def _pictures(
    config: ImageBench, codecs: Sequence[Codec], paths: Sequence[Path], progress: Progress
) -> list[dict[str, object]]:
    chosen = spread(paths, config.report_images)
    work = [GalleryWork(path, tuple(codecs), config.report_bpp, config.out / "cache") for path in chosen]
    entries = []
    for entry in in_processes(show_picture, work, config.jobs):
        entries.append(entry)
        progress("matching sizes", len(entries), len(work))
    return sorted(entries, key=lambda entry: str(entry["name"]))


def _against_modern(config: ImageBench, curves: Sequence[Curve]) -> str:
    """The same table against the second anchor, or nothing where it was not measured."""
    modern = [curve for curve in curves if curve.name == MODERN and not curve.published]
    if not modern:
        return ""
    own = [curve for curve in curves if not curve.published]
    return f"\n{markdown(compare(modern[0], own, config.psnr_range), explain(modern[0], config.psnr_range))}"


def _conclude(config: ImageBench, curves: Sequence[Curve], setting: str, pictures: Sequence[dict[str, object]]) -> str:
    """Table, plots and report from finished curves."""
    anchor = next(curve for curve in curves if curve.name == ANCHOR and not curve.published)
    rows = compare(anchor, curves, config.psnr_range)
    note = explain(anchor, config.psnr_range)
    if any(curve.published for curve in curves):
        note += " Published curves are means over their own pictures, as a rule all 24 of Kodak"
        note += "; this run took a part of its folder, so they do not compare." if config.images else "."
    plain = [row.as_json() for row in rows]
    write_json(config.out / "bd_rate.json", {"anchor": ANCHOR, "psnr_range": config.psnr_range, "rows": plain})
    text = f"{setting}\n\n{markdown(rows, note)}" + _against_modern(config, curves)
    (config.out / "bd_rate.md").write_text(text, encoding="utf-8")
    title = f"Image codecs on {config.data.resolve().name}"
    draw_all(config.out, curves, title)
    shown = write_report(config.out / "report.html", describe(title, setting, note, rows, curves, pictures))
    if shown < len(pictures):
        note += f" The report shows {shown} of {len(pictures)} pictures, to stay a size that can be mailed."
    return markdown([row for row in rows if not row.curve.published], note) + _against_modern(config, curves)
