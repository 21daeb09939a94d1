"""The page: whole, alone, small."""

from __future__ import annotations

import json
import re

import pytest

from vqcodec.benchmarks import report
from vqcodec.benchmarks.image.curves import Curve
from vqcodec.benchmarks.image.show import describe
from vqcodec.benchmarks.image.table import compare

CURVE = Curve("jpeg-420", "JPEG </script><b>", [0.2, 0.5, 1.0], [28.0, 32.0, 36.0], ms_ssim=[0.9, 0.95, 0.98])


def picture(name: str, length: int) -> dict[str, object]:
    entry = {"image": "data:image/jpeg;base64," + "A" * length, "bytes": 1, "bpp": 1, "psnr": 1, "ms_ssim": None}
    sizes = [{"target": 1, "codecs": {"jpeg-420": entry}}]
    return {"name": name, "width": 8, "height": 8, "original": "data:,", "sizes": sizes}


def page(tmp_path, pictures=()):
    rows = compare(CURVE, [CURVE], (29, 35))
    content = describe("Codecs & more", "setting", "note", rows, [CURVE], pictures)
    shown = report.write_report(tmp_path / "r.html", content)
    return shown, (tmp_path / "r.html").read_text()


def test_data_survives_and_text_is_escaped(tmp_path):
    _, text = page(tmp_path, [picture("one", 10)])
    data = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL).group(1))
    (view,) = data["views"]
    assert view["curves"][0]["label"] == CURVE.label
    assert view["curves"][0]["psnr"] == CURVE.psnr
    assert data["entries"][0]["name"] == "one"
    assert "JPEG </script><b>" not in text
    assert "Codecs &amp; more" in text
    assert "@@" not in text


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    _, text = page(tmp_path)
    assert re.findall(r"""(?:src|href)\s*=\s*["']|@import|url\((?!#clip)""", text) == []
    assert set(re.findall(r"https?://[^\"']+", text)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize(("length", "expected"), [(10, 3), (2000, 1), (30_000, 0)])
def test_pictures_that_do_not_fit_are_left_out(tmp_path, monkeypatch, length, expected):
    empty = len(page(tmp_path)[1])
    monkeypatch.setattr(report, "LARGEST", empty + 3500)
    shown, text = page(tmp_path, [picture(name, length) for name in "abc"])
    assert shown == expected
    assert len(text) <= empty + 3500
