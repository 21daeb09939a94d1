"""Metadata in and out: what does not parse, fit or hold is dropped, and said; the picture stays."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from image.picture_files import CASES, encoded, png_chunk, with_chunks
from PIL import Image, ImageCms, PngImagePlugin

import vqcodec
from vqcodec.errors import VqcWarning
from vqcodec.image.exif import Exif, exif_body, with_resolution, without_orientation
from vqcodec.image.files import load_picture
from vqcodec.image.loaded import to_pil
from vqcodec.image.save import SUFFIXES, save_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WITH_METADATA = sorted(suffix for suffix, kind in SUFFIXES.items() if kind.metadata)


def exif_of(**values: object) -> bytes:
    exif = Image.Exif()
    for name, value in values.items():
        exif[{"make": 0x010F, "orientation": 0x0112, "own": 0x8769}[name]] = value
    return exif_body(exif.tobytes())


JUNK = {
    "garbage": b"\xff" * 40,
    "no header": b"\0\x08\0\x02\x01\x12\0\x03junkjunk",
    "short": b"II*\0",
    "beyond": b"II*\0\xff\xff\0\0",
    "endless": b"II*\0\x08\0\0\0\xff\xff" + b"z" * 20,
    "inside itself": b"II*\0\x00\0\0\0",
}
ODD = {
    "value outside": b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHII", 0x010F, 2, 10**5, 10**5) + bytes(4),
    "unknown kind": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0110, 77, 3, 1) + bytes(4),
    "giant count": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x829A, 5, 2**31, 20) + bytes(4),
    "loop": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + bytes(4),
    "nothing over nothing": b"II*\0\x08\0\0\0\x02\0"
    + struct.pack("<HHIIHHII", 0x011A, 5, 1, 38, 0x011B, 5, 1, 38)
    + bytes(12),
}


class TestDamaged:
    @pytest.mark.parametrize("name", ["05-exif-junk.png", "05-exif-garbage.jpg"])
    @pytest.mark.filterwarnings("ignore:.*or keep the source")
    def test_the_picture_stays(self, name):
        picture = load_picture(CASES / name)
        assert picture.metadata == {}
        assert picture.notes == ("its EXIF is damaged and was dropped",)
        with pytest.warns(VqcWarning, match="EXIF is damaged"):
            data = vqcodec.compress(CASES / name)
        vqcodec.decompress(data)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    @pytest.mark.parametrize("junk", sorted(JUNK))
    def test_exif_in_every_container(self, rgb, kind, junk):
        picture = load_picture(encoded(Image.fromarray(rgb), kind, exif=b"Exif\0\0" + JUNK[junk]))
        assert picture.pixels.shape == rgb.shape
        assert picture.metadata == {}
        assert "EXIF" in picture.notes[0]

    def test_exif_in_avif(self, rgb):
        data = bytearray(encoded(Image.fromarray(rgb), "AVIF", exif=b"Exif\0\0" + exif_of(make="maker")))
        at = data.index(b"MM\0*")
        data[at : at + 4] = b"junk"
        picture = load_picture(bytes(data))
        assert picture.pixels.shape == rgb.shape
        assert "EXIF" in picture.notes[0]

    def test_handed_over_by_the_caller(self, rgb):
        image = Image.fromarray(rgb)
        vqcodec.register_pillow()
        with pytest.warns(VqcWarning, match="EXIF is damaged"):
            image.save(io.BytesIO(), "VQC", exif=b"Exif\0\0nonsense")
        with pytest.warns(VqcWarning, match="profile is damaged"):
            image.save(io.BytesIO(), "VQC", icc_profile=b"nonsense")
        image.info["exif"] = b"nonsense"
        with pytest.warns(VqcWarning, match="EXIF is damaged"):
            vqcodec.compress(image)

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @pytest.mark.parametrize("suffix", WITH_METADATA)
    @pytest.mark.parametrize("block", sorted(JUNK | ODD))
    def test_every_output_is_written_and_read_again(self, tmp_path, rgb, suffix, block):
        image = to_pil(rgb, None, {"exif": (JUNK | ODD)[block], "xmp": b"\xff\xfe\0<x", "icc": SRGB[:200]})
        notes = save_picture(image, tmp_path / f"a{suffix}", force=False)
        assert any("profile is damaged" in note for note in notes)
        assert any("EXIF" in note for note in notes) or block in ODD
        back = load_picture(tmp_path / f"a{suffix}")
        assert np.abs(back.pixels.astype(int) - rgb).mean() < 2
        assert not any("damaged" in note for note in back.notes)

    def test_profile_that_is_none(self, rgb):
        for icc in (b"x" * 200, SRGB[:150], SRGB[:36] + b"nope" + SRGB[40:]):
            picture = load_picture(encoded(Image.fromarray(rgb), icc_profile=icc))
            assert picture.metadata == {}
            assert picture.notes == ("its colour profile is damaged and was dropped",)


class TestPngChunks:
    @pytest.mark.parametrize(
        "chunk",
        [
            png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))),
            png_chunk(b"iTXt", b"Comment\0\x01\0\0\0" + zlib.compress(bytes(2**21))),
            png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2**21))),
            png_chunk(b"iCCP", b"name\0\x07" + zlib.compress(bytes(20))),
            png_chunk(b"gAMA", b"\0"),
            png_chunk(b"pHYs", b"\0"),
            png_chunk(b"tEXt", b"key\0value")[:-1] + b"?",
        ],
    )
    def test_a_bad_chunk_goes_and_the_rest_stays(self, rgb, chunk):
        png = encoded(Image.fromarray(rgb), exif=b"Exif\0\0" + exif_of(make="maker"))
        picture = load_picture(with_chunks(png, chunk))
        assert np.array_equal(picture.pixels, rgb)
        assert picture.metadata == {"exif": exif_of(make="maker")}
        assert picture.notes == (f"its chunks {chunk[4:8].decode()} are damaged or over-long and were dropped",)

    def test_too_much_text(self, rgb, monkeypatch):
        monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1000)  # of 64 MiB
        text = png_chunk(b"tEXt", b"key\0" + b"v" * 100)
        picture = load_picture(with_chunks(encoded(Image.fromarray(rgb)), *[text] * 11))
        assert np.array_equal(picture.pixels, rgb)


class TestHandedOver:
    def test_orientation_is_applied_once(self):
        with Image.open(CASES / "03-orient6.jpg") as image:
            buffer = io.BytesIO()
            image.save(buffer, "VQC", exif=image.info["exif"])
        result = Image.open(buffer)
        assert result.size == (64, 96)
        assert result.getexif().get(0x0112, 1) == 1
        assert result.getexif()[0x010E] == "test"

    def test_it_decides_over_the_image_own(self, rgb):
        image = Image.fromarray(rgb)
        image.info["exif"] = b"Exif\0\0" + exif_of(orientation=6)
        for given, size in ((exif_of(make="m"), (56, 40)), (exif_of(orientation=8), (40, 56)), (b"", (56, 40))):
            assert saved(image, exif=given).size == size
        exif = Image.Exif()
        exif[0x0112] = 5
        assert saved(image, exif=exif).size == (40, 56)
        assert saved(image).size == (40, 56)

    def test_orientation_in_xmp(self, rgb):
        result = saved(Image.fromarray(rgb), xmp=b'<x tiff:Orientation="6"/>')
        assert result.size == (40, 56)
        assert b'tiff:Orientation="1"' in result.info["xmp"]

    def test_a_profile_of_other_colours_is_dropped(self, rgb):
        with Image.open(CASES / "04-cmyk-icc.jpg") as image, pytest.warns(VqcWarning, match="CMYK"):
            assert "icc_profile" not in saved(image, icc_profile=image.info["icc_profile"]).info
        with Image.open(CASES / "04-cmyk-icc.jpg") as image:
            icc = image.info["icc_profile"]
        with pytest.warns(VqcWarning, match="CMYK colour profile does not fit"):
            assert "icc_profile" not in saved(Image.fromarray(rgb), icc_profile=icc).info

    def test_losses_are_warned_of(self, rgb):
        with pytest.warns(VqcWarning, match="only one of its 2 frames"):
            saved(
                Image.open(
                    io.BytesIO(
                        encoded(
                            Image.fromarray(rgb), "GIF", save_all=True, append_images=[Image.new("L", rgb.shape[1::-1])]
                        )
                    )
                )
            )


def saved(image: Image.Image, **options: object) -> Image.Image:
    vqcodec.register_pillow()
    return Image.open(io.BytesIO(encoded(image, "VQC", **options)))


@pytest.mark.parametrize(
    ("xmp", "what"),
    [
        (b'<r xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>', "a gain map"),
        (b'<r xmlns:Container="http://ns.google.com/photos/1.0/container/"/>', "further pictures"),
        (b'<r GCamera:MotionPhoto="1"/>', "a motion photo"),
        (b'<r xmpNote:HasExtendedXMP="0123"/>', "a second part of itself"),
    ],
)
def test_xmp_that_announces_what_is_gone(rgb, xmp, what):
    for kind in ("JPEG", "WEBP", "AVIF"):
        picture = load_picture(encoded(Image.fromarray(rgb), kind, xmp=xmp))
        assert "xmp" not in picture.metadata
        assert what in picture.notes[0]


def test_second_pictures_are_said(rgb):
    first, second = Image.fromarray(rgb), Image.fromarray(rgb[:20])
    picture = load_picture(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert "only one of its 2 pictures" in picture.notes[0]


def test_metadata_beyond_what_a_reader_takes(rgb):
    image = Image.fromarray(rgb)
    image.info = {"xmp": bytes(17 * 2**20), "exif": exif_of(make="maker")}
    with pytest.warns(VqcWarning, match="XMP of 17,825,792 bytes is over the limit"):
        data = vqcodec.compress(image)
    assert vqcodec.decompress(data).getexif()[0x010F] == "maker"


class TestResolution:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
    def test_it_comes_through(self, tmp_path, rgb, kind):
        image = vqcodec.decompress(vqcodec.compress(encoded(Image.fromarray(rgb), kind, dpi=(300, 150))))
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
        for suffix, target in SUFFIXES.items():
            notes = save_picture(image, tmp_path / f"a{suffix}", force=True)
            with Image.open(tmp_path / f"a{suffix}") as back:
                if target.resolution:
                    assert back.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
                    assert notes == []
                elif not target.metadata:
                    assert "resolution dropped" in notes[0]

    def test_it_is_put_beside_what_exif_says(self, rgb):
        block = exif_of(make="a maker with a long name", own={0x927C: b"note" * 9})
        png = encoded(Image.fromarray(rgb), exif=b"Exif\0\0" + block, dpi=(600, 600))
        kept = load_picture(png).metadata["exif"]
        assert kept[8 : len(block)] == block[8:]
        back = Image.Exif()
        back.load(kept)
        assert (back[0x010F], back[0x011A], back[0x0128]) == (
            "a maker with a long name",
            pytest.approx(600, rel=1e-3),
            2,
        )
        assert back.get_ifd(0x8769)[0x927C] == b"note" * 9

    def test_exif_own_stays(self, rgb):
        exif = Image.Exif()
        exif[0x011A], exif[0x011B], exif[0x0128] = 240.0, 240.0, 2
        png = encoded(Image.fromarray(rgb), exif=exif.tobytes(), dpi=(72, 72))
        assert load_picture(png).metadata["exif"] == exif_body(exif.tobytes())

    def test_turned_with_the_picture(self, rgb):
        jpeg = encoded(Image.fromarray(rgb), "JPEG", dpi=(300, 150), exif=b"Exif\0\0" + exif_of(orientation=6))
        assert Exif.parse(load_picture(jpeg).metadata["exif"]).resolution == (150, 300)

    def test_what_nobody_stated_is_not_stored(self, rgb):
        for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP"):
            assert load_picture(encoded(Image.fromarray(rgb), kind)).metadata == {}

    @pytest.mark.parametrize(
        "dpi", [(0, 300), (-1, 1), (float("nan"), 3), (1e30, 2), (1e-9, 1), "x", (1, 2, 3), (None, 1)]
    )
    def test_nonsense_is_left_out(self, rgb, dpi):
        image = Image.fromarray(rgb)
        image.info["dpi"] = dpi
        assert load_picture(image).metadata == {}


class TestExif:
    def test_resolution_is_replaced(self):
        block = with_resolution(None, (300, 200))
        assert block is not None
        again = with_resolution(block, (72, 71.5))
        assert again is not None
        assert Exif.parse(again).resolution == (72, 71.5)
        assert len(Exif.parse(again).tags) == 3

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("kind", [3, 4])
    def test_orientation_of_both_orders_and_kinds(self, order, kind):
        value = struct.pack(order + ("I" if kind == 4 else "HH"), *((6,) if kind == 4 else (6, 0)))
        block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1)
        block += struct.pack(order + "HHI", 0x0112, kind, 1) + value + bytes(4)
        assert Exif.parse(block).orientation == 6
        assert Exif.parse(without_orientation(block)).orientation == 1

    @pytest.mark.parametrize("junk", sorted(JUNK))
    def test_junk_does_not_parse(self, junk):
        with pytest.raises(ValueError, match=r"header|director"):
            Exif.parse(JUNK[junk])
