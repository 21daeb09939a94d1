"""Pictures of spectra in the report: the whole band of our codec, the lowest frequency at the bottom."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vqcodec.benchmarks.audio.gallery import PICTURE, _spectrum


@pytest.mark.parametrize("kilohertz", [3, 15, 21])
def test_a_tone_shows_at_its_height(kilohertz: int) -> None:
    pytest.importorskip("matplotlib")
    tone = 0.5 * np.sin(2 * np.pi * 1000 * kilohertz / 48_000 * np.arange(48_000)).astype(np.float32)
    uri = _spectrum(tone, 48_000)
    shown = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert shown.size == PICTURE
    brightness = np.asarray(shown.convert("L")).mean(1)
    assert 1 - brightness.argmax() / PICTURE[1] == pytest.approx(kilohertz / 24, abs=0.02)
