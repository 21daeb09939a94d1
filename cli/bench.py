"""``vqcodec bench``: the benchmarks. Each is imported only when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure rate, distortion and speed (needs the bench extra)."""


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers of 10,20.5; an option's type."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 10,20.5") from None


def _names(text: str) -> tuple[str, ...]:
    """Names of a,b; likewise."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _show_progress(what: str, done: int, total: int) -> None:
    """One line on a terminal, nothing elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r{what}: {done} of {total}  ", err=True, nl=done == total)


@bench.command("image")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of pictures, for example Kodak.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for results, plots and report.")
@click.option(
    "--codecs", default="", metavar="A,B", type=_names, help="Only these (and the JPEG that all are compared with)."
)
@click.option("--qualities", default="", metavar="Q,Q", type=_numbers, help="Quality settings for our own codec.")
@click.option("--images", type=click.IntRange(1), help="Only so many pictures, spread evenly over the folder.")
@click.option("--jobs", "-j", default=1, show_default=True, type=click.IntRange(1), help="Processes; 1 for fair times.")
@click.option(
    "--perceptual/--no-perceptual", default=True, show_default=True, help="Also SSIMULACRA2 and ST-LPIPS (slow)."
)
@click.option("--published", type=click.Path(path_type=Path), help="Folder of curves in CompressAI's schema to show.")
@click.option(
    "--psnr-range", nargs=2, type=float, default=(27.0, 37.0), show_default=True, help="BD-rate interval, dB."
)
@click.option("--report-images", default=4, show_default=True, type=click.IntRange(0), help="Pictures in the report.")
@click.option(
    "--report-bpp", default="0.25,0.5,1", show_default=True, metavar="B,B", type=_numbers, help="Sizes to show them at."
)
def image(**options: Any) -> None:  # the fields of ImageBench, one option each
    """Compare image codecs: curves, delta rates, times, one HTML report."""
    from vqcodec.benchmarks.extras import need

    need("matplotlib", "scipy", "pytorch_msssim")
    from vqcodec.benchmarks.image.run import ImageBench, run

    click.echo(run(ImageBench(**options), _show_progress))
    click.echo(f"report: {options['out'] / 'report.html'}")


@bench.command("exact")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of pictures; without it 20 graphics are drawn.")
@click.option("--photographs", type=click.Path(path_type=Path), help="Folder of those in drawn screenshots.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for results, and what was drawn.")
@click.option("--images", type=click.IntRange(1), help="Only so many pictures, spread evenly over the folder.")
@click.option("--default/--no-default", default=True, show_default=True, help="Also default settings (slow).")
def exact(**options: Any) -> None:  # the fields of ExactBench, one option each
    """Sizes without loss beside WebP and JPEG XL, and of graphics with default settings beside PNG and AVIF."""
    from vqcodec.benchmarks.extras import need

    if (options["data"] is None) == (options["photographs"] is None):
        raise click.UsageError("give one of --data and --photographs")
    if options["default"]:
        need("ssimulacra2")
    from vqcodec.benchmarks.image.exact import ExactBench, run

    click.echo(run(ExactBench(**options), _show_progress))


@bench.command("tokens")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of pictures, for example Kodak.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for report and sheets.")
@click.option(
    "--rates", default="0.12,0.08,0.05", show_default=True, metavar="B,B", type=_numbers, help="Bits per pixel."
)
@click.option("--images", type=click.IntRange(1), help="Only so many pictures, spread evenly over the folder.")
@click.option("--vgg/--no-vgg", default=True, show_default=True, help="Also judge by ST-LPIPS with VGG (slow).")
@click.option("--photographs", type=click.Path(path_type=Path), help="Held-out ones, for samples and repairs.")
@click.option("--samples", default=128, show_default=True, type=click.IntRange(8), help="Pictures to draw.")
@click.option("--holes", default=10, show_default=True, type=click.IntRange(0), help="Photographs to repair.")
def tokens(**options: Any) -> None:  # the fields of TokensBench, one option each
    """Tokens against AVIF and WebP at equal bytes; their prior; samples and repairs."""
    from vqcodec.benchmarks.extras import need

    need("scipy", "pytorch_msssim", "stlpips_pytorch")
    from vqcodec.benchmarks.tokens.run import TokensBench, run

    click.echo(run(TokensBench(**options), _show_progress))


@bench.command("audio")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Folder of sounds (speech_*, music_* ...)."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for results, plots and report.")
@click.option(
    "--codecs", default="", metavar="A,B", type=_names, help="Only these (and the Opus that all are compared with)."
)
@click.option("--opus/--no-opus", default=True, show_default=True, help="With Opus (needs opusenc and opusdec).")
@click.option("--qualities", default="", metavar="Q,Q", type=_numbers, help="Quality settings for our own codec.")
@click.option("--downmix", is_flag=True, help="Also code the mono downmix of stereo, with ours and with Opus.")
@click.option("--kinds", default="", metavar="A,B", type=_names, help="Only these classes: speech, music, other.")
@click.option("--clips", type=click.IntRange(1), help="Only so many clips of each class, spread evenly.")
@click.option(
    "--jobs", "-j", default=1, show_default=True, type=click.IntRange(1), help="Processes of one thread each."
)
@click.option("--visqol/--no-visqol", default=True, show_default=True, help="Also this metric (slow).")
@click.option(
    "--rates",
    default="1.5,3.2,6.5,10,16,24,32,48,64",
    show_default=True,
    metavar="K,K",
    type=_numbers,
    help="kbit/s to compare at.",
)
@click.option("--report-clips", default=2, show_default=True, type=click.IntRange(0), help="Of each class, to play.")
@click.option(
    "--report-kbps",
    default="3.2,6.5,12",
    show_default=True,
    metavar="K,K",
    type=_numbers,
    help="Rates to play them at.",
)
def audio(**options: Any) -> None:  # the fields of AudioBench, one option each
    """Compare audio codecs: curves, delta rates, speed, one HTML report."""
    from vqcodec.benchmarks.extras import need

    visqol = ("visqol", "ai_edge_litert", "numba") if options["visqol"] else ()
    need("matplotlib", "scipy", "pesq", "pystoi", "zimtohrli", "speechmos", *visqol)
    from vqcodec.benchmarks.audio.run import AudioBench, run

    click.echo(run(AudioBench(**options), _show_progress))
    click.echo(f"report: {options['out'] / 'report.html'}")


@bench.command("kernel")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for results and plot.")
@click.option("--quick", is_flag=True, help="Fewer and smaller cases.")
@click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]))
def kernel(out: Path, quick: bool, device: str) -> None:
    """Time the nearest-codeword search against the alternatives."""
    from vqcodec.benchmarks.extras import need

    need("matplotlib")
    from vqcodec.benchmarks.kernel.run import run

    click.echo(run(out, quick, device, _show_progress))
