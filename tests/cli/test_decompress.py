"""``vqcodec decompress``, in process: formats, names, damage and every error."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import fails, names, opened, vqc
from conftest import scene
from PIL import Image

import vqcodec
import vqcodec.registry
from vqcodec.bitstream import read_vqc, write_vqc


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
        fails(
            vqc("decompress", packed, tmp_path / "o.png"),
            3,
            "photo.vqc: ",
            "00010203",
            "the version of vqcodec that made it",
        )

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
