"""Every stage of training from the command line, on a tiny model and the example pictures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vqcodec.cli.train import train
from vqcodec.errors import InputError, OutputError
from vqcodec.image.model import load_model
from vqcodec.registry import AUDIO_MODELS

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    call(folder, "--stage", "start", "--preset", "tiny", "--crops", "16")
    return folder


def call(folder: Path, *options: str) -> None:
    result = CliRunner().invoke(train, ["image", "--data", str(EXAMPLES), "--out", str(folder), *options])
    assert result.exit_code == 0, result.output + repr(result.exception)


def test_the_start_is_repeatable(run: Path, tmp_path: Path) -> None:
    call(tmp_path, "--stage", "start", "--preset", "tiny", "--crops", "16")
    assert (tmp_path / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_the_filter_trains_saves_and_resumes(run: Path) -> None:
    pytest.importorskip("ssimulacra2")
    if find_spec("stlpips_pytorch") is None:
        pytest.skip("its loss needs the weights of stlpips-pytorch")
    before = load_model(run / "model.safetensors")
    assert not before.restore
    call(run, "--stage", "restore", "--crops", "16", "--steps", "3")
    after = load_model(run / "model.safetensors")
    assert after.restore["last.weight"].any()
    assert set(after.faithful) == set(after.restore)
    assert not np.array_equal(after.faithful["last.weight"], after.restore["last.weight"])
    assert after.training["restore"]["steps"] == 3
    assert all(np.array_equal(a, b) for a, b in zip(before.codebooks, after.codebooks, strict=True))
    assert torch.load(run / "restore.ckpt", weights_only=True)["done"] == 3
    call(run, "--stage", "restore", "--crops", "16", "--steps", "5", "--resume")
    assert torch.load(run / "restore.ckpt", weights_only=True)["done"] == 5


def test_errors_name_the_remedy(run: Path, tmp_path: Path) -> None:
    def fail(*options: str) -> str:
        result = CliRunner().invoke(train, ["image", "--data", str(EXAMPLES), *options])
        assert result.exit_code != 0
        return result.output + str(result.exception)

    assert "--minutes or --steps" in fail("--out", str(run), "--stage", "restore")
    assert "--stage start first" in fail("--out", str(tmp_path), "--stage", "restore", "--steps", "1")
    assert "not both" in fail("--out", str(run), "--stage", "restore", "--steps", "1", "--minutes", "1")
    assert "contradict" in fail("--out", str(run), "--stage", "restore", "--steps", "1", "--resume", "--init", "none")
    assert "no such model" in fail("--out", str(tmp_path), "--init", str(tmp_path / "none.safetensors"))
    empty = tmp_path / "empty"
    empty.mkdir()
    result = CliRunner().invoke(train, ["image", "--data", str(empty), "--out", str(tmp_path)])
    assert "photographs" in str(result.exception)


@pytest.mark.parametrize("stage", ["start", "prior", "restore"])
def test_what_is_no_picture_or_none_at_all_is_named(run: Path, tmp_path: Path, stage: str) -> None:
    shutil.copyfile(run / "model.safetensors", tmp_path / "model.safetensors")
    data = tmp_path / "data"
    data.mkdir()
    options = ["image", "--data", str(data), "--out", str(tmp_path), "--stage", stage, "--steps", "1", "--crops", "16"]
    for content, said in ((b"", "no picture of at least"), (b"junk", "bad.jpg: cannot be read")):
        if content:
            (data / "bad.jpg").write_bytes(content)
        result = CliRunner().invoke(train, options)
        assert isinstance(result.exception, InputError), result.exception
        assert said in str(result.exception)


@pytest.mark.parametrize("medium", ["image", "tokens"])
def test_models_to_begin_with_are_inputs(tmp_path: Path, medium: str) -> None:
    """The file is named, and what is expected; of a model that is the user's nobody is to install the package anew."""
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    stage = "restore" if medium == "image" else "network"
    options = [medium, "--data", str(EXAMPLES), "--out", str(tmp_path / "run"), "--stage", stage, "--steps", "1"]
    for file, said in ((junk, f"not a vqcodec {medium} model"), (AUDIO_MODELS[-1].path, "is a 'vqcodec audio model")):
        result = CliRunner().invoke(train, [*options, "--init", str(file)])
        assert isinstance(result.exception, InputError), result.exception
        text = str(result.exception)
        assert text.startswith(f"{file}: ")
        assert said in text
        assert "give a model.safetensors" in text
        assert "install" not in text
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"junk")  # what the stage before left
    result = CliRunner().invoke(train, [*options[:-3], "prior", *options[-2:]])
    assert isinstance(result.exception, InputError), result.exception


def test_an_output_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        result = CliRunner().invoke(train, ["image", "--data", str(EXAMPLES), "--out", str(out), "--crops", "16"])
        assert isinstance(result.exception, OutputError)
        assert str(result.exception).startswith(f"{out}: cannot be made")


@pytest.mark.parametrize("medium", ["image", "tokens", "audio"])
@pytest.mark.parametrize("content", [None, b"junk"])
def test_data_that_cannot_be_used_leave_no_folder(tmp_path: Path, medium: str, content: bytes | None) -> None:
    data, ours = tmp_path / "data", tmp_path / "ours"
    for folder in (data, ours):
        folder.mkdir()
    if content:
        (data / ("a.wav" if medium == "audio" else "a.png")).write_bytes(content)
    for out in (tmp_path / "new" / "run", ours / "run", ours):
        result = CliRunner().invoke(train, [medium, "--data", str(data), "--out", str(out), "--steps", "1"])
        assert isinstance(result.exception, InputError), result.exception
        assert str(data) in str(result.exception)
    assert sorted(tmp_path.iterdir()) == [data, ours]  # what was there before stays
    assert not [*ours.iterdir()]


@pytest.mark.parametrize("medium", ["image", "tokens", "audio"])
@pytest.mark.parametrize("minutes", ["nan", "inf"])
def test_minutes_without_end_are_wrong_use(tmp_path: Path, medium: str, minutes: str) -> None:
    options = [medium, "--data", str(EXAMPLES), "--out", str(tmp_path / "run"), "--stage", "prior"]
    result = CliRunner().invoke(train, [*options, "--minutes", minutes])
    assert result.exit_code == 2, result.exception
    assert "has no end" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("medium", ["image", "tokens"])
def test_a_seed_below_zero_is_wrong_use(tmp_path: Path, medium: str) -> None:
    options = [medium, "--data", str(EXAMPLES), "--out", str(tmp_path / "run"), "--steps", "1", "--crops", "16"]
    result = CliRunner().invoke(train, [*options, "--seed", "-1"])
    assert result.exit_code == 2, result.exception
    assert "--seed" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", ["prior", "restore"])
@pytest.mark.parametrize("kind", ["junk", "cut", "another stage", "another model", "no dictionary"])
def test_a_damaged_or_foreign_checkpoint_is_an_input_error(run: Path, tmp_path: Path, stage: str, kind: str) -> None:
    if stage == "restore" and find_spec("stlpips_pytorch") is None:
        pytest.skip("its loss needs the weights of stlpips-pytorch")
    shutil.copyfile(run / "model.safetensors", tmp_path / "model.safetensors")
    path = tmp_path / f"{stage}.ckpt"
    jobs = {4: {"knots": torch.zeros(1)}}  # of y4, but not all of it
    other = {"network": {"knots": torch.zeros(1)}}  # as other stages write them
    states = {"junk": torch.zeros(3_000), "cut": torch.zeros(3_000), "another stage": other}
    torch.save(states.get(kind, jobs), path)
    if kind == "no dictionary":
        torch.save(torch.zeros(3), path)
    elif kind in ("junk", "cut"):
        path.write_bytes(b"junk" * 9 if kind == "junk" else path.read_bytes()[:2_000])
    options = ["image", "--data", str(EXAMPLES), "--out", str(tmp_path), "--stage", stage, "--steps", "2", "--resume"]
    result = CliRunner().invoke(train, [*options, "--crops", "16"])
    assert isinstance(result.exception, InputError), result.exception
    assert str(result.exception).startswith(f"{path}: ")
    assert "begin without --resume" in str(result.exception)


def test_model_info_counts_the_shipped_models() -> None:
    from vqcodec.cli.model_info import model_info

    image, tokens, audio = json.loads(CliRunner().invoke(model_info, ["--json"]).output)
    assert len(tokens["parts"]) > 3
    assert image["parts"]["synthesis"]["mac_per_pixel"] > image["parts"]["analysis"]["mac_per_pixel"]
    assert image["parts"]["prior"]["mac_per_pixel"] > 100
    assert audio["parts"]["synthesis"]["numbers"] > audio["parts"]["analysis"]["numbers"] > 1_000_000
    assert 1000 < audio["parts"]["prior"]["mac_per_sample"] < audio["parts"]["analysis"]["mac_per_sample"]


@pytest.mark.parametrize("stage", ["prior", "restore"])
def test_a_resume_without_checkpoint_is_an_error(run: Path, tmp_path: Path, stage: str) -> None:
    shutil.copyfile(run / "model.safetensors", tmp_path / "model.safetensors")
    options = ["image", "--data", str(EXAMPLES), "--out", str(tmp_path), "--stage", stage, "--steps", "2", "--resume"]
    result = CliRunner().invoke(train, [*options, "--crops", "16"])
    assert isinstance(result.exception, InputError)
    assert "no checkpoint there" in str(result.exception)


def test_two_processes_take_the_same_steps(run: Path, tmp_path: Path) -> None:
    """What torchrun starts; process 0 alone writes, and the gradients of both make every step."""
    shutil.copyfile(run / "model.safetensors", tmp_path / "model.safetensors")
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "vqcodec", "train", "image", "--data", str(EXAMPLES), "--out", str(tmp_path)]
    command += ["--stage", "restore", "--crops", "16", "--steps", "2"]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert torch.load(tmp_path / "restore.ckpt", weights_only=True)["done"] == 2
    assert load_model(tmp_path / "model.safetensors").training["restore"]["steps"] == 2
