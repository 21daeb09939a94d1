"""Drawing, repairing, enlarging; tokens as files; frames; the commands."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command_line import vqc
from conftest import scene
from PIL import Image

import vqcodec
from vqcodec.errors import InputError, OutputError, UsageError, VqcWarning
from vqcodec.image.tokens import use
from vqcodec.image.tokens.codec import Memory, TokensCodec
from vqcodec.image.tokens.stored import read_tokens, write_tokens


def test_what_is_drawn_depends_on_the_seed_alone(installed: TokensCodec) -> None:
    first, again, other = (np.asarray(next(vqcodec.sample(width=70, height=64, seed=s))) for s in (1, 1, 2))
    assert first.shape == (64, 70, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    cold = [np.asarray(next(vqcodec.sample(width=64, height=64, seed=s, temperature=0))) for s in (1, 2)]
    assert np.array_equal(*cold)


def test_what_is_known_is_kept(tokens_codec: TokensCodec) -> None:
    codes = tokens_codec.codes_of(scene(128, 128))
    rng = np.random.default_rng(1)
    where = tuple(rng.random(c.shape) < 0.5 for c in codes)
    drawn = use.draw_codes(tokens_codec, 2, 2, rng, 1.0, (codes, (where[0], where[1])))
    for c, d, w in zip(codes, drawn, where, strict=True):
        assert np.array_equal(c[w], d[w])
    assert not np.array_equal(codes[1], drawn[1])


def test_like_keeps_the_top(installed: TokensCodec) -> None:
    pixels = scene(100, 130)
    (image,) = vqcodec.sample(1, like=pixels)
    assert image.size == (130, 100)


def test_a_hole_is_filled_and_the_rest_kept(installed: TokensCodec) -> None:
    pixels = scene(200, 300)
    hole = np.zeros((200, 300), np.uint8)
    hole[80:120, 100:160] = 255
    out = np.asarray(vqcodec.restore(pixels, mask=hole))
    assert np.array_equal(out[hole == 0], pixels[hole == 0])
    assert not np.array_equal(out[hole > 0], pixels[hole > 0])
    nothing = np.asarray(vqcodec.restore(pixels, mask=np.zeros_like(hole)))
    assert np.array_equal(nothing, pixels)
    everything = np.asarray(vqcodec.restore(pixels, mask=np.full_like(hole, 255)))
    assert everything.shape == pixels.shape
    with pytest.raises(InputError, match="same size"):
        vqcodec.restore(pixels, mask=hole[:100])


def test_noise_goes_away(installed: TokensCodec) -> None:
    pixels = scene(200, 300)
    noisy = np.clip(pixels + np.random.default_rng(1).normal(0, 20, pixels.shape), 0, 255).astype(np.uint8)
    out = np.asarray(vqcodec.restore(noisy, denoise=True))
    before, after = (np.square(x.astype(float) - pixels).mean() for x in (noisy, out))
    assert after < before


def test_twice_the_size_gives_the_picture_when_made_small(installed: TokensCodec) -> None:
    pixels = scene(60, 90)
    out = vqcodec.restore(pixels, upscale=2)
    assert out.size == (180, 120)
    small = np.asarray(out.resize((90, 60), Image.Resampling.BOX)).astype(float)
    assert np.abs(small - pixels).mean() < 4


def test_one_kind_of_repair_at_a_time(installed: TokensCodec) -> None:
    for wrong in ({}, {"denoise": True, "upscale": 2}, {"upscale": 3}):
        with pytest.raises(UsageError):
            vqcodec.restore(scene(64, 64), **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        vqcodec.sample(0)
    with pytest.raises(UsageError):
        vqcodec.tokens(scene(64, 64), step=256)


def test_gray_stays_gray_and_alpha_is_told_of(installed: TokensCodec) -> None:
    assert vqcodec.restore(scene(64, 64)[:, :, 0], denoise=True).mode == "L"
    with pytest.warns(VqcWarning, match="alpha"):
        vqcodec.tokens(np.dstack([scene(64, 64), np.full((64, 64), 7, np.uint8)]))


def test_tokens_come_back_from_their_file(installed: TokensCodec, tmp_path: Path) -> None:
    pixels, path = scene(100, 130), tmp_path / "t.npz"
    tokens = vqcodec.tokens(pixels)
    write_tokens(tokens, path)
    (image,) = vqcodec.detokenize(read_tokens(path, 10**8))
    wanted = installed.paint(installed.codes_of(pixels), 100, 130)
    assert np.array_equal(np.asarray(image), wanted)
    with pytest.raises(OutputError):
        write_tokens(tokens, path)


@pytest.mark.parametrize("change", ["size", "top", "model", "garbage", "missing"])
def test_what_holds_no_tokens_is_refused(installed: TokensCodec, tmp_path: Path, change: str) -> None:
    path = tmp_path / "t.npz"
    write_tokens(vqcodec.tokens(scene(64, 64)), path)
    with np.load(path) as stored:
        arrays = dict(stored)
    if change == "size":
        arrays["size"] = np.array([640, 64])
    elif change == "top":
        arrays["top"] = arrays["top"].astype(np.float32)
    elif change == "model":
        del arrays["model"]
    if change == "garbage":
        path.write_bytes(b"no zip at all")
    elif change == "missing":
        path.unlink()
    else:
        np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"t\.npz"):
        read_tokens(path, 10**8)


def test_tokens_of_another_model_or_codebook(installed: TokensCodec) -> None:
    from dataclasses import replace

    tokens = vqcodec.tokens(scene(64, 64))
    with pytest.raises(InputError, match="model"):
        vqcodec.detokenize(replace(tokens, model="00000000"))
    with pytest.raises(InputError, match="codebook"):
        vqcodec.detokenize(replace(tokens, top=tokens.top + 1000))


def test_frames_do_not_flicker(installed: TokensCodec) -> None:
    rng = np.random.default_rng(5)
    frames = [np.clip(scene(128, 128) + rng.normal(0, 12, (128, 128, 3)), 0, 255).astype(np.uint8) for _ in range(5)]
    memory = Memory()
    alone = [installed.codes_of(f)[0] for f in frames]
    smooth = [installed.codes_of(f, memory=memory)[0] for f in frames]
    changes = [sum((a != b).sum() for a, b in pairwise(c)) for c in (alone, smooth)]
    assert changes[1] < changes[0]
    with pytest.raises(InputError, match="size"):
        vqcodec.tokens_of_frames([scene(64, 64), scene(64, 70)])


def test_a_hole_in_a_film_keeps_its_filling(installed: TokensCodec) -> None:
    hole = np.zeros((128, 128), np.uint8)
    hole[48:80, 48:80] = 255
    frames = list(vqcodec.restore_frames([scene(128, 128)] * 2, mask=hole))
    assert np.array_equal(np.asarray(frames[0]), np.asarray(frames[1]))


def test_the_commands(installed: TokensCodec, photo: Path, tmp_path: Path) -> None:
    npz, back, packed = tmp_path / "t.npz", tmp_path / "back.png", tmp_path / "small.vqc"
    assert vqc("compress", photo, packed, "--model", "tokens").exit_code == 0
    assert vqc("tokens", photo, npz).exit_code == 0
    assert vqc("tokens", npz, back).exit_code == 0
    with Image.open(back) as image:
        assert image.size == (56, 40)
    assert vqc("tokens", photo, tmp_path / "wrong.txt").exit_code == 2
    assert vqc("sample", "-n", 2, "-o", tmp_path / "drawn", "--size", "64x64", "--like", photo).exit_code == 0
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["000.png", "001.png"]
    assert vqc("sample", "-n", 2, "-o", tmp_path / "drawn", "--size", "64").exit_code == 2
    assert vqc("restore", photo, tmp_path / "large.png", "--upscale", 2).exit_code == 0
    assert vqc("restore", photo, tmp_path / "large.png", "--upscale", 2).exit_code == 1  # it exists
    assert vqc("restore", photo, tmp_path / "none.png").exit_code == 2


def test_a_folder_is_a_film(installed: TokensCodec, tmp_path: Path) -> None:
    film = tmp_path / "film"
    film.mkdir()
    for i in range(3):
        Image.fromarray(scene(64, 80)).save(film / f"{i}.png")
    assert vqc("tokens", film, tmp_path / "film.npz").exit_code == 0
    assert vqc("tokens", tmp_path / "film.npz", tmp_path / "back").exit_code == 0
    assert vqc("restore", film, tmp_path / "clean", "--denoise").exit_code == 0
    for folder in ("back", "clean"):
        assert len(list((tmp_path / folder).iterdir())) == 3
    empty = tmp_path / "empty"
    empty.mkdir()
    assert vqc("restore", empty, tmp_path / "x", "--denoise").exit_code == 3
