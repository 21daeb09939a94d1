"""Pictures in: every mode ends as upright gray or RGB bytes with alpha apart, or as one clear error."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, TiffImagePlugin

from vqcodec.errors import InputError, LimitError, UsageError
from vqcodec.image.files import load_picture
from vqcodec.image.loaded import to_pil


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_rgb_file_keeps_its_samples(photo, rgb):
    picture = load_picture(photo)
    assert np.array_equal(picture.pixels, rgb)
    assert picture.alpha is None
    assert picture.metadata == {}
    assert picture.notes == ()


@pytest.mark.parametrize("source", ["path", "str", "bytes", "image", "array"])
def test_all_kinds_of_source_agree(photo, rgb, source):
    given = {
        "path": photo,
        "str": str(photo),
        "bytes": photo.read_bytes(),
        "image": Image.fromarray(rgb),
        "array": rgb,
    }
    assert np.array_equal(load_picture(given[source]).pixels, rgb)


def test_equal_channels_become_gray(rgb):
    gray = np.repeat(rgb[:, :, :1], 3, axis=2)
    picture = load_picture(gray)
    assert picture.pixels.shape == (40, 56, 1)
    assert np.array_equal(picture.pixels[:, :, 0], rgb[:, :, 0])


def test_alpha_is_split_off(rgb):
    alpha = np.arange(40 * 56, dtype=np.uint8).reshape(40, 56)
    picture = load_picture(encoded(Image.fromarray(np.dstack([rgb, alpha]))))
    assert np.array_equal(picture.alpha, alpha)
    assert np.array_equal(picture.pixels[alpha > 0], rgb[alpha > 0])


def test_opaque_alpha_vanishes(rgb):
    opaque = np.dstack([rgb, np.full((40, 56), 255, np.uint8)])
    assert load_picture(encoded(Image.fromarray(opaque))).alpha is None


def test_gray_with_alpha(rgb):
    image = Image.fromarray(rgb[:, :, 0])
    image.putalpha(Image.fromarray(rgb[:, :, 1]))
    picture = load_picture(encoded(image))
    assert np.array_equal(picture.pixels[:, :, 0], rgb[:, :, 0])
    assert np.array_equal(picture.alpha, rgb[:, :, 1])


def test_palette_with_and_without_transparency(rgb):
    image = Image.fromarray(rgb).quantize(16)
    wanted = np.asarray(image.convert("RGB"))
    picture = load_picture(encoded(image))
    assert np.array_equal(picture.pixels, wanted)
    assert picture.alpha is None
    index = image.getpixel((0, 0))
    picture = load_picture(encoded(image, transparency=index))
    assert np.array_equal(picture.alpha == 0, np.asarray(image) == index)


def test_colour_key(rgb):
    picture = load_picture(encoded(Image.fromarray(rgb), transparency=tuple(map(int, rgb[3, 4]))))
    assert picture.alpha[3, 4] == 0
    assert picture.alpha.max() == 255


def test_one_bit():
    bits = np.indices((9, 7)).sum(axis=0) % 2 == 0
    picture = load_picture(encoded(Image.fromarray(bits)))
    assert np.array_equal(picture.pixels[:, :, 0], bits * np.uint8(255))


def test_sixteen_bit_gray_is_reduced_with_a_note():
    wide = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
    picture = load_picture(encoded(Image.fromarray(wide)))
    assert np.array_equal(picture.pixels[:, :, 0], np.round(wide / 257).astype(np.uint8))
    assert "16 bits" in picture.notes[0]
    assert np.array_equal(load_picture(wide).pixels, picture.pixels)


def test_sixteen_bit_rgb_is_reduced_with_a_note():
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + b"".join(struct.pack(">3H", 257 * i, 65_535, 0) for i in range(4))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 16, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    picture = load_picture(png)
    assert picture.pixels[0, :, 0].tolist() == [0, 1, 2, 3]
    assert "16 bits" in picture.notes[0]


def test_cmyk_is_converted_with_a_note(rgb):
    cmyk = Image.fromarray(rgb).convert("CMYK")
    picture = load_picture(encoded(cmyk, "TIFF"))
    assert np.array_equal(picture.pixels, np.asarray(cmyk.convert("RGB")))
    assert "CMYK" in picture.notes[0]


def test_lab_is_converted():
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    picture = load_picture(lab)
    assert picture.pixels.min() > 250
    assert "LAB" in picture.notes[0]


def test_float_samples_are_refused():
    with pytest.raises(InputError, match="floating-point"):
        load_picture(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_samples_beyond_16_bits_are_refused():
    with pytest.raises(InputError, match="32-bit signed samples, whose range is not known"):
        load_picture(encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("bits", "form"), [(8, 2), (16, 2), (32, 2)])
def test_signed_tiff_is_refused(order: str, bits: int, form: int) -> None:
    """Pillow reads its bytes as if they were not signed, and 32 bits as 16: once a nearly black picture."""
    samples = np.full((3, 5), 100).astype(f"{order}i{bits // 8}").tobytes()
    tags = [(256, 5), (257, 3), (258, bits), (259, 1), (262, 1), (273, 200), (277, 1), (278, 3), (279, len(samples))]
    tags.append((339, form))
    entries = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    data = (head + entries).ljust(200, b"\0") + samples
    with pytest.raises(InputError, match=f"holds {bits}-bit signed samples, whose range is not known; convert it"):
        load_picture(data)


def test_first_frame_with_a_note(rgb):
    first, second = Image.fromarray(rgb), Image.fromarray(255 - rgb)
    picture = load_picture(encoded(first, "WEBP", save_all=True, append_images=[second], lossless=True))
    assert np.array_equal(picture.pixels, rgb)
    assert "2 frames" in picture.notes[0]


def test_one_pixel():
    assert load_picture(encoded(Image.new("RGB", (1, 1), (1, 2, 3)))).pixels.tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_and_reset(rgb, value, kind):
    exif = Image.Exif()
    exif[0x0112] = value
    exif[0x010F] = "maker"
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(rgb), kind, exif=exif, **options)
    # The eight meanings of TIFF 6.0, tag 274, by hand: mirrored, turned, both.
    turned = rgb.transpose(1, 0, 2) if value >= 5 else rgb
    wanted = {1: turned, 2: turned[:, ::-1], 3: turned[::-1, ::-1], 4: turned[::-1]} | {
        5: turned, 6: turned[:, ::-1], 7: turned[::-1, ::-1], 8: turned[::-1]
    }  # fmt: skip
    picture = load_picture(data)
    assert picture.pixels.shape == wanted[value].shape
    assert np.abs(picture.pixels.astype(int) - wanted[value]).mean() < 2
    kept = Image.Exif()
    kept.load(picture.metadata["exif"])
    assert kept.get(0x0112, 1) == 1
    assert kept[0x010F] == "maker"


def test_orientation_in_xmp_is_reset(rgb):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" dc:title="t"/></x:xmpmeta>'
    picture = load_picture(encoded(Image.fromarray(rgb), "WEBP", xmp=xmp, lossless=True))
    assert picture.pixels.shape == (56, 40, 3)
    assert picture.metadata["xmp"] == xmp.replace(b'"6"', b'"1"')


def test_exif_is_kept_byte_for_byte_but_for_the_orientation(rgb):
    body = b"MM\0*" + struct.pack(">IH", 8, 2)
    body += (
        struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
        + struct.pack(">HHI4s", 0x927C, 7, 4, b"note")
        + b"\0\0\0\0"
        + b"x" * 9
    )
    picture = load_picture(encoded(Image.fromarray(rgb), "PNG", exif=b"Exif\0\0" + body))
    assert picture.metadata["exif"] == body.replace(
        struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0), struct.pack(">HHIHH", 0x0112, 3, 1, 1, 0)
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_profile_and_xmp_are_found(rgb, kind):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, object] = {"icc_profile": icc}
    if kind in ("JPEG", "WEBP"):
        options["xmp"] = b"<x/>"
    picture = load_picture(encoded(Image.fromarray(rgb), kind, **options))
    assert picture.metadata["icc"] == icc
    assert ("xmp" in picture.metadata) == ("xmp" in options)


def test_profile_of_another_space_is_dropped_with_a_note(rgb):
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[16:20] = b"GRAY"
    picture = load_picture(encoded(Image.fromarray(rgb), icc_profile=bytes(icc)))
    assert "icc" not in picture.metadata
    assert "profile" in picture.notes[0]


def test_gray_with_an_rgb_profile_comes_back_as_rgb(rgb):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = load_picture(encoded(Image.fromarray(np.repeat(rgb[:, :, :1], 3, axis=2)), icc_profile=icc))
    image = to_pil(picture.pixels, None, picture.metadata)
    assert image.mode == "RGB"
    assert image.info["icc_profile"] == icc


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        load_picture(tmp_path / "gone.png")


def test_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        load_picture(tmp_path)


def test_text_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("no picture at all")
    with pytest.raises(InputError, match=r"a\.png: neither a picture nor a sound"):
        load_picture(path)


def test_jpeg_xl_without_its_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(InputError, match="pillow-jxl-plugin"):
        load_picture(b"\xff\x0a" + bytes(30))


def test_jpeg_xl(rgb):
    pytest.importorskip("pillow_jxl")
    data = encoded(Image.fromarray(rgb), "JXL", lossless=True)
    assert np.array_equal(load_picture(data).pixels, rgb)


def test_own_format_is_pointed_out(tmp_path):
    path = tmp_path / "a.vqc"
    path.write_bytes(b"\x89VQC\r\n\x1a\n" + bytes(20))
    with pytest.raises(InputError, match="decompress"):
        load_picture(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_cut_files_are_one_error(rgb, kind):
    data = encoded(Image.fromarray(rgb), kind)
    for length in range(0, len(data) // 2, 97):
        with pytest.raises(InputError, match="the input: "):
            load_picture(data[:length])


def test_size_limits(rgb):
    data = encoded(Image.fromarray(rgb))
    load_picture(data, max_pixels=40 * 56)
    with pytest.raises(LimitError, match="max-pixels"):
        load_picture(data, max_pixels=40 * 56 - 1)
    with pytest.raises(LimitError, match="max-pixels"):
        load_picture(data, max_pixels=40 * 56 // 3)
    with pytest.raises(LimitError, match="a side"):
        load_picture(np.zeros((1, 65_536), np.uint8))


def test_pillow_and_the_filters_of_warnings_keep_their_state(photo, monkeypatch):
    """Neither the limit of the process nor its filters are touched, so eight threads do not mix up their warnings."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(warnings, "catch_warnings", None)
    monkeypatch.setattr(warnings, "simplefilter", None)
    assert load_picture(photo, max_pixels=5000).pixels.size
    with pytest.raises(LimitError):
        load_picture(photo, max_pixels=50)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_threads_each_get_their_notes(rgb, photo):
    wide = encoded(Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 257))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: load_picture(wide if i % 2 else photo).notes, range(64)))
    assert [bool(notes) for notes in found] == [False, True] * 32


def test_pipes(tmp_path, photo, rgb):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(photo.read_bytes()))
    writer.start()
    assert np.array_equal(load_picture(path).pixels, rgb)
    writer.join()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "float16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tensors(rgb, dtype, channels):
    samples = np.dstack([rgb, rgb[:, :, 0]])[:, :, :channels]
    tensor = torch.from_numpy(samples.transpose(2, 0, 1).copy())
    if dtype != "uint8":
        tensor = (tensor.double() / 255).to(getattr(torch, dtype))
    picture, wanted = load_picture(tensor.requires_grad_(dtype != "uint8")), load_picture(samples)
    assert np.array_equal(picture.pixels, wanted.pixels)
    assert (picture.alpha is None) == (wanted.alpha is None)


@pytest.mark.parametrize("kind", ["meta", "sparse", "nested"])
def test_tensors_without_values_at_hand_are_refused(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what is a prototype
        tensor = {
            "meta": lambda: torch.zeros(3, 4, 4, device="meta"),
            "sparse": lambda: torch.zeros(3, 4, 4).to_sparse(),
            "nested": lambda: torch.nested.nested_tensor([torch.zeros(3), torch.zeros(4)]),
        }[kind]()
    with pytest.raises(UsageError, match=r"the tensor('s values cannot be read \(.*\); give a dense| has several)"):
        load_picture(tensor)


def test_samples_of_the_other_byte_order(rgb):
    wide = rgb.astype(np.uint16) * 257
    assert np.array_equal(load_picture(wide.astype(">u2")).pixels, load_picture(wide).pixels)


def test_iptc_is_warned_of(rgb):
    words = b"\x1c\x02\x78\x00\x05hello"
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(words)) + words
    data = encoded(Image.fromarray(rgb), "JPEG")
    data = data[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + data[2:]
    assert load_picture(data).notes == ("its IPTC data are not kept; XMP would be",)
    tagged = TiffImagePlugin.ImageFileDirectory_v2()
    tagged[0x83BB] = words
    tagged.tagtype[0x83BB] = 7
    assert "IPTC" in load_picture(encoded(Image.fromarray(rgb), "TIFF", tiffinfo=tagged)).notes[0]


@pytest.mark.parametrize(
    ("tensor", "word"),
    [
        (torch.zeros(4, 4), "shape"),
        (torch.zeros(5, 4, 4), "shape"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "type"),
        (torch.full((3, 4, 4), 1.5), "0 to 1"),
        (torch.full((3, 4, 4), float("nan")), "0 to 1"),
    ],
)
def test_other_tensors_are_refused(tensor, word):
    with pytest.raises(UsageError, match=word):
        load_picture(tensor)


@pytest.mark.parametrize("source", [None, 3, ["a.png"], object()])
def test_other_things_are_refused(source):
    with pytest.raises(UsageError, match="no picture"):
        load_picture(source)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((4, 4), np.float32), "type"),
    ],
)
def test_other_arrays_are_refused(array, word):
    with pytest.raises(UsageError, match=word):
        load_picture(array)


def test_empty_picture_is_refused():
    with pytest.raises(InputError, match="no pixels"):
        load_picture(np.zeros((0, 4, 3), np.uint8))
