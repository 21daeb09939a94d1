"""Files written in the past: codes decode exactly, pixels up to rounding; others are refused, by the right error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from golden.make_golden import CASES, DECODE, REJECT, facts, thumbnail

import vqcodec
from vqcodec import errors
from vqcodec.bitstream import ImageHeader, read_vqc

GOLDEN = sorted(DECODE.glob("*.vqc"))
REFUSED = sorted(REJECT.glob("*.vqc"))


@pytest.mark.skipif(not DECODE.is_dir(), reason="make_golden.py has not been run yet")
def test_no_case_is_missing() -> None:
    assert CASES.keys() <= {path.stem for path in GOLDEN}
    assert {path.stem for path in DECODE.glob("*.json")} == {path.stem for path in GOLDEN}
    assert len(REFUSED) >= 9


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_decode(path: Path) -> None:
    want = json.loads(path.with_suffix(".json").read_text())
    got = facts(path.read_bytes())
    near, stored = np.array(got.pop("thumbnail")), np.array(want.pop("thumbnail"))
    assert got == want
    assert near.shape == stored.shape
    assert np.abs(near - stored).mean() < 0.2
    assert np.abs(near - stored).max() <= 1


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_the_public_decoder_gives_the_same(path: Path) -> None:
    header = read_vqc(path.read_bytes()).header
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
