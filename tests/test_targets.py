"""A message that a target is out of reach names a figure, and who asks for that figure gets a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import vqc
from conftest import EXAMPLES, scene
from PIL import Image

import vqcodec
from vqcodec.errors import UsageError
from vqcodec.target import psnr, rounded_up, smallest_step

FIGURES = {
    "target_size": r"has ([\d,]+) bytes",
    "target_bpp": r"\(([\d.]+) bits per pixel",
    "target_kbps": r"\(([\d.]+) kbit/s",
    "target_psnr": r"has ([\d.]+) dB",
}


def refused(target: str, asked: float, source: np.ndarray, **options: Any) -> float:
    """The figure that is named where so much, or so little, is asked for."""
    with pytest.raises(UsageError, match="out of reach") as told:
        vqcodec.compress(source, **{target: asked}, **options)
    found = re.search(FIGURES[target], str(told.value))
    assert found, told.value
    text = found[1].replace(",", "")
    return int(text) if target == "target_size" else float(text)


def photograph(height: int, width: int) -> np.ndarray:
    with Image.open(EXAMPLES / "lake.png") as image:
        return np.asarray(image.convert("RGB"))[100 : 100 + height, 60 : 60 + width]


@pytest.mark.parametrize("model", ["image", "tokens"])
@pytest.mark.parametrize("shape", [(17, 23), (64, 70)])
@pytest.mark.parametrize("target", ["target_size", "target_bpp", "target_psnr"])
def test_of_pictures_what_is_named_is_met(target: str, shape: tuple[int, int], model: str) -> None:
    pixels = photograph(*shape)
    options: dict[str, Any] = {"model": model}
    asked = {"target_size": 9, "target_bpp": 1e-3, "target_psnr": 90}[target]
    figure = refused(target, asked, pixels, **options)
    data = vqcodec.compress(pixels, **{target: figure}, **options)
    if target == "target_psnr":
        assert vqcodec.verify(data, against=pixels) >= figure
    else:
        assert len(data) <= (figure if target == "target_size" else figure * pixels[:, :, 0].size / 8)


@pytest.mark.parametrize("kind", ["two pixels", "ramp"])
def test_of_few_pixels_no_loss_may_be_the_smallest(kind: str) -> None:
    ramp = (np.add.outer(np.arange(16), np.arange(16)) * 7).astype(np.uint8)
    pixels = photograph(1, 2) if kind == "two pixels" else np.dstack([ramp, ramp, 255 - ramp])
    exact = vqcodec.compress(pixels, lossless=True)
    assert vqcodec.compress(pixels, target_size=len(exact)) == exact
    assert refused("target_size", 20, pixels) <= len(exact)


def sounds() -> dict[str, tuple[np.ndarray, int]]:
    rng = np.random.default_rng(2)
    tone = 0.3 * np.sin(np.arange(6000) * 0.2)
    return {
        "noise": (rng.normal(0, 0.1, (5000, 2)).astype(np.float32), 44_100),
        "tone": (tone[:, None].astype(np.float32), 16_000),
        "little": (tone[:150, None].astype(np.float32), 11_025),
    }


@pytest.mark.parametrize("name", ["noise", "tone", "little"])
@pytest.mark.parametrize("target", ["target_size", "target_kbps"])
def test_of_sounds_what_is_named_is_met(target: str, name: str) -> None:
    samples, rate = sounds()[name]
    figure = refused(target, 20 if target == "target_size" else 0.01, samples, sample_rate=rate)
    data = vqcodec.compress(samples, sample_rate=rate, **{target: figure})  # type: ignore[arg-type]
    assert len(data) <= (figure if target == "target_size" else figure * 125 * len(samples) / rate)
    assert len(data) <= len(vqcodec.compress(samples, sample_rate=rate, quality=1))


def test_the_smallest_file_need_not_be_the_coarsest() -> None:
    sizes = {255: 126, 254: 130, 253: 122, 252: 123, 251: 140, 250: 117} | {step: 200 + step for step in range(250)}
    assert smallest_step(sizes.__getitem__) == 250
    asked: list[int] = []

    def large(step: int) -> int:
        asked.append(step)
        return 5_000 + step

    assert smallest_step(large) == 255  # of which there are enough bytes that a step changes more than chance
    assert set(asked) == {255}
    assert smallest_step(lambda step: 40) == 255


def test_figures_are_rounded_to_the_side_that_is_met() -> None:
    for size, pixels in ((179, 22_500), (38, 9), (1, 8_000), (333, 1_000)):
        text = rounded_up(8 * size / pixels, 3, lambda bpp, size=size, pixels=pixels: size <= bpp * pixels / 8)
        assert size <= float(text) * pixels / 8
        assert float(text) - 8 * size / pixels <= 2e-3


def test_graphics_of_which_no_loss_is_the_smallest() -> None:
    pixels = np.where(scene(40, 50) > 128, np.uint8(255), np.uint8(0))
    figure = refused("target_size", 20, pixels)
    assert len(vqcodec.compress(pixels, target_size=int(figure))) <= figure


@pytest.mark.filterwarnings("ignore::vqcodec.errors.VqcWarning")
def test_where_the_best_quality_is_without_loss_every_psnr_is_met() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    best = vqcodec.compress(pixels, quality=100)
    assert vqcodec.info(best)["lossless"]
    assert vqcodec.compress(pixels, target_psnr=60) == best


def test_which_picture_a_psnr_is_of_is_said(tmp_path: Path) -> None:
    """With ``tune`` psnr that which ``faithful`` decodes to, else the usual one."""
    pixels = photograph(64, 80)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for tune, said in (("psnr", ", at least 33.5 dB by decompress --faithful, "), ("visual", ", at least 33.5 dB, ")):
        result = vqc("compress", tmp_path / "a.png", tmp_path / f"{tune}.vqc", "--tune", tune, "--target-psnr", "33.5")
        assert said in result.stderr
        decoded = vqcodec.decompress(tmp_path / f"{tune}.vqc", faithful=tune == "psnr")
        assert psnr(np.asarray(decoded), pixels) >= 33.5
    helped = " ".join(vqc("compress", "--help").stdout.split())
    assert "as decompress gives the picture; with --tune psnr, as decompress --faithful does" in helped
