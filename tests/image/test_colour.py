"""Colours that something else than a profile describes: never silently read as sRGB."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from image.picture_files import CASES, encoded, gray_png, png_chunk, with_chunks
from PIL import Image, ImageCms

from vqcodec.image.files import load_picture
from vqcodec.image.loaded import Picture, to_pil
from vqcodec.image.save import save_picture

P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
D65 = (0.3127, 0.3290)


def cicp(*codes: int) -> bytes:
    return png_chunk(b"cICP", bytes(codes))


def gamma(value: int) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", value))


def chromaticities(*xy: tuple[float, float]) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * v) for pair in xy for v in pair)))


def shown(picture: Picture) -> np.ndarray:
    """The colours in sRGB, as a viewer that knows profiles shows them."""
    image = to_pil(picture.pixels, picture.alpha, picture.metadata).convert("RGB")
    if "icc_profile" not in image.info:
        return np.asarray(image).astype(int)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    return np.asarray(ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))).astype(int)


def rgb_of(xyz_of_p3: np.ndarray) -> np.ndarray:
    """sRGB samples of linear light [N, 3] in P3, by the formulas of IEC 61966-2-1."""

    def matrix(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (D65, *primaries)]).T
        return columns[:, 1:] * np.linalg.solve(columns[:, 1:], columns[:, 0])

    srgb = matrix(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))
    light = np.clip(xyz_of_p3 @ (np.linalg.inv(srgb) @ matrix(P3)).T, 0, 1)
    return np.round(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def test_linear_p3_by_gama_and_chrm():
    with Image.open(CASES / "01-gama-linear-p3.png") as image:
        light = np.asarray(image) / 255
    picture = load_picture(CASES / "01-gama-linear-p3.png")
    wanted = rgb_of(light)
    inside = (wanted > 0).all(axis=2) & (wanted < 255).all(axis=2)
    assert inside.sum() > 300
    assert np.abs(shown(picture) - wanted)[inside].max() <= 4
    assert picture.notes == ()
    # linear light would be coded with visible errors in the dark
    assert picture.pixels.mean() > 255 * light.mean() + 20


@pytest.mark.parametrize(
    ("chunks", "space"),
    [
        ([cicp(12, 13, 0, 1)], "p3"),
        ([chromaticities(D65, *P3)], "p3"),
        ([png_chunk(b"sRGB", b"\0"), gamma(100_000)], "srgb"),
        ([cicp(1, 13, 0, 1), gamma(100_000)], "srgb"),
        ([cicp(2, 2, 0, 1)], "srgb"),
        ([gamma(45_455)], "srgb"),
        ([gamma(45_455), chromaticities(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))], "srgb"),
    ],
)
def test_chunks_by_their_precedence(rgb, chunks, space):
    picture = load_picture(with_chunks(encoded(Image.fromarray(rgb)), *chunks))
    assert np.array_equal(picture.pixels, rgb)
    assert picture.notes == ()
    if space == "srgb":
        assert picture.metadata == {}
    else:
        light = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
        assert np.abs(shown(picture) - rgb_of(light)).max() <= 2


def test_cicp_goes_before_a_profile(rgb):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    png = encoded(Image.fromarray(rgb), icc_profile=icc)
    assert load_picture(with_chunks(png, gamma(100_000))).metadata["icc"] == icc
    assert load_picture(with_chunks(png, cicp(1, 13, 0, 1))).metadata == {}
    assert load_picture(with_chunks(png, cicp(12, 13, 0, 1))).metadata["icc"] != icc
    assert load_picture(with_chunks(png, cicp(99, 99, 0, 1))).metadata["icc"] == icc


def test_an_open_image_is_read_like_its_file(rgb):
    for chunk in (cicp(12, 13, 0, 1), gamma(100_000)):
        data = with_chunks(encoded(Image.fromarray(rgb)), chunk)
        by_file, by_image = load_picture(data), load_picture(Image.open(io.BytesIO(data)))
        assert np.array_equal(by_file.pixels, by_image.pixels)
        assert by_file.metadata == by_image.metadata
        assert by_file.metadata or not np.array_equal(by_file.pixels, rgb)


def test_linear_gray_and_palette(rgb):
    values = np.arange(256).reshape(16, 16)
    wanted = np.round(255 * np.where(values / 255 <= 0.0031308, 0, 1.055 * (values / 255) ** (1 / 2.4) - 0.055))
    picture = load_picture(gray_png(values, 8, gamma(100_000)))
    assert np.array_equal(picture.pixels[1:, :, 0], wanted[1:])
    palette = load_picture(with_chunks(encoded(Image.fromarray(rgb).quantize(16)), gamma(100_000)))
    assert palette.pixels.mean() > load_picture(encoded(Image.fromarray(rgb).quantize(16))).pixels.mean() + 20


def test_video_range_is_widened(rgb):
    narrow = (16 + rgb * (219 / 255)).round().astype(np.uint8)
    picture = load_picture(with_chunks(encoded(Image.fromarray(narrow)), cicp(1, 13, 0, 0)))
    assert np.abs(picture.pixels.astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_keeps_its_samples_and_says_what_they_are(rgb, transfer):
    picture = load_picture(with_chunks(encoded(Image.fromarray(rgb)), cicp(9, transfer, 0, 1)))
    assert np.array_equal(picture.pixels, rgb)
    assert b"cicp\0\0\0\0" + bytes((9, transfer, 0, 1)) in picture.metadata["icc"]
    assert not np.array_equal(shown(picture), rgb)


@pytest.mark.parametrize(
    "chunk", [cicp(99, 13, 0, 1), gamma(0), gamma(2**31), png_chunk(b"cHRM", bytes(32)), chromaticities(*[D65] * 4)]
)
def test_what_makes_no_sense_is_said(rgb, chunk):
    picture = load_picture(with_chunks(encoded(Image.fromarray(rgb)), chunk))
    assert np.array_equal(picture.pixels, rgb)
    assert "read as sRGB" in picture.notes[0]


def test_nclx_of_avif(rgb):
    data = bytearray(encoded(Image.fromarray(rgb), "AVIF", quality=95, subsampling="4:4:4"))
    assert load_picture(bytes(data)).metadata == {}
    at = data.index(b"nclx") + 4
    data[at : at + 4] = bytes((0, 12, 0, 13))
    plain = load_picture(bytes(data))
    assert np.abs(shown(plain) - shown(load_picture(rgb))).max() > 10
    assert load_picture(Image.open(io.BytesIO(bytes(data)))).metadata == plain.metadata


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        (kind, way)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF")
        for way in ("space", "R03")
        if (kind, way) != ("TIFF", "R03")
    ],
)
def test_adobe_rgb_by_exif(rgb, kind, way):
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 2} if way == "space" else {0xA001: 0xFFFF, 0xA005: {1: "R03\0"}}
    data = encoded(Image.fromarray(rgb), kind, exif=exif.tobytes() if kind != "TIFF" else again(exif))
    picture = load_picture(data)
    # gray stays gray, green becomes stronger: sRGB's green is inside
    row = np.array([[[120, 120, 120], [90, 180, 90]]], np.uint8)
    gray, green = shown(Picture(row, None, picture.metadata))[0]
    assert np.abs(gray - 120).max() <= 2
    assert green[0] < 60
    assert green[1] == pytest.approx(181, abs=2)


def again(exif: Image.Exif) -> Image.Exif:
    out = Image.Exif()
    out.load(exif.tobytes())
    return out


def bmp(
    rgb: np.ndarray, kind: bytes, points: tuple[float, ...] = (0.0,) * 9, gamma: float = 0, icc: bytes = b""
) -> bytes:
    """A BMP of 24 bits with a header of version 5."""
    height, width, _ = rgb.shape
    rows = b"".join(row[:, ::-1].tobytes().ljust(-(-3 * width // 4) * 4, b"\0") for row in rgb[::-1])
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(rows), 0, 0, 0, 0) + bytes(16) + kind
    head += struct.pack("<9i3I", *(round(v * 2**30) for v in points), *[round(gamma * 65_536)] * 3)
    head += struct.pack("<4I", 4, 124 + len(rows), len(icc), 0)
    return b"BM" + struct.pack("<IHHI", 138 + len(rows) + len(icc), 0, 0, 138) + head + rows + icc


def test_colours_of_bmp(rgb):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert load_picture(bmp(rgb, b"DEBM", icc=icc)).metadata == {"icc": icc}
    assert load_picture(bmp(rgb, b"BGRs")).metadata == {}
    assert load_picture(bmp(rgb, b"\0\0\0\0")).metadata == {}
    linear = load_picture(bmp(rgb, b"\0\0\0\0", gamma=1.0))
    assert linear.pixels.mean() > rgb.mean() + 20
    p3 = (0.4866, 0.2290, 0.0, 0.2657, 0.6917, 0.0451, 0.1982, 0.0793, 1.0439)
    data = bmp(rgb, b"\0\0\0\0", points=p3)
    light = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    assert np.abs(shown(load_picture(data)) - rgb_of(light)).max() <= 3
    assert load_picture(Image.open(io.BytesIO(data))).metadata == load_picture(data).metadata


def test_uncalibrated_colours_are_said(rgb):
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 0xFFFF}
    assert "uncalibrated" in load_picture(encoded(Image.fromarray(rgb), exif=exif.tobytes())).notes[0]


def test_gamma_by_exif_is_not_applied_again(rgb):
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 0xFFFF, 0xA500: 1.0}
    picture = load_picture(encoded(Image.fromarray(rgb), exif=exif.tobytes()))
    assert shown(picture).mean() > rgb.mean() + 20
    image = to_pil(picture.pixels, None, picture.metadata)
    twice = load_picture(encoded(image, exif=image.info["exif"], icc_profile=image.info["icc_profile"]))
    assert np.array_equal(shown(twice), shown(picture))


class TestStrip:
    def test_a_wide_gamut_becomes_srgb(self, rgb):
        wide = load_picture(with_chunks(encoded(Image.fromarray(rgb)), cicp(12, 13, 0, 1)))
        stripped = load_picture(with_chunks(encoded(Image.fromarray(rgb)), cicp(12, 13, 0, 1)), strip=True)
        assert stripped.metadata == {}
        assert np.array_equal(stripped.pixels, shown(wide))

    def test_srgb_stays_what_it_is(self, rgb):
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        picture = load_picture(encoded(Image.fromarray(rgb), icc_profile=icc, exif=Image.Exif().tobytes()), strip=True)
        assert np.array_equal(picture.pixels, rgb)
        assert picture.metadata == {}

    def test_gray_stays_gray(self, rgb):
        icc = load_picture(with_chunks(encoded(Image.fromarray(rgb)), cicp(12, 8, 0, 1))).metadata["icc"]
        gray = Image.fromarray(rgb[:, :, 0]).convert("RGB")
        assert load_picture(encoded(gray, icc_profile=icc), strip=True).pixels.shape[2] == 1

    @pytest.mark.parametrize("suffix", [".bmp", ".ppm", ".tga"])
    def test_formats_without_profiles_get_srgb(self, tmp_path, rgb, suffix):
        alpha = rgb[:, :, 0] | 1 if suffix == ".tga" else None
        wide = load_picture(with_chunks(encoded(Image.fromarray(rgb)), cicp(12, 13, 0, 1)))
        notes = save_picture(to_pil(rgb, alpha, wide.metadata), tmp_path / f"a{suffix}", force=False)
        assert any("converted to sRGB" in note for note in notes)
        assert np.array_equal(load_picture(tmp_path / f"a{suffix}").pixels, shown(wide))
