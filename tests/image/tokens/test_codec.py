"""The codec as a whole: tiles, gray, damage, threads, the rate knob, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import scene

import vqcodec
from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.errors import ChecksumError, CorruptError, ModelError, UsageError
from vqcodec.image.tokens.codec import TokensCodec
from vqcodec.image.tokens.cost import tokens_cost_of
from vqcodec.image.tokens.model import TokensModel, load_tokens, model_id, save_tokens
from vqcodec.image.tokens.vectors import bit_weight
from vqcodec.registry import TOKENS_MODELS, load_tokens_codec


def header_of(codec: TokensCodec, pixels: np.ndarray, step: int = 0) -> ImageHeader:
    height, width, planes = pixels.shape
    return ImageHeader(width, height, step, planes == 1, False, codec.model_id, codec.model_hint)


@pytest.fixture(scope="module")
def tiled(tokens_codec: TokensCodec) -> tuple[np.ndarray, list[Chunk], np.ndarray]:
    """A picture of two by two tiles, its chunks and what they decode to."""
    pixels = scene(1100, 1100)
    chunks = tokens_codec.encode(pixels, 0)
    return pixels, chunks, tokens_codec.decode(header_of(tokens_codec, pixels), chunks)


def test_tiles(tokens_codec: TokensCodec, tiled: tuple[np.ndarray, list[Chunk], np.ndarray]) -> None:
    pixels, chunks, decoded = tiled
    assert len(chunks) == 4
    assert decoded.shape == pixels.shape
    codes = tokens_codec.codes_of(pixels)
    for a, b in zip(codes, tokens_codec.decode_codes(header_of(tokens_codec, pixels), chunks), strict=True):
        assert np.array_equal(a, b)


def test_threads_make_no_difference(
    tiny_tokens: TokensModel, tiled: tuple[np.ndarray, list[Chunk], np.ndarray]
) -> None:
    pixels, chunks, decoded = tiled
    several = TokensCodec(tiny_tokens, 0, 3)
    assert several.encode(pixels, 0) == chunks
    assert np.array_equal(several.decode(header_of(several, pixels), chunks), decoded)


def test_missing_tiles_are_concealed(
    tokens_codec: TokensCodec, tiled: tuple[np.ndarray, list[Chunk], np.ndarray]
) -> None:
    pixels, chunks, whole = tiled
    decoded = tokens_codec.decode(header_of(tokens_codec, pixels), [chunks[0], None, chunks[2], None])
    assert np.array_equal(decoded[:, :800], whole[:, :800])
    failed: list[int] = []
    broken = [chunks[0], replace(chunks[1], code_hash=chunks[1].code_hash ^ 1), chunks[2], chunks[3]]
    tokens_codec.decode(header_of(tokens_codec, pixels), broken, failed)
    assert failed == [1]
    with pytest.raises(ChecksumError, match="chunk 1"):
        tokens_codec.decode(header_of(tokens_codec, pixels), broken)


def test_gray_comes_back_gray(tokens_codec: TokensCodec) -> None:
    pixels = scene(70, 90)[:, :, :1]
    decoded = tokens_codec.decode(header_of(tokens_codec, pixels), tokens_codec.encode(pixels, 0))
    assert decoded.shape == pixels.shape


@pytest.mark.parametrize("size", [(1, 1), (63, 65), (64, 64), (5, 700)])
def test_any_size(tokens_codec: TokensCodec, size: tuple[int, int]) -> None:
    pixels = scene(*size)
    decoded = tokens_codec.decode(header_of(tokens_codec, pixels, 30), tokens_codec.encode(pixels, 30))
    assert decoded.shape == pixels.shape


def test_headers_that_are_not_of_tokens(tokens_codec: TokensCodec) -> None:
    pixels = scene(64, 64)
    header, chunks = header_of(tokens_codec, pixels), tokens_codec.encode(pixels, 0)
    with pytest.raises(CorruptError, match=r"header\.tile_log2"):
        tokens_codec.decode(replace(header, tile_log2=9), chunks)
    with pytest.raises(CorruptError, match=r"header\.flags"):
        tokens_codec.decode(replace(header, even=True), chunks)
    with pytest.raises(UsageError, match="faithful"):
        tokens_codec.decode(header, chunks, faithful=True)
    with pytest.raises(UsageError, match="psnr"):
        tokens_codec.encode(pixels, 0, tune="psnr")


def test_bits_fall_as_they_weigh_more(tokens_codec: TokensCodec) -> None:
    pixels = scene(256, 256)
    sizes = [sum(len(c.payload) for c in tokens_codec.encode(pixels, step)) for step in (0, 200, 255)]
    assert sizes[0] >= sizes[1] > sizes[2]
    weights = [bit_weight(step) for step in range(256)]
    assert weights[0] == 0
    assert weights == sorted(weights)


@pytest.mark.parametrize("colour", [(0, 22, 29), (28, 28, 28), (255, 255, 255)])
def test_flat_tiles_are_not_too_small_for_a_reader(colour: tuple[int, int, int]) -> None:
    """With the shipped weights: the prior guesses a flat tile so well that 100 bytes hold a megapixel."""
    pixels = np.full((1024, 1024, 3), colour, np.uint8)
    data = vqcodec.compress(pixels, model="tokens", quality=1)
    decoded = np.asarray(vqcodec.decompress(data)).astype(int)
    assert np.abs(decoded.mean((0, 1)) - colour).max() < 20  # a colour drifts so far at the lowest quality


def test_a_file_names_its_model(installed: TokensCodec, photo: Path) -> None:
    data = vqcodec.compress(photo, model="tokens", quality=100)
    assert vqcodec.info(data)["model_id"] == installed.model_id.hex()
    assert vqcodec.decompress(data, kind="image").size == (56, 40)
    vqcodec.verify(data)
    small = vqcodec.compress(photo, model="tokens", target_size=len(data))
    assert len(small) <= len(data)
    with pytest.raises(UsageError, match="tune"):
        vqcodec.compress(photo, model="tokens", tune="psnr")
    with pytest.raises(UsageError, match="model"):
        vqcodec.compress(photo, model="nothing")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="pictures"):
        vqcodec.compress(np.zeros(100), sample_rate=8000, model="tokens")


def test_a_model_comes_back_from_its_file(tiny_tokens: TokensModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_tokens(tiny_tokens, path)
    assert model_id(load_tokens(path)) == model_id(tiny_tokens)
    path.write_bytes(path.read_bytes()[:-4] + b"\0\1\2\3")
    with pytest.raises(ModelError):
        load_tokens(path)


def test_what_it_costs(tiny_tokens: TokensModel) -> None:
    cost = tokens_cost_of(tiny_tokens)
    stored = sum(a.size for name, a in tiny_tokens.network.items() if not name.startswith("expected"))
    expected = sum(a.size for name, a in tiny_tokens.network.items() if name.startswith("expected"))
    assert cost["analysis"][0] + cost["synthesis"][0] == stored + 2 * expected
    assert all(macs > 0 for name, (_, macs) in cost.items() if name != "codebooks")
    assert load_tokens_codec().model_id == TOKENS_MODELS[-1].identity
    large = tokens_cost_of(load_tokens_codec().model)
    assert large["analysis"][1] + large["synthesis"][1] < 65_000
