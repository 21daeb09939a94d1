"""Both stages of training for sound from the command line, on a tiny model and a made-up sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from vqcodec.audio.codec import AudioCodec
from vqcodec.audio.config import AUDIO_TINY
from vqcodec.audio.mdct import HOP
from vqcodec.audio.model import load_audio_model
from vqcodec.audio.train import prior as audio_prior
from vqcodec.audio.train import transform as audio_stage
from vqcodec.audio.train.data import QUIET, SURROUNDING, AudioSource, Folder, parse_folder
from vqcodec.audio.train.network import AudioNetworks
from vqcodec.audio.train.noise import FIRST, HIGH, HIGH_SHARE, LOW_SHARE, fit_noise
from vqcodec.audio.transform import LOUD
from vqcodec.bitstream import AudioHeader
from vqcodec.cli.train import train
from vqcodec.errors import InputError
from vqcodec.registry import IMAGE_MODELS

RATE = 16_000


def tones(seconds: float, seed: int) -> np.ndarray:
    """Notes of a quarter second with overtones, in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(RATE // 4) / RATE
    notes = []
    for _ in range(round(4 * seconds)):
        pitch, size = rng.uniform(90, 700), rng.uniform(0.02, 0.3)
        notes.append(size * sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 7)) * np.exp(-4 * t))
    return np.concatenate(notes) + 0.003 * rng.standard_normal(len(notes) * len(t))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s in two files, one of them stereo in a folder further down."""
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "a.wav", tones(12, 0), RATE)
    (folder / "more").mkdir()
    soundfile.write(folder / "more" / "b.flac", np.stack([tones(8, 1)] * 2, 1), RATE)
    (folder / "notes.txt").write_text("no sound")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Small batches; everything else as on the command line."""
    with pytest.MonkeyPatch.context() as patch:
        options = partial(audio_stage.AudioOptions, batch=2, frames=12, start_steps=2)
        patch.setattr(audio_stage, "AudioOptions", options)
        patch.setattr("vqcodec.audio.train.noise.BATCH", 2)
        patch.setattr(audio_prior, "AudioPriorOptions", partial(audio_prior.AudioPriorOptions, held_out=6))
        patch.setattr("vqcodec.audio.train.run.AudioPriorOptions", partial(audio_prior.AudioPriorOptions, held_out=6))
        yield


def call(data: Path, folder: Path, *options: str) -> None:
    result = CliRunner().invoke(
        train, ["audio", "--data", str(data), "--out", str(folder), "--preset", "audio-tiny", *options]
    )
    assert result.exit_code == 0, result.output + repr(result.exception)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    call(data, folder, "--steps", "3")
    return folder


def steps_done(run: Path) -> int:
    return int(torch.load(run / "transform.ckpt", weights_only=True)["done"])


def test_the_transform_trains_and_resumes(data: Path, run: Path) -> None:
    assert steps_done(run) == 3
    before = torch.load(run / "transform.ckpt", weights_only=True)["transform"]
    assert before["synthesis.last.weight"].any()  # it was zero at the start
    call(data, run, "--steps", "5", "--resume")
    assert steps_done(run) == 5
    after = torch.load(run / "transform.ckpt", weights_only=True)["transform"]
    assert not torch.equal(before["synthesis.last.weight"], after["synthesis.last.weight"])
    assert len(list((run / "sounds").glob("*.npy"))) == 1  # converted once
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 5
    assert np.isfinite(np.array(list(last["held_out"].values()))).all()


def test_the_prior_makes_a_model_that_codes(data: Path, run: Path) -> None:
    call(data, run, "--stage", "prior", "--stretches", "16", "--minutes", "0.05")
    model = load_audio_model(run / "model.safetensors")
    codec = AudioCodec(model, 0)
    report = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert report["stage"] == "prior"
    assert 0 < np.sum(report["kbit_per_s"]) < 3 * report["fixed_kbit_per_s"]
    samples = tones(1, 5).astype(np.float32)[:, None]
    chunks = list(codec.encode([samples], 60))
    header = AudioHeader(48_000, 1, len(samples), 60, codec.model_id, 0, codec.chunk_frames)
    decoded = np.concatenate(list(codec.decode(header, chunks)))
    assert np.square(decoded - samples).mean() < 0.5 * np.square(samples).mean()


def test_noise_fitted_to_what_lines_hold(data: Path, run: Path) -> None:
    """Noise over the whole band comes back at its level, where a network made to be silent had left holes."""
    call(data, run, "--stage", "prior", "--stretches", "16", "--minutes", "0.02")
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in logged[-2:]] == ["noise", "prior"]
    networks = AudioNetworks(AUDIO_TINY)
    with torch.no_grad():
        networks.synthesis.last.bias[HOP:] = 0.05
    source = AudioSource([Folder(data, 1)], run / "sounds", 1)
    rng = np.random.default_rng(2)
    source.batch = lambda count, frames: torch.from_numpy(  # type: ignore[method-assign]
        rng.normal(0, LOUD, (count, frames * HOP)).astype(np.float32)
    )
    trained = networks.synthesis.last.bias[HOP : 2 * HOP].clone()
    held, before, after = fit_noise(networks, source, batches=4)
    assert before == pytest.approx(0.05, abs=0.02)
    assert 0.3 < held < 1.3
    assert after == pytest.approx(
        held * (LOW_SHARE * (HIGH - FIRST) + HIGH_SHARE * (HOP - HIGH)) / (HOP - FIRST), rel=0.1
    )
    assert torch.equal(networks.synthesis.last.bias[HOP : 2 * HOP], trained)
    assert torch.equal(networks.synthesis.last.bias[2 * HOP : 2 * HOP + FIRST], trained[:FIRST])


def test_a_model_is_where_another_run_begins(data: Path, run: Path, tmp_path: Path) -> None:
    if not (run / "model.safetensors").exists():
        call(data, run, "--stage", "prior", "--stretches", "16", "--minutes", "0.05")
    begun = load_audio_model(run / "model.safetensors").transform["tilt"]
    call(data, tmp_path, "--steps", "1", "--init", str(run / "model.safetensors"))
    assert torch.allclose(
        torch.load(tmp_path / "transform.ckpt", weights_only=True)["average"]["tilt"], torch.from_numpy(begun), atol=0.1
    )


def test_errors_name_the_remedy(data: Path, run: Path, tmp_path: Path) -> None:
    def fail(*options: str, folder: Path = data) -> str:
        result = CliRunner().invoke(train, ["audio", "--data", str(folder), *options])
        assert result.exit_code != 0
        assert not isinstance(result.exception, (RuntimeError, KeyError)), result.exception
        return result.output + str(result.exception)

    out, tiny = str(tmp_path), ("--preset", "audio-tiny")
    assert "--minutes or --steps" in fail("--out", out)
    assert "not both" in fail("--out", out, "--steps", "1", "--minutes", "1")
    assert "--stage transform first" in fail("--out", out, "--stage", "prior")
    assert "no such model" in fail("--out", out, "--steps", "1", "--init", str(tmp_path / "none.safetensors"))
    assert "not a vqcodec audio model" in fail("--out", out, "--steps", "1", "--init", str(data / "a.wav"))
    assert "without --resume" in fail("--out", out, *tiny, "--steps", "1", "--resume")
    wrong = fail("--out", out, *tiny, "--steps", "1", "--init", str(IMAGE_MODELS[-1].path))
    assert "is a 'vqcodec image model" in wrong
    assert "give a model.safetensors" in wrong
    assert "install" not in wrong
    assert "--preset" in fail("--out", str(run), "--steps", "9", "--resume")
    assert "a share of 0 is none" in fail("--out", out, "--steps", "1", folder=Path(f"{data}:0"))
    assert "--preset" in fail("--out", str(run), "--stage", "prior")
    assert "--stretches" in fail("--out", str(run), "--stage", "prior", "--stretches", "2")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "less than 16 s of sound in files ending in .flac" in fail("--out", out, "--steps", "1", folder=empty)
    for name in ("none", "none:0,5"):
        assert f"{name}: no such folder; give DIR or DIR:SHARE" in fail(
            "--out",
            out,
            folder=tmp_path / name,  # before the length, which is missing, too
        )
    (empty / "bad.wav").write_bytes(b"junk")
    assert "bad.wav: cannot be read" in fail("--out", out, "--steps", "1", folder=empty)
    for content in (b"junk", b"PK\3\4" + bytes(99)):
        (tmp_path / "transform.ckpt").write_bytes(content)
        assert "a damaged one; begin without --resume" in fail("--out", out, *tiny, "--steps", "1", "--resume")
    torch.save({"other": 1}, tmp_path / "transform.ckpt")
    assert "--resume" in fail("--out", out, *tiny, "--steps", "1", "--resume")
    assert "--resume" in fail("--out", out, *tiny, "--stage", "prior")


# --- the data ---


def test_parts_do_not_overlap_and_levels_are_alike(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqcodec.audio.train.data.PAUSE", 0.0)
    monkeypatch.setattr("vqcodec.audio.train.data.MADE_UP", 0.0)
    source = AudioSource([Folder(data, 1)], tmp_path, 0)
    test = AudioSource([Folder(data, 1)], tmp_path, 0, part="test")
    assert len(source._sounds[0]) + len(test._sounds[0]) == 20 * 48_000
    assert len(test._sounds[0]) == SURROUNDING  # 4 % of so little is not enough
    batch = source.batch(6, 200, jitter=0.0)
    assert batch.shape == (6, 200 * HOP)
    loud = batch.reshape(6, -1, HOP).square().mean(2).quantile(0.9, 1).sqrt()
    assert torch.allclose(loud, torch.tensor(LOUD), rtol=0.001)
    again = AudioSource([Folder(data, 1)], tmp_path, 0).batch(6, 200, jitter=0.0)
    assert torch.equal(again, batch)


def test_some_stretches_end_in_a_pause(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqcodec.audio.train.data.PAUSE", 1.0)
    monkeypatch.setattr("vqcodec.audio.train.data.MADE_UP", 0.0)
    batch = AudioSource([Folder(data, 1)], tmp_path, 0).batch(8, 50)
    silent = (batch == 0).flip(1).cumprod(1).sum(1)
    assert (silent > 0).all()
    assert len(silent.unique()) > 4


def test_shares_decide_what_is_drawn(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqcodec.audio.train.data.MADE_UP", 0.0)
    monkeypatch.setattr("vqcodec.audio.train.data.SPED", 0.0)
    other = tmp_path / "other"
    other.mkdir()
    soundfile.write(other / "hum.wav", 0.1 * np.sin(np.arange(18 * RATE) * 2 * np.pi * 50 / RATE), RATE)
    source = AudioSource([Folder(data, 0.0), Folder(other, 2.0)], tmp_path / "cache", 0)
    for one in source.batch(4, 100):
        power = torch.fft.rfft(one).abs()
        assert int(power.argmax()) == 100  # 50 Hz over two seconds


def test_some_stretches_are_made_up(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are, they have the level of the others, and the same seed gives the same."""
    monkeypatch.setattr("vqcodec.audio.train.data.MADE_UP", 1.0)
    monkeypatch.setattr("vqcodec.audio.train.data.PAUSE", 0.0)
    one, two = (AudioSource([Folder(data, 1)], tmp_path, 3).batch(40, 60, jitter=0.0) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.isfinite(one).all()
    loud = one.reshape(40, -1, HOP // 2).square().mean(2).amax(1).sqrt()
    assert float(loud.min()) > 0.5 * LOUD
    assert float(loud.max()) < 8 * LOUD
    bands = (
        torch.fft.rfft(one).abs().square().reshape(40, -1)[:, : one.shape[1] // 2 // 24 * 24].reshape(40, 24, -1).sum(2)
    )
    assert len(bands.argmax(1).unique()) > 3  # not all of them low


def test_narrow_recordings_are_played_faster_too(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sound of 16 kHz only what is played faster has anything above 8 kHz."""
    module = "vqcodec.audio.train.data"
    monkeypatch.setattr(f"{module}.MADE_UP", 0.0)
    high = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(f"{module}.SPED", share)
        batch = AudioSource([Folder(data, 1.0)], tmp_path, 1).batch(24, 20).numpy()
        spectrum = np.square(np.abs(np.fft.rfft(batch * np.hanning(batch.shape[1]))))
        high.append((spectrum[:, spectrum.shape[1] * 9 // 24 :].sum(1) / spectrum.sum(1)).mean())
    assert high[0] < 1e-6
    assert high[1] > 1e-4


def test_silence_is_refused_rather_than_waited_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqcodec.audio.train.data.MADE_UP", 0.0)
    soundfile.write(tmp_path / "still.wav", np.full(18 * RATE, 0.1 * QUIET / 32_768), RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="silence"):
        AudioSource([Folder(tmp_path, 1)], tmp_path / "cache", 0).batch(1, 20)


@pytest.mark.parametrize(
    ("text", "path", "share"), [("a/b", "a/b", 1.0), ("a/b:0.3", "a/b", 0.3), ("C:/x", "C:/x", 1.0), ("a:2", "a", 2.0)]
)
def test_folders_with_shares(text: str, path: str, share: float) -> None:
    assert parse_folder(text) == Folder(Path(path), share)


def test_a_resume_without_checkpoint_is_an_error(data: Path, tmp_path: Path) -> None:
    options = ["audio", "--data", str(data), "--out", str(tmp_path), "--preset", "audio-tiny", "--steps", "2"]
    result = CliRunner().invoke(train, [*options, "--resume"])
    assert isinstance(result.exception, InputError)
    assert "no checkpoint there" in str(result.exception)
    assert not (tmp_path / "transform.ckpt").exists()


TWO = """
import sys
from pathlib import Path
from vqcodec.audio.config import AUDIO_TINY
from vqcodec.audio.train.data import Folder
from vqcodec.audio.train.transform import AudioOptions, train_transform
from vqcodec.train.loop import Length

options = AudioOptions(batch=2, frames=16, start_steps=2)
data, run = map(Path, sys.argv[1:])
train_transform(AUDIO_TINY, run, [Folder(data, 1.0)], Length(steps=2), resume=False, options=options)
"""


def test_two_processes_take_the_same_steps(data: Path, tmp_path: Path) -> None:
    """What torchrun starts; process 0 alone writes, and the gradients of both make every step."""
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "two.py"), str(data), str(tmp_path)]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
    state = torch.load(tmp_path / "transform.ckpt", weights_only=True)
    assert state["done"] == 2
    assert len([line for line in (tmp_path / "log.jsonl").read_text().splitlines() if "held_out" in line]) == 1
