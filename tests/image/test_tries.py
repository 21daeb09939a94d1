"""The search for a target: what its tries tell is so, and they are few and cheap."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import scene
from PIL import Image

from vqcodec import registry
from vqcodec.bitstream import read_vqc
from vqcodec.image.codec import ImageCodec
from vqcodec.image.estimate import BLOCK, sample
from vqcodec.image.files import load_picture
from vqcodec.image.loaded import Picture
from vqcodec.image.tries import Tries, header_of
from vqcodec.target import make_aim, psnr

LAKE = Path(__file__).parents[2] / "examples" / "lake.png"


@pytest.mark.parametrize("tune", ["visual", "psnr"])
def test_what_is_not_written_is_what_would_be(tiny_codec: ImageCodec, tune: str) -> None:
    picture = Picture(scene(130, 1100), None, {})
    chunks = tiny_codec.encode(picture.pixels, 90, tune=tune, codes=(found := []))
    assert len(chunks) == 2
    header = header_of(picture, 90, tiny_codec, "psnr" if tune == "psnr" else "visual")
    for codes in (found, tiny_codec.search(picture.pixels, 90, tune=tune)):
        for a, b in zip(codes, tiny_codec.decode_codes(header, chunks), strict=True):
            assert np.array_equal(a, b)
    size = sum(len(chunk.payload) for chunk in chunks)
    assert tiny_codec.weigh(picture.pixels, 90, tune=tune) == pytest.approx(size, rel=0.01, abs=8)


def test_places_of_a_picture_are_those_of_the_whole(tiny_codec: ImageCodec) -> None:
    picture = Picture(scene(200, 300), None, {})
    codes = tiny_codec.search(picture.pixels, 60)
    header = header_of(picture, 60, tiny_codec, "visual")
    whole = tiny_codec.synthesise(header, list(codes))
    place = (slice(64, 128), slice(128, 300))
    part = tiny_codec.synthesise(header, list(codes), places=[place])
    assert np.abs(part[place].astype(int) - whole[place]).max() <= 1  # rounded floats
    assert not part[:64].any()


def test_a_sample_is_of_the_whole_picture() -> None:
    pixels = np.zeros((8 * BLOCK, 4 * BLOCK, 1), np.uint8)
    pixels[:] = np.arange(32).reshape(8, 4).repeat(BLOCK, 0).repeat(BLOCK, 1)[..., None]
    part = sample(pixels)
    assert part is not None
    numbers = part[0, ::BLOCK, 0].tolist()
    assert len({n // 4 for n in numbers}) == 4
    assert len({n % 4 for n in numbers}) > 1
    assert sample(pixels[:BLOCK]) is None


@pytest.mark.parametrize(
    ("aim", "most"), [({"target_psnr": 33.0}, 5), ({"target_bpp": 0.5}, 4), ({"target_size": 30_000}, 4)]
)
def test_targets_take_few_tries(monkeypatch: pytest.MonkeyPatch, aim: dict[str, float], most: int) -> None:
    """Seven times a fixed quality, once, most of it for the filter."""
    codec = registry.load_image_codec()
    calls: Counter[str] = Counter()

    def counted(name: str) -> None:
        method = getattr(codec, name)

        def call(pixels: object, *args: object, **options: object) -> object:
            whole = options.get("filtered", True) and options.get("places") is None
            calls["filtered" if name == "synthesise" and whole else name] += 1
            return method(pixels, *args, **options)

        monkeypatch.setattr(codec, name, call)

    for name in ("encode", "search", "weigh", "synthesise"):
        counted(name)
    picture = load_picture(Image.open(LAKE), strip=True)
    data = Tries(picture, codec, "visual").file(make_aim(**aim))
    assert calls["encode"] + calls["search"] + calls["weigh"] <= most
    assert calls["filtered"] <= 2
    pixels = picture.pixels
    if "target_psnr" in aim:
        file = read_vqc(data)
        decoded = codec.decode(file.header, file.chunks)
        assert 0 <= psnr(decoded, pixels) - aim["target_psnr"] < 0.3
    else:
        limit = aim.get("target_size", aim.get("target_bpp", 0) * pixels.shape[0] * pixels.shape[1] / 8)
        assert 0.97 * limit < len(data) <= limit
