"""The image codec on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.bitstream import ImageHeader
from vqcodec.bitstream.arrays import F32, I32, Samples
from vqcodec.errors import SelfCheckError
from vqcodec.image.bands import slice_of
from vqcodec.image.codec import ImageCodec
from vqcodec.image.config import ImageConfig
from vqcodec.image.device.bands import from_bands, to_bands
from vqcodec.image.device.context import DevicePrior
from vqcodec.image.device.dequantise import DeviceDequantiser, DeviceWords
from vqcodec.image.device.search import DeviceSearch
from vqcodec.image.device.synthesis import DeviceFilter
from vqcodec.image.model import check_vector
from vqcodec.image.search import Search
from vqcodec.image.synthesis import BLOCK
from vqcodec.image.tiles import Tile, scaled
from vqcodec.image.units import low_steps, step_sizes
from vqcodec.prior.device import to_device

__all__ = ["DeviceCodec"]


class DeviceCodec(ImageCodec):
    """A codec whose work, but for the entropy coder's, is done on a device. Its files are those of any codec.

    Raises:
        SelfCheckError: the device does not give the rows of the prior that the CPU gives.
    """

    def __init__(self, codec: ImageCodec, device: torch.device) -> None:
        here = codec.model.codes
        codes = replace(here, context=DevicePrior(here.slices, here.sight, device).context)
        if check_vector(codes) != check_vector(here):
            raise SelfCheckError(f"device {device} does not reproduce the prior exactly; use device 'cpu'")
        super().__init__(replace(codec.model, codes=codes), codec.model_hint, codec.threads)
        self.device = device

    def _new_search(self, *, even: bool, effort: int) -> Search:
        return DeviceSearch(self.model, self.device, even=even, effort=effort)

    def _analyse(self, pixels: Samples, step: int) -> tuple[I32, list[F32]]:
        config, steps = self.model.config, np.array([step])
        height, width, channels = pixels.shape
        samples = to_device(pixels.astype(np.float32), self.device).movedim(2, 0)
        if pixels.dtype == np.uint16:
            samples = samples / 257
        weights = self.model.colour if channels == 3 else self.model.colour.sum(1, keepdims=True)
        planes = _turned(samples - 128, to_device(weights, self.device, torch.float32))
        planes = F.pad(planes, (0, -width % self.cell, 0, -height % self.cell), mode="replicate")
        low, *bands = to_bands(planes[:, None], config.levels)
        low = (low / float(low_steps(config, steps)[0])).round().to(torch.int32).movedim(0, 3)
        details = [(band / float(step_sizes(steps)[0])).cpu().numpy() for band in bands]
        return low.cpu().numpy(), [slice_of(details[config.levels - s.level], s) for s in config.slices]

    def _painter(self, header: ImageHeader, codes: list[I32], tensors: Mapping[str, F32]) -> Callable[[Tile], F32]:
        config, steps = self._config(even=header.even), np.array([header.step])
        unit = step_sizes(steps)[0]
        low = to_device(codes[0], self.device).movedim(3, 0) * float(low_steps(config, steps)[0] / unit)
        details, factor = self._coefficients(codes, header.step, config)
        codes.clear()
        planes = from_bands([low, *details])[:, 0]
        back = to_device(self._back(header) * unit, self.device, torch.float32)
        work = DeviceFilter(tensors, header.step, self.device, even=header.even) if tensors else None

        def paint(place: Tile) -> F32:
            part = planes[:, *place] if work is None else work.window(planes, factor, place)
            out: F32 = _turned(part, back).cpu().numpy()
            return out

        return paint

    def _coefficients(self, codes: Sequence[I32], step: int, config: ImageConfig) -> tuple[list[Tensor], Tensor]:
        """See :meth:`ImageCodec._details`."""
        height, width = codes[0].shape[1:3]
        words = DeviceWords(self.model, config, self.device)
        shapes = [(3, 3, 1, height << k, width << k) for k in range(config.levels)]
        out = [torch.empty(shape, device=self.device) for shape in shapes]
        blocks = self.cell // BLOCK
        factor = torch.empty(height * blocks, width * blocks, device=self.device)
        for tile in self._tiles(height, width):
            known = DeviceDequantiser(words, codes[0][:, *tile], np.array([step]))
            for i, code in enumerate(codes[1:]):
                known.add(i, code[:, *self._slice_tile(i, tile)])
            for k, part in enumerate(known.details):
                out[k][..., *scaled(tile, 1 << k)] = part
            factor[scaled(tile, blocks)] = known.activity(BLOCK.bit_length() - 1)[0]
        return out, factor


def _turned(x: Tensor, weights: Tensor) -> Tensor:
    """Planes [C, H, W] by weights [n, C]: as sums, which no device rounds as it may a small matrix product."""
    return torch.stack([sum((w * plane for w, plane in zip(row, x, strict=True)), x.new_zeros(())) for row in weights])
