"""Every verb and every error of the command line, in process; what needs a process of its own is in test_process.py."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import fails, names, vqc
from conftest import scene
from PIL import Image, ImageCms

import vqcodec
import vqcodec.registry
from vqcodec.bitstream import read_vqc, write_vqc
from vqcodec.cli import COMMANDS
from vqcodec.cli.report import Progress
from vqcodec.image.colour import from_cicp
from vqcodec.image.files import load_picture


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.fixture
def packed(tmp_path, photo) -> Path:
    path = tmp_path / "photo.vqc"
    path.write_bytes(vqcodec.compress(photo))
    return path


@pytest.mark.filterwarnings("ignore::vqcodec.errors.VqcWarning")  # of what the library is called for to compare
class TestCompress:
    def test_one_file(self, tmp_path, photo):
        result = vqc("compress", photo, tmp_path / "out.vqc", "-q", "50")
        assert result.exit_code == 0
        assert result.stdout == ""
        assert "photo.png -> " in result.stderr
        assert "bits per pixel" in result.stderr
        assert (tmp_path / "out.vqc").read_bytes() == vqcodec.compress(photo, quality=50)

    @pytest.mark.filterwarnings("ignore:.*or keep the source")
    def test_options_reach_the_encoder(self, tmp_path, photo):
        image = opened(photo)
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        image.save(photo, exif=Image.Exif(), icc_profile=profile)
        for options, same in (
            (["--target-size", "900"], {"target_size": 900}),
            (["--target-bpp", "3.5"], {"target_bpp": 3.5}),
            (["--target-psnr", "30"], {"target_psnr": 30}),
            (["--tune", "psnr"], {"tune": "psnr"}),
            (["--effort", "6"], {"effort": 6}),
            (["--strip"], {"strip": True}),
        ):
            assert vqc("compress", photo, tmp_path / "o.vqc", "-f", *options).exit_code == 0
            assert (tmp_path / "o.vqc").read_bytes() == vqcodec.compress(photo, **same)

    def test_quiet(self, tmp_path, photo):
        result = vqc("compress", photo, tmp_path / "out.vqc", "--quiet")
        assert (result.exit_code, result.output) == (0, "")

    def test_json(self, tmp_path, photo):
        result = vqc("compress", photo, tmp_path / "out.vqc", "--json")
        record = json.loads(result.stdout)
        assert record["output"] == str(tmp_path / "out.vqc")
        assert record["bytes"] == (tmp_path / "out.vqc").stat().st_size
        assert result.stderr == ""

    def test_streams(self, photo):
        result = vqc("compress", "-", "-", data=photo.read_bytes())
        assert result.exit_code == 0
        assert result.stdout_bytes == vqcodec.compress(photo)

    def test_batch_keeps_the_tree(self, tmp_path, photo):
        tree = tmp_path / "tree"
        (tree / "a" / "b").mkdir(parents=True)
        for name in ("one.png", "a/two.JPG", "a/b/three.webp"):
            opened(photo).save(tree / name)
        (tree / "notes.txt").write_text("not a picture")
        result = vqc("compress", photo, tree, "-o", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert names(tmp_path / "out") == ["a/b/three.vqc", "a/two.vqc", "one.vqc", "photo.vqc"]
        result = vqc("decompress", tmp_path / "out", "-o", tmp_path / "back")
        assert result.exit_code == 0
        assert names(tmp_path / "back") == ["a/b/three.png", "a/two.png", "one.png", "photo.png"]

    def test_batch_goes_on_and_ends_with_the_worst_code(self, tmp_path, photo):
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"no picture")
        result = vqc("compress", tmp_path / "gone.png", bad, photo, "-o", tmp_path / "out", "--json")
        assert result.exit_code == 3
        assert [json.loads(line).get("exit_code") for line in result.stdout.splitlines()] == [3, 3, None]
        assert names(tmp_path / "out") == ["photo.vqc"]
        assert "2 of 3 files failed" in result.stderr

    def test_existing_outputs_are_refused_before_any_work(self, tmp_path, photo, monkeypatch):
        out = tmp_path / "out.vqc"
        out.write_bytes(b"mine")
        monkeypatch.setattr(vqcodec.registry, "load_image_codec", None)
        fails(vqc("compress", photo, out), 1, "out.vqc", "--force")
        assert out.read_bytes() == b"mine"
        monkeypatch.undo()

    def test_force(self, tmp_path, photo):
        out = tmp_path / "out.vqc"
        out.write_bytes(b"mine")
        assert vqc("compress", photo, out, "-f").exit_code == 0
        assert vqcodec.info(out)["width"] == 56

    def test_warnings_name_the_file(self, tmp_path):
        Image.new("CMYK", (4, 4)).save(tmp_path / "ink.tif")
        result = vqc("compress", tmp_path / "ink.tif", tmp_path / "o.vqc")
        assert result.exit_code == 0
        assert "warning: " in result.stderr
        assert "ink.tif: CMYK" in result.stderr

    def test_nothing_in_a_name_steers_the_terminal(self, tmp_path):
        result = vqc("compress", tmp_path / "a\x1b[31m\n\u202e.png", tmp_path / "o.vqc")
        assert result.exit_code == 3
        assert r"a\x1b[31m\n\u202e.png: no such file" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_odd_names_are_json(self, tmp_path, packed):
        odd = tmp_path / "a\x9b\udcff.vqc"
        packed.rename(odd)
        (line,) = vqc("info", odd, "--json").stdout.splitlines()
        assert "\x9b" not in line
        assert json.loads(line)["input"] == str(odd)

    def test_missing_input(self, tmp_path):
        fails(vqc("compress", tmp_path / "gone.png", tmp_path / "o.vqc"), 3, "gone.png: no such file")

    def test_unreadable_input(self, tmp_path, photo):
        photo.write_bytes(photo.read_bytes()[:100])
        fails(vqc("compress", photo, tmp_path / "o.vqc"), 3, "photo.png: ")
        assert names(tmp_path) == ["photo.png"]

    def test_vqc_as_input(self, tmp_path, packed):
        fails(vqc("compress", packed, tmp_path / "o.vqc"), 3, "photo.vqc: ", "decompress")

    def test_too_large(self, tmp_path, photo):
        fails(vqc("compress", photo, tmp_path / "o.vqc", "--max-pixels", 100), 4, "photo.png: ", "--max-pixels")

    def test_out_of_reach(self, tmp_path, photo):
        fails(vqc("compress", photo, tmp_path / "o.vqc", "--target-size", 5), 2, "photo.png: ", "smallest")
        assert names(tmp_path) == ["photo.png"]

    def test_missing_folder_of_the_output(self, tmp_path, photo):
        fails(vqc("compress", photo, tmp_path / "x" / "o.vqc"), 1, "o.vqc: ", "does not exist")

    def test_output_is_a_folder(self, tmp_path, photo):
        (tmp_path / "d.vqc").mkdir()
        fails(vqc("compress", photo, tmp_path / "d.vqc"), 1, "d.vqc: is a folder", "-o")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["a.png", "-o", ""], ["-o"]),
            (["", "-o", "out"], ["empty"]),
            (["-"], ["standard input"]),
            (["a.png", "a.vqc", "--force", "--skip-existing"], ["contradict"]),
            (["a.png", "a.vqc", "--threads", "0"], ["threads"]),
            (["-photo.png", "a.vqc"], ["-p", "goes after --"]),
            (["a.png", "b.png", "c.vqc"], ["IN and OUT"]),
            (["a.png", "b.png"], [".vqc"]),
            (["-", "-o", "out"], ["standard input"]),
            (["a.png", "a.vqc", "-q", "0"], ["quality"]),
            (["a.png", "a.vqc", "-q", "x"], ["quality"]),
            (["a.png", "a.vqc", "--effort", "0"], ["effort"]),
            (["a.png", "a.vqc", "--target-bpp", "0"], ["target_bpp"]),
            (["a.png", "a.vqc", "-q", "5", "--target-bpp", "1"], ["contradict"]),
            (["a.png", "-", "--json"], ["standard output"]),
            (["a.png", "a.vqc", "--jobs", "0"], ["jobs"]),
            (["a.png", "a.vqc", "--nonsense"], ["nonsense"]),
        ],
    )
    def test_wrong_use(self, arguments, words):
        fails(vqc("compress", *arguments), 2, *words)

    def test_one_output_for_two_inputs(self, tmp_path, photo):
        """Only these two are refused."""
        other, third = tmp_path / "photo.webp", tmp_path / "third.png"
        opened(photo).save(other)
        opened(photo).save(third)
        result = vqc("compress", photo, other, third, "-o", tmp_path / "out")
        assert result.exit_code == 2
        for word in ("photo.png and ", "photo.webp would each become ", "rename", "2 of 3 files failed"):
            assert word in result.stderr
        assert names(tmp_path / "out") == ["third.vqc"]

    def test_what_is_not_taken_from_a_folder_is_counted_and_named(self, tmp_path, photo):
        tree = tmp_path / "tree"
        (tree / "sub").mkdir(parents=True)
        opened(photo).save(tree / "a.png")
        for name in ("._a.png", "notes.txt", "sub/b.doc"):
            (tree / name).write_bytes(b"x")
        (tree / "elsewhere").symlink_to(tmp_path)
        result = vqc("compress", tree, "-o", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert names(tmp_path / "out") == ["a.vqc"]
        lines = result.stderr.splitlines()
        assert f"1 file skipped: {tree / '._a.png'} (side files of a Mac)" in lines
        assert any(line.startswith("2 files skipped: ") and "notes.txt" in line and "b.doc" in line for line in lines)
        assert f"1 file skipped: {tree / 'elsewhere'} (links to folders)" in lines
        result = vqc("compress", tree, "-o", tmp_path / "again", "--json")
        assert sorted(Path(json.loads(line)["input"]).name for line in result.stdout.splitlines()) == [
            "._a.png", "a.png", "b.doc", "elsewhere", "notes.txt"
        ]  # fmt: skip

    def test_outputs_within_the_folder_are_no_inputs(self, tmp_path, photo):
        for _ in range(2):
            result = vqc("compress", tmp_path, "-o", tmp_path / "out", "-f")
            assert result.exit_code == 0
            assert "skipped" not in result.stderr, result.stderr

    def test_skip_existing(self, tmp_path, photo):
        other = tmp_path / "other.png"
        opened(photo).save(other)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "photo.vqc").write_bytes(b"mine")
        result = vqc("compress", photo, other, "-o", tmp_path / "out", "--skip-existing")
        assert result.exit_code == 0
        assert f"1 file skipped: {photo} (the output exists)" in result.stderr
        assert (tmp_path / "out" / "photo.vqc").read_bytes() == b"mine"
        assert names(tmp_path / "out") == ["other.vqc", "photo.vqc"]

    def test_a_link_out_of_the_folder_is_not_followed(self, tmp_path, photo):
        (tmp_path / "out").mkdir()
        (tmp_path / "else").mkdir()
        (tmp_path / "tree" / "sub").mkdir(parents=True)
        opened(photo).save(tmp_path / "tree" / "sub" / "a.png")
        (tmp_path / "out" / "sub").symlink_to(tmp_path / "else")
        fails(vqc("compress", tmp_path / "tree", "-o", tmp_path / "out"), 1, "a.vqc", "leads out of")
        assert names(tmp_path / "else") == []

    def test_default_name(self, tmp_path, photo):
        assert vqc("compress", photo).exit_code == 0
        data = (tmp_path / "photo.vqc").read_bytes()
        assert data == vqcodec.compress(photo)
        fails(vqc("compress", photo, "-q", "5"), 1, "photo.vqc: exists already")
        assert (tmp_path / "photo.vqc").read_bytes() == data

    def test_an_existing_file_keeps_its_permissions(self, tmp_path, photo):
        out = tmp_path / "o.vqc"
        out.write_bytes(b"secret")
        out.chmod(0o600)
        assert vqc("compress", photo, out, "-f").exit_code == 0
        assert out.stat().st_mode & 0o777 == 0o600

    def test_a_link_to_nothing_is_an_output_that_exists(self, tmp_path, photo):
        (tmp_path / "o.vqc").symlink_to(tmp_path / "gone.vqc")
        fails(vqc("compress", photo, tmp_path / "o.vqc"), 1, "is a link to", "gone.vqc")
        assert not (tmp_path / "gone.vqc").exists()

    def test_a_name_that_is_too_long(self, tmp_path, photo):
        fails(vqc("compress", photo, tmp_path / ("x" * 300 + ".vqc")), 1, "cannot be written", "too long")
        fails(vqc("compress", "x" * 300 + ".png", "-o", tmp_path / "out"), 3, "cannot be read", "too long")

    def test_threads(self, tmp_path, photo):
        import torch

        before = torch.get_num_threads()
        assert vqc("compress", photo, tmp_path / "o.vqc", "--threads", 3).exit_code == 0
        assert (tmp_path / "o.vqc").read_bytes() == vqcodec.compress(photo)
        assert torch.get_num_threads() == before

    def test_a_folder_that_cannot_be_read(self, tmp_path, photo, monkeypatch):
        def scan(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("os.scandir", scan)
        result = vqc("compress", tmp_path, "-o", tmp_path / "out")
        assert result.exit_code == 3
        assert "cannot be read (Permission denied)" in result.stderr

    def test_folder_without_pictures(self, tmp_path):
        (tmp_path / "empty").mkdir()
        fails(vqc("compress", tmp_path / "empty", "-o", tmp_path / "out"), 3, "empty: ")

    def test_folder_without_outdir(self, tmp_path):
        fails(vqc("compress", tmp_path, tmp_path / "o.vqc"), 2, "-o OUTDIR")

    def test_a_mistake_of_ours_is_not_hidden(self, tmp_path, photo, monkeypatch):
        monkeypatch.setattr(vqcodec.registry, "load_image_codec", lambda: 1 / 0)
        result = vqc("compress", photo, tmp_path / "o.vqc")
        assert result.exit_code == 1
        assert "internal error" in result.stderr
        assert "ZeroDivisionError" in result.stderr
        assert names(tmp_path) == ["photo.png"]


class TestDecompress:
    @pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".bmp"])
    def test_by_suffix(self, tmp_path, packed, suffix):
        out = tmp_path / f"out{suffix}"
        assert vqc("decompress", packed, out).exit_code == 0
        assert np.array_equal(np.asarray(opened(out)), np.asarray(vqcodec.decompress(packed)))

    def test_streams(self, packed):
        result = vqc("decompress", "-", "-", data=packed.read_bytes())
        assert result.exit_code == 0
        image = Image.open(io.BytesIO(result.stdout_bytes))
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), np.asarray(vqcodec.decompress(packed)))

    def test_json(self, tmp_path, packed):
        record = json.loads(vqc("decompress", packed, tmp_path / "o.png", "--json").stdout)
        assert (record["width"], record["height"], record["mode"]) == (56, 40, "RGB")

    def test_alpha_on_white(self, tmp_path, rgb):
        path = tmp_path / "a.vqc"
        path.write_bytes(vqcodec.compress(np.dstack([rgb, rgb[:, :, 0]])))
        result = vqc("decompress", path, tmp_path / "a.jpg")
        assert result.exit_code == 0
        assert "warning: " in result.stderr
        assert "a.jpg: JPEG keeps no transparency" in result.stderr

    def test_metadata(self, tmp_path, rgb):
        image = Image.fromarray(rgb)
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "maker", 6
        image.save(tmp_path / "a.jpg", exif=exif)
        assert vqc("compress", tmp_path / "a.jpg", tmp_path / "a.vqc").exit_code == 0
        assert vqc("decompress", tmp_path / "a.vqc", tmp_path / "b.jpg").exit_code == 0
        back = opened(tmp_path / "b.jpg")
        assert back.size == (40, 56)
        assert (back.getexif()[0x010F], back.getexif().get(0x0112, 1)) == ("maker", 1)

    def test_default_name(self, tmp_path, packed, photo):
        fails(vqc("decompress", packed), 1, "photo.png: exists already")
        photo.unlink()
        assert vqc("decompress", packed).exit_code == 0
        assert np.array_equal(np.asarray(opened(photo)), np.asarray(vqcodec.decompress(packed)))
        sound = tmp_path / "sound.vqc"
        sound.write_bytes(vqcodec.compress(np.zeros((500, 1), np.float32), sample_rate=16_000))
        assert vqc("decompress", sound).exit_code == 0
        assert (tmp_path / "sound.wav").read_bytes()[:4] == b"RIFF"

    def test_a_pipe_is_read_once(self, tmp_path, packed):
        import os
        import threading

        os.mkfifo(tmp_path / "pipe")
        data = packed.read_bytes()
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
        writer.start()
        assert vqc("decompress", tmp_path / "pipe", tmp_path / "o.png").exit_code == 0
        assert opened(tmp_path / "o.png").size == (56, 40)
        fails(
            vqc("decompress", tmp_path / "pipe", "-o", tmp_path / "out"), 2, "pipe: is no file that can be read twice"
        )

    def test_unknown_suffix_is_refused_first(self, tmp_path):
        fails(vqc("decompress", tmp_path / "gone.vqc", tmp_path / "o.xyz"), 2, "o.xyz: ", ".png")

    def test_not_vqc(self, tmp_path, photo):
        fails(vqc("decompress", photo, tmp_path / "o.png"), 3, "photo.png: ", "vqcodec compress")

    def test_existing(self, tmp_path, packed, photo):
        before = photo.read_bytes()
        fails(vqc("decompress", packed, photo), 1, "photo.png: ", "--force")
        assert photo.read_bytes() == before

    def test_input_as_output(self, tmp_path, packed):
        link = tmp_path / "link.png"
        link.symlink_to(packed)
        fails(vqc("decompress", packed, link, "-f"), 2, "input itself")

    def test_cut(self, tmp_path, packed):
        packed.write_bytes(packed.read_bytes()[:-10])
        out = tmp_path / "o.png"
        fails(vqc("decompress", packed, out), 3, "photo.vqc: ", "--allow-truncated")
        assert not out.exists()
        result = vqc("decompress", packed, out, "--allow-truncated")
        fails(result, 3, "nothing of the pixels", "; get another copy")
        assert "--allow-truncated" not in result.stderr  # which was tried
        noise = np.random.default_rng(1).integers(0, 255, (40, 56, 3), np.uint8)  # enough bytes to have stages
        packed.write_bytes(vqcodec.compress(noise, quality=80)[:-100])
        result = vqc("decompress", packed, out, "--allow-truncated", "--json")
        assert result.exit_code == 0
        assert "(pixels 0 to 55 across, 0 to 39 down) cut short" in json.loads(result.stdout)["warnings"][0]
        assert opened(out).size == (56, 40)
        result = vqc("info", packed)
        assert "the file ends after" in result.stdout
        assert "--allow-truncated" in result.stdout

    def test_damaged(self, tmp_path, packed):
        data = bytearray(packed.read_bytes())
        data[len(data) // 2] ^= 1
        packed.write_bytes(data)
        out = tmp_path / "o.png"
        fails(vqc("decompress", packed, out), 3, "photo.vqc: chunk 0: ", "--conceal")
        assert not out.exists()
        result = vqc("decompress", packed, out, "--conceal")
        fails(result, 3, "nothing of the pixels", "; get another copy")
        assert "--conceal" not in result.stderr
        noise = np.random.default_rng(1).integers(-20, 20, (8, 1100, 3))  # lest it become lossless
        packed.write_bytes(vqcodec.compress((scene(8, 1100) + noise).clip(0, 255).astype(np.uint8)))
        data = bytearray(packed.read_bytes())
        data[-8] ^= 1
        packed.write_bytes(data)
        result = vqc("decompress", packed, out, "--conceal")
        assert result.exit_code == 0
        assert "warning: " in result.stderr
        assert "photo.vqc: 1 of 2 tiles (pixels 1024 to 1099 across, 0 to 7 down)" in result.stderr

    def test_newer_version(self, tmp_path, packed):
        data = bytearray(packed.read_bytes())
        data[8] = 0x20
        packed.write_bytes(data)
        fails(vqc("decompress", packed, tmp_path / "o.png"), 3, "photo.vqc: ", "update vqcodec")

    def test_unknown_model(self, tmp_path, packed):
        file = read_vqc(packed.read_bytes())
        file.header = replace(file.header, model_id=b"\0\1\2\3")
        packed.write_bytes(write_vqc(file))
        fails(vqc("decompress", packed, tmp_path / "o.png"), 3, "photo.vqc: ", "00010203", "update vqcodec")

    def test_too_large(self, tmp_path, packed):
        fails(vqc("decompress", packed, tmp_path / "o.png", "--max-pixels", 9), 4, "photo.vqc: ", "--max-pixels")

    def test_batch_of_many(self, tmp_path, packed):
        copies = [tmp_path / f"{i}.vqc" for i in range(3)]
        for copy in copies:
            copy.write_bytes(packed.read_bytes())
        copies[1].write_bytes(b"")
        result = vqc("decompress", *copies, "-o", tmp_path / "out")
        assert result.exit_code == 3
        assert names(tmp_path / "out") == ["0.png", "2.png"]
        assert "1.vqc" in result.stderr


class TestInfo:
    def test_text(self, packed):
        result = vqc("info", packed)
        assert result.exit_code == 0
        for word in ("photo.vqc", "56 x 40", "1.0", "step 103", "image-2", "bits per pixel", "metadata"):
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
        for word in ("torch", "constriction", "devices", "cpu", "threads", "image-2", "audio-2", "self-check"):
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
