"""Without loss, and graphics: sizes beside PNG, WebP, JPEG XL and AVIF. ``vqcodec bench exact`` calls ``run``."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import vqcodec
from vqcodec.benchmarks.files import make_folder, write_json
from vqcodec.benchmarks.image.codecs import available_codecs, decode, encode
from vqcodec.benchmarks.image.graphics import draw_graphics
from vqcodec.benchmarks.image.measure import Pixels, find_pictures, load_picture
from vqcodec.benchmarks.image.metrics import ssimulacra2

__all__ = ["ExactBench", "Row", "run"]

Progress = Callable[[str, int, int], None]
_GOOD = 90  # SSIMULACRA2 of what looks like the original
_AVIF = "avif-444"
_TEXT = "text"  # pages, of which alone AVIF's quality is searched, for it is slow
_STEPS = 7  # halvings of the qualities of AVIF


@dataclass(frozen=True)
class ExactBench:
    """What to measure.

    Attributes:
        data: folder of pictures, which are coded without loss; for None graphics are drawn.
        photographs: folder of pictures that go into drawn screenshots.
        out: folder for results.
        images: only so many pictures of the folder, spread evenly.
        default: also with default settings, beside AVIF 4:4:4 at a SSIMULACRA2 of 90 (slow).
    """

    data: Path | None
    photographs: Path | None
    out: Path
    images: int | None = None
    default: bool = True


@dataclass(frozen=True)
class Row:
    """Bytes of whole files of one picture.

    Attributes:
        png: by Pillow, optimised.
        webp, jxl: lossless, method 6 and effort 7; None where the library is missing.
        exact: ours with ``lossless``; the seconds of processor time are its.
        default: ours with default settings, at this SSIMULACRA2.
        avif: the smallest of 4:4:4 that reaches 90, for pages of text.
    """

    name: str
    pixels: int
    png: int
    webp: int
    jxl: int | None
    exact: int
    encode_seconds: float
    decode_seconds: float
    default: int | None = None
    ssimulacra2: float | None = None
    avif: int | None = None


def run(config: ExactBench, progress: Progress = lambda *_: None) -> str:
    """Run the benchmark, write everything into ``config.out`` (drawn pictures as PNG, too), return the table.

    Raises:
        InputError: no pictures, or one that cannot be read.
        OutputError: the folder cannot be written.
        CorruptError, ChecksumError: a file of ours does not decode to its picture.
    """
    pictures = _pictures(config)
    make_folder(config.out)
    if config.data is None:
        for name, pixels in pictures.items():
            Image.fromarray(pixels).save(config.out / f"{name}.png")
    rows = []
    for name, pixels in pictures.items():
        rows.append(measure(name, pixels, default=config.default))
        progress("measuring", len(rows), len(pictures))
    write_json(config.out / "exact.json", [asdict(row) for row in rows])
    text = table(rows)
    (config.out / "exact.md").write_text(text, encoding="utf-8")
    return text


def _pictures(config: ExactBench) -> dict[str, Pixels]:
    """By name: those of a folder, or drawn ones, which show photographs."""
    if config.data is not None:
        return {path.stem: load_picture(path) for path in find_pictures(config.data, config.images)}
    assert config.photographs is not None
    photographs = [Image.fromarray(load_picture(path)) for path in find_pictures(config.photographs)]
    return {name: np.asarray(image) for name, image in draw_graphics(photographs).items()}


def measure(name: str, pixels: Pixels, *, default: bool) -> Row:
    """One picture through all of them."""
    image = Image.fromarray(pixels)
    start = time.process_time()
    exact = vqcodec.compress(pixels, lossless=True, threads=1)
    encoded = time.process_time()
    vqcodec.decompress(exact, threads=1)
    decoded = time.process_time()
    vqcodec.verify(exact, against=pixels)
    jxl = any(codec.name == "jxl" for codec in available_codecs())
    row = Row(
        name=name,
        pixels=image.width * image.height,
        png=_size(image, "PNG", optimize=True),
        webp=_size(image, "WEBP", lossless=True, method=6, quality=100, exact=True),
        jxl=_size(image, "JXL", lossless=True, effort=7, num_threads=1) if jxl else None,
        exact=len(exact),
        encode_seconds=encoded - start,
        decode_seconds=decoded - encoded,
    )
    if not default:
        return row
    avif = least_avif(pixels) if name.startswith(_TEXT) else None
    ours = vqcodec.compress(pixels)
    score = ssimulacra2(pixels, np.asarray(vqcodec.decompress(ours, kind="image").convert("RGB")))
    return Row(**{**asdict(row), "default": len(ours), "ssimulacra2": score, "avif": avif})


def _size(image: Image.Image, kind: str, **options: object) -> int:
    if kind == "JXL":
        import pillow_jxl  # noqa: F401  # registers itself
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return len(buffer.getvalue())


def least_avif(pixels: Pixels) -> int | None:
    """Bytes of AVIF 4:4:4 at the lowest quality of which SSIMULACRA2 is at least 90; None where there is no AVIF."""
    codec = next((codec for codec in available_codecs() if codec.name == _AVIF), None)
    if codec is None:
        return None
    low, high, least = 0, 100, None
    for _ in range(_STEPS):
        quality = (low + high) // 2
        data = encode(codec, Image.fromarray(pixels), quality)
        if ssimulacra2(pixels, decode(codec, data)) >= _GOOD:
            high, least = quality, len(data)
        else:
            low = quality
    return least


def table(rows: Sequence[Row]) -> str:
    """Markdown, with sums."""
    lines = [
        "| picture | PNG | WebP | JPEG XL | `--lossless` | to WebP | default | SSIMULACRA2 | AVIF 4:4:4 at 90 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in rows]
    total = [sum(getattr(row, key) or 0 for row in rows) for key in ("png", "webp", "jxl", "exact", "default", "avif")]
    png, webp, jxl, exact, default, avif = total
    lines.append(
        f"| all | {png:,} | {webp:,} | {jxl:,} | {exact:,} | {exact / webp - 1:+.1%} | {default:,} | | {avif:,} |"
    )
    mega = sum(row.pixels for row in rows) / 1e6
    encode_time, decode_time = (
        sum(times) / mega for times in zip(*((r.encode_seconds, r.decode_seconds) for r in rows), strict=True)
    )
    lines.append(f"\n`--lossless` took {encode_time:.2f} and {decode_time:.2f} s of one core for a megapixel.\n")
    return "\n".join(lines)


def _line(row: Row) -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.1f}"

    first = " | ".join(map(shown, (row.png, row.webp, row.jxl, row.exact)))
    rest = " | ".join(map(shown, (row.default, row.ssimulacra2, row.avif)))
    return f"| {row.name} | {first} | {row.exact / row.webp - 1:+.1%} | {rest} |"
