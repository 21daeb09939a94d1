"""``vqcodec compress``, in process: options, names, folders and every error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import fails, names, opened, vqc
from PIL import Image, ImageCms

import vqcodec
import vqcodec.registry


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
