"""Damaged real files through the public functions: bytes that fail their CRC, and codes only the model can judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from abuse.mutate import bit_flips, check_mutations, truncations
from conftest import scene
from PIL import Image

import vqcodec
from vqcodec.bitstream import AudioHeader, ImageHeader, VqcFile, read_vqc, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, DecodeError
from vqcodec.image.codec import ImageCodec


def gray_file() -> bytes:
    return vqcodec.compress(scene(9, 13)[..., 0], quality=20)


def colour_file() -> bytes:
    return vqcodec.compress(scene(40, 56), quality=70)


def rich_file() -> bytes:
    """Alpha and metadata."""
    image = Image.fromarray(np.dstack([scene(30, 20), np.tile(np.arange(20, dtype=np.uint8) * 12, (30, 1))]))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.info = {"exif": exif.tobytes(), "xmp": b"<x/>" * 30}
    return vqcodec.compress(image, quality=40)


def noisy_file() -> bytes:
    """Enough bytes for stages to be listed."""
    return vqcodec.compress(np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8), quality=60)


def sound_file() -> bytes:
    """Stereo, with tags."""
    t = np.arange(6000)[:, None] / 24_000
    samples = 0.3 * np.sin(2 * np.pi * np.array([300, 450]) * t).astype(np.float32)
    return vqcodec.compress(vqcodec.Sound(samples, 24_000, {"TITLE": "abuse"}), quality=20)


def test_flips_and_cuts_of_sound_name_their_place() -> None:
    """Most are found by their CRC, before any code is decoded."""
    data = sound_file()
    vqcodec.decompress(data)
    assert check_mutations(data, vqcodec.decompress) == 9 * len(data)
    assert check_mutations(data, vqcodec.verify, flips=50, cuts=20, seed=1) == 70


def test_wrong_codes_of_sound_under_right_check_sums() -> None:
    file = read_vqc(sound_file())
    chunk = file.chunks[0]
    assert chunk is not None
    whole = vqcodec.decompress(sound_file()).samples
    harmless = 0
    places = set()
    for mutant in [*bit_flips(chunk.payload, 60), *truncations(chunk.payload, 30)]:
        if mutant.data[-1:] in (b"\0", b""):  # no payload is silence
            continue
        try:
            samples = vqcodec.decompress(with_payload(file, mutant.data)).samples
        except DecodeError as error:
            places.add(error.place)
            continue
        assert np.array_equal(samples, whole), mutant.what
        harmless += 1
    assert harmless <= 3
    assert places == {"chunk 0"}


@pytest.mark.parametrize("change", [{"step": 1}, {"channels": 3}, {"channels": 1}, {"samples": 3000}])
def test_headers_that_do_not_fit_the_codes_of_sound(change: dict[str, int]) -> None:
    file = read_vqc(sound_file())
    assert isinstance(file.header, AudioHeader)
    # Which of the two it is depends on the codes.
    with pytest.raises((ChecksumError, CorruptError), match=r"not those that were written|no encoder writes") as caught:
        vqcodec.decompress(write_vqc(replace(file, header=replace(file.header, **change))))
    assert caught.value.place == "chunk 0"


def exact_file() -> bytes:
    return vqcodec.compress(np.dstack([scene(9, 13), scene(9, 13)[..., :1] // 2]), lossless=True)


def wide_file() -> bytes:
    return vqcodec.compress(np.arange(600, dtype=np.uint16).reshape(20, 30) ** 2, kind="image", lossless=True)


def test_flips_and_cuts_of_exact_sound() -> None:
    samples = np.random.default_rng(0).integers(-99, 99, (500, 2)).astype(np.int16)
    data = vqcodec.compress(samples, sample_rate=8_000, lossless=True)
    assert check_mutations(data, vqcodec.decompress, flips=200, cuts=100) == 300


@pytest.mark.parametrize("make", [gray_file, colour_file, rich_file, noisy_file, exact_file, wide_file])
def test_flips_and_cuts_name_their_place(make) -> None:
    data = make()
    vqcodec.decompress(data)
    assert check_mutations(data, vqcodec.decompress, flips=400, cuts=150) == min(400, 8 * len(data)) + min(
        150, len(data)
    )
    assert check_mutations(data, vqcodec.verify, flips=50, cuts=20, seed=1) == 70


def test_every_bit_of_a_small_file() -> None:
    data = gray_file()
    assert len(data) < 120
    assert check_mutations(data, vqcodec.decompress) == 9 * len(data)


def with_payload(file: VqcFile, payload: bytes) -> bytes:
    """The same file around another stream, every check sum right."""
    chunk = file.chunks[0]
    assert chunk is not None
    ends = (*(min(e, len(payload)) for e in chunk.stage_ends[:-1]), len(payload)) if chunk.stage_ends else ()
    return write_vqc(replace(file, chunks=[replace(chunk, payload=payload, stage_ends=ends)]))


@pytest.mark.parametrize("make", [colour_file, noisy_file])
def test_wrong_codes_under_right_check_sums(make) -> None:
    """Bits of the stream flipped, its CRC repaired: an error in the chunk or, in the last bits, the same codes."""
    file = read_vqc(make())
    chunk = file.chunks[0]
    assert chunk is not None
    whole = vqcodec.decompress(make()).tobytes()
    harmless = 0
    places = set()
    for mutant in bit_flips(chunk.payload, 150):
        if mutant.data[-1] == 0:
            continue
        try:
            picture = vqcodec.decompress(with_payload(file, mutant.data))
        except DecodeError as error:
            places.add(error.place)
            continue
        assert picture.tobytes() == whole, mutant.what
        harmless += 1
    assert harmless <= 3
    assert places == {"chunk 0"}


def test_cut_streams_under_right_check_sums() -> None:
    file = read_vqc(colour_file())
    chunk = file.chunks[0]
    assert chunk is not None
    for mutant in truncations(chunk.payload[:-1], 60):
        if mutant.data[-1:] == b"\0":
            continue
        with pytest.raises(DecodeError) as caught:
            vqcodec.decompress(with_payload(file, mutant.data))
        assert caught.value.place == "chunk 0", mutant.what


@pytest.mark.parametrize("change", [{"step": 1}, {"width": 130}, {"height": 140}, {"height": 64}, {"gray": True}])
def test_headers_that_do_not_fit_the_codes(change: dict[str, int]) -> None:
    file = read_vqc(noisy_file())
    assert isinstance(file.header, ImageHeader)
    # Which of the two it is depends on the codes.
    with pytest.raises((ChecksumError, CorruptError), match=r"not those that were written|no encoder writes") as caught:
        vqcodec.decompress(write_vqc(replace(file, header=replace(file.header, **change))))
    assert caught.value.place == "chunk 0"


def test_garbage_streams_end_in_an_error(tiny_codec: ImageCodec) -> None:
    header = ImageHeader(64, 64, 50, False, False, tiny_codec.model_id, 0)
    chunk = tiny_codec.encode(scene(64, 64), 50)[0]
    rng = np.random.default_rng(3)
    for size in (1, 10, 100, 1000, 20_000, 50_000):
        for _ in range(5):
            with pytest.raises(DecodeError) as caught:
                tiny_codec.decode(header, [replace(chunk, payload=rng.bytes(size))])
            assert caught.value.place == "chunk 0"


@pytest.mark.filterwarnings("ignore:.*cut short:vqcodec.errors.VqcWarning")
def test_lenient_reading_gives_pictures_or_decode_errors() -> None:
    data = noisy_file()
    decoded = 0
    places = set()
    header = [replace(m, data=m.data + data[24:]) for m in bit_flips(data[:24], 40)]
    for mutant in [*header, *bit_flips(data, 100), *truncations(data, 60)]:
        try:
            picture = vqcodec.decompress(mutant.data, allow_truncated=True, conceal=True)
        except DecodeError as error:
            places.add(error.place)
            continue
        assert picture.size == (70, 90)
        decoded += 1
    assert decoded > 50
    assert places
    assert all(places)
