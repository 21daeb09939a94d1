"""Lossless files and 16 bits on the command line, and files checked against their originals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from conftest import scene
from PIL import Image

import vqcodec
from vqcodec.cli import main
from vqcodec.errors import MismatchError, VqcWarning
from vqcodec.image.files import Picture, load_picture
from vqcodec.image.save import save_picture


def vqc(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A PNG of 16 bits with colours and alpha."""
    samples = np.random.default_rng(0).integers(0, 4000, (30, 40, 4)).cumsum(1).astype(np.uint16)
    path = tmp_path / "wide.png"
    save_picture(Picture(samples[:, :, :3], samples[:, :, 3] | 1, {}), path, force=False)
    return path


def test_a_picture_of_16_bits_there_and_back(tmp_path: Path, wide: Path) -> None:
    packed = tmp_path / "a.vqc"
    result = vqc("compress", wide, packed, "--lossless")
    assert result.exit_code == 0, result.stderr
    assert ", lossless, " in result.stderr
    assert "40 x 30, rgb and alpha, 16 bits per sample" in vqc("info", packed).stdout
    assert "none needed" in vqc("info", packed).stdout
    before = load_picture(wide, deep=True, exact=True)
    for suffix in (".png", ".tiff"):
        out = tmp_path / f"out{suffix}"
        assert vqc("decompress", packed, out).exit_code == 0
        after = load_picture(out, deep=True, exact=True)
        assert np.array_equal(after.pixels, before.pixels)
        assert np.array_equal(after.alpha, before.alpha)
    result = vqc("decompress", packed, tmp_path / "out.webp")
    assert "WEBP keeps 8 bits per sample: reduced from 16" in result.stderr
    assert vqc("decompress", packed, tmp_path / "eight.png", "--depth", 8, "--json").exit_code == 0
    with Image.open(tmp_path / "eight.png") as image:
        assert image.mode == "RGBA"
    result = vqc("decompress", packed, tmp_path / "deep.png", "--depth", 16, "--json")
    assert json.loads(result.stdout)["mode"] == "RGBA;16"


def test_8_bits_are_spread_to_16_on_request(tmp_path: Path, photo: Path) -> None:
    packed, out = tmp_path / "a.vqc", tmp_path / "o.png"
    assert vqc("compress", photo, packed, "--lossless").exit_code == 0
    assert vqc("decompress", packed, out, "--depth", 16).exit_code == 0
    assert np.array_equal(load_picture(out, deep=True).pixels, scene(40, 56).astype(np.uint16) * 257)


def test_contradictions(tmp_path: Path, photo: Path) -> None:
    for words, wanted in (
        (("--lossless", "-q", "50"), "lossless and quality contradict each other"),
        (("--lossless", "--target-size", "5"), "lossless and target_size contradict each other"),
        (("--exact-alpha",), "exact_alpha goes with lossless only"),
    ):
        result = vqc("compress", photo, tmp_path / "a.vqc", *words)
        assert result.exit_code == 2
        assert wanted in result.stderr


class TestAgainst:
    def test_pictures(self, tmp_path: Path, photo: Path) -> None:
        exact, coded = tmp_path / "exact.vqc", tmp_path / "coded.vqc"
        exact.write_bytes(vqcodec.compress(photo, lossless=True))
        coded.write_bytes(vqcodec.compress(photo, quality=50))
        assert f"exact.vqc: fine, the same as {photo}" in vqc("verify", exact, "--against", photo).stderr
        assert f" dB from {photo}" in vqc("verify", coded, "--against", photo).stderr
        assert json.loads(vqc("verify", coded, "--against", photo, "--json").stdout)["psnr"] > 30
        assert json.loads(vqc("verify", exact, "--against", photo, "--json").stdout)["psnr"] is None
        other = tmp_path / "other.png"
        changed = scene(40, 56)
        changed[7, 9, 1] ^= 1
        Image.fromarray(changed).save(other)
        result = vqc("verify", exact, "--against", other)
        assert result.exit_code == 3
        assert "exact.vqc: differs from the original, first at pixel 9 across, 7 down: green is" in result.stderr
        Image.fromarray(changed[1:]).save(other)
        for path in (exact, coded):
            assert "has 56 x 40 pixels, the original 56 x 39" in vqc("verify", path, "--against", other).stderr
        result = vqc("verify", exact, coded, "--against", photo)
        assert result.exit_code == 2
        assert "--against is for one file" in result.stderr

    def test_invisible_pixels_do_not_count(self) -> None:
        samples = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
        samples[:, :, 3] *= samples[:, :, 3] > 99
        assert vqcodec.verify(vqcodec.compress(samples, lossless=True), against=samples) == np.inf
        changed = samples.copy()
        changed[0, 0, 3] ^= 64
        with pytest.raises(MismatchError, match="first at pixel 0 across, 0 down"):
            vqcodec.verify(vqcodec.compress(samples, lossless=True), against=changed)

    def test_depths(self, wide: Path) -> None:
        exact = vqcodec.compress(wide, lossless=True)
        assert vqcodec.verify(exact, against=wide) == np.inf
        with pytest.warns(VqcWarning, match="16 bits of alpha are reduced to 8; lossless keeps them"):
            data = vqcodec.compress(wide, quality=95)
        coded = vqcodec.verify(data, against=wide)
        assert coded is not None
        assert 20 < coded < 90
        assert vqcodec.verify(exact) is None

    def test_sounds(self, tmp_path: Path) -> None:
        t = np.arange(9_000)
        samples = np.round(np.sin(t / 30) * 9_000) / 2**15
        path, other = tmp_path / "a.wav", tmp_path / "b.wav"
        soundfile.write(path, samples, 8_000, "PCM_16")
        exact, coded = vqcodec.compress(path, lossless=True), vqcodec.compress(path, quality=80)
        assert vqcodec.verify(exact, against=path) == np.inf
        found = vqcodec.verify(coded, against=path)
        assert found is not None
        assert 20 < found < 90
        samples[5_000] += 1 / 2**15
        soundfile.write(other, samples, 8_000, "PCM_16")
        with pytest.raises(MismatchError, match=r"first at 0\.6250 s"):
            vqcodec.verify(exact, against=other)
        samples[5_000] -= 1 / 2**15
        soundfile.write(other, samples[:8_999], 8_000, "PCM_16")
        for data in (exact, coded):
            with pytest.raises(MismatchError, match="ends after the original"):
                vqcodec.verify(data, against=other)
        soundfile.write(other, samples, 16_000, "PCM_16")
        with pytest.raises(MismatchError, match="1 channels at 8,000 Hz, the original 1 at 16,000 Hz"):
            vqcodec.verify(exact, against=other)
        with pytest.raises(MismatchError, match="holds sound, and the original is none"):
            vqcodec.verify(exact, against=scene(9, 9))


def test_lossless_sounds(tmp_path: Path) -> None:
    source, packed, out = tmp_path / "a.wav", tmp_path / "a.vqc", tmp_path / "b.wav"
    whole = np.random.default_rng(1).integers(-(2**20), 2**20, (4_000, 2)) << 8
    soundfile.write(source, whole.astype(np.int32), 48_000, "PCM_24")
    assert vqc("compress", source, packed, "--lossless").exit_code == 0
    assert "lossless" in vqc("info", packed).stdout
    assert vqc("decompress", packed, out).exit_code == 0
    assert np.array_equal(soundfile.read(out, dtype="int32")[0], whole)
    result = vqc("compress", source, tmp_path / "c.vqc", "--lossless", "--exact-alpha")
    assert result.exit_code == 2
    assert "exact_alpha is for pictures" in result.stderr
