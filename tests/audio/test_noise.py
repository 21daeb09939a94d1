"""Noise that fluctuates little: the table in the package, what is read of it, and how it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vqcodec import registry
from vqcodec.audio import noise
from vqcodec.audio.mdct import HOP
from vqcodec.audio.model import load_audio_model
from vqcodec.audio.noise import APART, FRAMES, quiet_noise
from vqcodec.audio.train.quiet_signs import fluctuation, quiet_signs
from vqcodec.errors import ModelError


def test_the_table_fluctuates_a_third_as_much_as_other_signs() -> None:
    signs = torch.from_numpy(quiet_noise(0, FRAMES, 1)[0])
    assert signs.abs().eq(1).all()
    assert abs(float(signs.mean())) < 0.01
    random = torch.randn(FRAMES, HOP, generator=torch.Generator().manual_seed(2))
    assert float(fluctuation(signs)) < 0.4 * float(fluctuation(random.sign()))
    assert float(fluctuation(random.sign())) < 0.8 * float(fluctuation(random))


def test_parts_of_a_sound_have_the_noise_of_the_whole_and_channels_their_own() -> None:
    whole = quiet_noise(0, 3 * FRAMES, 8)
    np.testing.assert_array_equal(whole[:, 200:400], quiet_noise(200, 200, 8))
    np.testing.assert_array_equal(whole[:, :FRAMES], whole[:, FRAMES : 2 * FRAMES])
    likeness = np.corrcoef(whole[:, :FRAMES].reshape(8, -1))
    assert np.abs(likeness - np.eye(8)).max() < 0.01
    starts = APART * np.arange(8)
    between = (starts[:, None] - starts) % FRAMES
    assert np.minimum(between, FRAMES - between)[~np.eye(8, dtype=bool)].min() >= 32  # frames of 20 ms


@pytest.mark.parametrize("change", ["cut", "gone"])
def test_a_table_that_is_not_whole_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """When the model is loaded, so by ``doctor`` too, not when the first sound is being written."""
    if change == "cut":
        (tmp_path / noise.TABLE).write_bytes(b"\0" * 20_000)
    monkeypatch.setattr(noise, "files", lambda _: tmp_path)
    noise._signs.cache_clear()
    said = {"cut": "is damaged", "gone": "cannot be read"}[change]
    with pytest.raises(ModelError, match=f"{noise.TABLE}, a part of the package, {said}; install the package again"):
        load_audio_model(registry.AUDIO_MODELS[-1].path)
    noise._signs.cache_clear()


def test_descent_finds_such_signs() -> None:
    few = quiet_signs(frames=16, steps=60)
    assert few.abs().eq(1).all()
    random = torch.randn(16, HOP, generator=torch.Generator().manual_seed(2)).sign()
    assert float(fluctuation(few)) < 0.7 * float(fluctuation(random))
