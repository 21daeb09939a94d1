"""What tests of sound files read them with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from audio.containers import PCM

from vqcodec.audio.files import SoundSource, open_sound
from vqcodec.audio.tags import flac_picture

CASES = Path(__file__).parent / "cases"


COVER = flac_picture(3, "image/png", "", b"\x89PNG picture")


DAY = 86_400


UNKNOWN = "its header does not say how much sound it holds"


PROMISED = "its header promises"


def read(source, **options) -> tuple[np.ndarray, SoundSource]:
    with open_sound(source, max_seconds=DAY, **options) as sound:
        return np.concatenate(list(sound.blocks())), sound


def assert_all_there(content: bytes, note: str = "", samples: int = len(PCM), lost: str = "") -> None:
    """The file gives its first samples, and says what is wrong with it and nothing else."""
    got, sound = read(content)
    assert np.array_equal(got[:, 0] * 32_768, PCM[:samples])
    expected = [start for start in (note, lost) if start]
    assert len(sound.notes) == len(expected)
    assert all(text.startswith(start) for text, start in zip(sound.notes, expected, strict=True))
