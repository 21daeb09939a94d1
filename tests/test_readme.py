"""What README.md shows runs as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

import vqcodec
from vqcodec.cli import COMMANDS, main
from vqcodec.image.save import SUFFIXES
from vqcodec.kinds import SOUND_SUFFIXES
from vqcodec.workers import INTERRUPTED, TERMINATED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the examples as the current one: photographs small enough to be quick, and the speech."""
    (tmp_path / "examples").mkdir()
    for path in (ROOT / "examples").glob("*.png"):
        with Image.open(path) as image:
            image.resize((96, 64)).save(tmp_path / "examples" / path.name)
    shutil.copy(ROOT / "examples" / "speech.flac", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_screen_holds_two_commands():
    first_screen = "\n".join(README.splitlines()[:25])
    assert len(re.findall(r"^```sh\n.*\n```$", first_screen, re.MULTILINE)) == 2
    for block in blocks("sh")[:2]:
        assert block.startswith("python3 -m venv .venv && . .venv/bin/activate && pip install ")


def vqcodec_lines() -> list[str]:
    lines = [line for block in blocks("sh") for part in block.splitlines() for line in part.split(" && ")]
    return [line for line in lines if line.startswith("vqcodec ")]


def test_command_lines_run(folder):
    lines = vqcodec_lines()
    assert len(lines) >= 10
    for line in lines:
        # Several processes would each load the real codec; that has a test of its own.
        words = shlex.split(line.replace("--jobs 2", "--jobs 1"), comments=True)[1:]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{line}: {result.output}"
    assert (folder / "unpacked" / "otters.png").exists()
    assert (folder / "packed" / "speech.vqc").exists()
    assert soundfile.info("speech.flac").frames == soundfile.info("examples/speech.flac").frames


def test_python_snippets_run(folder, capsys):
    tokens, pictures, sound = blocks("python")
    exec(compile(tokens, "README.md", "exec"), {})
    assert (folder / "lake-codes.npz").exists()
    small = pictures.replace("20_000", "2_000")
    exec(compile(small, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0
    assert (folder / "lake.vqc").read_bytes().startswith(b"\x89VQC")
    exec(compile(sound, "README.md", "exec"), {})
    assert capsys.readouterr().out == "(8000, 1) 16000 {}\n84800\n"
    assert soundfile.info(folder / "part.flac").frames == 8_000


def test_commands_and_suffixes_that_are_named_exist():
    for name in re.findall(r"\bvqcodec ([a-z-]+)\b", README):
        assert name in COMMANDS, name
    for suffix in re.findall(r"(?<= )\.(?:png|webp|tiff|jpg|bmp)\b", README):
        assert suffix in SUFFIXES
    sounds = set(re.findall(r"speech\.vqc \w+(\.\w+)", README))
    assert sounds == set(SOUND_SUFFIXES)


def test_the_default_quality_is_the_one_named():
    (default,) = re.findall(r"(\d+) by default", README)
    assert vqcodec.compress("examples/lake.png") == vqcodec.compress("examples/lake.png", quality=float(default))


def test_exit_codes_are_those_of_the_errors():
    from vqcodec import errors

    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VqcError)]
    assert {kind.exit_code for kind in kinds} | {0, INTERRUPTED, TERMINATED} == table


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_figures_of_pictures_are_those_of_the_results():
    """Rows of README's table of Kodak by name, and what they say, in the table that the benchmark wrote."""
    results = (ROOT / "benchmarks" / "results" / "kodak-bd-rate.md").read_text()
    measured = {row[0]: row[1:3] for row in rows(results) if re.match(r"[-+]\d", row[1])}
    named = {row[0]: row[1:3] for row in rows(README) if row[0] in measured}
    assert len(named) >= 11
    assert {"VTM [published]", "AV1 [published]", "vqcodec", "AVIF 4:4:4, speed 6"} <= named.keys()
    for name, figures in named.items():
        wanted = [re.sub(r"\(part: (.*)\)", r"(\1)", figure) for figure in measured[name]]
        assert figures == [figure.replace("not measured", "not published") for figure in wanted], name
    ours = delta_rate(measured["vqcodec"])
    assert [name for name in named if delta_rate(named[name]) < ours][:7] == [*named][:7]


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of all tables, without emphasis and escapes."""
    plain = text.replace("**", "").replace("\\[", "[")
    lines = [line for line in plain.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def delta_rate(figures: list[str]) -> float:
    """Over PSNR, in per cent."""
    return float(figures[0].split(" ")[0])


def test_sources_of_training_data_are_listed():
    weights = Path(vqcodec.__file__).parent / "weights"  # of the installed package
    text = (weights / "ATTRIBUTION.md").read_text()
    for model in weights.glob("*.safetensors"):
        card = model.with_suffix(".md").read_text()
        assert f"## {model.stem}\n" in text
        assert "`ATTRIBUTION.md`" in card
        for package in re.findall(r"[a-z-]+-(?:data-[a-z]{2}|data|music)\b", card):
            assert package in text
    assert len(re.findall(r"\| (?:yes|no)\b.* \|$", text, re.MULTILINE)) > 25
