"""Lossless files and 16 bits on the command line, and files checked against their originals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command_line import vqc
from conftest import scene
from PIL import Image, ImageCms

import vqcodec
from vqcodec.errors import MismatchError, UsageError, VqcWarning
from vqcodec.image.colour import from_cicp
from vqcodec.image.files import load_picture
from vqcodec.image.loaded import Picture
from vqcodec.image.save import save_picture


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
        (("--lossless", "--tune", "psnr"), "lossless leaves nothing to tune"),
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
        assert json.loads(vqc("verify", coded, "--against", photo, "--json").stdout)["psnr"] > 29
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

    def test_invisible_pixels(self, tmp_path: Path) -> None:
        samples = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
        samples[:, :, 3] *= samples[:, :, 3] > 99
        hidden = samples.copy()
        y, x = np.argwhere(samples[:, :, 3] == 0)[0]
        hidden[y, x, 1] ^= 8
        plain = vqcodec.compress(samples, lossless=True)
        exact = vqcodec.compress(samples, lossless=True, exact_alpha=True)
        count = np.count_nonzero(samples[:, :, 3] == 0)
        with pytest.warns(VqcWarning, match=f"does not keep the colours of {count} invisible pixels"):
            assert vqcodec.verify(plain, against=samples) == np.inf
        assert vqcodec.verify(exact, against=samples) == np.inf
        with pytest.raises(MismatchError, match=f"first at pixel {x} across, {y} down: green"):
            vqcodec.verify(exact, against=hidden)
        Image.fromarray(samples).save(tmp_path / "a.png")
        (tmp_path / "a.vqc").write_bytes(plain)
        result = vqc("verify", tmp_path / "a.vqc", "--against", tmp_path / "a.png", "--json")
        assert "invisible pixels" in json.loads(result.stdout)["warnings"][0]
        changed = samples.copy()
        changed[0, 0, 3] ^= 64
        with pytest.raises(MismatchError, match="first at pixel 0 across, 0 down"):
            vqcodec.verify(vqcodec.compress(samples, lossless=True), against=changed)

    @pytest.mark.filterwarnings("ignore:.*or keep the source")
    def test_colour_profiles(self, tmp_path: Path) -> None:
        path, plain = tmp_path / "a.png", tmp_path / "b.png"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        p3 = from_cicp(bytes([12, 13, 0, 1]))
        assert p3 is not None
        wide = p3.profile()
        Image.fromarray(scene(40, 56)).save(path, icc_profile=wide)
        Image.fromarray(scene(40, 56)).save(plain)
        exact = vqcodec.compress(path, lossless=True)
        assert vqcodec.verify(exact, against=path) == np.inf
        with pytest.raises(MismatchError, match="has another colour profile than the original"):
            vqcodec.verify(exact, against=plain)
        with pytest.raises(MismatchError, match="has no colour profile, unlike the original"):
            vqcodec.verify(vqcodec.compress(plain, lossless=True), against=path)
        with pytest.warns(VqcWarning, match="converted to sRGB, which is not without loss"):
            bare = vqcodec.compress(path, lossless=True, strip=True)
        with pytest.raises(MismatchError, match=r"made by --strip"):
            vqcodec.verify(bare, against=path)
        with pytest.warns(VqcWarning, match="both are compared as sRGB"):
            found = vqcodec.verify(vqcodec.compress(path, quality=90, strip=True), against=path)
        assert found is not None
        assert found > 30
        Image.fromarray(scene(40, 56)).save(path, icc_profile=profile)  # which changes nothing
        with pytest.warns(VqcWarning, match="both are compared as sRGB"):
            assert vqcodec.verify(vqcodec.compress(path, lossless=True, strip=True), against=path) == np.inf

    def test_losses_in_alpha_and_frames_are_told(self, tmp_path: Path) -> None:
        samples = np.dstack([scene(40, 56), np.full((40, 56), 90, np.uint8)])
        data = vqcodec.compress(samples, quality=50)
        samples[:, :, 3] += 1
        with pytest.warns(VqcWarning, match="another alpha plane"):
            vqcodec.verify(data, against=samples)
        film = tmp_path / "film.png"
        Image.fromarray(scene(9, 9)).save(film, save_all=True, append_images=[Image.fromarray(scene(9, 9)[::-1])])
        exact = vqcodec.compress(scene(9, 9), lossless=True)
        with pytest.warns(VqcWarning, match="only one of its 2 frames"):
            assert vqcodec.verify(exact, against=film) == np.inf

    def test_arrays_of_sound(self) -> None:
        samples = (np.sin(np.arange(9_000) / 30) * 0.3).astype(np.float32)
        data = vqcodec.compress((samples * 2**15).astype(np.int16), sample_rate=8_000, lossless=True)
        rounded = np.round(samples * 2**15 - 0.5).astype(np.int16)
        for original in (vqcodec.decompress(data).samples, torch.from_numpy(vqcodec.decompress(data).samples.T.copy())):
            assert vqcodec.verify(data, against=original) == np.inf
            assert vqcodec.verify(data, against=original, sample_rate=8_000) == np.inf
        with pytest.raises(MismatchError, match="the original 1 at 16,000 Hz"):
            vqcodec.verify(data, against=rounded, sample_rate=16_000)
        with pytest.raises(UsageError, match="sample_rate"):
            vqcodec.verify(data, sample_rate=8_000)
        picture = vqcodec.compress(scene(9, 9), lossless=True)
        assert vqcodec.verify(picture, against=torch.from_numpy(scene(9, 9).transpose(2, 0, 1).copy())) == np.inf
        with pytest.raises(MismatchError, match="holds a picture"):
            vqcodec.verify(picture, against=samples)

    def test_an_original_from_standard_input(self, tmp_path: Path, photo: Path) -> None:
        packed = tmp_path / "a.vqc"
        packed.write_bytes(vqcodec.compress(photo, lossless=True))
        result = vqc("verify", packed, "--against", "-", data=photo.read_bytes())
        assert (result.exit_code, "the same as standard input" in result.stderr) == (0, True)
        assert vqc("verify", "-", "--against", "-", data=photo.read_bytes()).exit_code == 2

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
    facts = vqcodec.info(packed)
    assert (facts["quality"], facts["step"]) == (None, None)
    for words in (("--depth", 8), ("--faithful",)):
        result = vqc("decompress", packed, out, *words)
        assert (result.exit_code, "is for pictures, and this is sound" in result.stderr) == (2, True)
    assert vqc("decompress", packed, out).exit_code == 0
    assert np.array_equal(soundfile.read(out, dtype="int32")[0], whole)
    for words in (("--lossless", "--exact-alpha"), ("--tune", "psnr"), ("--model", "tokens"), ("--effort", 9)):
        result = vqc("compress", source, tmp_path / "c.vqc", *words)
        assert result.exit_code == 2
        assert " is for pictures, and this is sound; leave it out" in result.stderr
    with pytest.raises(UsageError, match="sample_rate is for sound"):
        vqcodec.compress(scene(9, 9), kind="image", sample_rate=8_000)
