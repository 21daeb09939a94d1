"""``effort``: every level makes files that decode to the same, 5 is the default, and more is never larger."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command_line import vqc
from conftest import EXAMPLES, scene
from PIL import Image, ImageDraw

import vqcodec
from vqcodec.errors import UsageError
from vqcodec.image.exact import care_of
from vqcodec.image.layers import find_graphics
from vqcodec.image.loaded import Picture
from vqcodec.image.lossless import encode_lossless, tiles_of
from vqcodec.options import EFFORTS

DRAWN, PHOTO = "drawn", "photograph"


def picture_of(kind: str) -> np.ndarray:
    """Of 150 x 200 pixels; of a drawing half of the blocks are flat or graphics, of a photograph few."""
    if kind == PHOTO:
        with Image.open(EXAMPLES / "lake.png") as image:
            return np.asarray(image.convert("RGB"))[50:200, 60:260]
    large = Image.new("RGB", (400, 300), "#fffdf5")
    draw = ImageDraw.Draw(large)
    for i in range(0, 400, 40):
        draw.line((i, 0, 400 - i, 300), fill=(i // 2, 60, 200 - i // 2), width=3)
    return np.asarray(large.resize((200, 150), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("kind", [DRAWN, PHOTO])
def test_without_loss_every_level_keeps_all_and_from_5_on_more_is_never_larger(kind: str) -> None:
    pixels = picture_of(kind)
    assert (find_graphics(pixels).plain >= 0.5) == (kind == DRAWN)
    files = {effort: vqcodec.compress(pixels, lossless=True, effort=effort) for effort in EFFORTS}
    for data in files.values():
        assert np.array_equal(vqcodec.decompress_samples(data).pixels, pixels)
    assert files[5] == vqcodec.compress(pixels, lossless=True)
    sizes = [len(data) for data in files.values()]
    assert sizes[4:] == sorted(sizes[4:], reverse=True)
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[0] > 1.02 * sizes[4]


@pytest.mark.parametrize("pixels", [2**18, 2**20, math.inf])
@pytest.mark.parametrize("drawn", [True, False])
def test_from_4_on_each_level_tries_what_the_last_did_and_of_little_pictures_always(drawn: bool, pixels: float) -> None:
    levels = [care_of(effort, drawn=drawn, pixels=pixels) for effort in EFFORTS]
    for less, more in pairwise(levels if pixels == 2**18 else levels[3:]):
        assert set(less.ways) <= set(more.ways)
        assert set(less.cuts) <= set(more.cuts)
        assert less.others <= more.others


@pytest.mark.parametrize("side", [32, 40, 57, 100, 180])
def test_little_photographs_without_loss_are_never_larger_with_more_effort(side: int) -> None:
    with Image.open(EXAMPLES / "lake.png") as image:
        pixels = np.asarray(image.convert("RGB"))[40 : 40 + side, 250 : 250 + side]
    for part in (pixels, pixels[:, :, :1], pixels // 8 * 8):
        sizes = [len(vqcodec.compress(part, lossless=True, effort=effort)) for effort in range(1, 7)]
        assert sizes == sorted(sizes, reverse=True)


def test_all_sizes_of_tiles_decode() -> None:
    pixels = np.tile(picture_of(PHOTO), (5, 4, 1))[:700, :700]
    picture = Picture(pixels, None, {})
    assert tiles_of(picture, exact_alpha=False)[1].tile_log2 == 9
    sizes = []
    for cuts in ((0,), (0, -1), (0, -1, -9, 9)):
        care = care_of(1, drawn=False, pixels=pixels[:, :, 0].size)
        data = encode_lossless(picture, care=type(care)(care.ways, others=False, cuts=cuts), threads=1)
        assert np.array_equal(vqcodec.decompress_samples(data).pixels, pixels)
        sizes.append(len(data))
    assert sizes[0] >= sizes[1] >= sizes[2]
    assert sizes[0] > sizes[2]  # what is tiled repeats beyond 512 pixels


@pytest.mark.parametrize("effort", EFFORTS)
def test_codes_of_every_level_decode(effort: int) -> None:
    pixels = picture_of(PHOTO)[:, :150]
    data = vqcodec.compress(pixels, effort=effort)
    vqcodec.verify(data, against=pixels)
    usual = vqcodec.compress(pixels)
    assert (data == usual) == (effort <= 5)
    gray = vqcodec.compress(pixels[:, :, :1], effort=effort, target_psnr=32)
    assert vqcodec.verify(gray, against=pixels[:, :, :1]) >= 31.9
    assert vqcodec.info(data)["step"] == vqcodec.info(usual)["step"]


def test_levels_that_there_are_not(tmp_path: Path) -> None:
    for wrong in (0, 10, 2.5, None):
        with pytest.raises(UsageError, match=rf"effort {wrong} is out of range; give 1 to 9"):
            vqcodec.compress(scene(9, 9), effort=wrong)  # type: ignore[arg-type]
    Image.fromarray(scene(9, 9)).save(tmp_path / "a.png")
    result = vqc("compress", tmp_path / "a.png", tmp_path / "a.vqc", "--effort", 10)
    assert result.exit_code == 2
    assert "10 is not in the range 1<=x<=9" in result.stderr


def test_of_pictures_with_the_model_image_only() -> None:
    with pytest.raises(UsageError, match="effort is for pictures, and this is sound; leave it out"):
        vqcodec.compress(np.zeros(9_000, np.float32), sample_rate=48_000, effort=9)
    with pytest.raises(UsageError, match="effort 7 is for the model 'image'; leave it out with model 'tokens'"):
        vqcodec.compress(scene(9, 9), model="tokens", effort=7)
