"""The verbs of the command line and their errors, in process; compress and decompress have files of their own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import fails, names, opened, vqc
from PIL import Image

import vqcodec
import vqcodec.registry
from vqcodec.cli import COMMANDS
from vqcodec.cli.report import Progress
from vqcodec.image.colour import from_cicp
from vqcodec.image.files import load_picture


class TestInfo:
    def test_text(self, packed):
        result = vqc("info", packed)
        assert result.exit_code == 0
        for word in ("photo.vqc", "56 x 40", "1.0", "step 103", "image-4", "bits per pixel", "metadata"):
            assert word in result.stdout

    def test_json(self, packed):
        result = vqc("info", packed, "-", "--json", data=packed.read_bytes())
        first, second = map(json.loads, result.stdout.splitlines())
        assert first["input"] == str(packed)
        assert second["input"] == "-"
        assert {**first, "input": "-"} == second
        assert first["bytes"] == packed.stat().st_size

    def test_errors(self, tmp_path, packed, photo):
        result = vqc("info", tmp_path / "gone.vqc", photo, packed)
        assert result.exit_code == 3
        assert "gone.vqc: no such file" in result.stderr
        assert "photo.png: " in result.stderr
        assert "56 x 40" in result.stdout

    def test_what_never_ends(self):
        for command in ("info", "verify"):
            fails(vqc(command, "/dev/zero"), 3, "/dev/zero: signature: not a .vqc file")
        fails(vqc("decompress", "/dev/zero", "o.png"), 3, "/dev/zero: signature: not a .vqc file")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "a.png").touch()
        fails(vqc("compress", tmp_path / "a.png"), 3, "a.png: is empty; give a picture or a sound")

    def test_empty_argument(self):
        fails(vqc("info", ""), 2, "empty")


class TestCompare:
    def test_pictures(self, tmp_path, photo, packed):
        page = tmp_path / "page.html"
        result = vqc("compare", photo, packed, "--html", page)
        assert result.exit_code == 0, result.output
        assert f"{packed}: {packed.stat().st_size:,} bytes" in result.stdout
        record = json.loads(vqc("compare", photo, packed, "--json").stdout)
        expected = vqcodec.target.psnr(np.asarray(vqcodec.decompress(packed)), np.asarray(opened(photo)))
        assert record["psnr"] == pytest.approx(expected, abs=0.001)
        assert record["bytes_a"] == photo.stat().st_size
        text = page.read_text()
        assert "@@" not in text
        assert text.count("data:image/png;base64,") == 2
        fails(vqc("compare", photo, packed, "--html", page), 1, "page.html: exists already")

    def test_colours_are_compared_as_they_look(self, tmp_path, rgb):
        p3 = from_cicp(bytes([12, 13, 0, 1]))
        wide, plain, film = (tmp_path / name for name in ("wide.png", "plain.png", "film.png"))
        muted = (rgb // 2 + 64).astype(np.uint8)  # colours that sRGB has
        Image.fromarray(muted).save(wide, icc_profile=p3.profile())
        Image.fromarray(load_picture(wide, strip=True).pixels).save(plain)
        assert json.loads(vqc("compare", wide, plain, "--json").stdout)["psnr"] is None
        Image.fromarray(rgb).save(film, save_all=True, append_images=[Image.fromarray(rgb[::-1])])
        result = vqc("compare", film, film)
        assert f"vqcodec: warning: {film}: only one of its 2 frames is kept" in result.stderr

    def test_equal_pictures(self, photo):
        assert "inf dB" in vqc("compare", photo, photo).stdout
        assert json.loads(vqc("compare", photo, photo, "--json").stdout)["psnr"] is None

    def test_sounds(self, tmp_path):
        samples = np.random.default_rng(1).normal(0, 0.1, (4000, 1)).astype(np.float32)
        vqcodec.Sound(samples, 16_000).save(tmp_path / "a.wav")
        (tmp_path / "a.vqc").write_bytes(vqcodec.compress(tmp_path / "a.wav"))
        result = vqc("compare", tmp_path / "a.wav", tmp_path / "a.vqc", "--html", tmp_path / "page.html")
        assert result.exit_code == 0, result.output
        assert "SNR" in result.stdout
        assert (tmp_path / "page.html").read_text().count("data:audio/flac;base64,") == 2
        fails(vqc("compare", tmp_path / "a.wav", tmp_path / "photo.png"), 3, "photo.png: no such file")

    def test_what_cannot_be_compared(self, tmp_path, photo, packed):
        opened(photo).resize((9, 9)).save(tmp_path / "small.png")
        fails(vqc("compare", photo, tmp_path / "small.png"), 2, "56 x 40", "9 x 9")
        vqcodec.Sound(np.zeros((400, 1), np.float32), 16_000).save(tmp_path / "a.wav")
        fails(vqc("compare", photo, tmp_path / "a.wav"), 2, "one of ", "a sound")


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_script(self, shell):
        result = vqc("completion", shell)
        assert result.exit_code == 0, result.output
        assert "_VQCODEC_COMPLETE" in result.stdout

    def test_unknown_shell(self):
        fails(vqc("completion", "tcsh"), 2, "bash")


class TestVerify:
    def test_fine(self, packed):
        result = vqc("verify", packed)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "photo.vqc: fine" in result.stderr
        assert vqc("verify", packed, "--quiet").output == ""

    def test_damage(self, tmp_path, packed):
        bad = tmp_path / "bad.vqc"
        bad.write_bytes(packed.read_bytes()[:-1])
        result = vqc("verify", bad, packed, "--json")
        assert result.exit_code == 3
        first, second = map(json.loads, result.stdout.splitlines())
        assert first["ok"] is False
        assert "--allow-truncated" in first["error"]
        assert second == {"input": str(packed), "ok": True}


class TestGroup:
    @pytest.mark.parametrize("flag", ["-h", "--help"])
    def test_help(self, flag):
        result = vqc(flag)
        assert result.exit_code == 0
        for name in COMMANDS:
            assert name in result.stdout

    @pytest.mark.parametrize("flag", ["-V", "--version"])
    def test_version(self, flag):
        assert vqc(flag).stdout == f"vqcodec {vqcodec.__version__}\n"

    @pytest.mark.parametrize("name", ["compress", "decompress", "info", "verify", "doctor"])
    def test_help_of_each_command(self, name):
        result = vqc(name, "-h")
        assert result.exit_code == 0
        assert f"vqcodec {name}" in result.stdout

    @pytest.mark.parametrize("name", ["compress", "decompress", "info", "verify"])
    def test_a_command_without_arguments_shows_its_help(self, name):
        result = vqc(name)
        assert result.exit_code == 2
        assert "Usage: vqcodec" in result.output

    def test_unknown_command(self):
        fails(vqc("squeeze"), 2, "squeeze")

    def test_interrupt(self, tmp_path, photo, monkeypatch):
        def interrupt():
            raise KeyboardInterrupt

        monkeypatch.setattr(vqcodec.registry, "load_image_codec", interrupt)
        fails(vqc("compress", photo, tmp_path / "o.vqc"), 130, "interrupted")
        assert names(tmp_path) == ["photo.png"]

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: ...")])
    def test_out_of_memory(self, tmp_path, photo, monkeypatch, error):
        def exhaust():
            raise error

        monkeypatch.setattr(vqcodec.registry, "load_image_codec", exhaust)
        fails(vqc("compress", photo, tmp_path / "o.vqc"), 1, "photo.png: not enough memory; try a smaller picture")

    def test_out_of_memory_on_a_device(self, tmp_path, photo, monkeypatch):
        def exhaust(codec, device):
            raise RuntimeError("CUDA out of memory. Tried to allocate ...")

        monkeypatch.setattr(vqcodec.registry, "placed", exhaust)
        result = vqc("compress", photo, tmp_path / "o.vqc", "--device", "cuda")
        fails(result, 1, "photo.png: not enough memory; try --device cpu")


class TestDoctor:
    def test_healthy(self):
        result = vqc("doctor")
        assert result.exit_code == 0
        for word in ("torch", "constriction", "devices", "cpu", "threads", "image-4", "audio-5", "self-check"):
            assert word in result.stdout

    def test_broken_model(self, monkeypatch):
        from vqcodec.errors import SelfCheckError

        def broken():
            raise SelfCheckError("this machine's arithmetic is not exact")

        monkeypatch.setattr(vqcodec.registry, "load_image_codec", broken)
        result = vqc("doctor", "--json")
        assert result.exit_code == 1
        facts = json.loads(result.stdout)
        assert facts["ok"] is False
        assert "not exact" in facts["image model"]
        assert "self-check passes" in facts["audio model"]
        assert facts["versions"]["vqcodec"] == vqcodec.__version__


class TestProgress:
    def line(self, monkeypatch, weights, seconds, share):
        progress = Progress(weights, quiet=True)
        progress.at("a.png", weights[0])
        monkeypatch.setattr("time.monotonic", lambda: progress.started + seconds)
        return progress, progress.line(share)

    def test_several_at_work(self, monkeypatch):
        progress, _ = self.line(monkeypatch, [10, 30, 60], 20, 0.0)
        progress.current = 0
        progress.part("b.png", 10, 0.5)
        progress.part("c.png", 30, 0.25)
        assert progress.line(0.0) == "[1/3] all 12% 2:20 left b.png 50%, c.png 25%"
        progress.finish(10, "b.png")
        assert progress.line(0.0) == "[2/3] all 18% 1:34 left c.png 25%"

    def test_one_file(self, monkeypatch):
        assert self.line(monkeypatch, [10], 0.5, 0.0)[1] == "[1/1] a.png"
        assert self.line(monkeypatch, [10], 30, 0.25)[1] == "[1/1]  25% 1:30 left a.png"

    def test_by_weight_over_all(self, monkeypatch):
        progress, line = self.line(monkeypatch, [300, 100], 60, 0.5)
        assert line == "[1/2]  50% all 38% 1:40 left a.png"
        progress.finish(300)
        progress.at("b.png", 100)
        assert progress.line(0.0) == "[2/2] all 75% 0:20 left b.png"
