"""The public functions on small pictures: round trips, targets, metadata, and errors that name the file."""

from __future__ import annotations

import io
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vqcodec
from vqcodec.bitstream import read_vqc, write_vqc
from vqcodec.errors import (
    ChecksumError,
    InputError,
    LimitError,
    NotVqcError,
    TruncatedError,
    UnknownModelError,
    UsageError,
    VqcWarning,
)
from vqcodec.image.whole import Whole
from vqcodec.quality import quality_of_step, step_of_quality
from vqcodec.target import Aim, choose_step, make_aim, psnr

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_round_trip_gets_better_with_quality(rgb):
    errors = [psnr(np.asarray(vqcodec.decompress(vqcodec.compress(rgb, quality=q))), rgb) for q in (10, 50, 100)]
    assert errors == sorted(errors)
    assert errors[-1] > 40


def test_sizes_rise_with_quality(rgb):
    sizes = [len(vqcodec.compress(rgb, quality=q)) for q in (5, 50, 95)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 2), (65, 33)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_size_and_layout(shape, channels):
    samples = np.random.default_rng(1).integers(0, 255, (*shape, channels), np.uint8)
    image = vqcodec.decompress(vqcodec.compress(samples, quality=90))
    assert image.size == shape[::-1]
    assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    if channels in (2, 4):
        assert np.array_equal(np.asarray(image)[:, :, -1], samples[:, :, -1])


def test_metadata_travels_or_is_stripped(rgb):
    image = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.info = {"exif": exif.tobytes(), "xmp": b"<x/>"}
    data = vqcodec.compress(image)
    back = vqcodec.decompress(data)
    assert back.info == image.info
    assert back.getexif()[0x010F] == "maker"
    assert vqcodec.info(data)["metadata"] == ["exif", "xmp"]
    assert vqcodec.info(vqcodec.compress(image, strip=True))["metadata"] == []


def test_bytes_of_every_type_and_open_files(photo, rgb):
    wanted = vqcodec.compress(rgb)
    content = photo.read_bytes()
    for source in (bytearray(content), memoryview(content), io.BytesIO(content)):
        assert vqcodec.compress(source) == wanted
    for data in (bytearray(wanted), memoryview(wanted), io.BytesIO(wanted)):
        assert vqcodec.info(data)["width"] == 56
    assert vqcodec.decompress(io.BytesIO(wanted)).size == (56, 40)
    vqcodec.verify(io.BytesIO(wanted))


@pytest.mark.parametrize("call", [vqcodec.compress, vqcodec.decompress, vqcodec.info, vqcodec.verify])
def test_what_is_no_file_is_our_error(tmp_path, call):
    closed = io.BytesIO(b"x")
    closed.close()
    for source in ("a\0b", closed):
        with pytest.raises(InputError):
            call(source)
    for source in (None, 7, io.StringIO("text")):
        with pytest.raises(UsageError):
            call(source)
    (tmp_path / "text").write_text("text")
    with (tmp_path / "text").open() as file, pytest.raises(UsageError, match="mode 'rb'"):
        call(file)
    with pytest.raises(InputError):
        call(tmp_path)


def test_picture_tensors(rgb):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
    wanted = vqcodec.compress(rgb)
    assert vqcodec.compress(tensor, kind="image") == wanted
    assert vqcodec.compress(tensor / 255, kind="image") == wanted
    with pytest.raises(UsageError, match="kind='image'"):
        vqcodec.compress(tensor)
    with pytest.raises(UsageError, match="no kind"):
        vqcodec.compress(tensor, kind="picture")


def test_a_file_larger_than_its_source(tmp_path):
    path = tmp_path / "small.jpg"
    Image.fromarray(np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path, quality=5)
    with pytest.warns(VqcWarning, match=r"small\.jpg: has \d+ bytes, the \.vqc [\d,]+; give a lower quality"):
        vqcodec.compress(path, quality=100)
    with pytest.warns(VqcWarning, match=r"^has \d+ bytes, the \.vqc [\d,]+; give a lower quality"):
        vqcodec.compress(path.read_bytes(), quality=100)


def test_what_is_lost_is_warned_about(tmp_path):
    path = tmp_path / "ink.tif"
    Image.new("CMYK", (4, 4)).save(path)
    with pytest.warns(VqcWarning, match=r"ink\.tif: CMYK"):
        vqcodec.compress(path)


def test_info(photo):
    data = vqcodec.compress(photo, quality=61)
    facts = vqcodec.info(data)
    assert facts["width"] == 56
    assert facts["height"] == 40
    assert facts["step"] == step_of_quality(61)
    assert facts["quality"] == 61
    assert facts["bytes"] == len(data)
    assert facts["bpp"] == pytest.approx(8 * len(data) / (40 * 56), abs=1e-3)
    assert facts["kind"] == "image"
    assert facts["colour"] == "rgb"
    assert facts["alpha"] is False
    assert facts["chunks"] == 1


def test_paths_and_bytes_agree(tmp_path, photo):
    data = vqcodec.compress(photo)
    path = tmp_path / "a.vqc"
    path.write_bytes(data)
    assert vqcodec.info(path) == vqcodec.info(data)
    assert np.array_equal(np.asarray(vqcodec.decompress(path)), np.asarray(vqcodec.decompress(data)))
    vqcodec.verify(path)


@pytest.fixture
def only_codes(monkeypatch):
    """What would be smaller without loss is coded all the same."""
    monkeypatch.setattr(Whole, "unless_larger", lambda self, data: data)


@pytest.mark.usefixtures("only_codes")
def test_size_targets_are_met_from_below(rgb):
    sizes = {step: len(vqcodec.compress(rgb, quality=quality_of_step(step))) for step in (24, 120)}
    for step, limit in sizes.items():
        data = vqcodec.compress(rgb, target_size=limit)
        assert len(data) <= limit
        found = vqcodec.info(data)["step"]
        assert found <= step
        assert len(vqcodec.compress(rgb, quality=quality_of_step(found - 1))) > limit
    bpp = 8 * sizes[120] / rgb[:, :, 0].size
    assert vqcodec.compress(rgb, target_bpp=bpp + 1e-9) == vqcodec.compress(rgb, target_size=sizes[120])
    assert vqcodec.compress(rgb, target_bpp=1e308) == vqcodec.compress(rgb, quality=100)
    assert vqcodec.compress(rgb, target_size=10**9) == vqcodec.compress(rgb, quality=100)


@pytest.mark.usefixtures("only_codes")
def test_psnr_target_is_met_from_above(rgb):
    for target in (10.0, 35.0):
        data = vqcodec.compress(rgb, target_psnr=target)
        assert psnr(np.asarray(vqcodec.decompress(data)), rgb) >= target
        step = vqcodec.info(data)["step"]
        if step < 255:
            coarser = vqcodec.compress(rgb, quality=quality_of_step(step + 1))
            assert psnr(np.asarray(vqcodec.decompress(coarser)), rgb) < target


def test_search_finds_the_first_step_of_a_monotone_curve_in_ten_tries():
    for first in (0, 1, 100, 254, 255):
        tried = []

        def size_at(step, first=first, tried=tried):
            tried.append(step)
            return 1000 if step < first else 900

        assert choose_step(Aim(size=950), 1, size_at, lambda step: 0.0) == first
        assert len(tried) <= 10
        assert choose_step(Aim(psnr=30.0), 1, len, lambda step, first=first: 31.0 if step <= first else 29.0) == first


def test_unreachable_targets_name_the_nearest(rgb):
    smallest = len(vqcodec.compress(rgb, quality=1))
    with pytest.raises(UsageError, match=f"{smallest:,} bytes"):
        vqcodec.compress(rgb, target_size=smallest - 1)
    with pytest.raises(UsageError, match=f"{smallest:,} bytes"):
        vqcodec.compress(rgb, target_bpp=0.001)
    assert vqcodec.verify(vqcodec.compress(rgb, target_psnr=99), against=rgb) == np.inf  # as quality 100 has it
    with Image.open(EXAMPLES / "lake.png") as lake, pytest.raises(UsageError, match="dB"):
        vqcodec.compress(lake.crop((200, 100, 296, 196)), target_psnr=99)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 0},
        {"quality": 101},
        {"quality": float("nan")},
        {"target_bpp": -1},
        {"target_size": 0},
        {"target_psnr": float("inf")},
        {"quality": 50, "target_size": 1000},
        {"target_bpp": 1, "target_psnr": 30},
        {"effort": 10},
        {"speed": 5},
        {"tune": "loud"},
    ],
)
def test_options_out_of_range(rgb, options):
    with pytest.raises(UsageError):
        vqcodec.compress(rgb, **options)


def test_quality_and_step_are_inverse():
    assert step_of_quality(100) == 0
    assert step_of_quality(1) == 255
    assert [step_of_quality(quality_of_step(step)) for step in range(256)] == list(range(256))
    assert [quality_of_step(step_of_quality(quality)) for quality in range(1, 101)] == list(range(1, 101))


def test_default_is_the_documented_quality(rgb):
    assert make_aim() == make_aim(quality=60)
    assert vqcodec.compress(rgb) == vqcodec.compress(rgb, quality=60)


def test_errors_name_the_file(tmp_path, photo):
    with pytest.raises(InputError, match=r"gone\.vqc: no such file"):
        vqcodec.decompress(tmp_path / "gone.vqc")
    with pytest.raises(NotVqcError, match=r"photo\.png: "):
        vqcodec.decompress(photo)
    with pytest.raises(NotVqcError, match=r"photo\.png: "):
        vqcodec.info(photo)
    with pytest.raises(InputError, match="cannot be read"):
        vqcodec.info(tmp_path)
    with pytest.raises(UsageError, match=r"photo\.png: .*out of reach"):
        vqcodec.compress(photo, target_size=10)


def test_damage_is_found(rgb):
    data = vqcodec.compress(rgb)
    with pytest.raises(TruncatedError):
        vqcodec.verify(data[:-10])
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 4
    with pytest.raises(ChecksumError) as caught:
        vqcodec.decompress(bytes(damaged))
    assert caught.value.place == "chunk 0"


def test_codes_that_differ_are_found(rgb):
    file = read_vqc(vqcodec.compress(rgb))
    file.chunks[0] = replace(file.chunks[0], code_hash=file.chunks[0].code_hash ^ 1)
    with pytest.raises(ChecksumError, match="chunk 0"):
        vqcodec.verify(write_vqc(file))


def test_unknown_model(rgb):
    file = read_vqc(vqcodec.compress(rgb))
    file.header = replace(file.header, model_id=b"\0\1\2\3")
    with pytest.raises(UnknownModelError, match="00010203"):
        vqcodec.decompress(write_vqc(file))


def test_limits(rgb):
    data = vqcodec.compress(rgb)
    with pytest.raises(LimitError):
        vqcodec.decompress(data, max_pixels=40 * 56 - 1)
    with pytest.raises(LimitError):
        vqcodec.compress(rgb, max_pixels=40 * 56 - 1)
    assert vqcodec.decompress(data, max_pixels=40 * 56).size == (56, 40)


def test_public_names():
    assert sorted(vqcodec.__all__) == vqcodec.__all__
    for name in vqcodec.__all__:
        assert getattr(vqcodec, name) is not None
        assert name in dir(vqcodec)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vqcodec.nothing  # noqa: B018


def test_command_line_and_library_offer_the_same_options():
    from vqcodec import options
    from vqcodec.cli.compress import compress
    from vqcodec.cli.decompress import decompress
    from vqcodec.cli.verify import verify

    own = {"paths", "against", "output_dir", "jobs", "cluster", "force", "skip_existing", "quiet", "as_json"}
    arrays_only = {"sample_rate", "progress"}
    for command, kind, words in (
        (compress, options.CompressSettings, options.CompressOptions),
        (decompress, options.DecompressSettings, options.DecompressOptions),
        (verify, options.ReadSettings, options.ReadOptions),
    ):
        offered = {option.name: option for option in command.params if option.name not in own}
        taken = {field.name: field for field in fields(kind)}
        assert set(taken) == set(words.__annotations__)
        assert set(offered) == set(taken) - arrays_only, command.name
        for name in offered:
            assert offered[name].to_info_dict()["default"] == taken[name].default, name


def test_options_that_do_not_exist_are_named(rgb):
    with pytest.raises(UsageError, match=r"no option 'qualty'; there are .*quality"):
        vqcodec.compress(rgb, qualty=30)


def test_the_kind_asked_for_is_the_kind_that_comes(rgb):
    picture = vqcodec.compress(rgb)
    assert vqcodec.decompress(picture, kind="image").size == (56, 40)
    with pytest.raises(InputError, match="holds a picture"):
        vqcodec.decompress(picture, kind="audio")
