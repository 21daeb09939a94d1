"""Tokens as files: they come back, and what is none is refused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import fails, vqc
from conftest import scene

import vqcodec
from vqcodec import read_tokens, write_tokens
from vqcodec.errors import InputError, LimitError, OutputError, UsageError
from vqcodec.image.tokens.codec import TokensCodec


def test_tokens_come_back_from_their_file(installed: TokensCodec, tmp_path: Path) -> None:
    pixels, path = scene(100, 130), tmp_path / "t.npz"
    tokens = vqcodec.tokens(pixels)
    write_tokens(tokens, path)
    wanted = installed.paint(installed.codes_of(pixels), 100, 130)
    with path.open("rb") as file:
        for given in (tokens, path, str(path), path.read_bytes(), read_tokens(path), file):
            (image,) = vqcodec.detokenize(given)
            assert np.array_equal(np.asarray(image), wanted)
    with pytest.raises(OutputError):
        write_tokens(tokens, path)
    with pytest.raises(LimitError, match="--max-pixels"):
        read_tokens(path, max_pixels=100)
    for wrong in (None, 5, {"top": 1}, [tokens]):
        with pytest.raises(UsageError):
            vqcodec.detokenize(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        write_tokens(path, tmp_path / "u.npz")  # type: ignore[arg-type]


BAD = {
    "size": np.array([640, 64]),
    "size that is none": np.array([np.nan, 64]),
    "size without end": np.array([np.inf, 64]),
    "size below zero": np.array([-64, -64]),
    "size of three": np.array([64, 64, 64]),
    "cells": np.array([8, 16]),
    "cells of three": np.array([16, 8, 8]),
    "cells of floats": np.array([16.0, 8.0]),
    "cells that are none": np.array([], np.int64),
    "top": np.zeros((4, 4), np.float32),
    "bottom": np.zeros((3, 8, 8), np.uint16),
    "top_words": np.zeros((2, 2), object),
    "bottom_words": np.zeros(5, np.float32),
    "model": np.zeros(4, np.int64),
}


@pytest.mark.parametrize("change", [*BAD, "lost", "garbage", "missing", "folder", "array", "huge", "flipped", "cut"])
def test_what_holds_no_tokens_is_refused(installed: TokensCodec, tmp_path: Path, change: str) -> None:
    path = tmp_path / "t.npz"
    write_tokens(vqcodec.tokens(scene(64, 64)), path)
    content = path.read_bytes()
    with np.load(path) as stored:
        arrays = dict(stored)
    path.unlink()
    if change in BAD:
        np.savez(path, **(arrays | {change.split()[0]: BAD[change]}))
    elif change == "lost":
        np.savez(path, **{key: value for key, value in arrays.items() if key != "model"})
    elif change == "garbage":
        path.write_bytes(b"no zip at all")
    elif change == "folder":
        path.mkdir()
    elif change == "array":
        np.save(tmp_path / "t.npy", arrays["top"])
        (tmp_path / "t.npy").rename(path)
    elif change == "huge":  # a header that promises what is not there
        with zipfile.ZipFile(path, "w") as out:
            for name in arrays:
                header = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({2**40}, 4), }}".ljust(117) + "\n"
                out.writestr(f"{name}.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode())
    elif change == "flipped":
        path.write_bytes(content[:60] + bytes([content[60] ^ 255]) + content[61:])
    elif change == "cut":
        path.write_bytes(content[: len(content) // 2])
    for call in (read_tokens, vqcodec.detokenize):
        with pytest.raises(InputError, match=r"t\.npz: "):
            call(path)
    assert vqc("tokens", path, tmp_path / "x.png").exit_code == 3


def test_tokens_of_another_model_or_codebook(installed: TokensCodec) -> None:
    from dataclasses import replace

    tokens = vqcodec.tokens(scene(64, 64))
    with pytest.raises(InputError, match="model"):
        vqcodec.detokenize(replace(tokens, model="00000000"))
    with pytest.raises(InputError, match="codebook"):
        vqcodec.detokenize(replace(tokens, top=tokens.top + np.uint16(1000)))
    for wrong in ({"top": tokens.top.astype(np.int64) - 9}, {"bottom": tokens.bottom[1:]}, {"height": 64.0}):
        with pytest.raises(InputError, match="make it anew"):
            vqcodec.detokenize(replace(tokens, **wrong))


@pytest.mark.parametrize("model", [None, b"5b051f88", "", "no digits", "0123456789", "ABCDEF01"])
def test_a_model_that_is_none_is_refused(installed: TokensCodec, tmp_path: Path, model: object) -> None:
    """Such tokens would end in Python's own error, or in a file that nothing reads."""
    from dataclasses import replace

    tokens = replace(vqcodec.tokens(scene(64, 64)), model=model)
    for use in (lambda: write_tokens(tokens, tmp_path / "t.npz"), lambda: vqcodec.detokenize(tokens)):
        with pytest.raises(InputError, match="eight hexadecimal digits"):
            use()
    assert not (tmp_path / "t.npz").exists()


@pytest.mark.parametrize("level", ["top", "bottom", "residual"])
@pytest.mark.parametrize("kind", ["empty", "no numbers", "foreign", "too short"])
def test_only_the_codebooks_of_the_model_decode(installed: TokensCodec, tmp_path: Path, kind: str, level: str) -> None:
    from dataclasses import replace

    tokens, path = vqcodec.tokens(scene(64, 64)), tmp_path / "t.npz"
    words = getattr(tokens, f"{level}_words")
    codes = getattr(tokens, level).copy()
    codes.flat[0] = len(words) - 1
    wrong, said = {
        "empty": (words[:0], "codebooks are no float32"),
        "no numbers": (np.where(np.arange(words.size).reshape(words.shape) == 3, np.nan, words), "no finite numbers"),
        "foreign": (words + np.float32(0.25), f"the codebook of the {level} is not that of model"),
        "too short": (
            words[:-1],
            f"a code of its {level} is {len(words) - 1}, the codebook has {len(words) - 1}; make",
        ),
    }[kind]
    changed = replace(tokens, **{level: codes, f"{level}_words": wrong.astype(np.float32)})
    with pytest.raises(InputError, match=said):
        vqcodec.detokenize(changed)
    arrays = {name: getattr(changed, name) for name in (level, f"{level}_words")}
    write_tokens(tokens, path)
    with np.load(path) as stored:
        np.savez(tmp_path / "u.npz", **(dict(stored) | arrays))
    fails(vqc("tokens", tmp_path / "u.npz", tmp_path / "x.png"), 3, "u.npz: ", said)
    if kind != "foreign":  # whose model need not be at hand to read it
        with pytest.raises(InputError, match=said):
            write_tokens(changed, tmp_path / "v.npz")
        with pytest.raises(InputError, match=said):
            read_tokens(tmp_path / "u.npz")


def test_a_codebook_is_compared_to_the_bit(installed: TokensCodec) -> None:
    """-0.0 is equal to 0.0, of which the residual's first codeword is made, and yet no file that was written."""
    from dataclasses import replace

    tokens = vqcodec.tokens(scene(64, 64))
    words = np.where(tokens.residual_words == 0, np.float32(-0.0), tokens.residual_words)
    assert np.signbit(words[0]).all()
    assert np.array_equal(words, tokens.residual_words)
    with pytest.raises(InputError, match="the codebook of the residual is not that of model"):
        vqcodec.detokenize(replace(tokens, residual_words=words))
    strided = np.asfortranarray(tokens.residual_words)
    assert len(vqcodec.detokenize(replace(tokens, residual_words=strided))) == 1
