"""The codec of sound, and nine seconds that it has coded."""

from __future__ import annotations

import numpy as np
import pytest
from audio.voices import RATE, STEP, voice

from vqcodec.audio.codec import AudioCodec
from vqcodec.bitstream import Chunk
from vqcodec.registry import load_audio_codec


@pytest.fixture(scope="module")
def codec() -> AudioCodec:
    return load_audio_codec()


@pytest.fixture(scope="module")
def nine(codec: AudioCodec) -> tuple[np.ndarray, list[Chunk]]:
    """9 s in stereo."""
    samples = voice(9 * RATE, 2)
    return samples, list(codec.encode([samples], STEP))
