"""The filter's network in training."""

from __future__ import annotations

import pytest
import torch

from vqcodec.errors import InputError
from vqcodec.image.train.filter import Conditions, Restore, load_arrays, to_arrays


def test_a_wider_network_begins_as_the_one_it_is_given() -> None:
    torch.manual_seed(0)
    narrow, wide = Restore(8, 2), Restore(12, 2)
    for p in narrow.parameters():
        torch.nn.init.normal_(p, std=0.2)
    load_arrays(wide, to_arrays(narrow))
    told = Conditions(torch.tensor([40, 200]), torch.tensor([False, True]), torch.ones(2, 4, 4))
    planes = 20 * torch.randn(2, 3, 16, 16)
    assert torch.allclose(wide(planes, told), narrow(planes, told), atol=1e-4)
    wide(planes, told).square().sum().backward()
    assert wide.last.weight.grad is not None
    assert wide.last.weight.grad[:, 8:].abs().max() > 0  # what is new learns


def test_a_narrower_one_is_refused() -> None:
    with pytest.raises(InputError, match="more channels"):
        load_arrays(Restore(8, 2), to_arrays(Restore(12, 2)))
    with pytest.raises(InputError, match="layers"):
        load_arrays(Restore(8, 1), to_arrays(Restore(8, 2)))
