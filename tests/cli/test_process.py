"""What only a process of its own can show: imports, start-up time, signals, pipes, several processes."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import vqcodec

START = "import sys; from vqcodec.cli import main; sys.argv[0] = 'vqcodec'; "


def command(*arguments: object, setup: str = "") -> list[str]:
    return [sys.executable, "-c", f"{START}{setup}main()", *map(str, arguments)]


def run(*arguments: object, setup: str = "", **options) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command(*arguments, setup=setup), capture_output=True, env=environment, timeout=60, **options)


@pytest.fixture
def packed(tmp_path, photo) -> Path:
    path = tmp_path / "photo.vqc"
    path.write_bytes(vqcodec.compress(photo))
    return path


WITHOUT_TORCH = "import atexit; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["info", "FILE"], ["compress", "--help"], ["decompress", "--help"]]
)
def test_no_torch(packed, arguments):
    result = run(*[str(packed) if word == "FILE" else word for word in arguments], setup=WITHOUT_TORCH)
    assert result.returncode == 0, result.stderr
    assert result.stderr.decode().split() == ["False"]


def test_refusals_need_no_torch(tmp_path, photo):
    for arguments in (["compress", photo, photo], ["compress", tmp_path / "gone.png", tmp_path / "o.vqc"]):
        result = run(*arguments, setup=WITHOUT_TORCH)
        assert result.returncode in (2, 3)
        assert result.stderr.decode().split()[-1] == "False"


@pytest.mark.parametrize("arguments", [["--help"], ["info", "FILE"]])
def test_quick_start(packed, arguments):
    words = [str(packed) if word == "FILE" else word for word in arguments]

    def seconds() -> float:
        """Of processor time: what a busy machine adds is not the program's doing."""
        before = os.times()
        assert run(*words).returncode == 0
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    assert min(seconds() for _ in range(5)) < 0.3


def test_facts_of_a_sound_need_no_torch(tmp_path):
    sound = vqcodec.compress(np.zeros((500, 1), np.float32), sample_rate=16_000)
    (tmp_path / "a.vqc").write_bytes(sound)
    result = run("info", tmp_path / "a.vqc", setup=WITHOUT_TORCH)
    assert b"16,000 Hz, 1 channel\n" in result.stdout
    assert result.stderr.decode().split() == ["False"]


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, vqcodec; print(sorted({'torch', 'numpy', 'PIL', 'constriction'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "[]"


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_behind(tmp_path, photo, number, code):
    slow = (
        # a test run in the background of a shell inherits that interrupts are ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import time, vqcodec.registry as m; "
        "m.load_image_codec = lambda d: (print('busy', flush=True), time.sleep(60)); "
    )
    process = subprocess.Popen(
        command("compress", photo, tmp_path / "o.vqc", setup=slow),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_reader_that_goes_away(packed):
    arguments = shlex.join(command("info", *[packed] * 500))
    result = subprocess.run(["bash", "-c", f"{arguments} | head -n 1"], capture_output=True, timeout=60)
    assert result.returncode == 0
    assert result.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_standard_output_that_is_full(packed):
    for arguments in (["decompress", packed, "-"], ["compress", packed.with_suffix(".png"), "-"]):
        with Path("/dev/full").open("wb") as full:
            result = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, timeout=60)
        assert result.returncode == 1
        assert result.stderr.startswith(b"vqcodec: error: standard output: cannot be written")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_player_that_stops(tmp_path):
    (tmp_path / "a.vqc").write_bytes(vqcodec.compress(np.zeros((200_000, 2), np.float32), sample_rate=48_000))
    arguments = shlex.join(command("decompress", tmp_path / "a.vqc", "-"))
    result = subprocess.run(["bash", "-c", f"{arguments} | head -c 50"], capture_output=True, timeout=60)
    assert result.stdout[:4] == b"RIFF"
    assert result.stderr == b""


def test_pipe(photo):
    packed = run("compress", "-", "-", input=photo.read_bytes())
    assert packed.returncode == 0, packed.stderr
    assert vqcodec.info(packed.stdout)["width"] == 56


def test_pipe_of_sound():
    file = io.BytesIO()
    soundfile.write(file, np.zeros((800, 2)), 8_000, format="WAV")
    packed = run("compress", "-", "-", input=file.getvalue())
    assert packed.returncode == 0, packed.stderr
    back = run("decompress", "-", "-", input=packed.stdout)
    assert back.returncode == 0, back.stderr
    assert soundfile.read(io.BytesIO(back.stdout))[0].shape == (800, 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["picture", "sound"])
def test_named_pipes(tmp_path, photo, kind):
    file = io.BytesIO()
    soundfile.write(file, np.zeros((800, 2)), 8_000, format="WAV")
    content = photo.read_bytes() if kind == "picture" else file.getvalue()
    for verb, out in (
        ("compress", tmp_path / "a.vqc"),
        ("decompress", tmp_path / ("a.png" if kind == "picture" else "a.wav")),
    ):
        pipe = tmp_path / verb
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        result = run(verb, pipe, out)
        writer.join()
        assert result.returncode == 0, result.stderr
        content = out.read_bytes()


def test_several_processes_make_the_same_files(tmp_path, photo):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    wide = tmp_path / "wide.png"
    Image.fromarray(np.full((4, 4), 700, np.uint16)).save(wide)
    result = run("compress", photo, bad, wide, "-o", tmp_path / "out", "--jobs", 2)
    assert result.returncode == 3
    assert b"bad.png: not a picture" in result.stderr
    assert b"wide.png: 16 bits" in result.stderr
    assert b"1 of 3 files failed" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photo.vqc", "wide.vqc"]
    assert (tmp_path / "out" / "photo.vqc").read_bytes() == vqcodec.compress(photo)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")
def test_a_worker_that_dies_is_told(tmp_path):
    (tmp_path / "deadly.py").write_text("import os\ndef work(pair): os._exit(9)\n")
    code = (
        "import deadly; from vqcodec.cli.batch import run_batch; from vqcodec.cli.plan import Pair;"
        "pairs = [Pair(str(i), str(i)) for i in range(4)];"
        "print(run_batch(pairs, deadly.work, str, jobs=2, quiet=False, as_json=False))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60)
    assert result.stdout == b"1\n", result.stderr
    assert result.stderr.count(b"its process died") == 4
    assert b"4 of 4 files failed" in result.stderr
