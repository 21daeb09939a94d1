"""Weights files: what is saved is loaded; damage and changed weights are noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import scene
from safetensors import safe_open
from safetensors.numpy import save_file

from vqcodec import registry
from vqcodec.bitstream import ImageHeader
from vqcodec.errors import CorruptError, ModelError, SelfCheckError, UnknownModelError
from vqcodec.image.codec import ImageCodec
from vqcodec.image.model import ImageModel, load_model, model_arrays, model_id, save_model
from vqcodec.prior.storage import canonical_hash
from vqcodec.registry import AUDIO_MODELS, IMAGE_MODELS, Release, image_codec_for, load_image_codec

Arrays = dict[str, np.ndarray]


@pytest.fixture
def path(tiny_model: ImageModel, tmp_path: Path) -> Path:
    save_model(tiny_model, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def contents(path: Path) -> tuple[Arrays, dict[str, str]]:
    with safe_open(path, "numpy") as f:
        return {k: f.get_tensor(k) for k in f.keys()}, json.loads(f.metadata()["vqcodec"])  # noqa: SIM118


def rewrite(path: Path, arrays: Arrays, facts: dict[str, str], *, own_identity: bool = True) -> None:
    """A file with other contents; by default it is a whole file all the same: the identity fits."""
    facts = facts | ({"identity": canonical_hash(arrays).hex()} if own_identity else {})
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, metadata={"vqcodec": json.dumps(facts)})


def test_round_trip(tiny_model: ImageModel, path: Path) -> None:
    loaded = load_model(path)
    assert model_id(loaded) == model_id(tiny_model)
    before, after = model_arrays(tiny_model), model_arrays(loaded)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[k], after[k]) and before[k].dtype == after[k].dtype for k in before)
    pixels = scene(70, 90)
    codecs = [ImageCodec(m, 0) for m in (tiny_model, loaded)]
    assert codecs[0].encode(pixels, 99) == codecs[1].encode(pixels, 99)


def test_saving_again_gives_the_same_bytes(path: Path) -> None:
    again = path.with_name("again.safetensors")
    save_model(load_model(path), again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [0, 5, 1000, -1])
def test_cut_files(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"tiny\.safetensors: not a vqcodec image model 2, or damaged"):
        load_model(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("name", ["prior.y3.2.weight", "prior.low.table", "prior.c1.energy"])
def test_missing_tensor(path: Path, name: str) -> None:
    arrays, facts = contents(path)
    del arrays[name]
    rewrite(path, arrays, facts)
    with pytest.raises(ModelError, match=name):
        load_model(path)


def test_other_safetensors_files_and_presets(path: Path) -> None:
    arrays, facts = contents(path)
    rewrite(path, arrays, facts | {"preset": "huge"})
    with pytest.raises(ModelError, match="huge"):
        load_model(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(ModelError, match="not a vqcodec image model"):
        load_model(path)


def test_weights_beyond_the_exact_range(path: Path) -> None:
    arrays, facts = contents(path)
    arrays["prior.y2.1.bias"][:, 0] = 2**24
    rewrite(path, arrays, facts)
    with pytest.raises(ModelError, match="which float32 does not hold exactly"):
        load_model(path)


def test_a_changed_prior_fails_its_check(path: Path) -> None:
    """Weights that decide rows: one changed output of every layer is seen by the check vector."""
    arrays, facts = contents(path)
    for name in (
        "prior.y5.1.weight",
        "prior.c4.0.weight",
        "prior.y1.3.sign_weight",
        "prior.y2.2.bias",
        "prior.c1.2.shift",
    ):
        damaged = dict(arrays)
        damaged[name] = arrays[name].copy()
        damaged[name][..., 0] = arrays[name][..., 0] // 2 + 1
        rewrite(path, damaged, facts)
        with pytest.raises(SelfCheckError, match="does not reproduce the prior"):
            load_model(path)


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
            load_model(path)


def test_a_damaged_head_is_a_model_error_or_harmless(path: Path) -> None:
    whole = path.read_bytes()
    before = load_model(path).training
    for place in np.random.default_rng(1).integers(0, 1200, 150):
        raw = bytearray(whole)
        raw[place] ^= 4
        path.write_bytes(raw)
        try:
            assert load_model(path).training == before
        except (ModelError, SelfCheckError):
            continue


def test_a_coder_that_writes_other_bytes_is_refused(path: Path) -> None:
    arrays, facts = contents(path)
    rewrite(path, arrays, facts | {"coder": facts["coder"][:-2] + "7f"})
    with pytest.raises(SelfCheckError, match="does not reproduce the prior"):
        load_model(path)


def header(identity: bytes) -> ImageHeader:
    return ImageHeader(8, 8, 0, False, False, identity, 7)


def test_the_identity_in_the_header_decides_not_the_hint() -> None:
    codec = load_image_codec()
    assert codec.model_id == IMAGE_MODELS[-1].identity
    assert image_codec_for(header(codec.model_id)) is codec
    with pytest.raises(CorruptError, match="not for pictures"):
        image_codec_for(header(AUDIO_MODELS[-1].identity))
    with pytest.raises(UnknownModelError, match="00010203"):
        image_codec_for(header(bytes(range(4))))


def test_an_unknown_identity_is_refused_without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_load", None)
    with pytest.raises(UnknownModelError):
        image_codec_for(header(b"none"))


def test_weights_that_are_not_the_released_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(IMAGE_MODELS[-1], identity=b"diff")
    monkeypatch.setattr(registry, "IMAGE_MODELS", (other,))
    with pytest.raises(ModelError, match="install the package again"):
        load_image_codec()


@pytest.mark.parametrize("release", IMAGE_MODELS)
def test_shipped_models_are_their_own_canonical_form(release: Release, tmp_path: Path) -> None:
    save_model(load_model(release.path), tmp_path / release.file)
    assert (tmp_path / release.file).read_bytes() == (release.path).read_bytes()
