"""The shipped weights give what they gave when they were released: worse ones fail here."""

from __future__ import annotations

import json

import pytest
from bars.measure import BARS, PICTURE_QUALITIES, SOUND_QUALITIES, differences, picture_figures, sound_figures

bars = json.loads(BARS.read_text())


def test_there_is_a_bar_for_each_quality() -> None:
    pictures = [f"lake.png, quality {quality}" for quality in PICTURE_QUALITIES]
    tokens = [f"lake.png, tokens, quality {quality}" for quality in PICTURE_QUALITIES]
    assert [*bars] == [*pictures, *tokens, *(f"speech.flac, quality {quality}" for quality in SOUND_QUALITIES)]
    assert len(PICTURE_QUALITIES) == len(SOUND_QUALITIES) == 3


@pytest.mark.parametrize("quality", PICTURE_QUALITIES)
def test_photograph(quality: int) -> None:
    assert differences(picture_figures(quality), bars[f"lake.png, quality {quality}"]) == []


@pytest.mark.parametrize("quality", PICTURE_QUALITIES)
def test_tokens(quality: int) -> None:
    assert differences(picture_figures(quality, "tokens"), bars[f"lake.png, tokens, quality {quality}"]) == []


@pytest.mark.parametrize("quality", SOUND_QUALITIES)
def test_speech(quality: int) -> None:
    assert differences(sound_figures(quality), bars[f"speech.flac, quality {quality}"]) == []


@pytest.mark.parametrize("name", ["lake.png, quality 60", "speech.flac, quality 40"])
def test_worse_weights_would_fail(name: str) -> None:
    bar = bars[name]
    (quality,) = bar.keys() - {"model", "bytes"}
    assert differences(bar, bar) == []
    assert differences({**bar, "bytes": bar["bytes"] * 1.009, quality: bar[quality] + 0.04}, bar) == []
    for worse in ({"bytes": bar["bytes"] * 1.011}, {quality: bar[quality] + 0.06}, {quality: bar[quality] - 0.06}):
        assert len(differences({**bar, **worse}, bar)) == 1
    assert differences({**bar, "model": "another"}, bar) == [f"model: another, the bar is {bar['model']}"]
    assert differences({"model": bar["model"]}, bar) == [
        "bytes: not the same figures",
        f"{quality}: not the same figures",
    ]
