"""Our codes against those of the decoder written from SPEC.md alone: same codes, same identity, same check vector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import scene
from image.independent_decoder import (
    PHASES,
    Stream,
    Tile,
    check_value,
    coder_check_holds,
    decode_file,
    identity,
    joined,
    next_picture,
    read_weights,
)
from image.random_network import with_networks

from vqcodec.bitstream import ImageHeader, VqcFile, write_vqc
from vqcodec.image.codec import ImageCodec
from vqcodec.image.codes import CodeModel, decode_codes, encode_codes
from vqcodec.image.model import ImageModel, integer_arrays, load_model, save_model
from vqcodec.image.seen import synthesised
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
    path = tmp_path_factory.mktemp("weights") / "hidden.safetensors"
    save_model(with_codes(tiny_model, codes), path)
    return path


def with_codes(model: ImageModel, codes: CodeModel) -> ImageModel:
    """The model with another prior and the same tables."""
    tables = [model.stored[f"prior.{s.name}.table"] for s in model.config.slices]
    stored = integer_arrays(model.config, codes, tables, model.stored["prior.low.table"])
    return replace(model, codes=codes, stored=stored)


@pytest.fixture(scope="module")
def network_weights(tiny_model: ImageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with random networks, as a file; y3 has branches beside, y2 no signed weights in a phase."""
    rng = np.random.default_rng(4)
    slices = list(tiny_model.codes.slices)
    slices[6] = with_hidden(slices[6], rng)
    slices[8] = replace(slices[8], sign_weight=(*slices[8].sign_weight[:2], None, slices[8].sign_weight[3]))
    codes = replace(tiny_model.codes, slices=tuple(slices))
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    networked = with_networks(codes, tiny_model.config, tiny_model.codebooks, rng)
    save_model(with_codes(tiny_model, networked), path)
    return path


NETWORKED = (4, 6, 8, 10)  # slices y4, y3, y2, y1


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


@pytest.mark.parametrize(
    ("height", "width", "gray", "step"),
    [(1, 1, False, 200), (64, 64, False, 40), (130, 200, False, 150), (130, 200, True, 90), (65, 63, True, 0)],
)
def test_same_codes_with_networks(network_weights: Path, height: int, width: int, gray: bool, step: int) -> None:
    codec = ImageCodec(load_model(network_weights), 0)
    pixels = scene(height, width)[..., : 1 if gray else 3]
    data, ours = file_of(codec, pixels, step)
    check_same(ours, decode_file(data, read_weights(network_weights)[0])[0])


def test_networks_at_the_limits_of_the_picture(network_weights: Path) -> None:
    """Symbols at both ends of their rows, which drive the picture in whole numbers to where it is clamped."""
    model, tensors = load_model(network_weights).codes, read_weights(network_weights)[0]
    rng = np.random.default_rng(5)

    def symbols(rows: np.ndarray, table: np.ndarray, _zero: int, _mirror: np.ndarray | None) -> np.ndarray:
        return rng.integers(0, 2, rows.shape) * (np.count_nonzero(table[rows], -1) - 1)

    tile = Tile(tensors, 20, 1, 4, gray=False)
    codes = [c[None].astype(np.int32) for c in tile.decode(symbols)]
    assert max(np.abs(tile.picture(level)).max() for level in (4, 3, 2, 1)) == 32767
    payload, _ = encode_codes(model, 20, codes, 1, 4)
    check_same(codes, Tile(tensors, 20, 1, 4, gray=False).decode(Stream(payload).batch))
    ours = decode_codes(model, 20, payload, 1, 4)
    assert all(np.array_equal(a, b) for a, b in zip(ours, codes, strict=True))


def test_the_picture_between_its_two_axes() -> None:
    """Larger values than the codebooks of the tiny model make."""
    low, *details = np.random.default_rng(7).choice([-32767, 32767], (4, 5, 6))
    assert np.abs(joined(low, details[0])).max() > 65536
    ours = synthesised(low[None].astype(np.int32), np.stack(details)[:, None].astype(np.int32))
    assert np.array_equal(ours[0], next_picture(low, details))


def test_a_network_is_optional_for_each_slice(tiny_model: ImageModel, network_weights: Path, tmp_path: Path) -> None:
    sight = load_model(network_weights).codes.sight
    assert sight is not None
    one = replace(tiny_model.codes, sight=replace(sight, networks={6: sight.networks[6]}, maps={6: sight.maps[6]}))
    model = with_codes(tiny_model, one)
    save_model(model, tmp_path / "one.safetensors")
    data, ours = file_of(ImageCodec(model, 0), scene(100, 70), 60)
    check_same(ours, decode_file(data, read_weights(tmp_path / "one.safetensors")[0])[0])


Batches = list[tuple[np.ndarray, "np.ndarray | None"]]


def batches(tensors: dict[str, np.ndarray], index: int, low: np.ndarray, codes: list[np.ndarray]) -> Batches:
    """Rows of a slice's four batches, and where codes are mirrored, of a tile of 2 x 2 cells with these codes."""
    tile = Tile(tensors, 100, 2, 2, gray=False)
    tile.low, tile.codes = low, [c.copy() for c in codes]
    s, log = tile.slices[index], []

    def symbols(rows: np.ndarray, _table: np.ndarray, _zero: int, mirror: np.ndarray | None) -> np.ndarray:
        row, column = PHASES[len(log)]
        log.append((rows, mirror))
        code = codes[index][row::2, column::2]
        return code if mirror is None else np.where(mirror, s.codewords - 1 - code, code)

    tile.slice_batches(index, symbols)
    return log


def same_batches(a: Batches, b: Batches) -> bool:
    return all(np.array_equal(x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))


def some_codes(tensors: dict[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Low band and codes of a tile of 2 x 2 cells, near zero as those of pictures."""
    rng = np.random.default_rng(6)
    tile = Tile(tensors, 100, 2, 2, gray=False)
    codes = []
    for s, zeros in zip(tile.slices, tile.codes, strict=True):
        drawn = rng.integers(0, 40, zeros.shape) if s.d == 2 else np.round(rng.laplace(s.zero, 3, zeros.shape))
        codes.append(np.clip(drawn, 0, s.codewords - 1).astype(np.int64))
    return rng.integers(-90, 91, tile.low.shape), codes


def test_networks_change_rows_and_signs(network_weights: Path) -> None:
    tensors = read_weights(network_weights)[0]
    low, codes = some_codes(tensors)
    without = {name: v for name, v in tensors.items() if ".network." not in name}
    for index in NETWORKED:
        pairs = zip(batches(tensors, index, low, codes), batches(without, index, low, codes), strict=True)
        s = Tile(tensors, 100, 2, 2, gray=False).slices[index]
        changed = []
        for (rows, mirror), (other_rows, other_mirror) in pairs:
            assert mirror is not None
            mirrors = mirror != (False if other_mirror is None else other_mirror)
            changed.append([rows // s.bins != other_rows // s.bins, rows % s.bins != other_rows % s.bins, mirrors])
        assert (np.mean(np.concatenate(changed, 1), axis=(1, 2, 3)) > [0.1, 0.1, 0.01]).all(), s.name


def test_every_tensor_of_a_network_counts(network_weights: Path) -> None:
    """Or the other tests would not see what is wrong with it."""
    tensors = read_weights(network_weights)[0]
    low, codes = some_codes(tensors)
    for index in NETWORKED:
        level = 6 - index // 2
        right = batches(tensors, index, low, codes)
        names = [n for n, v in tensors.items() if n.startswith(f"prior.y{level}.network.") and v.size]
        assert len(names) == 2 + 3 * 3 + 4 * 3 * 3 + 3
        for name in ["prior.low.unit", *(f"prior.y{k}.whole" for k in range(6, level, -1)), *names]:
            value = tensors[name].astype(np.int64)
            wrong = batches(tensors | {name: value + value // 2 + 1}, index, low, codes)
            assert not same_batches(right, wrong), name


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


def test_check_vector_and_identity_with_networks(network_weights: Path) -> None:
    tensors, facts = read_weights(network_weights)
    assert identity(tensors)[:4] == ImageCodec(load_model(network_weights), 0).model_id
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
