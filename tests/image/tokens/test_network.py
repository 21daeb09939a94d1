"""The networks without torch are those with it, and windows make no difference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import scene

from vqcodec.image.tokens import network as module
from vqcodec.image.tokens.codec import TokensCodec
from vqcodec.image.tokens.compand import expand, shrink
from vqcodec.image.tokens.config import PRESETS, parts
from vqcodec.image.tokens.masking import factors
from vqcodec.image.tokens.network import shuffle, unshuffle
from vqcodec.image.tokens.train.network import TokensNetwork, expand_top, masking, shrink_top
from vqcodec.image.tokens.train.start import to_planes
from vqcodec.image.tokens.vectors import expanded, shrunk


def test_shuffles_are_those_of_torch() -> None:
    x = np.arange(3 * 16 * 24, dtype=np.float32).reshape(3, 16, 24)
    assert np.array_equal(unshuffle(x, 8), torch.pixel_unshuffle(torch.from_numpy(x)[None], 8)[0].numpy())
    assert np.array_equal(shuffle(unshuffle(x, 8), 8), x)


def test_both_networks_give_the_same(tiny_network: TokensNetwork, tokens_codec: TokensCodec) -> None:
    pixels = scene(128, 192)
    with torch.inference_mode():
        found = tiny_network(to_planes(torch.from_numpy(pixels)[None], torch.eye(3)), torch.zeros(1))
    codes = tokens_codec.codes_of(pixels)
    for theirs, ours in zip(found.codes, codes, strict=True):
        assert np.array_equal(theirs.numpy(), ours)
    wanted = (found.planes[0].permute(1, 2, 0) * module.SCALE + 128).numpy()
    painted = tokens_codec.paint(codes, 128, 192)
    assert np.abs(painted - np.clip(wanted, 0, 255)).max() < 0.6


def test_a_bit_weighs_less_where_a_picture_is_smooth() -> None:
    luma = np.random.default_rng(1).normal(0, 1, (64, 96)).astype(np.float32) * np.repeat([0.01, 0.5], 48)
    ours = factors(luma)
    theirs = masking(torch.from_numpy(np.stack(3 * [luma]))[None])[0]
    assert np.allclose(ours, theirs.numpy(), atol=1e-4)
    assert ours[:, :5].max() < 0.3
    assert (ours[:, 7:] == 1).all()


def test_windows_make_no_difference(tokens_codec: TokensCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = scene(520, 700)
    codes = tokens_codec.codes_of(pixels)
    whole = tokens_codec.paint(codes, 520, 700)
    monkeypatch.setattr(module, "_WINDOW", 256)
    for a, b in zip(codes, tokens_codec.codes_of(pixels), strict=True):
        assert np.array_equal(a, b)
    assert np.abs(tokens_codec.paint(codes, 520, 700).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("preset", ["tokens", "tokens-tiny"])
def test_the_reach_covers_what_an_output_depends_on(preset: str) -> None:
    shapes = parts(PRESETS[preset])
    side = {"encoder": 8, "top_encoder": 16, "top_out": 16, "expected": 16, "linear": 8, "at8": 8, "at4": 4, "at2": 2}
    reach = {name: sum(c.side // 2 for c in shapes[name]) * pixels for name, pixels in side.items()}
    assert reach["encoder"] + reach["top_encoder"] <= module._REACH_IN
    assert sum(reach[name] for name in ("top_out", "at8", "at4", "at2")) <= module._REACH_OUT
    assert reach["expected"] + reach["linear"] <= module._REACH_OUT


def test_vectors_shrink_and_come_back() -> None:
    x = np.random.default_rng(1).normal(0, 2, (50, 7)).astype(np.float32)
    short = shrink(x, 0.3)
    assert np.allclose(expand(short, 0.3), x, atol=1e-4)
    assert (np.linalg.norm(short, axis=1) < np.linalg.norm(x, axis=1)).all()
    small = 0.01 * x
    assert np.allclose(shrink(small, 0.6), small, rtol=0.01, atol=1e-4)


def test_both_kinds_of_vectors_shrink_alike() -> None:
    x = np.random.default_rng(2).normal(0, 2, (4, 5, 9)).astype(np.float32)
    planes = torch.from_numpy(x).permute(2, 0, 1)[None]
    for ours, theirs in ((shrunk, shrink_top), (expanded, expand_top)):
        assert np.allclose(ours(x, 0), theirs(planes)[0].permute(1, 2, 0).numpy(), atol=1e-5)
