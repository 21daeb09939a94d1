"""The audio benchmark: measure, average, compare, draw, report. ``vqcodec bench audio`` calls ``run``."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from vqcodec.benchmarks.audio.codecs import ANCHORS, OURS, AudioCodec, codec_version, select_codecs
from vqcodec.benchmarks.audio.curves import RATES, AudioCurve, average, delta_rates
from vqcodec.benchmarks.audio.gallery import PlayerWork, show_clip
from vqcodec.benchmarks.audio.measure import (
    KINDS,
    PACKAGES,
    VISQOL_PACKAGES,
    AudioWork,
    Clip,
    find_clips,
    load_clip,
    measure_all,
)
from vqcodec.benchmarks.audio.show import describe, draw_all
from vqcodec.benchmarks.audio.table import as_markdown, tables
from vqcodec.benchmarks.files import make_folder, spread, write_json
from vqcodec.benchmarks.report import write_report
from vqcodec.errors import UsageError
from vqcodec.workers import in_processes

__all__ = ["AudioBench", "run"]

Progress = Callable[[str, int, int], None]
PLAYED = (OURS, "vqcodec-mono", "opus-vbr-60", "opus-mono")  # the codecs of the report's players


@dataclass(frozen=True)
class AudioBench:
    """What to measure.

    Attributes:
        data: folder of sounds.
        out: folder for results; ``out/cache`` keeps the results of other codecs for the next run.
        codecs: names; empty for all. The anchors are added unless ``opus`` is off.
        qualities: quality settings for our own codec; empty for the built-in list.
        kinds: only these classes; empty for all that the folder has.
        clips: use only so many clips of each class, spread evenly.
        jobs: processes, each on one thread.
        downmix: also code the mono downmix of stereo, with ours and with Opus.
        opus: with Opus; off where its tools are not installed.
        visqol: also this metric (the slowest).
        rates: kbit/s of whole files to compare at.
        report_clips: clips of each class in the report; 0 for none.
        report_kbps: rates that the report plays them at.
    """

    data: Path
    out: Path
    codecs: tuple[str, ...] = ()
    qualities: tuple[float, ...] = ()
    kinds: tuple[str, ...] = ()
    clips: int | None = None
    jobs: int = 1
    downmix: bool = False
    opus: bool = True
    visqol: bool = True
    rates: tuple[float, ...] = (1.5, 3.2, 6.5, 10.0, 16.0, 24.0, 32.0, 48.0, 64.0)
    report_clips: int = 2
    report_kbps: tuple[float, ...] = (3.2, 6.5, 12.0)


def run(config: AudioBench, progress: Progress = lambda *_: None) -> str:
    """Run the benchmark, write everything into ``config.out``, return the tables that compare, in Markdown.

    Args:
        config: what to measure.
        progress: called with what is being done, items done, items in all.

    Raises:
        InputError: no sounds, or one that cannot be read.
        OutputError: the folder cannot be written.
        UsageError: an unknown codec or class, an option out of range, or a missing package or tool.
    """
    _check(config)
    codecs = select_codecs(config.codecs, config.qualities, downmix=config.downmix, opus=config.opus)
    clips = find_clips(config.data, config.kinds, config.clips)
    stereo = {clip.kind for clip in clips if load_clip(clip)[0].shape[1] > 1}
    make_folder(config.out)
    # A class without stereo would only get the same figures twice.
    work = [
        AudioWork(codec, clip, config.out / "cache", config.visqol)
        for codec in codecs
        for clip in clips
        if not codec.downmix or clip.kind in stereo
    ]
    results = measure_all(work, config.jobs, lambda done, total: progress("measuring", done, total))
    write_json(config.out / "measurements.json", [asdict(item) for item in results])
    curves = [curve for kind in KINDS for codec in codecs if (curve := average(codec, results, kind)) is not None]
    return _conclude(config, codecs, curves, _play(config, codecs, clips, stereo, progress))


def _check(config: AudioBench) -> None:
    if any(not 1 <= quality <= 100 for quality in config.qualities):
        raise UsageError("--qualities: each must be from 1 to 100")
    if any(rate <= 0 for rate in (*config.rates, *config.report_kbps)):
        raise UsageError("--rates and --report-kbps: each must be above 0")
    unknown = [kind for kind in config.kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"--kinds: no class {', '.join(unknown)}; choose from {', '.join(KINDS)}")


def _play(
    config: AudioBench, codecs: Sequence[AudioCodec], clips: Sequence[Clip], stereo: set[str], progress: Progress
) -> list[dict[str, object]]:
    """The report's clips, the classes in turn, so that a report cut short still has some of each."""
    by_kind = [spread([clip for clip in clips if clip.kind == kind], config.report_clips) for kind in KINDS]
    chosen = [clips[index] for index in range(config.report_clips) for clips in by_kind if index < len(clips)]
    order = {str(clip.path.stem): place for place, clip in enumerate(chosen)}
    work = []
    for clip in chosen:
        played = [codec for codec in codecs if codec.name in PLAYED and (not codec.downmix or clip.kind in stereo)]
        work.append(PlayerWork(clip, tuple(played), config.report_kbps))
    entries: list[dict[str, object]] = []
    for entry in in_processes(show_clip, work, config.jobs, threads=1):
        entries.append(entry)
        progress("making players", len(entries), len(work))
    return sorted(entries, key=lambda entry: order[str(entry["name"])])


def _versions(codecs: Sequence[AudioCodec], visqol: bool) -> list[str]:
    packages = [*PACKAGES, *(VISQOL_PACKAGES if visqol else ()), "torch", "numpy", "soxr"]
    used = [f"{name} {version(name)}" for name in packages]
    return [*dict.fromkeys(map(codec_version, codecs)), *used, f"Python {platform.python_version()}"]


def _deltas(curves: Sequence[AudioCurve]) -> list[dict[str, object]]:
    return [
        {
            "kind": curve.kind,
            "anchor": anchor.codec,
            "codec": curve.codec,
            **{rate: {name: asdict(d) for name, d in delta_rates(anchor, curve, rate).items()} for rate in RATES},
        }
        for anchor in curves
        if anchor.codec in ANCHORS
        for curve in curves
        if curve.kind == anchor.kind
    ]


def _conclude(
    config: AudioBench,
    codecs: Sequence[AudioCodec],
    curves: Sequence[AudioCurve],
    clips: Sequence[dict[str, object]],
) -> str:
    """Tables, plots and report from finished curves."""
    versions = _versions(codecs, config.visqol)
    found = tables(curves, config.rates)
    counts = {curve.kind: curve.clips for curve in curves}
    setting = (
        f"{', '.join(f'{count} {kind}' for kind, count in counts.items())} clips of {config.data.resolve().name}; "
        f"{platform.machine()}. {'; '.join(versions)}."
    )
    write_json(config.out / "curves.json", {"versions": versions, "curves": [curve.as_json() for curve in curves]})
    write_json(config.out / "bd_rate.json", _deltas(curves))
    title = f"Audio codecs on {config.data.resolve().name}"
    (config.out / "tables.md").write_text(f"# {title}\n\n{setting}\n\n{as_markdown(found)}", encoding="utf-8")
    draw_all(config.out, curves, title)
    shown = write_report(config.out / "report.html", describe(title, setting, curves, found, clips))
    text = f"{setting}\n\n{as_markdown(found[: -len(counts)])}\nEvery setting: {config.out / 'tables.md'}\n"
    if shown < len(clips):
        text += f"\nThe report plays {shown} of {len(clips)} clips, to stay a size that can be mailed.\n"
    return text
