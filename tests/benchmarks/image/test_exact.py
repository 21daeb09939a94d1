"""Sizes without loss and of graphics: what is drawn, what is measured, and the command."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from vqcodec.benchmarks.image.exact import measure
from vqcodec.benchmarks.image.graphics import draw_graphics
from vqcodec.cli.bench import bench
from vqcodec.errors import InputError


def test_graphics_are_the_same_every_time():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    first, second = (draw_graphics([photo]) for _ in range(2))
    assert len(first) == 20
    assert all(image.mode == "RGB" for image in first.values())
    assert {name: image.tobytes() for name, image in first.items()} == {n: i.tobytes() for n, i in second.items()}
    assert len({image.tobytes() for image in first.values()}) == 20


def test_default_settings_are_compared_with_avif():
    pixels = np.full((70, 90, 3), 255, np.uint8)
    pixels[20:40, 20:60] = 0
    row = measure("text-box", pixels, default=True)
    assert row.default is not None
    assert row.avif is not None
    assert max(row.default, row.exact) < row.png
    assert row.ssimulacra2 == 100
    assert 0 < row.default < row.avif


def test_the_command(pictures, tmp_path):
    out = tmp_path / "out"
    arguments = ["exact", "--data", str(pictures), "--out", str(out), "--images", "1", "--no-default"]
    result = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "| all |" in result.output
    (row,) = json.loads((out / "exact.json").read_text())
    assert row["exact"] > 0
    assert row["default"] is None
    for wrong in (arguments[:1] + arguments[3:], [*arguments, "--photographs", str(pictures)]):
        refused = CliRunner().invoke(bench, wrong)
        assert refused.exit_code == 2
        assert "one of --data and --photographs" in refused.output


@pytest.mark.parametrize(("command", "option"), [("exact", "--no-default"), ("tokens", "--no-vgg")])
@pytest.mark.parametrize("asked", ["data", "photographs"])
def test_pictures_that_are_missing_leave_no_folder(pictures, tmp_path, command, option, asked):
    if command == "tokens" and not (find_spec("stlpips_pytorch") and find_spec("pytorch_msssim")):
        pytest.skip("needs the bench extra")
    given = {"data": pictures} if command == "tokens" else {}
    paths = [part for name, path in (given | {asked: tmp_path / "none"}).items() for part in (f"--{name}", str(path))]
    result = CliRunner().invoke(bench, [command, option, "--out", str(tmp_path / "out"), *paths])
    assert isinstance(result.exception, InputError), result.exception
    assert "no such folder" in str(result.exception)
    assert not (tmp_path / "out").exists()
