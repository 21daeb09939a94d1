"""Files written in the past: codes decode exactly, pixels up to rounding; others are refused, by the right error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from golden.make_golden import CASES, DECODE, REJECT, SOUND_CASES, facts, moments, thumbnail

import vqcodec
from vqcodec import errors
from vqcodec.bitstream import AudioHeader, ImageHeader, read_vqc

GOLDEN = sorted(DECODE.glob("*.vqc"))
REFUSED = sorted(REJECT.glob("*.vqc"))


@pytest.mark.skipif(not DECODE.is_dir(), reason="make_golden.py has not been run yet")
def test_no_case_is_missing() -> None:
    there = {path.stem for path in GOLDEN}
    assert CASES.keys() <= there
    assert SOUND_CASES.keys() <= there or not any(name.startswith("sound-") for name in there)
    assert {path.stem for path in DECODE.glob("*.json")} == {path.stem for path in GOLDEN}
    assert len(REFUSED) >= 9


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_decode(path: Path) -> None:
    want = json.loads(path.with_suffix(".json").read_text())
    got = facts(path.read_bytes())
    about = "moments" if "moments" in want else "thumbnail"
    near, stored = np.array(got.pop(about)), np.array(want.pop(about))
    assert got == want
    assert near.shape == stored.shape
    if about == "moments":
        assert np.abs(near - stored).max() < 1e-3
        return
    assert np.abs(near - stored).mean() < 0.2
    assert np.abs(near - stored).max() <= 1


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_the_public_decoder_gives_the_same(path: Path) -> None:
    header = read_vqc(path.read_bytes()).header
    if isinstance(header, AudioHeader):
        sound = vqcodec.decompress(path)
        assert isinstance(sound, vqcodec.Sound)
        assert sound.samples.shape == (header.samples, header.channels)
        if header.sample_rate == 24_000:  # that of the codec: nothing is resampled
            stored = np.array(json.loads(path.with_suffix(".json").read_text())["moments"])
            assert np.abs(moments(sound.samples) - stored).max() < 1e-3
        return
    assert isinstance(header, ImageHeader)
    image = vqcodec.decompress(path)
    assert image.mode == ("L" if header.gray else "RGB") + ("A" if header.alpha else "")
    planes = 1 if header.gray else 3
    pixels = np.atleast_3d(np.asarray(image))[..., :planes]
    stored = np.array(json.loads(path.with_suffix(".json").read_text())["thumbnail"])
    assert np.abs(thumbnail(pixels) - stored).max() <= 1


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_refused(path: Path) -> None:
    wanted = getattr(errors, path.stem.split("-")[0])
    for read in (vqcodec.decompress, vqcodec.verify):
        with pytest.raises(errors.VqcError) as caught:
            read(path)
        assert type(caught.value) is wanted
        assert path.name in str(caught.value)
