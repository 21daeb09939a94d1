"""Rate-distortion curves: means over pictures, and files in CompressAI's result schema (names, lists of numbers)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from vqcodec.benchmarks.image.codecs import Codec, encoder_version
from vqcodec.benchmarks.image.measure import Measurement
from vqcodec.benchmarks.image.metrics import decibels
from vqcodec.errors import InputError

__all__ = ["Curve", "average", "mean_or_nothing", "read_folder", "write_curve"]


@dataclass(frozen=True)
class Curve:
    """One codec's curve. Every list has one entry per rate; a metric that was not measured is an empty list.

    Attributes:
        bpp: mean over pictures of bits per pixel.
        psnr: mean over pictures of the PSNR in dB (not the PSNR of the mean error).
        ms_ssim: mean over pictures of MS-SSIM, 0..1.
    """

    name: str
    label: str
    bpp: list[float]
    psnr: list[float]
    ms_ssim: list[float] = field(default_factory=list)
    ssimulacra2: list[float] = field(default_factory=list)
    st_lpips: list[float] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    encode_seconds: list[float] = field(default_factory=list)
    decode_seconds: list[float] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    description: str = ""
    published: bool = False

    @property
    def ms_ssim_db(self) -> list[float]:
        """MS-SSIM on the scale -10 log10(1 - MS-SSIM), of the mean."""
        return [decibels(value) for value in self.ms_ssim]

    @property
    def st_lpips_db(self) -> list[float]:
        """ST-LPIPS on the scale -10 log10, of the mean: more is better, as for the others."""
        return [decibels(1 - value) for value in self.st_lpips]


def mean_or_nothing(rows: Sequence[Sequence[float | None]]) -> list[float]:
    """Mean of each row; nothing at all if any value is missing, since a mean over other pictures would mislead."""
    whole = [[value for value in row if value is not None] for row in rows]
    return [fmean(row) for row in whole] if all(len(a) == len(b) for a, b in zip(whole, rows, strict=True)) else []


def average(codec: Codec, measurements: Sequence[Measurement], setting: str) -> Curve:
    """The curve of one codec: the mean over pictures at each quality setting, in order of quality."""
    groups: dict[float, list[Measurement]] = defaultdict(list)
    for item in measurements:
        if item.codec == codec.name:
            groups[item.quality].append(item)
    rows = [groups[quality] for quality in sorted(groups)]
    return Curve(
        name=codec.name,
        label=codec.label,
        bpp=[fmean(item.bpp for item in row) for row in rows],
        psnr=[fmean(item.psnr for item in row) for row in rows],
        ms_ssim=mean_or_nothing([[item.ms_ssim for item in row] for row in rows]),
        ssimulacra2=mean_or_nothing([[item.ssimulacra2 for item in row] for row in rows]),
        st_lpips=mean_or_nothing([[item.st_lpips for item in row] for row in rows]),
        mse=[fmean(item.mse for item in row) for row in rows],
        encode_seconds=[fmean(item.encode_seconds for item in row) for row in rows],
        decode_seconds=[fmean(item.decode_seconds for item in row) for row in rows],
        quality=sorted(groups),
        description=f"{codec.label}. {encoder_version(codec)}. {setting}",
    )


# CompressAI's key for each list of a Curve; "mse-rgb", "ssimulacra2", "st-lpips-vgg" and "quality" are ours.
_KEYS = {
    "bpp": "bpp",
    "psnr": "psnr-rgb",
    "ms_ssim": "ms-ssim-rgb",
    "ssimulacra2": "ssimulacra2",
    "st_lpips": "st-lpips-vgg",
    "mse": "mse-rgb",
    "encode_seconds": "encoding_time",
    "decode_seconds": "decoding_time",
    "quality": "quality",
}


def write_curve(path: Path, curve: Curve) -> None:
    """Write one curve in CompressAI's schema."""
    results = {key: [round(value, 6) for value in getattr(curve, name)] for name, key in _KEYS.items()}
    document = {
        "name": curve.label,
        "description": curve.description,
        "results": {key: values for key, values in results.items() if values},
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _read_curve(path: Path) -> Curve:
    try:
        document = json.loads(path.read_text())
        results = document["results"]
        lists = {name: [float(value) for value in results.get(key, [])] for name, key in _KEYS.items()}
        if not lists["bpp"] or len(lists["bpp"]) != len(lists["psnr"]):
            raise ValueError("bpp and psnr-rgb must be lists of one length")
        label = str(document.get("name", path.stem))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a result file in CompressAI's schema ({error}); remove or repair it") from error
    if len(lists["ms_ssim"]) != len(lists["bpp"]):
        lists["ms_ssim"] = []
    return Curve(path.stem, label, **lists, description=str(document.get("description", "")), published=True)


def read_folder(folder: Path) -> list[Curve]:
    """Every published curve of a folder of JSON files in CompressAI's schema, in order of file name.

    Raises:
        InputError: no such folder, no JSON in it, or a file of another kind.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one with result files in CompressAI's schema")
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"{folder}: no .json file in it; name a folder with result files in CompressAI's schema")
    return [_read_curve(path) for path in paths]
