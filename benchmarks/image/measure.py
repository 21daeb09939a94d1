"""Run codecs over pictures: one ``Measurement`` per picture, codec and quality; the classical codecs' are cached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vqcodec.benchmarks import files
from vqcodec.benchmarks.image import metrics
from vqcodec.benchmarks.image.codecs import Codec, decode, encode, encoder_version
from vqcodec.errors import InputError
from vqcodec.sources import write_atomic
from vqcodec.workers import in_processes

__all__ = ["Measurement", "Work", "cache_path", "find_pictures", "load_picture", "measure_all"]

Pixels = NDArray[np.uint8]
SUFFIXES = {".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".jpg", ".jpeg"}
CACHE_VERSION = 2  # raise it when a metric or the meaning of a field changes


@dataclass(frozen=True)
class Measurement:
    """One picture through one codec at one quality. Times are seconds in process, sizes are bytes of the whole file."""

    picture: str
    codec: str
    quality: float
    width: int
    height: int
    size: int
    mse: float
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    st_lpips: float | None
    encode_seconds: float
    decode_seconds: float

    @property
    def bpp(self) -> float:
        """Bits per pixel."""
        return 8 * self.size / (self.width * self.height)


@dataclass(frozen=True)
class Work:
    """All qualities of one codec on one picture: what one process does at a time."""

    codec: Codec
    path: Path
    cache: Path
    perceptual: bool


def find_pictures(folder: Path, count: int | None = None) -> list[Path]:
    """Pictures of a folder in order of name; ``count`` of them, spread evenly.

    Raises:
        InputError: the folder is missing or holds no picture.
    """
    return files.spread(files.find_files(folder, SUFFIXES, "pictures"), count)


def load_picture(path: Path) -> Pixels:
    """A picture file as uint8 [H, W, 3]; alpha is dropped, gray is repeated.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}); remove it from the folder") from error


def measure_once(codec: Codec, name: str, pixels: Pixels, quality: float, perceptual: bool) -> Measurement:
    """Encode, decode and compare."""
    picture = Image.fromarray(pixels)
    start = time.perf_counter()
    data = encode(codec, picture, quality)
    encoded = time.perf_counter()
    decoded = decode(codec, data)
    finished = time.perf_counter()
    error = metrics.mse(pixels, decoded)
    return Measurement(
        picture=name,
        codec=codec.name,
        quality=quality,
        width=pixels.shape[1],
        height=pixels.shape[0],
        size=len(data),
        mse=error,
        psnr=metrics.psnr(error),
        ms_ssim=metrics.ms_ssim(pixels, decoded),
        ssimulacra2=metrics.ssimulacra2(pixels, decoded) if perceptual else None,
        st_lpips=metrics.st_lpips(pixels, decoded) if perceptual else None,
        encode_seconds=encoded - start,
        decode_seconds=finished - encoded,
    )


def cache_path(folder: Path, codec: Codec, pixels: Pixels, setting: str, suffix: str) -> Path:
    """Where the result of one codec, version, setting and picture is kept; keyed by the pixels, not by the name."""
    facts = [CACHE_VERSION, codec.name, codec.options, encoder_version(codec), setting]
    return files.cache_path(folder, codec.name, facts, pixels, suffix)


def _cached(path: Path, work: Work) -> Measurement | None:
    try:
        found = Measurement(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    # The key is made of pixels, so the same picture may come back under another name.
    found = Measurement(**{**asdict(found), "picture": work.path.stem})
    return None if work.perceptual and found.ssimulacra2 is None else found


def measure_work(work: Work) -> list[Measurement]:
    """Every quality of one codec on one picture.

    Our own results are never cached: weights and search change while the version stays.
    """
    pixels = load_picture(work.path)
    results = []
    for index, quality in enumerate(work.codec.qualities):
        path = cache_path(work.cache, work.codec, pixels, f"quality {quality:g}", ".json")
        result = None if work.codec.ours else _cached(path, work)
        if result is None:
            if index == 0:  # loading weights and filling caches is not part of coding
                decode(work.codec, encode(work.codec, Image.fromarray(pixels), quality))
            result = measure_once(work.codec, work.path.stem, pixels, quality, work.perceptual)
            if not work.codec.ours:
                write_atomic(path, json.dumps(asdict(result)).encode(), force=True, parents=True)
        results.append(result)
    return results


def measure_all(work: Sequence[Work], jobs: int, progress: Callable[[int, int], None]) -> list[Measurement]:
    """Do all work in ``jobs`` processes; ``progress(done, total)`` after each item. Results sorted by name."""
    done: list[Measurement] = []
    for count, results in enumerate(in_processes(measure_work, work, jobs), start=1):
        done += results
        progress(count, len(work))
    return sorted(done, key=lambda item: (item.codec, item.quality, item.picture))
