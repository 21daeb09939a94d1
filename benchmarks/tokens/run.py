"""``vqcodec bench tokens``: rate and distortion of tokens beside AVIF and WebP, their prior, samples and repairs."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import vqcodec
from vqcodec.benchmarks.files import find_files, make_folder, spread, write_json
from vqcodec.benchmarks.tokens.features import features, frechet, score
from vqcodec.benchmarks.tokens.measure import Judge, Measured, compare
from vqcodec.stlpips import PerceptualDistance

__all__ = ["TokensBench", "run"]

Pixels = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint16]
Progress = Callable[[str, int, int], None]

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".ppm"}
LEVELS = ("top", "bottom", "residual")  # of codes, as vqcodec.Tokens names them
QUALITIES = (100.0, 60.0)  # by distance alone, and as most files are
HOLE = 64  # pixels a side
CROP = 256


@dataclass(frozen=True)
class TokensBench:
    """What ``vqcodec bench tokens`` was asked for.

    Attributes:
        data: folder of pictures, for example Kodak.
        out: folder for report and sheets.
        rates: bits per pixel of whole files.
        images: only so many pictures, spread evenly.
        vgg: also judge by ST-LPIPS with VGG (slow).
        photographs: held-out photographs that samples are compared with; None leaves samples out.
        samples: how many are drawn; distances of fewer than a hundred are uncertain by half.
        holes: pictures a hole is cut into, of the photographs; 0 for none.
    """

    data: Path
    out: Path
    rates: tuple[float, ...] = (0.12, 0.08, 0.05)
    images: int | None = None
    vgg: bool = True
    photographs: Path | None = None
    samples: int = 128
    holes: int = 10


def run(options: TokensBench, progress: Progress) -> str:
    """Run the benchmark; returns its report in Markdown, which is also in ``out``."""
    paths = spread(find_files(options.data, SUFFIXES, "pictures"), options.images)
    photographs = find_files(options.photographs, SUFFIXES, "photographs") if options.photographs else []
    make_folder(options.out)
    networks = {"AlexNet": PerceptualDistance("alex")}
    networks |= {"VGG": PerceptualDistance("vgg")} if options.vgg else {}
    lines = ["# Tokens", "", f"{len(paths)} pictures of {options.data.name}; sizes are those of whole files.", ""]
    lines += _rates(options, paths, networks, progress)
    for quality in QUALITIES:
        lines += _codes([_pixels(path) for path in paths], quality)
    if photographs:
        held_out = [_pixels(path) for path in photographs]
        lines += _samples(options, held_out, progress)
        lines += _holes(options, held_out, networks, progress)
    report = "\n".join(lines) + "\n"
    (options.out / "tokens.md").write_text(report)
    return report


def _pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _rates(
    options: TokensBench, paths: list[Path], networks: dict[str, PerceptualDistance], progress: Progress
) -> list[str]:
    rows: dict[tuple[float, str], list[Measured]] = defaultdict(list)
    bits: dict[float, list[float]] = defaultdict(list)
    pairs: list[list[Pixels]] = []
    missed: list[str] = []
    for i, path in enumerate(paths):
        original = _pixels(path)
        judge = Judge(original, networks)
        for rate in options.rates:
            found = compare(original, rate, judge, missed.append)
            for one in found:
                rows[rate, one.codec].append(one)
            if found:
                bits[rate].append(8 * found[0].size / (original.shape[0] * original.shape[1]))
            if found and rate == options.rates[0]:
                pairs.append([original, *(one.decoded for one in found[:2])])
        progress("pictures", i + 1, len(paths))
    _sheet(options.out / "pictures.png", pairs[:12])
    figures = list(next(iter(rows.values()))[0].figures) if rows else []
    lines = [
        f"| rate of tokens | codec | pictures | {' | '.join(figures)} | encode, decode |",
        "|" + "---|" * (len(figures) + 4),
    ]
    for (rate, codec), own in rows.items():
        means = [f"{np.mean([one.figures[name] for one in own]):.4f}" for name in figures]
        times = np.mean([one.seconds for one in own], 0)
        shown = f"{times[0]:.2f} s, {times[1]:.2f} s" if codec == "tokens" else ""
        lines.append(
            f"| {np.mean(bits[rate]):.4f} (asked: {rate}) | {codec} | {len(own)} | {' | '.join(means)} | {shown} |"
        )
    lines += ["", *(f"- out of reach: {text}" for text in missed), ""]
    write_json(options.out / "pictures.json", [
        {"rate": rate, "codec": codec, "picture": path.name, "size": one.size, **one.figures}
        for (rate, codec), own in rows.items() if len(own) == len(paths)
        for path, one in zip(paths, own, strict=True)
    ])  # fmt: skip
    return lines


def _codes(pictures: list[Pixels], quality: float) -> list[str]:
    """Use of the codebooks, and what the prior saves."""
    files = [vqcodec.compress(picture, model="tokens", quality=quality) for picture in pictures]
    tokens = [vqcodec.tokens(p, step=vqcodec.info(data)["step"] or 0) for p, data in zip(pictures, files, strict=True)]
    pixels = sum(p.shape[0] * p.shape[1] for p in pictures)
    lines = ["| level | K | perplexity | share of K | fixed length, bpp | order 0, bpp |", "|---|---|---|---|---|---|"]
    order0 = 0.0
    for level in LEVELS:
        codes = np.concatenate([getattr(t, level).ravel() for t in tokens])
        k = len(getattr(tokens[0], f"{level}_words"))
        share = np.bincount(codes, minlength=k) / len(codes)
        entropy = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
        order0 += entropy * len(codes) / pixels
        fixed = len(codes) * np.log2(k) / pixels
        rate = entropy * len(codes) / pixels
        lines.append(f"| {level} | {k} | {2**entropy:.0f} | {2**entropy / k:.3f} | {fixed:.4f} | {rate:.4f} |")
    rate = 8 * sum(len(data) for data in files) / pixels
    return [
        f"Codes at quality {quality:g}:",
        "",
        *lines,
        "",
        f"Whole files of these codes: {rate:.4f} bits per pixel, {rate / order0 - 1:+.1%} against order 0.",
        "",
    ]


def _crops(pictures: list[Pixels], count: int) -> Iterator[Pixels]:
    rng = np.random.default_rng(7)
    for i in range(count):
        picture = pictures[i % len(pictures)]
        y, x = (int(rng.integers(0, side - CROP + 1)) for side in picture.shape[:2])
        yield picture[y : y + CROP, x : x + CROP]


def _samples(options: TokensBench, held_out: list[Pixels], progress: Progress) -> list[str]:
    """Samples, and what they should be better than, against held-out photographs."""
    from dataclasses import replace

    rng = np.random.default_rng(11)
    real = list(_crops(held_out, 2 * options.samples))
    first, second = real[::2], real[1::2]
    tokens = [vqcodec.tokens(crop) for crop in first]
    every = {level: np.concatenate([getattr(t, level).ravel() for t in tokens]) for level in LEVELS}

    def other(t: vqcodec.Tokens, levels: Sequence[str], change: Callable[[str, Codes], Codes]) -> vqcodec.Tokens:
        changed: dict[str, Any] = {level: change(level, getattr(t, level)) for level in levels}
        return replace(t, **changed)

    shuffled = [
        other(t, LEVELS[1:], lambda _, codes: rng.permutation(codes.ravel()).reshape(codes.shape)) for t in tokens
    ]
    order0 = [other(t, LEVELS, lambda level, codes: rng.choice(every[level], codes.shape)) for t in tokens]
    drawn = [np.asarray(image) for image in vqcodec.sample(options.samples, width=CROP, height=CROP, seed=1)]
    sets: dict[str, list[Pixels]] = {
        "other crops of the photographs": second,
        "reconstructions": [_paint(t) for t in tokens],
        "samples": drawn,
        "real top, the rest drawn": [np.asarray(next(vqcodec.sample(1, seed=i, like=c))) for i, c in enumerate(first)],
        "real top, the rest shuffled": [_paint(t) for t in shuffled],
        "codes drawn from order-0 counts": [_paint(t) for t in order0],
    }
    wanted = features(first)
    lines = ["| 256 x 256 pictures | Fréchet distance (AlexNet features) | score |", "|---|---|---|"]
    for i, (name, pictures) in enumerate(sets.items()):
        found = features(pictures)
        lines.append(f"| {name} | {frechet(wanted, found):.2f} | {score(found):.2f} |")
        progress("sets", i + 1, len(sets))
    _sheet(options.out / "samples.png", [drawn[i : i + 4] for i in range(0, min(16, len(drawn)), 4)])
    return [*lines, ""]


def _paint(tokens: vqcodec.Tokens) -> Pixels:
    return np.asarray(vqcodec.detokenize(tokens)[0].convert("RGB"))


def _holes(
    options: TokensBench, held_out: list[Pixels], networks: dict[str, PerceptualDistance], progress: Progress
) -> list[str]:
    """A square taken out of photographs: tokens beside OpenCV's inpainting (Telea 2004), where it is installed."""
    rng = np.random.default_rng(5)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    shown = []
    for i, picture in enumerate(spread(held_out, options.holes) if options.holes else []):
        y, x = (int(rng.integers(CROP // 2, side - CROP // 2 - HOLE)) for side in picture.shape[:2])
        window = slice(y - 64, y + HOLE + 64), slice(x - 64, x + HOLE + 64)
        hole = np.zeros(picture.shape[:2], np.uint8)
        hole[y : y + HOLE, x : x + HOLE] = 255
        cut = np.where(hole[..., None] > 0, 0, picture).astype(np.uint8)
        inside = slice(y, y + HOLE), slice(x, x + HOLE)
        judge = Judge(picture[inside], {k: v for k, v in networks.items() if k == "AlexNet"})
        fillings = {"tokens": np.asarray(vqcodec.restore(cut, mask=hole)), **_telea(cut, hole)}
        for name, filled in fillings.items():
            rows[name].append(judge(filled[inside]))
        shown.append([picture[window], cut[window], *(f[window] for f in fillings.values())])
        progress("holes", i + 1, options.holes)
    if not rows:
        return []
    _sheet(options.out / "holes.png", shown)
    lines = [f"| a hole of {HOLE} x {HOLE} | pictures | PSNR inside | ST-LPIPS AlexNet inside |", "|---|---|---|---|"]
    for name, own in rows.items():
        means = [np.mean([one[key] for one in own]) for key in ("PSNR", "ST-LPIPS AlexNet")]
        lines.append(f"| {name} | {len(own)} | {means[0]:.2f} | {means[1]:.4f} |")
    return [*lines, ""]


def _telea(cut: Pixels, hole: Pixels) -> dict[str, Any]:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return {}
    return {"OpenCV, Telea": cv2.inpaint(cut, hole, 5, cv2.INPAINT_TELEA)}


def _sheet(path: Path, rows: list[list[Pixels]]) -> None:
    """Pictures in rows, each row as high as its highest."""
    if not rows:
        return
    lines = []
    for row in rows:
        height = max(p.shape[0] for p in row)
        lines.append(np.concatenate([np.pad(p, ((0, height - len(p)), (0, 0), (0, 0))) for p in row], 1))
    width = max(line.shape[1] for line in lines)
    whole = np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines])
    Image.fromarray(whole).save(path)
