"""The codec as a whole: tiles, stages, concealment, damaged codes, threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import scene

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.errors import ChecksumError, CorruptError, DecodeError
from vqcodec.image.codec import ImageCodec
from vqcodec.registry import load_image_codec
from vqcodec.target import psnr

STEP = 110


def header_of(codec: ImageCodec, pixels: np.ndarray, step: int = STEP) -> ImageHeader:
    height, width, planes = pixels.shape
    return ImageHeader(width, height, step, planes == 1, False, codec.model_id, codec.model_hint)


@pytest.fixture(scope="module")
def tiled(tiny_codec: ImageCodec) -> tuple[np.ndarray, list[Chunk], np.ndarray]:
    """A picture of two by two tiles, its chunks and what they decode to."""
    pixels = scene(1100, 1100)
    chunks = tiny_codec.encode(pixels, STEP)
    return pixels, chunks, tiny_codec.decode(header_of(tiny_codec, pixels), chunks)


def test_tiles(tiny_codec: ImageCodec, tiled: tuple[np.ndarray, list[Chunk], np.ndarray]) -> None:
    pixels, chunks, decoded = tiled
    assert len(chunks) == 4
    assert decoded.shape == pixels.shape
    error = (decoded.astype(float) - pixels) ** 2
    assert error.mean() < 15
    # no seam: the error beside the tile edge is that of the rest
    for strip in (error[:, 1016:1032], error[1016:1032]):
        assert strip.mean() < 3 * error.mean() + 1


def test_missing_tiles_are_concealed(tiny_codec: ImageCodec, tiled: tuple[np.ndarray, list[Chunk], np.ndarray]) -> None:
    pixels, chunks, whole = tiled
    decoded = tiny_codec.decode(header_of(tiny_codec, pixels), [chunks[0], None, chunks[2], None])
    # the wavelet reaches some cells into the neighbour, not further
    assert np.array_equal(decoded[:, :700], whole[:, :700])
    hole = decoded[256:768, 1060:].reshape(-1, 3).astype(float)
    assert np.abs(hole.mean(0) - whole[:, :1024].reshape(-1, 3).mean(0)).max() < 25
    assert hole.std(0).max() < 12


def test_nothing_left_is_gray(tiny_codec: ImageCodec) -> None:
    decoded = tiny_codec.decode(header_of(tiny_codec, scene(40, 50)), [None])
    assert np.abs(decoded.astype(int) - 128).max() <= 1


def test_more_stages_are_better(tiny_codec: ImageCodec) -> None:
    pixels = scene(150, 200)
    chunk = tiny_codec.encode(pixels, 60)[0]
    header = header_of(tiny_codec, pixels, 60)
    assert len(chunk.stage_ends) == 5
    quality = []
    for end in (0, *chunk.stage_ends[:-1]):
        cut = replace(chunk, payload=chunk.payload[:end], complete=False)
        quality.append(psnr(tiny_codec.decode(header, [cut]), pixels))
    quality.append(psnr(tiny_codec.decode(header, [chunk]), pixels))
    assert quality == sorted(quality)
    assert quality[0] < 15
    assert quality[1] > 17
    assert quality[-1] > 35


def test_any_cut_gives_the_stages_that_are_whole(tiny_codec: ImageCodec) -> None:
    pixels = scene(64, 128)
    chunk = tiny_codec.encode(pixels, 60)[0]
    header = header_of(tiny_codec, pixels, 60)
    for stages in range(1, 5):
        end = chunk.stage_ends[stages - 1]
        between = (end + chunk.stage_ends[stages]) // 2
        a, b = (
            tiny_codec.decode(header, [replace(chunk, payload=chunk.payload[:n], complete=False)])
            for n in (end, between)
        )
        assert np.array_equal(a, b)


def test_wrong_hash_and_wrong_tiles(tiny_codec: ImageCodec) -> None:
    pixels = scene(64, 64)
    chunk = tiny_codec.encode(pixels, STEP)[0]
    header = header_of(tiny_codec, pixels)
    with pytest.raises(ChecksumError, match="not those that were written") as caught:
        tiny_codec.decode(header, [replace(chunk, code_hash=chunk.code_hash ^ 1)])
    assert caught.value.place == "chunk 0"
    with pytest.raises(CorruptError, match="2\\^9") as corrupt:
        tiny_codec.decode(replace(header, tile_log2=9), [chunk])
    assert corrupt.value.place == "header.tile_log2"


def test_another_step_is_noticed(tiny_codec: ImageCodec) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    chunks = tiny_codec.encode(pixels, STEP)
    with pytest.raises(DecodeError, match=r"not those that were written|no encoder writes"):
        tiny_codec.decode(header_of(tiny_codec, pixels, 0), chunks)


def test_even_steps_have_the_least_squared_error(tiny_codec: ImageCodec) -> None:
    """At about the same size; the header says so, and without its word the values are others."""
    rng = np.random.default_rng(5)
    pixels = np.clip(scene(128, 192) + rng.normal(0, 12, (128, 192, 3)) * (np.arange(192) > 96)[:, None], 0, 255)
    pixels = pixels.astype(np.uint8)
    header = header_of(tiny_codec, pixels, 90)
    even = tiny_codec.encode(pixels, 90, tune="psnr")
    decoded = tiny_codec.decode(replace(header, even=True), even, faithful=True)
    assert psnr(decoded, pixels) > psnr(tiny_codec.decode(header, even), pixels) + 1
    size = len(even[0].payload)
    steps = [s for s in range(60, 120, 4) if len(tiny_codec.encode(pixels, s)[0].payload) <= size]
    visual = tiny_codec.decode(replace(header, step=steps[0]), tiny_codec.encode(pixels, steps[0]))
    assert psnr(decoded, pixels) > psnr(visual, pixels) + 0.1


def test_strides_do_not_matter(tiny_codec: ImageCodec) -> None:
    pixels = scene(90, 120)
    turned = np.rot90(pixels)[::-1]
    assert not turned.flags.c_contiguous
    assert tiny_codec.encode(turned, STEP) == tiny_codec.encode(np.ascontiguousarray(turned), STEP)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (65, 127)])
@pytest.mark.parametrize("planes", [1, 3])
def test_sizes(tiny_codec: ImageCodec, height: int, width: int, planes: int) -> None:
    pixels = scene(height, width)[..., :planes]
    decoded = tiny_codec.decode(header_of(tiny_codec, pixels, 30), tiny_codec.encode(pixels, 30))
    assert decoded.shape == pixels.shape
    assert psnr(decoded, pixels) > 33


PROGRAM = """
import hashlib, sys
import numpy as np
from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.registry import load_image_codec
path = sys.argv[1]
pixels = np.load(path)
codec = load_image_codec()
chunks = codec.encode(pixels, 70)
header = ImageHeader(pixels.shape[1], pixels.shape[0], 70, False, False, codec.model_id, 0)
codes = codec.decode_codes(header, chunks)
codec.decode(header, chunks)
assert "torch" not in sys.modules
print(hashlib.sha256(b"".join(c.payload for c in chunks)).hexdigest())
print(hashlib.sha256(b"".join(c.tobytes() for c in codes)).hexdigest())
"""


def test_threads_do_not_change_the_codes(tmp_path) -> None:
    pixels = np.clip(scene(150, 200) + np.random.default_rng(0).normal(0, 9, (150, 200, 3)), 0, 255).astype(np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    seen = []
    for threads in ("1", "2"):
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "pixels.npy")]
        seen.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert seen[0] == seen[1]
    codec = load_image_codec()
    chunks = codec.encode(pixels, 70)
    assert hashlib.sha256(b"".join(c.payload for c in chunks)).hexdigest() == seen[0].split()[0]
