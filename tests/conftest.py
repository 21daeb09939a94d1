"""Shared by all tests: small pictures, and an environment in which only the installed package is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from audio.fake_codec import FakeAudioCodec
from PIL import Image

if TYPE_CHECKING:
    from vqcodec.bitstream import AudioHeader
    from vqcodec.image.codec import ImageCodec
    from vqcodec.image.model import ImageModel

EXAMPLES = Path(__file__).parent.parent / "examples"

# Processes that tests start must not find the checkout's own folder in place of the installed package.
os.environ["PYTHONSAFEPATH"] = "1"


def scene(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A smooth picture with an edge, uint8 [H, W, 3], the same every time."""
    y, x = np.mgrid[:height, :width]
    red = 40 + 160 * x / max(width, 2)
    green = 200 - 120 * y / max(height, 2)
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2, 220, 60 + 40 * np.sin(x / 5))
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


@pytest.fixture
def rgb() -> npt.NDArray[np.uint8]:
    return scene(40, 56)


@pytest.fixture
def photo(tmp_path: Path, rgb: npt.NDArray[np.uint8]) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(rgb).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_model() -> ImageModel:
    """A small model fitted to corners of the example photographs: rough, but whole."""
    from vqcodec.image.config import TINY
    from vqcodec.image.model import ImageModel, integer_arrays
    from vqcodec.image.train.closed_form import fit_closed_form

    crops = []
    for path in sorted(EXAMPLES.glob("*.png")):
        with Image.open(path) as im:
            picture = np.asarray(im.convert("RGB"))
        crops += [picture[:128, :128], picture[-128:, -128:]]
    fit = fit_closed_form(TINY, np.stack(crops), np.array([0, 60, 120, 200]))
    stored = integer_arrays(TINY, fit.model, fit.stored, fit.low_stored)
    return ImageModel(TINY, fit.colour, fit.codebooks, fit.trust, fit.model, stored=stored)


@pytest.fixture(scope="session")
def tiny_codec(tiny_model: ImageModel) -> ImageCodec:
    from vqcodec.image.codec import ImageCodec

    return ImageCodec(tiny_model, 0)


@pytest.fixture
def fake_codec(monkeypatch: pytest.MonkeyPatch) -> FakeAudioCodec:
    """A codec for sound that costs nothing, in the place of the real one."""
    from vqcodec import registry

    codec = FakeAudioCodec()
    real = registry.audio_codec_for

    def find(header: AudioHeader) -> object:
        return codec if header.model_id == codec.model_id else real(header)

    monkeypatch.setattr(registry, "load_audio_codec", lambda: codec)
    monkeypatch.setattr(registry, "audio_codec_for", find)
    return codec
