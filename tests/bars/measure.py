"""Bytes and quality of the example photograph and the example speech with the shipped weights.

    python tests/bars/measure.py > tests/bars/bars.json

prints what ``bars.json`` should hold: run by hand after a better model was released, never by a test. Say in the
commit what became better and what worse.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import vqcodec
from vqcodec.benchmarks.audio.metrics import mel_distance
from vqcodec.benchmarks.image.metrics import mse, psnr
from vqcodec.options import ModelKind

EXAMPLES = Path(__file__).parents[2] / "examples"
BARS = Path(__file__).parent / "bars.json"
PICTURE_QUALITIES, SOUND_QUALITIES = (20, 60, 90), (15, 40, 70)

# How far a value may be from its bar. Machines differ by float rounding in the analysis, which turns a few codes over:
# less than a tenth of these on the machines at hand.
TOLERANCES = {"bytes": 0.01, "psnr": 0.05, "mel_distance": 0.05}  # a share, dB, dB

Figures = dict[str, float | str]


def picture_figures(quality: int, model: ModelKind | None = None) -> Figures:
    """Model, bytes and PSNR-RGB in dB of the photograph."""
    path = EXAMPLES / "lake.png"
    data = vqcodec.compress(path, quality=quality, model=model)
    with Image.open(path) as original:
        error = mse(np.asarray(original.convert("RGB")), np.asarray(vqcodec.decompress(data)))
    return {"model": str(vqcodec.info(data)["model_name"]), "bytes": len(data), "psnr": round(psnr(error), 3)}


def sound_figures(quality: int) -> Figures:
    """Model, bytes and log-mel distance in dB of the speech; smaller is better."""
    path = EXAMPLES / "speech.flac"
    data = vqcodec.compress(path, quality=quality)
    original, rate = soundfile.read(path, dtype="float32", always_2d=True)
    distance = mel_distance(original, vqcodec.decompress(data).samples, rate)
    return {"model": str(vqcodec.info(data)["model_name"]), "bytes": len(data), "mel_distance": round(distance, 3)}


def all_figures() -> dict[str, Figures]:
    """Figures by file and quality."""
    pictures = {f"lake.png, quality {q}": picture_figures(q) for q in PICTURE_QUALITIES}
    pictures |= {f"lake.png, tokens, quality {q}": picture_figures(q, "tokens") for q in PICTURE_QUALITIES}
    return pictures | {f"speech.flac, quality {q}": sound_figures(q) for q in SOUND_QUALITIES}


def differences(figures: Figures, bars: Figures) -> list[str]:
    """What lies further from its bar than it may, as lines; a better value too, so that the bars keep up."""
    found = [f"{name}: not the same figures" for name in figures.keys() ^ bars.keys()]
    for name in figures.keys() & bars.keys():
        value, bar = figures[name], bars[name]
        if isinstance(value, str) or isinstance(bar, str):
            far = value != bar
        else:
            far = abs(value - bar) > TOLERANCES[name] * (bar if name == "bytes" else 1)
        if far:
            found.append(f"{name}: {value}, the bar is {bar}")
    return sorted(found)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(all_figures(), indent=1) + "\n")
