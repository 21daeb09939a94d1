"""Our codes against those of the decoder written from SPEC.md alone: same codes, same identity, same check vector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import scene
from image.independent_decoder import Stream, Tile, check_value, coder_check_holds, decode_file, identity, read_weights

from vqcodec.bitstream import ImageHeader, VqcFile, write_vqc
from vqcodec.image.codec import ImageCodec
from vqcodec.image.codes import decode_codes
from vqcodec.image.model import ImageModel, integer_arrays, load_model, save_model
from vqcodec.prior.integer import Hidden, PriorSlice
from vqcodec.registry import IMAGE_MODELS, load_image_codec


def file_of(codec: ImageCodec, pixels: np.ndarray, step: int) -> tuple[bytes, list[np.ndarray]]:
    """A file, and the codes of its only chunk as we decode them."""
    height, width, planes = pixels.shape
    header = ImageHeader(width, height, step, planes == 1, False, codec.model_id, codec.model_hint)
    chunks = codec.encode(pixels, step)
    return write_vqc(VqcFile(header, chunks)), codec.decode_codes(header, chunks)


def check_same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    height, width = ours[0].shape[1:3]
    assert np.array_equal(ours[0][0], theirs[0][:height, :width])
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert np.array_equal(mine[0], other)


def with_hidden(s: PriorSlice, rng: np.random.Generator) -> PriorSlice:
    """A slice with a nonlinear branch in every phase that has a context."""

    def integers(low: int, high: int, *shape: int) -> np.ndarray:
        return rng.integers(low, high, shape).astype(np.float32)

    def one(weight: np.ndarray) -> Hidden | None:
        c, g, n = weight.shape[1], weight.shape[2], 5
        if c == 0:
            return None
        return Hidden(
            first=integers(-9, 10, 9, c, n), first_bias=integers(-999, 1000, 256, n),
            first_shift=rng.integers(3, 7, n).astype(np.int32), second=integers(-60, 61, n, n),
            second_bias=integers(-999, 1000, n), second_shift=rng.integers(3, 7, n).astype(np.int32),
            last=integers(-9, 10, n, g),
        )  # fmt: skip

    return replace(s, hidden=tuple(one(w) for w in s.weight))


@pytest.fixture(scope="module")
def hidden_weights(tiny_model: ImageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a random nonlinear branch, as a file."""
    rng = np.random.default_rng(3)
    codes = replace(tiny_model.codes, slices=tuple(with_hidden(s, rng) for s in tiny_model.codes.slices))
    config = tiny_model.config
    tables = [tiny_model.stored[f"prior.{s.name}.table"] for s in config.slices]
    stored = integer_arrays(config, codes, tables, tiny_model.stored["prior.low.table"])
    path = tmp_path_factory.mktemp("weights") / "hidden.safetensors"
    save_model(replace(tiny_model, codes=codes, stored=stored), path)
    return path


@pytest.mark.parametrize(
    ("height", "width", "gray", "step"),
    [(1, 1, False, 200), (64, 64, False, 40), (130, 200, False, 150), (130, 200, True, 90), (65, 63, True, 0)],
)
def test_same_codes_with_hidden_layers(hidden_weights: Path, height: int, width: int, gray: bool, step: int) -> None:
    codec = ImageCodec(load_model(hidden_weights), 0)
    pixels = scene(height, width)[..., : 1 if gray else 3]
    data, ours = file_of(codec, pixels, step)
    theirs = decode_file(data, read_weights(hidden_weights)[0])[0]
    check_same(ours, theirs)


def test_the_shipped_model() -> None:
    codec = load_image_codec()
    tensors, facts = read_weights(IMAGE_MODELS[-1].path)
    assert identity(tensors)[:4] == codec.model_id
    assert check_value(tensors) == int(facts["check"])
    assert coder_check_holds(tensors["prior.low.table"], bytes.fromhex(facts["coder"]))
    noise = np.random.default_rng(0).integers(0, 256, (100, 70, 3), dtype=np.uint8)
    data, ours = file_of(codec, noise, 60)
    assert all(len(np.unique(code)) > 10 for code in ours[3:])
    check_same(ours, decode_file(data, tensors)[0])


def test_check_vector_and_identity_with_hidden_layers(hidden_weights: Path) -> None:
    tensors, facts = read_weights(hidden_weights)
    codec = ImageCodec(load_model(hidden_weights), 0)
    assert identity(tensors)[:4] == codec.model_id
    assert check_value(tensors) == int(facts["check"])


def test_sections_and_stages_are_passed_over(tiny_model: ImageModel, tmp_path: Path) -> None:
    save_model(tiny_model, tmp_path / "tiny.safetensors")
    codec = ImageCodec(tiny_model, 0)
    noise = np.random.default_rng(1).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    header = ImageHeader(128, 64, 30, False, True, codec.model_id, 0)
    chunks = codec.encode(noise, 30)
    assert len(chunks[0].payload) >= 2048
    data = write_vqc(VqcFile(header, chunks, {"exif": b"II*\0"}, np.zeros((64, 128), np.uint8)))
    theirs = decode_file(data, read_weights(tmp_path / "tiny.safetensors")[0])[0]
    check_same(codec.decode_codes(header, chunks), theirs)


def test_two_tiles(tiny_model: ImageModel, tmp_path: Path) -> None:
    save_model(tiny_model, tmp_path / "tiny.safetensors")
    codec = ImageCodec(tiny_model, 0)
    data, ours = file_of(codec, scene(64, 1088), 120)
    left, right = decode_file(data, read_weights(tmp_path / "tiny.safetensors")[0])
    check_same(ours[1:], [np.concatenate(pair, 1) for pair in zip(left[1:], right[1:], strict=True)])
    assert np.array_equal(ours[0][0], np.concatenate([left[0][:1], right[0][:1, :1]], 1))


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("stages", [0, 1, 3])
def test_a_cut_stream(tiny_model: ImageModel, tmp_path: Path, stages: int, gray: bool) -> None:
    save_model(tiny_model, tmp_path / "tiny.safetensors")
    codec = ImageCodec(tiny_model, 0)
    noise = np.random.default_rng(2).integers(0, 256, (60, 190, 1 if gray else 3), dtype=np.uint8)
    chunk = codec.encode(noise, 90)[0]
    payload = chunk.payload[: chunk.stage_ends[stages - 1]] if stages else b""
    ours = decode_codes(tiny_model.codes, 90, payload, 1, 3, gray=gray, stages=stages)
    tile = Tile(read_weights(tmp_path / "tiny.safetensors")[0], 90, 1, 3, gray)
    theirs = tile.decode(Stream(payload).batch, stages)
    check_same(ours, theirs)
    whole = decode_codes(tiny_model.codes, 90, chunk.payload, 1, 3, gray=gray)
    same = [np.array_equal(a, b) for a, b in zip(whole, ours, strict=True)]
    levels = [6, *(s.level for s in tiny_model.codes.slices)]
    assert all(same[i] for i, level in enumerate(levels) if stages and level >= 6 - stages)
    assert not same[-2]
