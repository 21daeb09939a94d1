"""The list of codecs, and that each one runs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import vqcodec
from vqcodec.benchmarks.files import nearest_size
from vqcodec.benchmarks.image import codecs, metrics
from vqcodec.errors import UsageError

CLASSICAL = [codec for codec in codecs.available_codecs() if codec.name != codecs.OURS]


def blobs() -> np.ndarray:
    coarse = np.random.default_rng(5).integers(0, 255, (6, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((144, 96), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("codec", CLASSICAL, ids=lambda codec: codec.name)
def test_size_and_fidelity_grow_with_quality(codec):
    pixels = blobs()
    files = [codecs.encode(codec, Image.fromarray(pixels), quality) for quality in (10, 50, 95)]
    errors = [metrics.mse(pixels, codecs.decode(codec, data)) for data in files]
    assert len(files[0]) < len(files[1]) < len(files[2])
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("codec", CLASSICAL, ids=lambda codec: codec.name)
def test_settings_rise_and_name_a_version(codec):
    assert list(codec.qualities) == sorted(set(codec.qualities))
    assert any(letter.isdigit() for letter in codecs.encoder_version(codec))


def test_the_anchor_is_progressive_and_subsampled():
    anchor = next(codec for codec in CLASSICAL if codec.name == codecs.ANCHOR)
    picture = Image.fromarray(blobs())
    data = codecs.encode(anchor, picture, 50)
    assert b"\xff\xc2" in data  # SOF2: progressive
    frame = data.index(b"\xff\xc2")
    assert data[frame + 11] == 0x22  # luma sampled twice as often both ways
    assert len(data) < len(codecs.encode(next(c for c in CLASSICAL if c.name == "jpeg"), picture, 50))


def test_selection_adds_the_anchor_and_keeps_order():
    assert [codec.name for codec in codecs.select_codecs(["webp"])] == ["jpeg-420", "webp"]
    assert [codec.name for codec in codecs.select_codecs([])][:3] == ["vqcodec", "vqcodec-psnr", "jpeg-420"]


def test_unknown_codec_names_the_known_ones():
    with pytest.raises(UsageError, match=r"bpg.*jpeg-420"):
        codecs.select_codecs(["webp", "bpg"])


def test_own_qualities_replace_only_ours():
    ours, anchor = codecs.select_codecs(["vqcodec"], (90, 10, 10))
    assert ours.qualities == (10, 90)
    assert 90 not in anchor.qualities


def test_ours_goes_through_the_public_api(monkeypatch):
    picture = Image.fromarray(blobs())
    monkeypatch.setattr(
        vqcodec, "compress", lambda image, quality, tune: bytes([int(quality)]) + image.tobytes(), raising=False
    )
    monkeypatch.setattr(
        vqcodec,
        "decompress",
        lambda data, kind, faithful: Image.frombytes("RGB", picture.size, data[1:]),
        raising=False,
    )
    ours = codecs.select_codecs(["vqcodec"])[0]
    data = codecs.encode(ours, picture, 37)
    assert data[0] == 37
    assert np.array_equal(codecs.decode(ours, data), np.asarray(picture))


@pytest.mark.parametrize("size", [900, 2500, 10**9, 1])
def test_nearest_size_is_the_nearest_of_all(size):
    anchor = next(codec for codec in CLASSICAL if codec.name == codecs.ANCHOR)
    picture = Image.fromarray(blobs())
    every = [len(codecs.encode(anchor, picture, quality)) for quality in range(1, 101)]
    found = len(nearest_size(lambda quality: codecs.encode(anchor, picture, quality), 1, 100, size))
    assert abs(found - size) == min(abs(length - size) for length in every)
