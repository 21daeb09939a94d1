"""Two files side by side: how far apart they are, and a page to look at or listen to both."""

from __future__ import annotations

import base64
import html
import io
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.benchmarks.image.metrics import mse, psnr, ssimulacra2
from vqcodec.benchmarks.report import read
from vqcodec.errors import UsageError

__all__ = ["PictureSide", "SoundSide", "compare", "lines", "page"]

Facts = dict[str, float | int | str | None]


@dataclass(frozen=True)
class PictureSide:
    """One picture: its file, and uint8 [H, W, 3], laid on white where it is transparent."""

    path: Path
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class SoundSide:
    """One sound: its file, float32 [T, C], and its rate in Hz."""

    path: Path
    samples: NDArray[np.float32]
    rate: int


def compare(a: PictureSide | SoundSide, b: PictureSide | SoundSide) -> Facts:
    """Sizes and distances, by name; infinite where both are equal.

    Raises:
        UsageError: they cannot be compared: kinds, sizes or rates differ.
    """
    sizes: Facts = {"a": str(a.path), "b": str(b.path)}
    sizes |= {"bytes_a": a.path.stat().st_size, "bytes_b": b.path.stat().st_size}
    if isinstance(a, PictureSide) and isinstance(b, PictureSide):
        if a.pixels.shape != b.pixels.shape:
            shapes = [f"{side.path} has {side.pixels.shape[1]} x {side.pixels.shape[0]} pixels" for side in (a, b)]
            raise UsageError(f"{', '.join(shapes)}: only pictures of one size can be compared; scale one of them")
        score = round(ssimulacra2(a.pixels, b.pixels), 2) if find_spec("ssimulacra2") else None
        count = a.pixels.shape[0] * a.pixels.shape[1]
        rates = {"bpp_a": _per(sizes["bytes_a"], count), "bpp_b": _per(sizes["bytes_b"], count)}
        return {"kind": "image", **sizes, **rates, "psnr": round(_psnr(a.pixels, b.pixels), 3), "ssimulacra2": score}
    if isinstance(a, SoundSide) and isinstance(b, SoundSide):
        if (a.samples.shape, a.rate) != (b.samples.shape, b.rate):
            kinds = [f"{s.path} has {s.samples.shape[0]:,} x {s.samples.shape[1]} at {s.rate:,} Hz" for s in (a, b)]
            raise UsageError(f"{', '.join(kinds)}: only sounds of one length, rate and layout can be compared")
        seconds = max(len(a.samples), 1) / a.rate * 1000
        rates = {"kbps_a": _per(sizes["bytes_a"], seconds), "kbps_b": _per(sizes["bytes_b"], seconds)}
        return {"kind": "audio", **sizes, **rates, "snr": round(_snr(a.samples, b.samples), 3)}
    raise UsageError(f"one of {a.path} and {b.path} is a picture, the other a sound; they cannot be compared")


def _per(size: float | int | str | None, count: float) -> float:
    assert isinstance(size, int)
    return round(8 * size / count, 4)


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    error = mse(a, b)
    return psnr(error) if error else float("inf")


def _snr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Decibels of the first over the difference."""
    noise = float(np.square(a - b, dtype=np.float64).sum())
    signal = float(np.square(a, dtype=np.float64).sum())
    return 10 * float(np.log10(max(signal, 1e-20) / noise)) if noise else float("inf")


def lines(facts: Facts) -> list[tuple[str, str]]:
    """The facts for a person: name and text of each line."""
    unit, rate = ("bits per pixel", "bpp") if facts["kind"] == "image" else ("kbit/s", "kbps")
    out = [
        (side.upper(), f"{facts[side]}: {facts[f'bytes_{side}']:,} bytes, {facts[f'{rate}_{side}']:.3f} {unit}")
        for side in "ab"
    ]
    if facts["kind"] == "audio":
        return [*out, ("SNR", f"{facts['snr']:.2f} dB")]
    score = "needs the package ssimulacra2" if facts["ssimulacra2"] is None else f"{facts['ssimulacra2']:.2f}"
    return [*out, ("PSNR", f"{facts['psnr']:.2f} dB"), ("SSIMULACRA2", score)]


def page(a: PictureSide | SoundSide, b: PictureSide | SoundSide, facts: Facts) -> str:
    """One self-contained page with both."""
    rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in lines(facts))
    shown = {"kind": facts["kind"], "a": _uri(a), "b": _uri(b)}
    if isinstance(a, PictureSide):
        shown |= {"width": a.pixels.shape[1], "height": a.pixels.shape[0]}
    parts = {
        "@@SLIDER@@": read("slider.html"),
        "@@TITLE@@": html.escape(f"{a.path.name} and {b.path.name}"),
        "@@ROWS@@": rows,
        "@@DATA@@": json.dumps(shown).replace("</", "<\\/"),
    }
    text = read("compare.html")
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def _uri(side: PictureSide | SoundSide) -> str:
    """What a browser shows or plays, with nothing lost of a picture, 16 bits of a sound."""
    buffer = io.BytesIO()
    if isinstance(side, PictureSide):
        Image.fromarray(side.pixels).save(buffer, "PNG")
        kind = "image/png"
    else:
        import soundfile

        soundfile.write(buffer, side.samples, side.rate, format="FLAC", subtype="PCM_16")
        kind = "audio/flac"
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
