"""Pictures out: the suffix decides, metadata travels where it can, and a file appears whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from vqcodec.errors import OutputError, UsageError
from vqcodec.image.files import load_picture
from vqcodec.image.loaded import to_pil
from vqcodec.image.save import SUFFIXES, save_picture
from vqcodec.sources import write_atomic

LOSSLESS = sorted(set(SUFFIXES) - {".avif", ".jpg", ".jpeg"})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_keep_every_sample(tmp_path, rgb, suffix):
    path = tmp_path / f"a{suffix}"
    assert save_picture(Image.fromarray(rgb), path, force=False) == []
    assert np.array_equal(load_picture(path).pixels, rgb)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_gray(tmp_path, rgb, suffix):
    path = tmp_path / f"a{suffix}"
    save_picture(Image.fromarray(rgb[:, :, 0]), path, force=False)
    assert np.array_equal(load_picture(path).pixels, rgb[:, :, :1])


@pytest.mark.parametrize("suffix", sorted({".JPG", ".avif"} & {".JPG", *SUFFIXES}))
def test_lossy_formats_keep_colour_resolution(tmp_path, rgb, suffix):
    path = tmp_path / f"a{suffix}"
    save_picture(Image.fromarray(rgb), path, force=False)
    assert np.abs(load_picture(path).pixels.astype(int) - rgb).mean() < 1.5


@pytest.mark.skipif(".jxl" not in SUFFIXES, reason="needs pillow-jxl-plugin")
def test_what_jpeg_xl_cannot_hold(tmp_path, rgb):
    wanted = {"icc": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "xmp": b"<x/>"}
    notes = save_picture(to_pil(rgb, None, wanted), tmp_path / "a.jxl", force=False)
    assert notes == ["JXL cannot hold its colour profile: the colours were converted to sRGB"]
    back = load_picture(tmp_path / "a.jxl")
    assert np.abs(back.pixels.astype(int) - rgb).max() <= 1
    assert "icc" not in back.metadata or len(back.metadata["icc"]) > 0


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_alpha_is_kept_or_laid_on_white(tmp_path, rgb, mode, suffix):
    alpha = np.zeros((40, 56), np.uint8)
    alpha[:20] = 255
    image = to_pil(rgb if mode == "RGBA" else rgb[:, :, :1], alpha, {})
    assert image.mode == mode
    path = tmp_path / f"a{suffix}"
    notes = save_picture(image, path, force=False)
    back = load_picture(path)
    if SUFFIXES[suffix].alpha:
        assert notes == []
        assert np.array_equal(back.alpha, alpha)
    else:
        assert "white" in notes[0]
        assert back.pixels[24:].min() >= 253
        assert np.abs(back.pixels[:16].astype(int) - (rgb if mode == "RGBA" else rgb[:, :, :1])[:16]).mean() < 3


@pytest.mark.parametrize("suffix", sorted(s for s, kind in SUFFIXES.items() if kind.metadata and s != ".jxl"))
def test_metadata_comes_back(tmp_path, rgb, suffix):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    exif[0x8825] = {1: "N"}
    wanted = {
        "icc": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "exif": exif.tobytes().removeprefix(b"Exif\0\0"),
        "xmp": b"<x:xmpmeta>\xc3\xa4</x:xmpmeta>",
    }
    path = tmp_path / f"a{suffix}"
    assert save_picture(to_pil(rgb, None, wanted), path, force=False) == []
    found = load_picture(path).metadata
    assert found["icc"] == wanted["icc"]
    assert found["xmp"] == wanted["xmp"]
    back = Image.Exif()
    back.load(found["exif"])
    assert back[0x010F] == "maker"
    assert back.get_ifd(0x8769)[0x9003] == "2020:01:01 00:00:00"
    assert back.get_ifd(0x8825)[1] == "N"


def test_lost_metadata_is_said(tmp_path, rgb):
    notes = save_picture(to_pil(rgb, None, {"xmp": b"<x/>"}), tmp_path / "a.bmp", force=False)
    assert "metadata" in notes[0]


def test_metadata_too_large_for_jpeg_is_said(tmp_path, rgb):
    notes = save_picture(to_pil(rgb, None, {"xmp": b"x" * 70_000}), tmp_path / "a.jpg", force=False)
    assert "64 KiB" in notes[0]
    assert "xmp" not in load_picture(tmp_path / "a.jpg").metadata


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.vqc"])
def test_unknown_suffix_lists_what_works(tmp_path, rgb, name):
    with pytest.raises(UsageError, match=r"\.png .*\.webp"):
        save_picture(Image.fromarray(rgb), tmp_path / name, force=False)
    assert names(tmp_path) == []


def test_existing_output_needs_force(tmp_path, rgb):
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="--force"):
        save_picture(Image.fromarray(rgb), path, force=False)
    assert path.read_bytes() == b"mine"
    save_picture(Image.fromarray(rgb), path, force=True)
    assert np.array_equal(load_picture(path).pixels, rgb)


def test_too_large_for_the_format(tmp_path):
    with pytest.raises(OutputError, match=r"use \.png"):
        save_picture(Image.new("L", (16_400, 1)), tmp_path / "a.webp", force=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_nothing_is_left_after_a_failure(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        write_atomic(path, fail, force=True)
    assert names(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"old"


def test_full_disk_is_our_error(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_atomic(tmp_path / "a", fail, force=False)
    assert names(tmp_path) == []


def test_folders(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        write_atomic(tmp_path, lambda file: None, force=True)
    target = tmp_path / "x" / "y" / "a"
    with pytest.raises(OutputError, match="does not exist"):
        write_atomic(target, lambda file: None, force=False)
    write_atomic(target, lambda file: file.write(b"1"), force=False, parents=True)
    assert target.read_bytes() == b"1"
    with pytest.raises(OutputError):
        write_atomic(target / "below", lambda file: None, force=False, parents=True)


def test_permissions_follow_the_umask_and_links_are_followed(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomic(link, lambda file: file.write(b"new"), force=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~mask


def test_devices_are_written_directly():
    written = []
    write_atomic(Path(os.devnull), lambda file: written.append(file.write(b"12")), force=False)
    assert written == [2]
