"""The stage that trains the prior: networks and integers agree, and training shortens code it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vqcodec.image.codes import encode_codes
from vqcodec.image.config import TINY
from vqcodec.image.context import Context
from vqcodec.image.level_network import Running
from vqcodec.image.model import ImageModel, integer_arrays, load_model, save_model
from vqcodec.image.seen import PictureMaps, low_units, map_edges, whole_codewords
from vqcodec.image.sight import Sight
from vqcodec.image.train.closed_form import fit_closed_form
from vqcodec.image.train.code_cache import cache_codes, load_cache, save_cache
from vqcodec.image.train.code_replay import code_length
from vqcodec.image.train.data import CropSource
from vqcodec.image.train.level_training import LevelCodes, LevelTrainer, Widths, export_level, level_codes
from vqcodec.image.train.prior import PriorOptions, train_prior
from vqcodec.prior.export import export_phase
from vqcodec.prior.integer import VALUE_UNIT, PriorSlice, predict_rows
from vqcodec.prior.network import PhaseNetwork, code_bits
from vqcodec.train.fits import patches
from vqcodec.train.loop import Length

WIDTHS = Widths(6, 4, 5)
OPTIONS = PriorOptions(slices=("y2", "y1"), widths=WIDTHS, crops=4, held_out=2, batch=2048)


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


def _sight(model: ImageModel) -> Sight:
    luma = [i for i, s in enumerate(TINY.slices) if not s.chroma and s.level > 1]
    words = dict(zip(luma, whole_codewords(TINY, model.codebooks), strict=False))
    return Sight.of(low_units(TINY), words, {})


def _trainer(model: ImageModel, codes: LevelCodes, index: int) -> LevelTrainer:
    return LevelTrainer(TINY.slices[index], model.codes.slices[index], model.codes.tables[index], codes, WIDTHS, 4)


def test_a_level_that_is_not_trained_costs_what_its_slice_does(model: ImageModel, photos: Path, tmp_path: Path) -> None:
    cache = cache_codes(model, CropSource(photos, 256, 8), 3, 8)
    save_cache(cache, tmp_path / "codes.npz")
    again = load_cache(tmp_path / "codes.npz")
    assert all(np.array_equal(a, b) for a, b in zip(cache.codes, again.codes, strict=True))
    index = [s.name for s in TINY.slices].index("y2")
    codes = level_codes(model.codes, _sight(model), again, index)
    exact = code_length(model.codes, again)
    assert _trainer(model, codes, index).length(codes) == pytest.approx(
        sum(exact[index, p] for p in range(4)), rel=2e-3
    )


def test_what_a_level_sees_is_what_coding_shows_it(model: ImageModel, photos: Path) -> None:
    """Maps and phases of the crops are those of the walk through the codes."""
    cache = cache_codes(model, CropSource(photos, 256, 8), 2, 8)
    index = [s.name for s in TINY.slices].index("y3")
    sight = _sight(model)
    codes = level_codes(model.codes, sight, cache, index)
    seen = {}

    class Watching(Context):
        def rows(self, i: int, p: int, step: np.ndarray) -> tuple[Any, Any]:
            if i == index:
                seen[p] = self.network_maps(i), self.own_maps(i)
            return super().rows(i, p, step)

    maps = {index: PictureMaps(*map_edges(3))}
    watched = replace(model.codes, sight=replace(sight, maps=maps), context=Watching)
    for i in range(2):
        whole = [c[i : i + 1].astype(np.int32) for c in cache.codes]
        encode_codes(watched, int(cache.step[i]), whole, 4, 4)
        for p in range(4):
            assert np.array_equal(seen[p][0], codes.maps[i : i + 1].numpy())
        assert seen[0][1] is None
        own = codes.own[i : i + 1].numpy()
        assert np.array_equal(seen[3][1], np.concatenate([own[:, :9], own[:, 12:21]], 1))


def test_integers_of_a_level_follow_its_network(model: ImageModel) -> None:
    index = [s.name for s in TINY.slices].index("y1")
    s, rng = model.codes.slices[index], np.random.default_rng(6)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(-40, 60, shape).astype(np.int8))

    step = torch.tensor([10, 200])
    codes = LevelCodes(drawn(2, 26, 8, 10), drawn(2, 24, 8, 10), torch.zeros(2, 4, 3, 8, 10, dtype=torch.int16), step)
    network = _trainer(model, codes, index).network
    torch.manual_seed(7)
    for head in network.heads:  # the network alone, and as if it were trained
        for linear in (head.linear, head.bias, head.signs):
            if linear is not None:
                torch.nn.init.zeros_(linear)
        torch.nn.init.normal_(head.last.weight, std=1.0)
        torch.nn.init.normal_(head.last_knots, std=0.5)
        torch.nn.init.normal_(head.first_knots, std=0.2)
    running = Running(export_level(network, s)[1])
    features = running.features(codes.maps.numpy().astype(np.float32), step.numpy())
    own = codes.own.numpy().astype(np.float32)
    with torch.no_grad():
        outputs = [tuple(x.numpy() for x in out) for out in network(codes)]
    for p, (energy, value) in enumerate(outputs):
        known = np.concatenate([own[:, : 3 * p], own[:, 12 : 12 + 3 * p]], 1) if p else None
        added = running.added(p, known, features, step.numpy())
        for got, wanted in ((added[:, :3] / 16, energy), (added[:, 3:] * VALUE_UNIT / network.sign_unit, value)):
            assert wanted.std() > 0.3
            assert np.abs(got - wanted).mean() < 0.1 * wanted.std()


def test_export_of_a_level_refuses_sums_beyond_float32(model: ImageModel) -> None:
    index = [s.name for s in TINY.slices].index("y1")
    none = torch.zeros(1, 26, 2, 2, dtype=torch.int8)
    codes = LevelCodes(none, none[:, :24], torch.zeros(1, 4, 3, 2, 2, dtype=torch.int16), torch.tensor([1]))
    network = _trainer(model, codes, index).network
    torch.nn.init.constant_(network.trunk[1].bias, 1e6)
    with pytest.raises(ValueError, match="does not hold exactly"):
        export_level(network, model.codes.slices[index])


def test_stage_shortens_held_out_code_and_resumes(model: ImageModel, photos: Path, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model.safetensors")
    report = train_prior(tmp_path, photos, Length(steps=160), resume=False, options=OPTIONS)
    assert report["integer"] < report["before"] < report["static"] < report["fixed"]
    assert report["integer"] == pytest.approx(report["float"], rel=0.01)
    trained = load_model(tmp_path / "model.safetensors")
    assert _networks(trained) == ["y2", "y1"]
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line.get("slice") for line in log] == ["y2", "y1", None]


def test_a_run_that_was_stopped_goes_on_to_the_same_model(
    model: ImageModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for run in (whole, cut):
        run.mkdir()
        save_model(model, run / "model.safetensors")
    train_prior(whole, photos, Length(steps=8), resume=False, options=OPTIONS)
    fit, done = LevelTrainer.fit, []

    def stop_at_second(self: LevelTrainer, *given: Any) -> int:
        if done:
            raise KeyboardInterrupt
        done.append(given)
        return fit(self, *given)

    with monkeypatch.context() as m:
        m.setattr(LevelTrainer, "fit", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            train_prior(cut, photos, Length(steps=8), resume=False, options=OPTIONS)
    assert _networks(load_model(cut / "model.safetensors")) == []
    train_prior(cut, photos, Length(steps=8), resume=True, options=OPTIONS)
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def _networks(model: ImageModel) -> list[str]:
    sight = model.codes.sight
    return [] if sight is None else [TINY.slices[i].name for i in sight.networks]
