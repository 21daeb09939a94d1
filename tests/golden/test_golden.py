"""Files written in the past: codes decode exactly, pixels up to rounding; others are refused, by the right error.

A folder of golden files is named after the model that made them. A model that ships no longer takes nothing away: its
files stay, and are refused with its identity.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden import make_golden
from golden.make_golden import (
    DECODE,
    HASHES,
    HERE,
    KINDS,
    NOTED,
    PICTURE_CASES,
    REJECT,
    facts,
    moments,
    thumbnail,
)

import vqcodec
from vqcodec import errors
from vqcodec.bitstream import AudioHeader, ImageHeader, read_header, read_vqc, write_vqc

WEIGHTS = Path(vqcodec.__file__).parent / "weights"
SHIPPED = {path.stem for path in WEIGHTS.glob("*.safetensors")}
CURRENT = {*SHIPPED, "exact-1"}  # exact-1 needs no model
GOLDEN = sorted(DECODE.glob("*/*.vqc"))
REFUSED = sorted(REJECT.glob("*/*.vqc"))
PRESENT = [path for path in GOLDEN if path.parent.name in CURRENT]
RETIRED = [path for path in GOLDEN if path.parent.name not in CURRENT]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def heard(path: Path) -> np.ndarray:
    """Samples of a sound: those that are noted since its synthesis changed, or those of its golden file."""
    noted = json.loads(NOTED.read_text()).get(name_of(path))
    return np.array(noted or json.loads(path.with_suffix(".json").read_text())["moments"])


def listed() -> dict[str, str]:
    """Hashes by path below this folder."""
    lines = [line.split("  ") for line in HASHES.read_text().splitlines()]
    assert all(len(line) == 2 for line in lines)
    hashes = {path: digest for digest, path in lines}
    assert len(hashes) == len(lines), "a path is listed twice"
    return hashes


def test_every_golden_file_is_the_one_that_is_listed() -> None:
    """The list has a line for every file that was ever made, so a missing or changed one fails."""
    files = [path for folder in (DECODE, REJECT) for path in folder.rglob("*") if path.is_file()]
    there = {path.relative_to(HERE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert there == listed()
    assert len(there) >= 56  # those of the first two models


def test_a_model_of_each_kind_ships() -> None:
    assert {name.split("-")[0] for name in SHIPPED} == {"image", "audio", "tokens"}


@pytest.mark.parametrize("model", sorted(CURRENT))
def test_every_shipped_model_has_every_case(model: str) -> None:
    folder = DECODE / model
    cases, _ = KINDS[model.split("-")[0]]
    assert {path.stem for path in folder.glob("*.vqc")} >= cases.keys()
    assert {path.stem for path in folder.glob("*.json")} == {path.stem for path in folder.glob("*.vqc")}
    assert len(list((REJECT / model).glob("*.vqc"))) >= 3


@pytest.mark.parametrize("path", GOLDEN, ids=name_of)
def test_a_folder_holds_files_of_one_model(path: Path) -> None:
    identities = {read_header(other.read_bytes()).header.model_id for other in path.parent.glob("*.vqc")}
    assert len(identities) == 1


@pytest.mark.parametrize("path", PRESENT, ids=name_of)
def test_decode(path: Path) -> None:
    want = json.loads(path.with_suffix(".json").read_text())
    got = facts(path.read_bytes())
    if "samples" in want:
        assert got == want
        return
    about = "moments" if "moments" in want else "thumbnail"
    near, stored = np.array(got.pop(about)), np.array(want.pop(about))
    assert got == want
    assert near.shape == stored.shape
    if about == "moments":
        assert np.abs(near - heard(path)).max() < 1e-3
        return
    assert np.abs(near - stored).mean() < 0.2
    assert np.abs(near - stored).max() <= 1


@pytest.mark.parametrize("path", PRESENT, ids=name_of)
def test_the_public_decoder_gives_the_same(path: Path) -> None:
    header = read_vqc(path.read_bytes()).header
    if header.lossless:  # of which there are no facts but those of the public decoder
        vqcodec.verify(path)
        return
    if isinstance(header, AudioHeader):
        sound = vqcodec.decompress(path)
        assert isinstance(sound, vqcodec.Sound)
        assert sound.samples.shape == (header.samples, header.channels)
        if header.sample_rate == 48_000:  # that of the codec: nothing is resampled
            assert np.abs(moments(sound.samples) - heard(path)).max() < 1e-3
        return
    assert isinstance(header, ImageHeader)
    image = vqcodec.decompress(path, depth=8)
    assert image.mode == ("L" if header.gray else "RGB") + ("A" if header.alpha else "")
    planes = 1 if header.gray else 3
    pixels = np.atleast_3d(np.asarray(image))[..., :planes]
    stored = np.array(json.loads(path.with_suffix(".json").read_text())["thumbnail"])
    assert np.abs(thumbnail(pixels) - stored).max() <= 1


def check_refused(path: Path, wanted: type[errors.VqcError], *words: str) -> None:
    for read in (vqcodec.decompress, vqcodec.verify):
        with pytest.raises(errors.VqcError) as caught:
            read(path)
        assert type(caught.value) is wanted
        for word in (path.name, *words):
            assert word in str(caught.value)


def check_model_unknown(path: Path) -> None:
    check_refused(path, errors.UnknownModelError, read_header(path.read_bytes()).header.model_id.hex())


def test_files_of_a_model_that_ships_no_longer_are_refused(tmp_path: Path) -> None:
    coded = [path for path in PRESENT if path.parent.name in SHIPPED]
    for made in (*coded[:1], *coded[-1:]):  # a sound and a picture, as if of a model that never shipped
        file = read_vqc(made.read_bytes())
        path = tmp_path / made.name
        path.write_bytes(write_vqc(replace(file, header=replace(file.header, model_id=b"gone"))))
        check_model_unknown(path)
    for path in RETIRED:
        check_model_unknown(path)


@pytest.mark.parametrize("path", REFUSED, ids=name_of)
def test_refused(path: Path) -> None:
    kind = getattr(errors, path.stem.split("-")[0])
    if kind is errors.UnknownModelError:
        check_model_unknown(path)
        return
    if path.parent.name not in CURRENT:
        try:
            read_vqc(path.read_bytes())
        except errors.DecodeError:
            pass  # found before anything asks for the model
        else:
            check_model_unknown(path)
            return
    check_refused(path, kind)


def test_golden_files_are_never_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_case = {"one": PICTURE_CASES["one-pixel"]}
    monkeypatch.setitem(KINDS, "image", (one_case, make_golden.picture_rejects))
    model = vqcodec.info(PICTURE_CASES["one-pixel"]())["model_name"]
    assert model is not None
    made = make_golden.make(model, tmp_path)
    lines = (tmp_path / "HASHES").read_text().splitlines()
    assert len(made) == len(lines) == 2 + len(make_golden.picture_rejects())
    shutil.rmtree(tmp_path / "decode")
    one = next((tmp_path / "reject").rglob("*.vqc"))
    before = one.read_bytes()
    with pytest.raises(SystemExit, match="never written again"):
        make_golden.make(model, tmp_path)
    with pytest.raises(SystemExit, match=f"made with {model}, not with image-none"):
        make_golden.make("image-none", tmp_path)
    assert not (tmp_path / "decode").exists()
    assert one.read_bytes() == before
    assert (tmp_path / "HASHES").read_text().splitlines() == lines


def test_what_sounds_are_like_now_is_noted_beside_the_golden_files(tmp_path: Path) -> None:
    folder = tmp_path / "decode" / "audio-5"
    folder.mkdir(parents=True)
    shutil.copy(DECODE / "audio-5" / "sound-short.vqc", folder)
    noted = json.loads(make_golden.note_moments("audio-5", tmp_path).read_text())
    assert noted.keys() == {"audio-5/sound-short"}
    assert np.abs(np.array(noted["audio-5/sound-short"]) - heard(DECODE / "audio-5" / "sound-short.vqc")).max() < 1e-3
    with pytest.raises(SystemExit, match="no golden files"):
        make_golden.note_moments("audio-9", tmp_path)
