"""Codes of sound files against those of the decoder written from SPEC.md alone: same codes, identity, check vector."""

from __future__ import annotations

import numpy as np
import pytest
from audio.independent_decoder import decode_sound_file, sound_check_value
from image.independent_decoder import coder_check_holds, identity, read_weights

from vqcodec.bitstream import AudioHeader, VqcFile, write_vqc
from vqcodec.registry import AUDIO_MODELS, load_audio_codec


def sound(samples: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(samples)
    t = np.arange(samples)[:, None] / 48000
    tone = 0.2 * np.sin(2 * np.pi * (220 + 90 * np.arange(channels)) * t * (1 + 0.2 * t))
    return (tone + 0.02 * rng.standard_normal((samples, channels))).astype(np.float32)


@pytest.fixture(scope="module")
def weights() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    return read_weights(AUDIO_MODELS[-1].path)


def test_identity_and_check_vector(weights: tuple[dict[str, np.ndarray], dict[str, str]]) -> None:
    tensors, facts = weights
    assert identity(tensors)[:4] == load_audio_codec().model_id
    assert sound_check_value(tensors) == int(facts["check"])
    assert coder_check_holds(tensors["prior.lines.table"], bytes.fromhex(facts["coder"]))


@pytest.mark.parametrize(
    ("samples", "channels", "step"), [(1, 1, 255), (960, 2, 0), (28_000, 2, 90), (18_200, 6, 170), (192_000, 1, 230)]
)
def test_the_shipped_model(
    weights: tuple[dict[str, np.ndarray], dict[str, str]], samples: int, channels: int, step: int
) -> None:
    codec = load_audio_codec()
    chunks = list(codec.encode([sound(samples, channels)], step))
    # at this rate the number of samples at the core rate is rounded up
    rate = 48_001
    header = AudioHeader(
        rate, channels, samples * rate // 48_000, step, codec.model_id, codec.model_hint, codec.chunk_frames
    )
    ours = list(codec.decode_codes(header, chunks))
    theirs = decode_sound_file(write_vqc(VqcFile(header, chunks, {"tags": b"a=b"})), weights[0])
    assert len(ours) == len(theirs) == (2 if samples > 190_000 else 1)
    for a, b in zip(ours, theirs, strict=True):
        assert a is not None
        assert a.level == b.level
        assert np.array_equal(a.short, b.short)
        assert np.array_equal(a.angles, b.angles)
        assert np.array_equal(a.envelope, b.envelope)
        assert np.array_equal(a.powers, b.powers)
        assert np.array_equal(a.lines, b.lines)
    assert ours[0] is not None
    assert samples < 1000 or len(np.unique(ours[0].lines)) > 3
