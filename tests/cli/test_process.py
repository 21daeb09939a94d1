"""What only a process of its own can show: imports, start-up time, signals, pipes, several processes."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
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
    return subprocess.run(
        command(*arguments, setup=setup), capture_output=True, env=environment, timeout=240, **options
    )


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


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["info", "FILE"], ["info", "--json", "FILE"]])
def test_no_numpy(packed, arguments):
    """Its import takes longer than all the rest of these."""
    setup = WITHOUT_TORCH.replace("torch", "numpy")
    result = run(*[str(packed) if word == "FILE" else word for word in arguments], setup=setup)
    assert result.returncode == 0, result.stderr
    assert result.stderr.decode().split() == ["False"]


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


def test_sound_is_coded_without_torch(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, (5_000, 2)), 44_100)
    for words in (["compress", tmp_path / "a.wav", tmp_path / "a.vqc"], ["decompress", tmp_path / "a.vqc", "-"]):
        result = run(*words, setup=WITHOUT_TORCH)
        assert result.returncode == 0, result.stderr
        assert result.stderr.decode().split()[-1] == "False"


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
        "m.load_image_codec = lambda: (print('busy', flush=True), time.sleep(60)); "
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
    ink = tmp_path / "ink.tif"
    Image.new("CMYK", (4, 4)).save(ink)
    result = run("compress", photo, bad, ink, "-o", tmp_path / "out", "--jobs", 2)
    assert result.returncode == 3
    assert b"bad.png: neither a picture nor a sound" in result.stderr
    assert b"ink.tif: CMYK" in result.stderr
    assert b"1 of 3 files failed" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ink.vqc", "photo.vqc"]
    assert (tmp_path / "out" / "photo.vqc").read_bytes() == vqcodec.compress(photo)


def test_closed_standard_streams(tmp_path, packed):
    """As cron may leave them: one line, and nothing of ours lands in what is opened next."""
    photo = packed.with_suffix(".png")
    for arguments, closed, words in (
        (["info", "-"], "<&-", b"standard input: it is closed"),
        (["compress", "-", tmp_path / "o.vqc"], "<&-", b"standard input: it is closed"),
        (["compress", photo, "-"], ">&-", b"standard output is closed"),
        (["info", "--json", packed], ">&-", b"standard output is closed"),
        (["info", packed], ">/dev/full", b"standard output: cannot be written (No space left on device)"),
        (["--help"], ">/dev/full", b"standard output: cannot be written (No space left on device)"),
    ):
        line = f"{shlex.join(command(*arguments))} {closed}"
        result = subprocess.run(["bash", "-c", line], capture_output=True, timeout=120)
        assert result.returncode in (1, 3), arguments
        assert result.stderr.startswith(b"vqcodec: error: " + words), result.stderr
        assert result.stderr.count(b"\n") == 1
    line = f"{shlex.join(command('compress', photo, tmp_path / 'o.vqc'))} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], timeout=120).returncode == 0
    assert (tmp_path / "o.vqc").read_bytes() == packed.read_bytes()


def test_a_module_of_the_users_is_not_taken_for_pythons(tmp_path, photo):
    """Neither by workers nor by python -m: audio people have a signal.py."""
    (tmp_path / "signal.py").write_text("x = 1\n")
    shutil.copy(photo, tmp_path / "b.png")
    result = run(*("compress", "photo.png", "b.png", "-o", "out", "--jobs", 2), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    module = [sys.executable, "-m", "vqcodec", "compress", "photo.png", "b.png", "-o", "two", "--jobs", "2"]
    result = subprocess.run(module, capture_output=True, cwd=tmp_path, env=environment, timeout=240)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["b.vqc", "photo.vqc"]


def test_completion_of_a_command(packed):
    words = {"_VQCODEC_COMPLETE": "bash_complete", "COMP_WORDS": "vqcodec comp", "COMP_CWORD": "1"}
    result = subprocess.run(command(), capture_output=True, env=os.environ | words, timeout=60)
    assert result.stdout.decode().split() == ["plain,compress", "plain,compare", "plain,completion"]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")
def test_a_batch_that_is_terminated(tmp_path):
    """By SIGTERM to the parent alone: it says so, and within a second nothing of it is left."""
    process = batch(tmp_path, SLEEPY)
    with process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        start = time.monotonic()
        process.terminate()
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - start < 3  # a second, on a machine that does nothing else
    assert process.returncode == 143
    assert b"Traceback" not in errors
    assert gone(workers)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")
def test_a_step_that_takes_long_does_not_hold_up_a_signal(tmp_path):
    slow = (
        "import vqcodec.registry as m, numpy; a = numpy.ones((6000, 6000)); "
        "m.load_image_codec = lambda: (print('busy', flush=True), a @ a @ a @ a); "  # each of them takes seconds
    )
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    process = subprocess.Popen(
        command("compress", tmp_path / "a.png", setup=slow), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"busy\n"
        start = time.monotonic()
        process.terminate()
        _, errors = process.communicate(timeout=50)
    assert time.monotonic() - start < 5
    assert process.returncode == 143
    assert errors.startswith(b"vqcodec: error: ")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    process = batch(tmp_path, SLEEPY)
    with process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()
        assert gone(workers)
        process.stderr.read()


def gone(processes: list[int]) -> bool:
    """Whether they end within a few seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{number}").exists() for number in processes):
            return True
        time.sleep(0.05)
    return False


SLEEPY = """
import os, time
def work(pair, share):
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece
    time.sleep(60)
"""
BATCH = """
import sys, work
from vqcodec.cli.batch import Running, run_batch
from vqcodec.cli.lazy import LazyGroup
from vqcodec.cli.plan import Pair, Plan
import click

@click.command(cls=LazyGroup, lazy={}, invoke_without_command=True)
@click.pass_context
def main(ctx):
    todo = Plan([Pair(str(i), str(i)) for i in range(COUNT)])
    ctx.exit(run_batch(todo, work.work, lambda facts: "made", Running(jobs=2)))

main([])
"""


def batch(tmp_path: Path, work: str, count: int = 4) -> subprocess.Popen[bytes]:
    """A batch by two workers whose work is a function of this source."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "work.py").write_text(work)
    paths = os.pathsep.join([str(tmp_path / "modules"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", BATCH.replace("COUNT", str(count))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")
def test_a_batch_of_many_with_some_that_fail(tmp_path):
    """200 files: one worker is killed, another one ends, one file is broken, one cannot be read; the rest is done."""
    work = """
import os, signal
from pathlib import Path
from vqcodec.errors import CorruptError, InputError
def work(pair, share):
    if pair.source == "7":
        os.kill(os.getpid(), signal.SIGKILL)
    if pair.source == "50":
        os._exit(9)
    if pair.source == "90":
        raise CorruptError("breaks a rule", "chunk 3")
    if pair.source == "150":
        raise InputError("150: cannot be read (Permission denied); mend that")
    Path(f"made-{pair.source}").touch()
    return {}
"""
    process = batch(tmp_path, work, 200)
    _, errors = process.communicate(timeout=240)
    lines = errors.decode().splitlines()
    failed = sorted(line for line in lines if line.startswith("vqcodec: error: "))
    assert process.returncode == 3, errors
    assert failed == [
        "vqcodec: error: 150: cannot be read (Permission denied); mend that",
        "vqcodec: error: 4 of 200 files failed",
        "vqcodec: error: 50: its process ended in the middle (exit code 9); do this file once more",
        "vqcodec: error: 7: its process was ended by SIGKILL; do this file once more",
        "vqcodec: error: chunk 3: breaks a rule; get another copy",
    ]
    assert len([line for line in lines if line.endswith(": made")]) == 196
    assert len(list(tmp_path.glob("made-*"))) == 196


@pytest.mark.skipif(os.name != "posix", reason="needs folders that cannot be listed")
@pytest.mark.parametrize("medium", ["picture", "sound"])
def test_fork_after_use(photo, medium):
    """torch's threads are not there in a child made by fork; it works with one."""
    source = "sys.argv[1]" if medium == "picture" else "numpy.zeros((90_000, 2), 'f'), sample_rate=24_000"
    result_is = "size == (56, 40)" if medium == "picture" else "samples.shape == (90_000, 2)"
    code = (
        "import multiprocessing, numpy, sys, vqcodec\n"
        f"data = vqcodec.compress({source}); vqcodec.decompress(data)\n"
        f"def child(): assert vqcodec.decompress(vqcodec.compress({source})).{result_is}\n"
        "process = multiprocessing.get_context('fork').Process(target=child); process.start()\n"
        "process.join(150); alive = process.is_alive(); process.kill(); sys.exit(alive or process.exitcode)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(photo)], env=environment, capture_output=True, timeout=290
    )
    assert result.returncode == 0, result.stderr
