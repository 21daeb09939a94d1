"""The stages of a tokens model in small, and their parts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vqcodec.errors import InputError, ModelError, UsageError
from vqcodec.image.tokens.codec import TokensCodec
from vqcodec.image.tokens.config import PRESETS
from vqcodec.image.tokens.model import TokensModel, load_tokens, save_tokens
from vqcodec.image.tokens.train import stage
from vqcodec.image.tokens.train.adversary import Adversary
from vqcodec.image.tokens.train.loss import TokensLoss, Weights
from vqcodec.image.tokens.train.network import Codebook, Found, TokensNetwork, weight_range
from vqcodec.image.tokens.train.prior import (
    PriorNetwork,
    export_prior,
    knows_counts_alone,
    load_prior,
    static_prior,
)
from vqcodec.image.tokens.train.run import TokensRunOptions, run_tokens_stage
from vqcodec.image.tokens.train.start import fit_colour, start_network, to_planes
from vqcodec.registry import load_tokens_codec
from vqcodec.train.processes import join_processes
from vqcodec.train.soap import Soap

PRESET = "tokens-tiny"


@pytest.fixture
def photographs(tmp_path: Path, corners: np.ndarray) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(0, len(corners), 4):
        square = np.concatenate([np.concatenate(list(corners[i + j : i + j + 2]), 1) for j in (0, 2)])
        Image.fromarray(square).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ST-LPIPS, whose weights are a package of their own, and with few crops."""
    plain = stage.NetworkOptions.__init__

    def init(self: stage.NetworkOptions, **options: object) -> None:
        small = {"weights": Weights(perceptual=0), "batch": 2, "side": 64, "start_crops": 20, "held_out": 2}
        plain(self, **{**options, **small})  # type: ignore[arg-type]

    monkeypatch.setattr(stage.NetworkOptions, "__init__", init)


def test_all_stages(photographs: Path, tmp_path: Path, cheap: None) -> None:
    run = tmp_path / "run"
    run_tokens_stage(photographs, run, TokensRunOptions("network", steps=3, preset=PRESET))
    first = load_tokens(run / "model.safetensors")
    run_tokens_stage(photographs, run, TokensRunOptions("network", steps=5, preset=PRESET, resume=True))
    assert torch.load(run / "network.ckpt", weights_only=True)["done"] == 5
    again = load_tokens(run / "model.safetensors")
    assert any(not np.array_equal(a, again.network[name]) for name, a in first.network.items())
    run_tokens_stage(photographs, run, TokensRunOptions("prior", steps=3, crops=16))
    fitted = load_tokens(run / "model.safetensors")
    assert not np.array_equal(fitted.codes.tables[0], again.codes.tables[0])
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    report = lines[-1]["bits_per_pixel"]
    assert report["integer"] == pytest.approx(report["float"], rel=0.01)
    assert set(fitted.training) == {"network", "prior"}
    run_tokens_stage(photographs, run, TokensRunOptions("decoder", steps=2, adversarial=0.01))
    assert "adversary" in torch.load(run / "decoder.ckpt", weights_only=True)
    assert "distance" in json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    decoder = load_tokens(run / "model.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(decoder.words, fitted.words, strict=True))
    changed = {name.split(".")[0] for name, a in fitted.network.items() if not np.array_equal(a, decoder.network[name])}
    assert changed == set(stage.DECODER)
    assert np.array_equal(decoder.codes.tables[0], fitted.codes.tables[0])
    run_tokens_stage(
        photographs, run, TokensRunOptions("network", init=str(run / "model.safetensors"), steps=1, preset=PRESET)
    )
    begun = load_tokens(run / "model.safetensors")  # its prior is what the stage prior will go on from
    assert np.array_equal(begun.codes.steps[3].first, fitted.codes.steps[3].first)
    shutil.copy(run / "decoder.ckpt", run / "network.ckpt")
    saved = torch.load(run / "network.ckpt", weights_only=True)
    del saved["average"]
    torch.save(saved, run / "network.ckpt")
    with pytest.raises(InputError, match="begin without --resume"):
        run_tokens_stage(photographs, run, TokensRunOptions("network", steps=5, preset=PRESET, resume=True))
    other = tmp_path / "other"
    options = TokensRunOptions("network", steps=1, preset=PRESET, init=str(run / "model.safetensors"))
    run_tokens_stage(photographs, other, options)
    assert (other / "model.safetensors").is_file()


def test_what_is_missing_is_said(photographs: Path, tmp_path: Path, cheap: None) -> None:
    with pytest.raises(InputError, match="run --stage network first"):
        run_tokens_stage(photographs, tmp_path / "run", TokensRunOptions("prior", steps=1))
    with pytest.raises(InputError, match="no such model"):
        run_tokens_stage(photographs, tmp_path / "run", TokensRunOptions("network", steps=1, init="none.safetensors"))
    model, wrong = tmp_path / "run" / "model.safetensors", tmp_path / "wrong.safetensors"
    model.write_bytes(b"a model")
    wrong.write_bytes(b"none")
    with pytest.raises(ModelError, match=wrong.name):
        run_tokens_stage(photographs, tmp_path / "run", TokensRunOptions("network", steps=1, init=str(wrong)))
    assert model.read_bytes() == b"a model"
    with pytest.raises(UsageError, match="--adversarial is for stages network and decoder"):
        run_tokens_stage(photographs, tmp_path / "run", TokensRunOptions("prior", steps=1, adversarial=0.1))
    other = tmp_path / "other.safetensors"
    save_tokens(load_tokens_codec().model, other)
    with pytest.raises(InputError, match="give --preset tokens-deep"):
        run_tokens_stage(
            photographs, tmp_path / "run", TokensRunOptions("network", steps=1, preset=PRESET, init=str(other))
        )
    assert model.read_bytes() == b"a model"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no picture"):
        run_tokens_stage(empty, tmp_path / "run", TokensRunOptions("network", steps=1, preset=PRESET))


def test_the_closed_form_start_is_a_codec(corners: np.ndarray) -> None:
    colour = torch.from_numpy(fit_colour(corners))
    assert torch.allclose(colour @ colour.T, torch.eye(3), atol=1e-5)
    assert (colour[0] > 0).all()  # luma
    planes = to_planes(torch.from_numpy(corners), colour)
    network = TokensNetwork(PRESETS[PRESET])
    start_network(network, planes, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = network(planes, torch.zeros(len(planes)))
    assert (found.planes - planes).square().mean() < 0.25 * planes.square().mean()


def test_a_codebook_follows_and_wakes_its_dead() -> None:
    torch.manual_seed(1)
    book = Codebook(8, 2)
    z = torch.randn(2, 2, 6, 6)
    before = (z - book.vectors(book.choose(z, torch.zeros(2), torch.ones(())))).square().mean()
    for _ in range(60):
        book.follow(z, book.choose(z, torch.zeros(2), torch.ones(())), torch.zeros(2), 0.8)
    after = (z - book.vectors(book.choose(z, torch.zeros(2), torch.ones(())))).square().mean()
    assert after < before
    book.counts[3] = 0
    assert book.reseed(z, book.choose(z, torch.zeros(2), torch.ones(())), 0.05, torch.Generator().manual_seed(1)) == 1
    assert (z.permute(0, 2, 3, 1).reshape(-1, 2) == book.words[3]).all(1).any()


def test_a_still_codeword_stays_zero() -> None:
    torch.manual_seed(1)
    book = Codebook(4, 2, still=True)
    z = torch.randn(2, 2, 6, 6)
    for _ in range(9):
        book.follow(z, book.choose(z, torch.zeros(2), torch.ones(())), torch.zeros(2), 0.5)
    assert (book.words[0] == 0).all()
    book.counts.copy_(torch.tensor([1e3, 1.0, 1.0, 0.0]))  # 1 and 2 are not dead for being rarer than 0
    codes = torch.zeros(2, 6, 6, dtype=torch.int64)
    codes[0, 0, 0] = 1
    assert book.reseed(z, codes, 0.05, torch.Generator().manual_seed(1)) == 1
    assert torch.equal(book.words[3], z[0, :, 0, 0])


def test_each_range_of_weights_counts_for_itself() -> None:
    assert weight_range(torch.tensor([0.0, 0.004, 0.009, 0.011, 0.05, 9.0])).tolist() == [0, 0, 0, 1, 3, 5]
    torch.manual_seed(1)
    book = Codebook(8, 2)
    weight = torch.tensor([0.0, 9.0])
    codes = torch.stack([torch.full((6, 6), 3), torch.full((6, 6), 5)])
    for _ in range(9):
        book.follow(torch.randn(2, 2, 6, 6), codes, weight, 0.5)
    bits = book.bits()
    assert bits[0].argmin() == 3
    assert bits[-1].argmin() == 5
    assert (bits[2] == bits[2, 0]).all()


def test_bits_weigh_in_the_choice() -> None:
    torch.manual_seed(1)
    book = Codebook(8, 2)
    book.used.copy_(torch.tensor([100.0] + 7 * [1e-3]).expand_as(book.used))
    z = torch.randn(2, 2, 16, 16)
    codes = book.choose(z, torch.tensor([0.0, 100.0]), torch.ones(()))
    assert len(codes[0].unique()) > 4
    assert (codes[1] == 0).all()


def test_gradients_pass_the_quantisers(tiny_network: TokensNetwork, corners: np.ndarray) -> None:
    network = TokensNetwork(tiny_network.config)
    network.load_state_dict(tiny_network.state_dict())
    planes = to_planes(torch.from_numpy(corners[:2]), torch.eye(3))
    found = network(planes, torch.zeros(2))
    ((found.planes - planes).square().mean() + 0.01 * found.commitment).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


def test_the_loss_sees_a_pattern_that_repeats_with_the_cells() -> None:
    loss = TokensLoss(torch.eye(3), Weights(perceptual=0))
    planes = torch.zeros(1, 3, 128, 128)
    none = torch.zeros(())
    pattern, noise = planes.clone(), 0.1 * torch.randn(planes.shape)
    pattern[:, :, ::4, ::4] = 0.4
    pattern -= pattern.mean()
    terms = [loss(Found(planes + x, 3 * (none,), 3 * (none,), none), planes)[1]["lattice"] for x in (pattern, noise)]
    assert terms[0] > 3 * terms[1]


def test_the_loss_sees_blocks_where_a_picture_is_smooth() -> None:
    loss = TokensLoss(torch.eye(3), Weights(perceptual=0))
    none = torch.zeros(())
    blocks = F.interpolate(0.03 * torch.randn(1, 3, 16, 16), scale_factor=8.0)
    terms = []
    for planes in (torch.zeros(1, 3, 128, 128), torch.randn(1, 3, 128, 128)):
        found = Found(planes + blocks, 3 * (none,), 3 * (none,), none)
        terms.append(loss(found, planes)[1])
    assert terms[0]["absolute"] == pytest.approx(terms[1]["absolute"], rel=1e-3)
    assert terms[0]["smooth"] > 5 * terms[1]["smooth"]


def test_a_static_prior_costs_the_entropy(tiny_network: TokensNetwork) -> None:
    counts = [book.counts.numpy() * 100 for book in tiny_network.books()]
    model = static_prior(tiny_network.config, counts)
    share = counts[2] / counts[2].sum()
    bias = model.steps[-1].last_bias
    assert np.abs(bias / 16 - np.log2(share + 1e-9)).max() < 0.1


def test_integers_say_what_the_network_says(tiny_network: TokensNetwork, tokens_codec: TokensCodec) -> None:
    torch.manual_seed(2)
    words = [book.words.numpy() for book in tiny_network.books()]
    network = PriorNetwork(tiny_network.config, words)
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, k, (1, n, n)) for k, n in zip(network.codewords, (8, 16, 16), strict=True)]
    from vqcodec.image.tokens.train.prior import _Cache, _integer_length

    top, bottom, residual = (level.astype(np.int32) for level in codes)
    cache = _Cache((top, bottom, residual), np.array([70]))
    exact = _integer_length(export_prior(network), cache) * 256**2
    with torch.no_grad():
        bits = network.bits([torch.from_numpy(c) for c in codes], torch.tensor([70]))
    assert exact == pytest.approx(float(sum(b.sum() for b in bits)), rel=0.01)


def test_training_goes_on_from_a_prior_in_integers(tiny_network: TokensNetwork) -> None:
    words = [book.words.numpy() for book in tiny_network.books()]
    torch.manual_seed(4)
    first, second = (PriorNetwork(PRESETS[PRESET], words) for _ in range(2))
    with torch.no_grad():
        for one in first.networks():
            one.rest.normal_(0, 0.1)
    whole = export_prior(first)
    assert not knows_counts_alone(whole)
    assert knows_counts_alone(static_prior(PRESETS[PRESET], [np.ones(len(w), np.float32) for w in words]))
    load_prior(second, whole, 255)
    codes = [torch.randint(len(w), (2, side, side)) for w, side in zip(words, (16, 32, 32), strict=True)]
    step = torch.tensor([0, 130])
    with torch.no_grad():
        for a, b in zip(first.bits(codes, step), second.bits(codes, step), strict=True):
            assert (a - b).abs().mean() < 0.1 < a.std()
    again = export_prior(second)
    for a, b in zip(whole.steps, again.steps, strict=True):
        np.testing.assert_allclose(np.ldexp(a.last, -a.last_shift), np.ldexp(b.last, -b.last_shift), atol=1e-3)
        np.testing.assert_allclose(np.ldexp(a.first, -a.first_shift), np.ldexp(b.first, -b.first_shift), atol=1e-3)
        assert np.abs(np.ldexp(a.first_bias, -a.first_shift) - np.ldexp(b.first_bias, -b.first_shift)).max() < 1


def test_a_serial_step_sees_what_comes_before_alone_wherever_its_grid_begins(tiny_network: TokensNetwork) -> None:
    torch.manual_seed(4)
    network = PriorNetwork(tiny_network.config, [book.words.numpy() for book in tiny_network.books()])
    assert not export_prior(network).steps[0].first[4:].any()
    codes = [torch.randint(k, (1, n, n)) for k, n in zip(network.codewords, (16, 32, 32), strict=True)]
    step = torch.tensor([70])
    with torch.no_grad():
        shifted = [codes[0].roll((-1, -3), (1, 2)), *codes[1:]]
        assert torch.equal(network.bits(codes, step, (1, 3))[0], network.bits(shifted, step)[0])
        before = network.bits(codes, step)[0]
        codes[0][0, 8, 4] += 1 - 2 * int(codes[0][0, 8, 4] > 0)
        moved = (network.bits(codes, step)[0] != before)[0]
    assert moved[2, 1]  # the code itself
    assert moved[2, 2]
    assert moved[3, :3].all()
    assert moved.sum() == 5


def test_steps_that_the_prior_never_saw_are_as_the_last_it_saw(tiny_network: TokensNetwork) -> None:
    network = PriorNetwork(tiny_network.config, [book.words.numpy() for book in tiny_network.books()])
    one = export_prior(network, 200).steps[-1]
    assert (one.first_bias[200:] == one.first_bias[200]).all()
    assert (one.first_bias[:200] == export_prior(network).steps[-1].first_bias[:200]).all()
    assert (one.first_bias[100] != one.first_bias[200]).any()


def test_soap_takes_gradients_of_few_directions() -> None:
    """float32 eigenvectors of such a covariance are NaN for some seeds, 209 among them."""
    generator = torch.Generator().manual_seed(209)
    gradient = torch.randn(112, 3, generator=generator) * torch.logspace(0, -12, 112)[:, None] * 1e-8
    gradient[torch.rand(112, generator=generator) < 0.3] = 0
    weight = torch.zeros(112, 3, requires_grad=True)
    weight.grad = gradient
    Soap([weight], lr=0.03).step()
    assert torch.isfinite(weight).all()


def test_soap_goes_down() -> None:
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(6, 5, 3, 3))
    bias = torch.nn.Parameter(torch.randn(6))
    target, mix = torch.randn(6, 5, 3, 3), torch.randn(6, 6)
    optimiser = Soap([weight, bias], lr=0.03)

    def loss() -> torch.Tensor:
        return torch.einsum("ab,bcde->acde", mix, weight - target).square().mean() + bias.square().mean()

    first = float(loss().detach())
    for _ in range(150):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert float(loss().detach()) < 0.05 * first


def test_a_critic_learns_to_tell_and_its_gradient_is_bounded() -> None:
    torch.manual_seed(1)
    adversary = Adversary(join_processes())
    planes = torch.randn(4, 3, 64, 64)
    flat = F.avg_pool2d(planes, 5, 1, 2)
    terms = [adversary.learn(planes, flat) for _ in range(60)]
    assert terms[-1]["distance"] > terms[0]["distance"] + 0.05
    assert terms[-1]["penalty"] < terms[0]["penalty"]
    assert adversary.judge(planes) < adversary.judge(flat)
    other = Adversary(join_processes())
    other.load(adversary.state())
    assert torch.equal(other.judge(flat), adversary.judge(flat))


def test_a_deeper_network_begins_as_the_model_it_is_given() -> None:
    small = PRESETS[PRESET]
    deep = replace(small, encoder=(8, 3), middle=(8, 2), quarter=(8, 2))
    torch.manual_seed(3)
    first, second = TokensNetwork(small), TokensNetwork(deep)
    for p in first.parameters():  # blocks that do something, so that their places matter
        torch.nn.init.normal_(p, std=0.1)
    words = [book.words.numpy().copy() for book in first.books()]
    second.load(small, first.arrays(), words, np.array([1.0, 2.0], np.float32))
    planes, weight = torch.randn(2, 3, 32, 32), torch.full((2,), 0.05)
    first.top.error.fill_(1.0)
    first.bottom.error.fill_(2.0)
    a, b = first(planes, weight), second(planes, weight)
    assert all(torch.equal(x, y) for x, y in zip(a.codes, b.codes, strict=True))
    assert torch.allclose(a.planes, b.planes, atol=1e-5)
    assert deep.extends(small)
    assert not small.extends(deep)
    assert not replace(deep, top=16).extends(small)


def test_half_precision_leaves_what_is_quantised_and_the_last_sum_alone() -> None:
    torch.manual_seed(4)
    network = TokensNetwork(PRESETS[PRESET])
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.1)
    bottom, planes = 8 * torch.randn(2, PRESETS[PRESET].bottom_d, 4, 4), torch.randn(2, 3, 32, 32)
    for p in network.parts["at2"].parameters():
        torch.nn.init.zeros_(p)  # what is left is the linear part
    top = torch.randn(2, PRESETS[PRESET].top_d, 2, 2)
    exact = network.synthesise(top, bottom)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.synthesise(top, bottom), exact)
        found = network(planes, torch.full((2,), 0.05))
    assert all(v.dtype == torch.float32 for v in found.vectors)
    assert found.commitment.dtype == torch.float32


def test_a_weight_beyond_half_precision_is_refused(tmp_path: Path, tiny_tokens: TokensModel) -> None:
    wrong = replace(tiny_tokens, network=tiny_tokens.network | {"linear.layers.0.bias": np.full(192, 1e5, np.float32)})
    with pytest.raises(ModelError, match="half precision"):
        save_tokens(wrong, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
