"""Means, files, and the table of delta rates."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vqcodec.benchmarks.image.codecs import ANCHOR, select_codecs
from vqcodec.benchmarks.image.curves import Curve, average, read_folder, write_curve
from vqcodec.benchmarks.image.measure import Measurement
from vqcodec.benchmarks.image.table import compare, explain, markdown, show
from vqcodec.errors import InputError

CODEC = select_codecs([ANCHOR])[0]
SAMPLE = Measurement("a", ANCHOR, 10, 100, 80, 1000, 10.0, 30.0, 0.9, None, None, 0.2, 0.1)


def line(name: str, factor: float, low: float = 24.0, high: float = 42.0) -> Curve:
    """A curve of 6 dB per doubling of rate from ``factor`` bpp at 30 dB, MS-SSIM dB = PSNR - 15."""
    psnr = [low + (high - low) * step / 12 for step in range(13)]
    bpp = [factor * 2 ** ((value - 30) / 6) for value in psnr]
    return Curve(name, name, bpp, psnr, ms_ssim=[1 - 10 ** (-(value - 15) / 10) for value in psnr])


def test_means_are_of_psnr_and_of_bpp_per_picture():
    other = replace(SAMPLE, picture="b", width=50, height=80, size=1000, psnr=40.0, mse=1.0, ms_ssim=0.96)
    later = [replace(item, quality=50, size=2000) for item in (other, SAMPLE)]
    foreign = replace(SAMPLE, codec="webp", psnr=99.0)
    curve = average(CODEC, [*later, SAMPLE, other, foreign], "setting")
    assert curve.bpp == pytest.approx([1.5, 3.0])
    assert curve.psnr == [35.0, 35.0]
    assert curve.mse == [5.5, 5.5]
    assert curve.ms_ssim == pytest.approx([0.93, 0.93])
    assert curve.ssimulacra2 == []
    assert curve.quality == [10, 50]


def test_a_metric_missing_for_one_picture_is_left_out():
    small = replace(SAMPLE, picture="b", ms_ssim=None)
    assert average(CODEC, [SAMPLE, small], "").ms_ssim == []


def test_files_are_in_the_common_schema_and_come_back(tmp_path):
    curve = average(CODEC, [SAMPLE, replace(SAMPLE, quality=20, psnr=33.0)], "Two rates.")
    write_curve(tmp_path / "one.json", curve)
    document = json.loads((tmp_path / "one.json").read_text())
    assert document["results"]["psnr-rgb"] == [30.0, 33.0]
    assert document["results"]["ms-ssim-rgb"] == [0.9, 0.9]
    assert document["results"]["encoding_time"] == [0.2, 0.2]
    assert "Two rates." in document["description"]
    (back,) = read_folder(tmp_path)
    assert (back.name, back.published, back.bpp, back.psnr) == ("one", True, curve.bpp, curve.psnr)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"results": {"bpp": [1], "psnr-rgb": []}}', '{"results": {"bpp": ["x"], "psnr-rgb": [1]}}'],
)
def test_a_file_of_another_kind_is_named(tmp_path, text):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(InputError, match=r"odd\.json"):
        read_folder(tmp_path)


def test_rows_are_sorted_and_on_the_same_rates():
    anchor = line(ANCHOR, 1.0)
    rows = compare(anchor, [anchor, line("short", 0.8, 31.0), line("half", 0.5), line("far", 0.5, 10, 25)], (27, 37))
    assert [row.curve.name for row in rows] == ["half", "short", ANCHOR, "far"]
    half, short, own, far = rows
    assert half.psnr.percent == pytest.approx(-50)
    assert half.ms_ssim.percent == pytest.approx(-50)
    # MS-SSIM runs over what the anchor has at the rates of 27 and 37 dB.
    assert (half.ms_ssim.low, half.ms_ssim.high) == pytest.approx((12, 22), abs=0.01)
    assert (short.psnr.low, short.psnr.coverage) == (31.0, pytest.approx(0.6))
    assert own.psnr.percent == pytest.approx(0)
    assert far.psnr.percent is None
    assert half.ssimulacra2 is None


def test_the_table_says_what_a_figure_covers():
    anchor = line(ANCHOR, 1.0)
    rows = compare(anchor, [line("half", 0.5), line("short", 0.8, 31.0), line("far", 0.5, 10, 25)], (27, 37))
    assert [show(row.psnr) for row in rows] == ["-50.0 %", "-20.0 % (part: 31.0 to 37.0)", "no value (0 % covered)"]
    assert show(None) == "not measured"
    text = markdown(rows, explain(anchor, (27, 37)))
    assert text.count("\n| ") == 4
    assert "27 to 37 dB" in text
    assert json.dumps(rows[1].as_json())
