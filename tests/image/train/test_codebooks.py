"""Start codebooks: their order, their symmetry, their reach."""

from __future__ import annotations

import math

import pytest
import torch

from vqcodec.image.config import IMAGE, TINY, ImageConfig, SliceConfig
from vqcodec.image.train.codebooks import REACH_1D, REACH_2D, start_codebook
from vqcodec.train.fits import cell_volumes

SLICES = [(c, s) for c in (IMAGE, TINY) for s in c.slices]


@pytest.mark.parametrize(("config", "s"), SLICES, ids=[f"{c.name}-{s.name}" for c, s in SLICES])
def test_start_codebook(config: ImageConfig, s: SliceConfig) -> None:
    codebook = start_codebook(s)
    assert codebook.shape == (s.codewords, s.d)
    assert len(torch.unique(codebook, dim=0)) == s.codewords
    size = codebook.norm(dim=1)
    if s.d == 1:
        assert (codebook.diff(dim=0) > 0).all()
        assert torch.equal(codebook, -codebook.flip(0))
        assert float(codebook[(s.codewords - 1) // 2]) == 0
        assert float(size.max()) >= REACH_1D * 2 ** (s.level - 1) * 0.999
    else:
        assert float(size[0]) == 0
        assert float(size.max()) >= REACH_2D * 0.999
    volumes = cell_volumes(codebook)
    assert volumes.shape == (s.codewords,)
    # cells of the core are unit cells
    assert volumes[size.numpy() < s.core - 1.5] == pytest.approx(1, rel=1e-3)
    assert volumes.max() > 1.2


def test_pairs_form_a_hexagonal_lattice_of_unit_cells() -> None:
    pairs = next(s for s in IMAGE.slices if s.d == 2)
    codebook = start_codebook(pairs).double()
    ring = torch.cdist(codebook[:1], codebook)[0].sort().values[1:7]
    assert ring.tolist() == pytest.approx([math.sqrt(2 / math.sqrt(3))] * 6, rel=1e-5)
