"""What comes by standard input is named where a file would be: errors and warnings are the same but for the name."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import fails, vqc
from conftest import scene
from PIL import Image

import vqcodec
from vqcodec.cli import batch


def content(kind: str) -> bytes:
    """Files of which something is to be said."""
    if kind == "film.gif":
        file, frames = io.BytesIO(), [Image.fromarray(scene(40, 56 + i)) for i in range(2)]
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
        return file.getvalue()
    if kind == "cut.png":
        file = io.BytesIO()
        Image.fromarray(scene(40, 56)).save(file, "PNG")
        return file.getvalue()[:-40]
    noise = np.random.default_rng(1).normal(0, 0.1, (9000, 1))
    if kind == "nan.wav":
        file = io.BytesIO()
        soundfile.write(file, np.where(np.arange(9000) == 5, np.nan, noise[:, 0]), 8000, "FLOAT", format="WAV")
        return file.getvalue()
    exact = {
        "picture.vqc": lambda: vqcodec.compress(scene(600, 600), lossless=True, effort=1),
        "sound.vqc": lambda: vqcodec.compress(np.int16(noise * 9_000), sample_rate=1000, lossless=True),
    }
    for name, make in exact.items():
        if kind.endswith(name):
            data = make()
            return data[:-9] if kind.startswith("cut") else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    return b"RIFF1234WAVE" if kind == "bad.wav" else b"neither nor"


CASES = [
    *(("compress", kind, "o.vqc") for kind in ("garbage", "cut.png", "bad.wav", "nan.wav", "film.gif")),
    *(("tokens", kind, "o.npz") for kind in ("garbage", "cut.png", "bad.wav")),
    *(("restore", kind, "o.png", "--denoise") for kind in ("garbage", "cut.png", "bad.wav")),
    *((command, "garbage") for command in ("info", "verify")),
    *(("verify", f"{how} {what}.vqc") for how in ("cut", "bad") for what in ("picture", "sound")),
    *(("decompress", f"{how} {what}.vqc", "-") for how in ("cut", "bad") for what in ("picture", "sound")),
    *(
        ("decompress", f"bad {kind}.vqc", f"o.{suffix}", "--conceal")
        for kind, suffix in (("picture", "png"), ("sound", "wav"))
    ),
    ("decompress", "garbage", "o.png"),
]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_it_is_named_as_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    command, kind, *rest = case
    Path(kind).write_bytes(content(kind))
    by_name = vqc(command, kind, *rest)
    for made in tmp_path.glob("o.*"):
        made.unlink()
    by_stream = vqc(command, "-", *rest, data=content(kind))
    said, wanted = (
        [line for line in r.stderr.splitlines() if ": error: " in line or ": warning: " in line]
        for r in (by_stream, by_name)
    )
    assert said
    assert said == [line.replace(f": {kind}: ", ": standard input: ") for line in wanted]
    assert all(": standard input: " in line for line in said)
    assert by_stream.exit_code == by_name.exit_code


@pytest.mark.parametrize("kind", ["garbage", "cut.png"])
def test_an_original_or_a_mask_is_named(tmp_path: Path, photo: Path, kind: str) -> None:
    packed = tmp_path / "photo.vqc"
    packed.write_bytes(vqcodec.compress(photo, lossless=True))
    data = content(kind)
    fails(vqc("verify", packed, "--against", "-", data=data), 3, "photo.vqc: standard input: ")
    fails(vqc("restore", photo, tmp_path / "o.png", "--mask", "-", data=data), 3, "error: standard input: ")
    fails(vqc("sample", "-n", 1, "-o", tmp_path / "o", "--like", "-", data=data), 3, "error: standard input: ")
    result = vqc("verify", packed, "--against", "-", data=photo.read_bytes())
    assert result.stderr == f"{packed}: fine, the same as standard input\n"


def test_standard_output_is_named() -> None:
    sound = vqcodec.Sound(np.zeros((99, 1), np.float32), 8000, tags={"SOMETHING": ["that WAV has no place for"]})
    data = vqcodec.compress(sound, lossless=True)
    assert "warning: standard output: " in vqc("decompress", "-", "-", data=data).stderr


def test_a_mistake_of_ours_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    outcome = batch.attempt(fail, batch.Pair("-", "o.vqc"))  # type: ignore[arg-type]
    assert outcome.error.startswith("standard input: not enough memory")


@pytest.mark.skipif(sys.platform == "win32", reason="needs the pipes of a POSIX shell")
@pytest.mark.parametrize("kind", ["bad.wav", "cut.png"])
def test_a_pipe_is_named_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / kind).write_bytes(content(kind))
    script = f"cat {kind} | {sys.executable} -m vqcodec compress /dev/stdin o.vqc"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "error: /dev/stdin: cannot be read" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    "arguments", ["compress - o.vqc", "decompress - o.png", "verify -", "info -", "tokens - o.npz"]
)
def test_one_that_cannot_be_read_is_named(tmp_path: Path, arguments: str) -> None:
    script = f"{sys.executable} -m vqcodec {arguments} 0>only-for-writing"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("vqcodec: error: standard input: cannot be read")
    assert done.stderr.count("\n") == 1
