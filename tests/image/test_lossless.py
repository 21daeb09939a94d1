"""Pictures without loss: every sample comes back, damage stays in its tile, and no file asks for what it may not."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import scene
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import vqcodec
from vqcodec.bitstream import NO_MODEL, Chunk, ImageHeader, Limits, VqcFile, read_vqc, sample_hash, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, LimitError, UsageError, VqcWarning
from vqcodec.image import lossless
from vqcodec.image.exact import decode_tile, encode_tile
from vqcodec.image.predicted import decode_predicted, encode_predicted

Samples = npt.NDArray[np.unsignedinteger]


@st.composite
def pictures(draw: st.DrawFn) -> Samples:
    """Noise, few colours, slopes and flat ones: [H, W, 1 to 4], uint8 or uint16."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    channels, kind = draw(st.integers(1, 4)), draw(st.sampled_from([np.uint8, np.uint16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    top = np.iinfo(kind).max
    way = draw(st.integers(0, 4))
    shape = (height, width, channels)
    if way == 0:
        return rng.integers(0, top, shape, kind, endpoint=True)
    if way == 1:
        return np.broadcast_to(rng.integers(0, top, channels, kind, endpoint=True), shape).copy()
    if way == 2:
        return rng.choice(np.array([0, 3, top // 2, top], kind), shape)
    if way == 3:  # what 8 bits can say, at 16
        return (rng.integers(0, 255, shape, endpoint=True) * (top // 255)).astype(kind)
    slope = np.add.outer(np.arange(height) * 7, np.arange(width) * 3)[:, :, None] * np.arange(1, channels + 1)
    return (slope % (top + 1)).astype(kind)


def together(picture: vqcodec.Picture) -> Samples:
    planes = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
    return np.dstack(planes)


def as_stored(samples: Samples) -> Samples:
    """Without what says nothing: colours that are gray, alpha that is opaque."""
    colours = samples[:, :, : 1 if samples.shape[2] < 3 else 3]
    colours = colours[:, :, :1] if (colours == colours[:, :, :1]).all() else colours
    alpha = samples[:, :, colours.shape[2] :] if samples.shape[2] in (2, 4) else samples[:, :, :0]
    alpha = samples[:, :, -1:] if samples.shape[2] in (2, 4) else alpha
    return colours if not alpha.size or alpha.min() == np.iinfo(samples.dtype).max else np.dstack([colours, alpha])


@settings(max_examples=60, deadline=None)
@given(pictures())
def test_every_sample_comes_back(samples: Samples) -> None:
    data = vqcodec.compress(samples, kind="image", lossless=True, exact_alpha=True)
    vqcodec.verify(data)
    back = vqcodec.decompress_samples(data)
    assert back.pixels.dtype == samples.dtype
    assert np.array_equal(together(back), as_stored(samples))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pictures(), st.sampled_from([".png", ".tiff"]))
def test_files_of_16_bits_come_back(tmp_path: Path, samples: Samples, suffix: str) -> None:
    """By the command line's way: a file, a .vqc, a file of the same depth."""
    from vqcodec.image.save import save_picture

    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    data = vqcodec.compress(samples, kind="image", lossless=True, exact_alpha=True)
    save_picture(vqcodec.decompress_samples(data), first, force=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VqcWarning)  # small files become larger
        again = vqcodec.compress(first, lossless=True, exact_alpha=True)
    save_picture(vqcodec.decompress_samples(again), second, force=True)
    assert np.array_equal(together(vqcodec.decompress_samples(again)), as_stored(samples))
    assert first.read_bytes() == second.read_bytes()


def test_invisible_pixels() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    samples[:, :, 3] |= 1
    samples[:10, :, 3] = 0
    exact = vqcodec.decompress(vqcodec.compress(samples, lossless=True, exact_alpha=True))
    assert np.array_equal(np.asarray(exact), samples)
    plain = vqcodec.compress(samples, lossless=True)
    back = np.asarray(vqcodec.decompress(plain))
    assert np.array_equal(back[10:], samples[10:])
    assert not back[:10].any()
    assert len(plain) < len(vqcodec.compress(samples, lossless=True, exact_alpha=True))


def test_palettes_profiles_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    image = Image.fromarray(scene(40, 50)).quantize(20)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.save(path, exif=exif)
    back = vqcodec.decompress(vqcodec.compress(path, lossless=True))
    assert np.array_equal(np.asarray(back), np.asarray(image.convert("RGB")))
    assert b"maker" in back.info["exif"]


def test_samples_of_other_curves_stay_what_they_are(tmp_path: Path) -> None:
    """A gamma of 1 makes a lossy encoder straighten the samples; a lossless one writes a profile."""
    path = tmp_path / "linear.png"
    Image.fromarray(scene(20, 30)).save(path)
    content = path.read_bytes()
    body = b"gAMA" + struct.pack(">I", 100_000)
    path.write_bytes(content[:33] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + content[33:])
    with pytest.warns(VqcWarning, match="; leave out lossless, or keep the source"):
        data = vqcodec.compress(path, lossless=True)
    back = vqcodec.decompress(data)
    assert np.array_equal(np.asarray(back), scene(20, 30))
    assert back.info["icc_profile"]


def test_the_smallest_files() -> None:
    for dtype in (np.uint8, np.uint16):
        assert len(vqcodec.compress(np.full((1, 1, 3), 9, dtype), lossless=True)) < 40
        assert len(vqcodec.compress(np.full((3000, 4000, 3), 9, dtype), lossless=True)) < 200


def cut_into(samples: Samples, log2: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The file with tiles of this size."""
    monkeypatch.setattr(lossless, "_tile_log2", lambda height, width, drawn: log2)
    return vqcodec.compress(samples, kind="image", lossless=True, exact_alpha=True)


@pytest.mark.parametrize("shape", [(130, 200, 3), (64, 129, 4), (1, 300, 1)])
def test_tiles(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    data = cut_into(samples, 6, monkeypatch)
    assert vqcodec.info(data)["chunks"] == -(-shape[0] // 64) * -(-shape[1] // 64)
    for threads in (1, 3):
        assert np.array_equal(together(vqcodec.decompress_samples(data, threads=threads)), samples)


def test_damage_stays_in_its_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (100, 200, 4), dtype=np.uint8)
    data = bytearray(cut_into(samples, 6, monkeypatch))
    data[-200] ^= 1
    with pytest.raises(ChecksumError, match="chunk 7"):
        vqcodec.decompress(bytes(data))
    with pytest.warns(VqcWarning, match=r"1 of 8 tiles \(pixels 192 to 199 across, 64 to 99 down\) damaged"):
        back = np.asarray(vqcodec.decompress(bytes(data), conceal=True))
    assert np.array_equal(back[:64], samples[:64])
    assert np.array_equal(back[:, :192], samples[:, :192])
    lost = back[64:, 192:]
    assert (lost == lost[0, 0]).all()
    assert lost[0, 0, 3] == 255
    with pytest.warns(VqcWarning, match="4 of 8 tiles"):
        cut = np.asarray(vqcodec.decompress(bytes(data[: len(data) * 2 // 3]), allow_truncated=True))
    assert np.array_equal(cut[:64], samples[:64])


HEADER = ImageHeader(30, 20, 0, False, False, NO_MODEL, 0, lossless=True)


def with_payload(payload: bytes, header: ImageHeader = HEADER, code_hash: int = 0) -> bytes:
    return write_vqc(VqcFile(header, [Chunk(payload, (), code_hash)]))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\1", b"\1\2\1", b"\1\2\3\4\1", b"\2", b"junk\2", b"abcdefgh\2", b"junk\3", b"\1a\4", b"\5", b"\xff"],
)
def test_payloads_that_are_no_tile(payload: bytes) -> None:
    for header in (HEADER, replace(HEADER, deep=True), replace(HEADER, alpha=True), replace(HEADER, gray=True)):
        with pytest.raises((CorruptError, ChecksumError), match="chunk 0"):  # a few are a tile of one of these kinds
            vqcodec.decompress(with_payload(payload, header))


def test_other_samples_under_right_check_sums() -> None:
    chunk = encode_tile(np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    vqcodec.verify(with_payload(chunk.payload, code_hash=chunk.code_hash))
    with pytest.raises(ChecksumError, match="chunk 0: the decoded samples are not those"):
        vqcodec.verify(with_payload(chunk.payload, code_hash=chunk.code_hash ^ 1))
    # a stream of another size does not decode to a picture in silence
    for width, height in ((31, 20), (30, 21)):
        with pytest.raises((CorruptError, ChecksumError), match="chunk 0"):
            vqcodec.decompress(
                with_payload(chunk.payload, replace(HEADER, width=width, height=height), chunk.code_hash)
            )
    with pytest.raises(CorruptError, match="chunk 0"):
        vqcodec.decompress(with_payload(b"\xff\xff\xff\x7f" + chunk.payload[:-1] + b"\3", replace(HEADER, deep=True)))


def test_a_small_file_may_not_ask_for_much() -> None:
    side = 12_000
    flat = Chunk(bytes([1, 2, 3, 1]), (), 0)
    header = ImageHeader(side, side, 0, False, False, NO_MODEL, 0, tile_log2=12, lossless=True)
    file = VqcFile(header, [flat] * 9)
    data = write_vqc(file)  # which the writer fills up
    assert 0 <= len(data) - Limits.least_size(side, side, lossless=True) < 20
    assert len(data) > 30_000
    with pytest.raises(LimitError, match="over the limit of 100,000,000; raise the limit by --max-pixels"):
        vqcodec.decompress(data)
    small = replace(header, width=4_100, height=4_100)
    filled = write_vqc(VqcFile(small, [flat] * 4))
    assert len(filled) < 150
    assert vqcodec.info(filled)["width"] == 4_100


def test_methods_of_16_bits() -> None:
    y, x = np.mgrid[:40, :50]
    slope = np.stack([x * 80 + y * 3, x * 40 + y * 30, 60_000 - x * 50], 2).astype(np.uint16)
    noise = np.random.default_rng(3).integers(0, 65_536, (40, 50, 3), dtype=np.uint16)
    header = ImageHeader(50, 40, 0, False, False, NO_MODEL, 0, lossless=True, deep=True)
    for samples, method in ((slope, 4), (noise, 3), (noise // 257 * 257, 2), (noise[:1, :1] + 0 * noise, 1)):
        chunk = encode_tile(samples.astype(np.uint16))
        assert chunk.payload[-1] == method
        assert chunk.code_hash == sample_hash(samples)
        assert np.array_equal(decode_tile(chunk, header, 0), samples)


def noisy(height: int, width: int, channels: int, spread: float, dtype: type) -> Samples:
    """A slope with noise, which is best predicted."""
    slope = np.add.outer(np.arange(height) * 0.003, np.arange(width) * 0.002)[:, :, None] + np.arange(channels) * 0.05
    samples = slope + np.random.default_rng(5).normal(0, spread, (height, width, channels))
    return (samples.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("shape", [(64, 64), (64, 200), (201, 65), (130, 131)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_prediction(shape: tuple[int, int], channels: int) -> None:
    height, width = shape
    for dtype, spreads in ((np.uint8, (0.02, 0.2)), (np.uint16, (0.0005, 0.02, 0.5))):
        for spread in spreads:
            samples = noisy(height, width, channels, spread, dtype).astype(np.uint16)
            assert np.array_equal(decode_predicted(encode_predicted(samples), samples.shape), samples)


def test_noise_is_predicted() -> None:
    samples = noisy(100, 120, 3, 0.02, np.uint16)
    assert encode_tile(samples).payload[-1] == 5
    eight = noisy(100, 120, 3, 0.02, np.uint8)
    payload = b"\0" + encode_predicted(eight.astype(np.uint16)) + b"\5"
    header = ImageHeader(120, 100, 0, False, False, NO_MODEL, 0, lossless=True)
    assert np.array_equal(decode_tile(Chunk(payload, (), sample_hash(eight)), header, 0), eight)


def test_values_that_do_not_occur_cost_nothing() -> None:
    """Of 12 bits in 16, in whatever places, 12 are coded."""
    samples = noisy(128, 128, 3, 0.02, np.uint16)
    plain, reduced = (len(encode_tile(s).payload) for s in (samples, samples >> 4 << 4))
    odd = (samples >> 4).astype(np.uint16) * 16 + (samples >> 12)
    assert reduced < plain - 3.8 / 8 * samples.size
    assert len(encode_tile(odd).payload) < reduced + 300


def test_few_values_of_16_bits_cost_no_more_than_8() -> None:
    values = np.array([0, 300, 7_000, 40_001, 65_535], np.uint16)
    few = np.random.default_rng(6).integers(0, 5, (60, 60, 3))
    assert len(encode_tile(values[few]).payload) < len(encode_tile(few.astype(np.uint8)).payload) + 60
    header = ImageHeader(60, 60, 0, False, False, NO_MODEL, 0, lossless=True, deep=True)
    assert np.array_equal(decode_tile(encode_tile(values[few]), header, 0), values[few])


def test_predictions_that_are_none() -> None:
    """Under right check sums: refused, each in its words, and never in silence."""
    samples = noisy(64, 80, 3, 0.02, np.uint16)
    header = ImageHeader(80, 64, 0, False, False, NO_MODEL, 0, lossless=True, deep=True)
    chunk = encode_tile(samples)
    body = chunk.payload[:-1]  # u8 0, no table; u16 top; 21 weights; varint of two bytes; stream; bits
    assert body[0] == 0
    heavy = body[:3] + b"\xff\x7f" * 6 + body[15:]
    other_sum = body[:1] + b"\0\0" + body[3:]
    for wrong, words in (
        (body[:-1], "bits are missing"),
        (body + b"\0", "bits are left over"),
        (heavy, "weights out of range"),
        (other_sum, "not those that were written"),
        (body[:200], "no lossless WebP stream|cannot have been predicted"),
        (b"\5abcde" + body[1:], "no table of values"),
        (b"", "ends inside this number"),
    ):
        with pytest.raises((CorruptError, ChecksumError), match=f"chunk 0.*({words})"):
            vqcodec.decompress_samples(with_payload(wrong + b"\5", header, chunk.code_hash))
    for width, height in ((63, 80), (80, 63)):
        with pytest.raises(CorruptError, match="cannot have been predicted"):
            vqcodec.verify(with_payload(chunk.payload, replace(header, width=width, height=height), chunk.code_hash))
    with pytest.raises(CorruptError, match="a value that does not occur"):
        vqcodec.verify(with_payload(chunk.payload, replace(header, deep=False), chunk.code_hash))


def test_pillow_sees_8_bits_of_16_with_colours() -> None:
    samples = np.random.default_rng(4).integers(0, 65_536, (20, 30, 3), dtype=np.uint16)
    data = vqcodec.compress(samples, lossless=True)
    assert vqcodec.info(data)["depth"] == 16
    with pytest.warns(VqcWarning, match="16 bits per sample are reduced to 8"):
        assert vqcodec.decompress(data).mode == "RGB"
    assert vqcodec.decompress(data, depth=8).mode == "RGB"
    with pytest.raises(UsageError, match="decompress_samples"):
        vqcodec.decompress(data, depth=16)
    gray = vqcodec.decompress(vqcodec.compress(samples[:, :, 0], kind="image", lossless=True))
    assert gray.mode == "I;16"
    assert np.array_equal(np.asarray(gray), samples[:, :, 0])


def test_options_that_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="lossless and quality contradict"):
        vqcodec.compress(scene(4, 4), lossless=True, quality=50)
    with pytest.raises(UsageError, match="exact_alpha goes with lossless only"):
        vqcodec.compress(scene(4, 4), exact_alpha=True)
    with pytest.raises(UsageError, match="depth 12 is not known; give 8 or 16"):
        vqcodec.decompress(vqcodec.compress(scene(4, 4)), depth=12)  # type: ignore[arg-type]
    assert read_vqc(vqcodec.compress(scene(4, 4), lossless=True)).header.lossless
