"""The stage that trains the prior's branch: network and integers agree, and training shortens code it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vqcodec.image.config import TINY
from vqcodec.image.model import ImageModel, integer_arrays, load_model, save_model
from vqcodec.image.train.closed_form import fit_closed_form
from vqcodec.image.train.code_cache import cache_codes, load_cache, save_cache
from vqcodec.image.train.code_replay import code_length, replay
from vqcodec.image.train.data import CropSource
from vqcodec.image.train.prior import PriorOptions, train_prior
from vqcodec.prior.export import export_phase
from vqcodec.prior.integer import PriorSlice, predict_rows
from vqcodec.prior.network import PhaseNetwork, code_bits
from vqcodec.train.fits import patches
from vqcodec.train.loop import Length
from vqcodec.train.phases import Rates

OPTIONS = PriorOptions(slices=("y2",), width=4, crops=4, held_out=2, rates=Rates(batch=256))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two noisy pictures whose noise is switched by place, so that energy has something to say."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:320, :320]
    for k in range(2):
        loud = 4 + 40 * ((x // 40 + y // (30 + 10 * k)) % 2)
        picture = 128 + 60 * np.sin(x / 30 + k) + loud * rng.standard_normal((320, 320))
        pixels = np.clip(picture, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def model(photos: Path) -> ImageModel:
    crops = CropSource(photos, 256, seed=1).batch(4)
    fit = fit_closed_form(TINY, crops, np.array([20, 90, 150, 220]))
    arrays = integer_arrays(TINY, fit.model, fit.stored, fit.low_stored)
    return ImageModel(TINY, fit.colour, fit.codebooks, fit.trust, fit.model, stored=arrays)


def _slice(model: ImageModel, name: str) -> PriorSlice:
    return model.codes.slices[[s.name for s in TINY.slices].index(name)]


def _trained_looking(s: PriorSlice, index: int) -> PhaseNetwork:
    torch.manual_seed(3)
    network = PhaseNetwork(s, index, 6)
    torch.nn.init.normal_(network.last, std=0.2)
    torch.nn.init.normal_(network.shift, std=0.2)
    return network


def test_integers_follow_the_network(model: ImageModel) -> None:
    s = _slice(model, "y1")
    network = _trained_looking(s, 3)
    whole = replace(export_phase(network, s, 3), row_width=1, row_offset=-500, rows=2000)
    rng = np.random.default_rng(4)
    channels = s.weight[3].shape[1]
    stack = rng.integers(-40, 60, (2, 10, 12, channels)).astype(np.float32)
    step = np.array([10, 200])
    rows, _ = predict_rows(whole, 3, step, stack, None, (2, 8, 10))
    steps = torch.from_numpy(step).repeat_interleave(80)
    with torch.no_grad():
        energy = network(torch.from_numpy(patches(stack)), steps).numpy().reshape(rows.shape)
    error = (rows // s.sign_bins - 500) / 16 - energy
    assert np.abs(error).mean() < 0.1
    assert np.abs(error).max() < 0.5
    assert energy.std() > 1


def test_export_refuses_sums_beyond_float32(model: ImageModel) -> None:
    s = _slice(model, "y1")
    network = _trained_looking(s, 3)
    network.bias.fill_(1e6)
    with pytest.raises(ValueError, match="does not hold exactly"):
        export_phase(network, s, 3)


def test_untrained_network_is_the_slice(model: ImageModel) -> None:
    s = _slice(model, "y2")
    stack = np.random.default_rng(5).integers(-40, 60, (1, 9, 9, s.weight[1].shape[1])).astype(np.float32)
    rows, _ = predict_rows(
        replace(s, row_width=1, row_offset=-500, rows=2000), 1, np.array([77]), stack, None, (1, 7, 7)
    )
    with torch.no_grad():
        energy = PhaseNetwork(s, 1, 4)(torch.from_numpy(patches(stack)), torch.full((49,), 77)).numpy()
    # both are rounded to 1/16, by halves
    assert np.abs(rows.reshape(49, -1) // s.sign_bins - 500 - 16 * energy).max() <= 0.51


def test_soft_rows_meet_the_table_in_the_middle_of_a_row(model: ImageModel) -> None:
    s = _slice(model, "y2")
    bits = torch.rand(s.groups, s.rows, s.sign_bins, s.codewords)
    row, none = torch.tensor([[5, 9, 0]]), torch.zeros(1, s.groups, dtype=torch.long)
    middle = (s.row_offset + s.row_width * (row + 0.5)) / 16
    got = code_bits(bits, s, middle, none, none)
    torch.testing.assert_close(got[0], bits[torch.arange(s.groups), row[0], 0, 0])


def test_replay_gives_the_contexts_and_symbols_of_coding(model: ImageModel, photos: Path, tmp_path: Path) -> None:
    cache = cache_codes(model, CropSource(photos, 256, 8), 3, 8)
    save_cache(cache, tmp_path / "codes.npz")
    again = load_cache(tmp_path / "codes.npz")
    assert all(np.array_equal(a, b) for a, b in zip(cache.codes, again.codes, strict=True))
    i = [s.name for s in TINY.slices].index("y2")
    s = model.codes.slices[i]
    exact = code_length(model.codes, again)
    for _, p, codes in replay(model.codes.slices, 6, again, {(i, 1)}):
        with torch.no_grad():
            energy = PhaseNetwork(s, p, 4)(codes.patches(torch.arange(len(codes))), codes.step)
        row = ((torch.floor(energy * 16 + 0.5) - s.row_offset) // s.row_width).clamp(0, s.rows - 1).long()
        w = torch.from_numpy(model.codes.tables[i].weights.astype(np.float64)).reshape(3, s.rows, s.sign_bins, -1)
        chosen = w[torch.arange(3), row, codes.bins]
        length = chosen.sum(-1).log2() - chosen.gather(-1, codes.symbols[..., None])[..., 0].log2()
        assert float(length.sum()) == pytest.approx(exact[i, p], rel=2e-3)


def test_stage_shortens_held_out_code_and_resumes(model: ImageModel, photos: Path, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model.safetensors")
    report = train_prior(tmp_path, photos, Length(steps=400), resume=False, options=OPTIONS)
    assert report["integer"] < report["before"] < report["static"] < report["fixed"]
    assert report["integer"] == pytest.approx(report["float"], rel=0.01)
    trained = load_model(tmp_path / "model.safetensors")
    assert all(h is not None for h in _slice(trained, "y2").hidden)
    assert all(h is None for h in _slice(trained, "y1").hidden)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line.get("phase") for line in log] == [0, 1, 2, 3, None]


def test_a_run_that_was_stopped_goes_on_to_the_same_model(
    model: ImageModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqcodec.image.train import prior as prior_stage

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for run in (whole, cut):
        run.mkdir()
        save_model(model, run / "model.safetensors")
    train_prior(whole, photos, Length(steps=8), resume=False, options=OPTIONS)
    fit, done = prior_stage.fit_phase, []

    def stop_at_third(*given: Any, **options: Any) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(given)
        return fit(*given, **options)

    with monkeypatch.context() as m:
        m.setattr(prior_stage, "fit_phase", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            train_prior(cut, photos, Length(steps=8), resume=False, options=OPTIONS)
    assert not any(h is not None for h in _slice(load_model(cut / "model.safetensors"), "y2").hidden)
    train_prior(cut, photos, Length(steps=8), resume=True, options=OPTIONS)
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
