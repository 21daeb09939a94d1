"""The search on a device: the kernels look at all codewords, which a GPU does sooner than it would pick some."""

from __future__ import annotations

import torch

from vqcodec.bitstream.arrays import F32, I32, I64
from vqcodec.image.device.dequantise import DeviceDequantiser, DeviceWords
from vqcodec.image.model import ImageModel
from vqcodec.image.search import Choosing, Known, Search
from vqcodec.kernels import assign
from vqcodec.prior.device import to_device

__all__ = ["DeviceChoice", "DeviceSearch"]

_LATER_SCALE = 16.0  # by which maps, up to 127, become as large as codewords, so that float32 holds sums of both alike


class DeviceSearch(Search):
    """See :class:`Search`; what is read off finished codes for another search stays on the CPU."""

    def __init__(self, model: ImageModel, device: torch.device, *, even: bool, effort: int) -> None:
        self._device = device
        super().__init__(model, even=even, effort=effort)
        self._words = DeviceWords(model, self.config, device)

    def _choice(self, codebook: F32, rates: F32, maps: F32) -> Choosing:
        return DeviceChoice(codebook, rates, maps, self._device)

    def _known(self, low: I32, step: I64) -> Known:
        return DeviceDequantiser(self._words, low, step)


class DeviceChoice:
    """See :class:`vqcodec.prior.choice.Choice`."""

    def __init__(self, codebook: F32, rates: F32, maps: F32, device: torch.device) -> None:
        self._words = to_device(codebook, device)
        self._rates = to_device(rates[0] if len(rates) == 1 else rates, device)
        # Later costs are linear in a codeword's maps: |x - c|^2 + l m = |[x, l] - [c, -m / 2]|^2 - |m|^2 / 4 - |l|^2
        self._maps = to_device(maps, device) / (-2 * _LATER_SCALE)

    def __call__(self, x: F32, rows: I32, later: F32 | None = None) -> I32:
        """Codes [g, N] of vectors [g, N, d] under rows [g, N], with later costs [g, N, m] where they are known."""
        device = self._words.device
        vectors, words, rates = to_device(x, device), self._words, self._rates
        if later is not None:
            vectors = torch.cat([vectors, to_device(later, device) * _LATER_SCALE], 2)
            words = torch.cat([words, self._maps], 2)
            rates = rates - self._maps.square().sum(2)[:, None]
        found: I32 = assign(vectors, words, rates, to_device(rows, device)).to(torch.int32).cpu().numpy()
        return found
