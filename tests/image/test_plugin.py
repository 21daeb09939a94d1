"""Pillow opens and saves .vqc files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from image.picture_files import encoded
from PIL import Image, ImageFile

import vqcodec
from vqcodec.errors import (
    LimitError,
    TruncatedError,
    UsageError,
    VqcWarning,
)


class TestPillow:
    @pytest.fixture(autouse=True)
    def registered(self):
        vqcodec.register_pillow()

    def test_save_and_open(self, tmp_path, rgb):
        path = tmp_path / "a.vqc"
        Image.fromarray(rgb).save(path, quality=80)
        assert path.read_bytes() == vqcodec.compress(rgb, quality=80)
        with Image.open(path) as image:
            assert image.format == "VQC"
            assert (image.size, image.mode) == ((56, 40), "RGB")
            assert np.array_equal(np.asarray(image), np.asarray(vqcodec.decompress(path)))
            assert image.get_format_mimetype() == "image/x-vqc"

    @pytest.mark.parametrize(
        "options",
        [
            {"lossless": True},
            {"lossless": True, "exact_alpha": True},
            {"model": "tokens"},
            {"tune": "psnr", "quality": 40},
            {"effort": 7, "quality": 40},
            {"strip": True, "threads": 1, "target_size": 2_000},
        ],
    )
    def test_options_do_what_they_do_elsewhere(self, rgb, options):
        alpha = np.where(np.arange(56) > 20, 255, 0).astype(np.uint8)
        image = Image.fromarray(np.dstack([rgb, np.broadcast_to(alpha, rgb.shape[:2])]))
        assert encoded(image, "VQC", **options) == vqcodec.compress(image, **options)

    def test_options_are_not_dropped_in_silence(self, rgb):
        image = Image.fromarray(rgb)
        with pytest.warns(VqcWarning, match="without effect on .vqc: optimize, dpi; there are quality, "):
            assert encoded(image, "VQC", optimize=True, dpi=(72, 72)) == vqcodec.compress(image)
        with pytest.warns(VqcWarning, match="without effect on .vqc: append_images"):
            assert encoded(image, "VQC", save_all=True, append_images=[image]) == vqcodec.compress(image)
        for wrong in ({"tune": "x"}, {"lossless": True, "quality": 9}, {"exact_alpha": True}, {"model": "audio"}):
            with pytest.raises(UsageError):
                encoded(image, "VQC", **wrong)
        with pytest.raises(LimitError):
            encoded(image, "VQC", max_pixels=9)

    def test_16_bits(self, rgb):
        gray = rgb[:, :, 0].astype(np.uint16) * 250
        with Image.open(io.BytesIO(encoded(Image.fromarray(gray), "VQC", lossless=True))) as image:
            assert image.mode == "I;16"
            assert np.array_equal(np.asarray(image), gray)
            assert image.mode == "I;16"
        with Image.open(io.BytesIO(vqcodec.compress(rgb.astype(np.uint16) * 250, lossless=True))) as image:
            assert image.mode == "RGB"
            with pytest.warns(VqcWarning, match="16 bits per sample are reduced to 8"):
                image.load()

    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
    def test_modes(self, rgb, mode):
        image = Image.fromarray(rgb).convert(mode)
        if mode.endswith("A"):
            image.putalpha(Image.fromarray(rgb[:, :, 0]))
        buffer = io.BytesIO()
        image.save(buffer, "VQC", quality=100)
        with Image.open(buffer) as back:
            back.load()
            assert back.mode == {"P": "RGB", "1": "L"}.get(mode, mode)
            assert back.copy().size == image.size

    def test_metadata(self, tmp_path, rgb):
        exif = Image.Exif()
        exif[0x010F] = "maker"
        Image.fromarray(rgb).save(tmp_path / "a.vqc", exif=exif, xmp=b"<x/>")
        with Image.open(tmp_path / "a.vqc") as image:
            assert image.getexif()[0x010F] == "maker"
            assert image.info["xmp"] == b"<x/>"
            image.save(tmp_path / "b.vqc", xmp=None)
        assert vqcodec.info(tmp_path / "b.vqc")["metadata"] == ["exif"]

    def test_lazy_and_thumbnail(self, tmp_path, rgb, monkeypatch):
        """Opening decodes nothing, the first use of the pixels decodes them, further ones do not."""
        from vqcodec.image.codec import ImageCodec

        Image.fromarray(rgb).save(tmp_path / "a.vqc", exif=Image.Exif())
        decoded = []
        decode = ImageCodec.decode
        monkeypatch.setattr(
            ImageCodec, "decode", lambda self, *parts, **told: decoded.append(parts) or decode(self, *parts, **told)
        )
        with Image.open(tmp_path / "a.vqc") as image:
            assert (image.size, image.mode) == ((56, 40), "RGB")
            assert decoded == []
            image.thumbnail((28, 28))
            assert image.size == (28, 20)
            assert np.asarray(image).shape == (20, 28, 3)
            image.load()
        assert len(decoded) == 1

    def test_cut_file(self, rgb, monkeypatch):
        noise = np.random.default_rng(1).integers(0, 255, (40, 56, 3), np.uint8)  # enough bytes to have stages
        data = vqcodec.compress(noise, quality=80)[:-100]
        with pytest.raises(TruncatedError):
            Image.open(io.BytesIO(data))
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        with pytest.warns(VqcWarning, match="cut short"):
            assert Image.open(io.BytesIO(data)).convert("RGB").size == (56, 40)
