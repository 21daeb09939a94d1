"""Crops: from several processes too, and cached ones the same whoever made them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

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
    build_cache(path, EXAMPLES, tmp_path / "one", 12, 5)
    monkeypatch.setattr(decoded_cache, "WORTH", 6)
    monkeypatch.setattr(decoded_cache, "cores", lambda: 2)
    build_cache(path, EXAMPLES, tmp_path / "two", 12, 5)
    for name in ("original", "decoded", "factor", "even", "step"):
        assert np.array_equal(np.load(tmp_path / "one" / f"{name}.npy"), np.load(tmp_path / "two" / f"{name}.npy"))
