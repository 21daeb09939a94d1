"""Weights files of sound: what is saved is loaded; damage and changed weights are noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audio.random_model import random_model, stored_tables
from safetensors import safe_open
from safetensors.numpy import save_file

from vqcodec import registry
from vqcodec.audio.config import AUDIO_TINY
from vqcodec.audio.model import (
    AudioModel,
    audio_code_model,
    audio_model_id,
    integer_arrays,
    load_audio_model,
    save_audio_model,
)
from vqcodec.audio.walk import AudioCodeModel
from vqcodec.bitstream import AudioHeader
from vqcodec.errors import CorruptError, ModelError, SelfCheckError, UnknownModelError
from vqcodec.prior.storage import canonical_hash
from vqcodec.registry import AUDIO_MODELS, IMAGE_MODELS, Release, audio_codec_for, load_audio_codec

Arrays = dict[str, np.ndarray]
SEED = 6


def small_model() -> AudioModel:
    """Random integers, few bands and lines, next to nothing as a transform: for what concerns the file only."""
    codes = random_model(SEED)
    stored = integer_arrays(codes, stored_tables(np.random.default_rng(SEED)))
    transform = {"analysis.first.weight": np.ones((3, 4), np.float16), "tilt": np.zeros(2, np.float32)}
    codebook = np.arange(-10.0, 11.0, dtype=np.float32)[:, None]
    return AudioModel(AUDIO_TINY, transform, codebook, audio_code_model(AUDIO_TINY, stored), stored)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_audio_model(small_model(), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def contents(path: Path) -> tuple[Arrays, dict[str, str]]:
    with safe_open(path, "numpy") as f:
        return {k: f.get_tensor(k) for k in f.keys()}, json.loads(f.metadata()["vqcodec"])  # noqa: SIM118


def rewrite(path: Path, arrays: Arrays, facts: dict[str, str], *, own_identity: bool = True) -> None:
    """A file with other contents; by default it is a whole file all the same: the identity fits."""
    facts = facts | ({"identity": canonical_hash(arrays).hex()} if own_identity else {})
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, metadata={"vqcodec": json.dumps(facts)})


def equal(a: object, b: object) -> bool:
    """Whether two nested values are the same, arrays included."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return equal(tuple(vars(a).values()), tuple(vars(b).values())) if hasattr(a, "__dict__") else a == b


def test_round_trip(path: Path) -> None:
    model, loaded = small_model(), load_audio_model(path)
    for name in AudioCodeModel.__annotations__:
        a, b = getattr(model.codes, name), getattr(loaded.codes, name)
        assert np.array_equal(a.weights, b.weights) if name.endswith("tables") else equal(a, b), name
    assert np.array_equal(model.codebook, loaded.codebook)
    assert loaded.config == AUDIO_TINY
    assert loaded.transform["analysis.first.weight"].dtype == np.float16
    assert loaded.transform.keys() == model.transform.keys()


def test_saving_again_gives_the_same_bytes_and_identity(path: Path) -> None:
    again = path.with_name("again.safetensors")
    loaded = load_audio_model(path)
    save_audio_model(loaded, again)
    assert again.read_bytes() == path.read_bytes()
    assert audio_model_id(load_audio_model(again)) == audio_model_id(loaded)


@pytest.mark.parametrize("size", [0, 5, 1000, -1])
def test_cut_files(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"small\.safetensors: not a vqcodec audio model 4, or damaged"):
        load_audio_model(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        load_audio_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "name", ["prior.start", "prior.envelope.1.last", "prior.lines.2.weight", "prior.lines.table", "prior.spread"]
)
def test_missing_tensor(path: Path, name: str) -> None:
    arrays, facts = contents(path)
    del arrays[name]
    rewrite(path, arrays, facts)
    with pytest.raises(ModelError, match=name):
        load_audio_model(path)


def test_other_safetensors_files_and_presets(path: Path) -> None:
    arrays, facts = contents(path)
    rewrite(path, arrays, facts | {"preset": "image"})
    with pytest.raises(ModelError, match="image"):
        load_audio_model(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(ModelError, match="not a vqcodec audio model"):
        load_audio_model(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prior.envelope.0.first_bias", "the prior of envelope or powers may leave the exact range"),
        ("prior.offset", "what is expected of the lines may leave the exact range"),
        ("prior.lines.3.bias", "which float32 does not hold exactly"),
    ],
)
def test_weights_beyond_the_exact_range(path: Path, name: str, message: str) -> None:
    arrays, facts = contents(path)
    arrays[name][:, 0] = 2**24
    rewrite(path, arrays, facts)
    with pytest.raises(ModelError, match=message):
        load_audio_model(path)


@pytest.mark.parametrize(
    "name",
    [
        "prior.start", "prior.envelope.0.first", "prior.envelope.1.second", "prior.envelope.0.last",
        "prior.envelope.1.last_bias", "prior.factor", "prior.offset", "prior.spread", "prior.lines.0.weight",
        "prior.lines.1.hidden.first", "prior.lines.2.hidden.last", "prior.lines.3.bias", "prior.lines.energy",
    ],
)  # fmt: skip
def test_a_changed_prior_fails_its_check(path: Path, name: str) -> None:
    """Every tensor that decides rows is seen by the check vector."""
    arrays, facts = contents(path)
    changed = np.roll(arrays[name], 1, -1) if arrays[name].shape[-1] > 1 else -arrays[name]
    changed = np.flip(changed, 0) if name.endswith(("energy", "weight")) else changed
    rewrite(path, arrays | {name: (changed // 2 + 3).astype(arrays[name].dtype)}, facts)
    with pytest.raises(SelfCheckError, match="does not reproduce the prior"):
        load_audio_model(path)


def test_every_flipped_bit_is_seen(path: Path) -> None:
    """One random bit of every tensor, of the metadata, of the table of contents."""
    arrays, facts = contents(path)
    rng = np.random.default_rng(0)
    for name, array in sorted(arrays.items()):
        raw = bytearray(array.tobytes())
        if not raw:
            continue
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        other = arrays | {name: np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)}
        rewrite(path, other, facts, own_identity=False)
        with pytest.raises(ModelError, match="not those that were written"):
            load_audio_model(path)


def test_a_damaged_head_is_a_model_error_or_harmless(path: Path) -> None:
    whole = path.read_bytes()
    before = load_audio_model(path).training
    for place in np.random.default_rng(1).integers(0, 1200, 150):
        raw = bytearray(whole)
        raw[place] ^= 4
        path.write_bytes(raw)
        try:
            assert load_audio_model(path).training == before
        except (ModelError, SelfCheckError):
            continue


def test_a_coder_that_writes_other_bytes_is_refused(path: Path) -> None:
    arrays, facts = contents(path)
    rewrite(path, arrays, facts | {"coder": facts["coder"][:-2] + "7f"})
    with pytest.raises(SelfCheckError, match="does not reproduce the prior"):
        load_audio_model(path)


def header(identity: bytes) -> AudioHeader:
    return AudioHeader(8000, 1, 100, 0, identity, 7, 200)


def test_the_identity_in_the_header_decides_not_the_hint() -> None:
    codec = load_audio_codec()
    assert codec.model_id == AUDIO_MODELS[-1].identity
    assert audio_codec_for(header(codec.model_id)) is codec
    with pytest.raises(CorruptError, match="not for sound"):
        audio_codec_for(header(IMAGE_MODELS[-1].identity))


def test_an_unknown_identity_is_refused_without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_load", None)
    with pytest.raises(UnknownModelError):
        audio_codec_for(header(b"none"))


def test_weights_that_are_not_the_released_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(AUDIO_MODELS[-1], identity=b"diff")
    monkeypatch.setattr(registry, "AUDIO_MODELS", (other,))
    with pytest.raises(ModelError, match="install the package again"):
        load_audio_codec()


@pytest.mark.parametrize("release", AUDIO_MODELS)
def test_shipped_models_are_their_own_canonical_form(release: Release, tmp_path: Path) -> None:
    save_audio_model(load_audio_model(release.path), tmp_path / release.file)
    assert (tmp_path / release.file).read_bytes() == (release.path).read_bytes()
    assert (release.path).stat().st_size < 20e6
