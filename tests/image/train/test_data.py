"""Crops: from several processes too, and cached ones the same whoever made them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from vqcodec.errors import InputError
from vqcodec.image.model import ImageModel, save_model
from vqcodec.image.train import data, decoded_cache
from vqcodec.image.train.data import CropSource, batches
from vqcodec.image.train.decoded_cache import build_cache

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_batches_are_those_of_the_source() -> None:
    found = list(islice(batches(CropSource(EXAMPLES, 64, seed=3), 4, ahead=False), 2))
    source = CropSource(EXAMPLES, 64, seed=3)
    for batch in found:
        assert np.array_equal(batch.numpy(), source.batch(4))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_processes_cut_other_crops_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "cores", lambda: 4)  # two of which cut
    loader = batches(CropSource(EXAMPLES, 64, seed=3), 2, ahead=True)
    first, second, third = (batch.clone() for batch in islice(loader, 3))
    assert first.shape == (2, 64, 64, 3)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)


def test_the_cache_is_the_same_from_several_processes(
    tiny_model: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(tiny_model, path)
    build_cache(path, EXAMPLES, tmp_path / "one", 50, 5)
    monkeypatch.setattr(decoded_cache, "WORTH", 25)
    monkeypatch.setattr(decoded_cache, "cores", lambda: 2)
    build_cache(path, EXAMPLES, tmp_path / "two", 50, 5)
    one, two = ({f.name: np.load(f) for f in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert set(one) == {"original.npy", "decoded.npy", "factor.npy", "even.npy", "step.npy"}
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert np.flatnonzero(one["even.npy"]).tolist() == list(range(40, 50))
    assert (np.abs(one["decoded.npy"].astype(float) - one["original.npy"]).mean((1, 2, 3)) > 0).all()


def test_a_cache_that_fails_leaves_nothing(tiny_model: ImageModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(tiny_model, path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture"):
        build_cache(path, tmp_path / "empty", tmp_path / "cache", 12, 5)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["empty", "model.safetensors"]
