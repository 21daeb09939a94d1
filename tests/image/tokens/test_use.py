"""Drawing, repairing, enlarging; tokens as files; frames; the commands."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import fails, names, vqc
from conftest import EXAMPLES, scene
from PIL import Image

import vqcodec
from vqcodec import read_tokens, write_tokens
from vqcodec.errors import InputError, LimitError, UsageError, VqcWarning
from vqcodec.image.tokens import use
from vqcodec.image.tokens.codec import Memory, TokensCodec


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
    top, bottom, residual = (rng.random(c.shape) < 0.5 for c in codes)
    where = (top, bottom, residual)
    drawn = use.draw_codes(tokens_codec, 2, 2, rng, 1.0, (codes, where))
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
    with pytest.warns(VqcWarning, match="has no holes"):
        nothing = np.asarray(vqcodec.restore(pixels, mask=np.zeros_like(hole)))
    assert np.array_equal(nothing, pixels)
    with pytest.raises(InputError, match="is all hole"):
        vqcodec.restore(pixels, mask=np.full_like(hole, 255))
    with pytest.raises(InputError, match="same size"):
        vqcodec.restore(pixels, mask=hole[:100])


@pytest.mark.parametrize("kind", ["transparent", "deep", "ones", "booleans", "alpha alone"])
def test_masks_of_every_kind_select_the_same(installed: TokensCodec, tmp_path: Path, kind: str) -> None:
    """What is neither black nor transparent is a hole, however dark it is."""
    pixels, path = scene(64, 80), tmp_path / "mask.png"
    hole = np.zeros((64, 80), bool)
    hole[20:40, 30:50] = True
    mask: object = path
    if kind == "transparent":  # a white patch on ground that is transparent, whatever colour it hides
        Image.fromarray(np.dstack([np.full((64, 80, 3), 255, np.uint8), hole * np.uint8(255)])).save(path)
    elif kind == "deep":
        Image.fromarray(hole * np.uint16(7)).save(path)
    elif kind == "ones":
        Image.fromarray(hole * np.uint8(1)).save(path)
    elif kind == "booleans":
        mask = hole
    else:
        Image.fromarray(np.dstack([hole * np.uint8(255), np.full((64, 80), 9, np.uint8)])).save(path)
    out = np.asarray(vqcodec.restore(pixels, mask=mask))  # type: ignore[arg-type]
    wanted = np.asarray(vqcodec.restore(pixels, mask=hole * np.uint8(255)))
    assert np.array_equal(out, wanted)
    assert np.array_equal(out[~hole], pixels[~hole])


def test_a_mask_that_is_nearly_black_is_told_of(installed: TokensCodec) -> None:
    mask = np.zeros((64, 80), np.uint8)
    mask[20:40, 30:50] = 255
    mask[19, 30:50] = 3
    with pytest.warns(VqcWarning, match="20 nearly black pixels are holes, too"):
        vqcodec.restore(scene(64, 80), mask=mask)


def test_what_a_picture_says_of_itself_stays_or_is_told(installed: TokensCodec, tmp_path: Path) -> None:
    path, out = tmp_path / "a.png", tmp_path / "b.jpg"
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.fromarray(scene(64, 80)).save(path, exif=exif)
    assert b"maker" in vqcodec.restore(path, denoise=True).info["exif"]
    with pytest.warns(VqcWarning, match="its EXIF is left out"):
        vqcodec.tokens(path)
    for i in range(2):
        Image.fromarray(np.dstack([scene(64, 80), np.full((64, 80), 9, np.uint8)])).save(tmp_path / f"f{i}.png")
    result = vqc("restore", tmp_path / "f0.png", out, "--denoise")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert lines[0] == f"vqcodec: warning: {out}: JPEG keeps no transparency: the picture was laid on white"
    assert lines[1] == f"{out}, 80 x 64"
    alpha = np.full((64, 80), 9, np.uint8)
    hole = np.zeros((64, 80), bool)
    hole[20:30, 20:30] = True
    for options, wanted in (
        ({"denoise": True}, alpha),
        ({"upscale": 2}, np.full((128, 160), 9)),
        ({"mask": hole}, np.where(hole, 255, alpha)),  # what is filled in can be seen
    ):
        image = vqcodec.restore(tmp_path / "f0.png", **options)  # type: ignore[arg-type]
        assert np.array_equal(np.asarray(image)[:, :, 3], wanted)
    assert vqc("restore", tmp_path / "f0.png", out, "--denoise", "-f", "--quiet").stderr == ""
    path.unlink()
    film = vqc("tokens", tmp_path, tmp_path / "t.npz")  # once for the film, not for each frame
    assert film.stderr.count("alpha plane") == 1
    assert "1 file skipped: " not in film.stderr  # b.jpg is a picture, too


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
    with pytest.raises(UsageError, match="seed"):
        vqcodec.restore(scene(64, 64), denoise=True, seed=2)


def test_numbers_are_whole_and_within_bounds(installed: TokensCodec) -> None:
    picture = scene(64, 64)
    for step in (-1, 256, 1.5, "1"):
        with pytest.raises(UsageError, match="step"):
            vqcodec.tokens(picture, step=step)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="step"):
            vqcodec.tokens_of_frames([picture], step=step)  # type: ignore[arg-type]
    for name, value in (
        *(("count", 0), ("count", 1.5), ("width", 0), ("height", 2.5), ("seed", -1), ("seed", 0.5), ("threads", 0)),
        *(("temperature", -1), ("temperature", float("nan"))),
    ):
        with pytest.raises(UsageError, match="side" if name in ("width", "height") else name):
            vqcodec.sample(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="seed"):
        vqcodec.restore(picture, mask=np.eye(64, dtype=bool), seed=-1)
    with pytest.raises(UsageError, match="threads"):
        vqcodec.restore(picture, denoise=True, threads=0)
    with pytest.raises(UsageError, match="contradict"):
        vqcodec.sample(like=picture, width=64)
    for call in (
        lambda: vqcodec.sample(width=65, height=64, max_pixels=4096),
        lambda: vqcodec.tokens(scene(65, 64), max_pixels=4096),
        lambda: vqcodec.detokenize(vqcodec.tokens(scene(65, 64)), max_pixels=4096),
    ):
        with pytest.raises(LimitError, match="raise the limit by --max-pixels"):
            call()


def test_gray_stays_gray_and_alpha_is_told_of(installed: TokensCodec) -> None:
    assert vqcodec.restore(scene(64, 64)[:, :, 0], denoise=True).mode == "L"
    with pytest.warns(VqcWarning, match="alpha"):
        vqcodec.tokens(np.dstack([scene(64, 64), np.full((64, 64), 7, np.uint8)]))


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
    assert np.array_equal(vqcodec.tokens_of_frames(iter(frames)).top[4], smooth[4][0])
    with pytest.raises(InputError, match="no frame"):
        vqcodec.tokens_of_frames([])
    for one in ("folder", Path("folder"), b"bytes"):
        with pytest.raises(UsageError, match="no film"):
            vqcodec.tokens_of_frames(one)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="no film"):
            list(vqcodec.restore_frames(one, denoise=True))  # type: ignore[arg-type]


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
    assert vqc("sample", "-n", 2, "-o", tmp_path / "drawn", "--like", photo).exit_code == 0
    assert names(tmp_path / "drawn") == ["000.png", "001.png"]
    assert vqc("sample", "-n", 1, "-o", tmp_path / "two", "--size", "70x64").exit_code == 0
    assert vqc("sample", "-n", 2, "-o", tmp_path / "drawn", "--size", "64").exit_code == 2
    assert vqc("restore", photo, tmp_path / "large.png", "--upscale", 2).exit_code == 0
    assert vqc("restore", photo, tmp_path / "large.png", "--upscale", 2).exit_code == 1  # it exists
    assert vqc("restore", photo, tmp_path / "none.png").exit_code == 2


def test_options_without_effect_are_refused(installed: TokensCodec, photo: Path, tmp_path: Path) -> None:
    npz, out = tmp_path / "t.npz", tmp_path / "out.png"
    write_tokens(vqcodec.tokens(photo), npz)
    fails(vqc("tokens", npz, out, "--step", 0), 2, "--step")
    fails(vqc("sample", "-o", tmp_path / "s", "--like", photo, "--size", "64x64"), 2, "like and a size contradict")
    fails(vqc("restore", photo, out, "--denoise", "--seed", 3), 2, "seed")
    for limit in (
        ("sample", "-o", tmp_path / "s", "--size", "20000x20000"),
        ("tokens", npz, out, "--max-pixels", 9),
        ("tokens", photo, tmp_path / "u.npz", "--max-pixels", 9),
        ("restore", photo, out, "--denoise", "--max-pixels", 9),
    ):
        fails(vqc(*limit), 4, "raise the limit by --max-pixels")
    assert names(tmp_path) == ["photo.png", "t.npz"]


def test_names_that_no_file_can_have(installed: TokensCodec, photo: Path, tmp_path: Path) -> None:
    long = "n" * 300
    fails(vqc("tokens", long, tmp_path / "t.npz"), 3, "File name too long")
    fails(vqc("tokens", photo, tmp_path / f"{long}.npz"), 1, "File name too long")
    fails(vqc("restore", long, tmp_path / "o.png", "--denoise"), 3, "File name too long")
    fails(vqc("restore", photo, tmp_path / f"{long}.png", "--denoise"), 1, "File name too long")
    fails(vqc("sample", "-n", 1, "-o", tmp_path / long), 1, "File name too long")
    fails(vqc("tokens", "", tmp_path / "t.npz"), 2, "an argument is empty")
    fails(vqc("restore", photo, photo / "o.png", "--denoise"), 1, "does not exist")


def test_streams(installed: TokensCodec, photo: Path, tmp_path: Path) -> None:
    content, out = photo.read_bytes(), tmp_path / "out.png"
    npz = vqc("tokens", "-", "-", data=content).stdout_bytes
    (tmp_path / "t.npz").write_bytes(npz)
    (wanted,) = vqcodec.detokenize(vqcodec.tokens(photo))
    for result in (vqc("tokens", "-", "-", data=npz), vqc("tokens", tmp_path / "t.npz", "-")):
        with Image.open(io.BytesIO(result.stdout_bytes)) as image:
            assert np.array_equal(np.asarray(image), np.asarray(wanted))
    assert vqc("restore", "-", "-", "--denoise", data=content).stdout_bytes.startswith(b"\x89PNG")
    assert vqc("restore", photo, out, "--mask", "-", data=mask_file()).exit_code == 0
    fails(vqc("restore", "-", out, "--mask", "-", data=content), 2, "read once only")
    assert vqc("sample", "-n", 1, "-o", tmp_path / "s", "--like", "-", data=content).exit_code == 0
    fails(vqc("sample", "-n", 1, "-o", "-"), 2, "go to a folder")
    with photo.open("rb") as file:
        assert np.array_equal(vqcodec.tokens(file).top, vqcodec.tokens(bytearray(content)).top)


def mask_file() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.eye(40, 56, dtype=np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_sound_is_called_one(installed: TokensCodec, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 8_000)
    fails(vqc("tokens", path, tmp_path / "t.npz"), 3, "a.wav: holds sound, and a picture is needed")
    fails(vqc("restore", path, tmp_path / "t.png", "--denoise"), 3, "holds sound")
    fails(vqc("restore", EXAMPLES / "lake.png", tmp_path / "t.png", "--mask", path), 3, "a.wav: holds sound")
    with pytest.raises(InputError, match="holds sound, and a picture is needed"):
        vqcodec.compress(path, kind="image")


def test_a_folder_is_a_film(installed: TokensCodec, tmp_path: Path) -> None:
    """Its frames are taken by the numbers in their names, and never written among."""
    film = tmp_path / "film"
    film.mkdir()
    bright = [(i, scene(64, 80) // (12 - i)) for i in (1, 2, 10)]
    for i, pixels in bright:
        Image.fromarray(pixels).save(film / f"Frame {i}.png")
    (film / "notes.txt").write_text("no frame")
    (film / "._Frame 3.png").write_text("a Mac's")
    result = vqc("tokens", film, tmp_path / "film.npz")
    assert result.exit_code == 0
    assert f"1 file skipped: {film / 'notes.txt'} (no pictures by their names)" in result.stderr
    assert "side files of a Mac" in result.stderr
    wanted = vqcodec.tokens_of_frames([pixels for _, pixels in bright])
    assert np.array_equal(read_tokens(tmp_path / "film.npz").top, wanted.top)
    assert vqc("tokens", tmp_path / "film.npz", tmp_path / "back").exit_code == 0
    assert vqc("restore", film, tmp_path / "clean", "--denoise").exit_code == 0
    for folder in ("back", "clean"):
        assert names(tmp_path / folder) == ["000.png", "001.png", "002.png"]
    before = names(film)
    (tmp_path / "again").symlink_to(film)
    for target in (film, tmp_path / "again"):
        fails(vqc("restore", film, target, "--denoise", "--force"), 2, "the folder of the inputs")
    fails(vqc("restore", film / "Frame 1.png", film / "Frame 1.png", "--denoise", "--force"), 2, "is the input itself")
    fails(
        vqc("restore", film / "Frame 1.png", film / "Frame 2.png", "--mask", film / "Frame 2.png", "-f"),
        2,
        "the input itself",
    )
    (tmp_path / "drawn").mkdir()
    like = tmp_path / "drawn" / "000.png"
    like.write_bytes((film / "Frame 1.png").read_bytes())
    fails(vqc("sample", "-n", 1, "-o", tmp_path / "drawn", "--like", like, "-f"), 2, "the input itself")
    for command in (
        ("tokens", tmp_path / "film.npz", tmp_path / "film.png"),
        ("tokens", tmp_path / "film.npz", "-"),
        ("restore", film, tmp_path / "out.png", "--denoise"),
        ("sample", "-n", 2, "-o", tmp_path / "out.png"),
    ):
        fails(vqc(*command), 2, "go to a folder")
    assert names(film) == before
    empty = tmp_path / "empty"
    empty.mkdir()
    assert vqc("restore", empty, tmp_path / "x", "--denoise").exit_code == 3
