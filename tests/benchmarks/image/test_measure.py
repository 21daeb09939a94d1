"""Measuring, caching, spreading work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vqcodec.benchmarks.image import measure
from vqcodec.benchmarks.image.codecs import ANCHOR, select_codecs
from vqcodec.errors import InputError
from vqcodec.workers import in_processes


@pytest.fixture
def work(pictures, tmp_path):
    codec = replace(select_codecs([ANCHOR])[0], qualities=(20, 80))
    return measure.Work(codec, pictures / "first.png", tmp_path / "cache", perceptual=False)


def refuse(*arguments):
    raise AssertionError("must not encode again")


def test_a_measurement_adds_up(work):
    low, high = measure.measure_work(work)
    assert (low.quality, high.quality) == (20, 80)
    assert low.bpp == 8 * low.size / (192 * 176) < high.bpp
    assert low.psnr < high.psnr
    assert low.ms_ssim < high.ms_ssim < 1
    assert low.ssimulacra2 is None
    assert min(low.encode_seconds, low.decode_seconds) > 0


def test_a_second_run_reads_the_cache_even_under_another_name(work, monkeypatch):
    first = measure.measure_work(work)
    moved = work.path.rename(work.path.with_name("moved.png"))
    monkeypatch.setattr(measure, "encode", refuse)
    again = measure.measure_work(replace(work, path=moved))
    assert again == [replace(item, picture="moved") for item in first]


@pytest.mark.parametrize("change", ["pixels", "options", "quality", "more metrics", "damaged entry"])
def test_what_changes_the_result_is_measured_anew(work, monkeypatch, change):
    measure.measure_work(work)
    if change == "pixels":
        work = replace(work, path=work.path.with_name("second.png"))
    elif change == "options":
        work = replace(work, codec=replace(work.codec, options=(("subsampling", "4:4:4"),)))
    elif change == "quality":
        work = replace(work, codec=replace(work.codec, qualities=(21,)))
    elif change == "more metrics":
        work = replace(work, perceptual=True)
    else:
        for path in work.cache.rglob("*.json"):
            path.write_text(path.read_text()[:30])
    monkeypatch.setattr(measure, "encode", refuse)
    with pytest.raises(AssertionError, match="again"):
        measure.measure_work(work)


def test_our_own_results_are_never_cached(work, monkeypatch):
    ours = replace(work.codec, name="vqcodec", format="")
    monkeypatch.setattr(measure, "encode", lambda codec, picture, quality: bytes(int(quality)))
    monkeypatch.setattr(measure, "decode", lambda codec, data: measure.load_picture(work.path))
    assert [item.size for item in measure.measure_work(replace(work, codec=ours))] == [20, 80]
    assert not work.cache.exists()


def test_a_subset_is_spread_evenly(tmp_path):
    for number in range(1, 25):
        (tmp_path / f"kodim{number:02}.png").touch()
    (tmp_path / "README.md").touch()
    names = [path.stem for path in measure.find_pictures(tmp_path, 6)]
    assert names == ["kodim01", "kodim05", "kodim09", "kodim13", "kodim17", "kodim21"]
    assert len(measure.find_pictures(tmp_path, 99)) == 24


def test_bad_folders_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        measure.find_pictures(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no pictures"):
        measure.find_pictures(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        measure.load_picture(tmp_path / "broken.png")


def test_progress_counts_and_results_are_in_order(work):
    seen = []
    other = replace(work, path=work.path.with_name("second.png"))
    results = measure.measure_all([other, work], 1, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert [(item.quality, item.picture) for item in results] == [
        (20, "first"),
        (20, "second"),
        (80, "first"),
        (80, "second"),
    ]


def test_two_processes_return_everything():
    assert sorted(in_processes(abs, [-3, 1, -2], 2)) == [1, 2, 3]
