"""The command from end to end, with classical codecs on small pictures."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

import vqcodec
from vqcodec.benchmarks.extras import need
from vqcodec.cli.bench import bench
from vqcodec.errors import InputError, OutputError, UsageError, VqcError

QUICK = ("--codecs", "webp", "--no-perceptual")


def call(*arguments, out, data):
    return CliRunner().invoke(bench, ["image", "--data", str(data), "--out", str(out), *arguments])


def test_everything_is_written(pictures, tmp_path):
    published = tmp_path / "published"
    published.mkdir()
    curve = {"name": "Other", "results": {"bpp": [0.1, 1.0, 3.0], "psnr-rgb": [26.0, 33.0, 40.0]}}
    (published / "other.json").write_text(json.dumps(curve))
    out = tmp_path / "out"
    result = call(*QUICK, "--published", str(published), "--report-images", "1", out=out, data=pictures)
    assert result.exit_code == 0, result.output
    assert "WebP, method 6" in result.output
    measurements = json.loads((out / "measurements.json").read_text())
    assert len(measurements) == 2 * (13 + 16)
    assert {path.stem for path in (out / "curves").iterdir()} == {"jpeg-420", "webp"}
    rows = {row["codec"]: row for row in json.loads((out / "bd_rate.json").read_text())["rows"]}
    assert rows["jpeg-420"]["psnr-rgb"]["percent"] == 0
    assert rows["webp"]["psnr-rgb"]["percent"] < 0
    assert "Other [published]" in (out / "bd_rate.md").read_text()
    for name in ("psnr.png", "ms_ssim.png"):
        with Image.open(out / name) as plot:
            assert plot.width > 1000
    assert not (out / "ssimulacra2.png").exists()
    page = (out / "report.html").read_text()
    assert "data:image/webp;base64," in page
    assert '"name": "first"' in page


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--codecs", "bpg"), UsageError),
        (("--psnr-range", "37", "27"), UsageError),
        (("--qualities", "0.5"), UsageError),
        (("--report-bpp", "0"), UsageError),
        (("--published", "nowhere"), InputError),
    ],
)
def test_bad_options_stop_before_any_work(pictures, tmp_path, arguments, error):
    result = call(*QUICK, *arguments, out=tmp_path / "out", data=pictures)
    assert isinstance(result.exception, error)
    assert not (tmp_path / "out").exists()


def test_a_list_that_is_no_list(pictures, tmp_path):
    result = call("--qualities", "fine", out=tmp_path / "out", data=pictures)
    assert result.exit_code == 2
    assert "list of numbers" in result.output


def test_output_that_is_a_file(pictures, tmp_path):
    (tmp_path / "out").touch()
    assert isinstance(call(*QUICK, out=tmp_path / "out", data=pictures).exception, OutputError)


def test_missing_packages_are_named():
    need("json")
    with pytest.raises(VqcError, match=r"no_such_module.*vqcodec\[bench\]"):
        need("json", "no_such_module")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from vqcodec.cli.bench import bench; bench.main(['image', '--help'], standalone_mode=False);"
        "heavy = {'torch', 'matplotlib', 'scipy', 'numpy', 'PIL'} & set(sys.modules);"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--psnr-range" in result.stdout


def test_our_codec_through_the_public_api(pictures, tmp_path, monkeypatch):
    def compress(picture, *, quality, tune):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(quality))
        return buffer.getvalue()

    monkeypatch.setattr(vqcodec, "compress", compress, raising=False)
    monkeypatch.setattr(vqcodec, "decompress", lambda data, kind, faithful: Image.open(io.BytesIO(data)), raising=False)
    out = tmp_path / "out"
    arguments = ("--codecs", "vqcodec", "--qualities", "20,60,90", "--no-perceptual", "--report-bpp", "1")
    result = call(*arguments, out=out, data=pictures)
    assert result.exit_code == 0, result.output
    curve = json.loads((out / "curves" / "vqcodec.json").read_text())["results"]
    assert curve["quality"] == [20, 60, 90]
    assert curve["psnr-rgb"] == sorted(curve["psnr-rgb"])
    assert "| vqcodec |" in (out / "bd_rate.md").read_text()
    assert not (out / "cache" / "vqcodec").exists()
