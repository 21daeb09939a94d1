"""Where the search spends: more on quiet parts, less on busy ones, and exactly as before at strength 0."""

from __future__ import annotations

import numpy as np
import torch

from vqcodec.image.codec import ImageCodec
from vqcodec.image.masking import masking_levels


def half_busy() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = np.full((128, 256), 120.0)
    x += rng.normal(0, 3, x.shape)
    x[:, 128:] += rng.normal(0, 40, (128, 128))
    return np.clip(x, 0, 255)


def test_busy_parts_get_dearer_bits() -> None:
    levels = masking_levels(torch.from_numpy(half_busy()).float()[None] * 3**0.5, 0.25)
    assert levels[0, :, 16:112].max() < 0 < levels[0, :, 144:240].min()
    assert abs(float(levels.mean())) < 1e-4
    assert not masking_levels(torch.randn(1, 64, 64), 0.0).any()


def test_quiet_half_is_coded_better_at_the_same_step(tiny_codec: ImageCodec) -> None:
    from vqcodec.bitstream import ImageHeader

    pixels = np.repeat(half_busy().astype(np.uint8)[..., None], 3, -1)
    errors = {}
    for perceptual in (False, True):
        codec = ImageCodec(tiny_codec.model, 0, torch.device("cpu"), perceptual=perceptual)
        chunks = codec.encode(pixels, 60)
        header = ImageHeader(256, 128, 60, False, False, codec.model_id, 0)
        difference = (codec.decode(header, chunks).astype(float) - pixels) ** 2
        errors[perceptual] = difference[:, 16:112].mean(), difference[:, 144:240].mean()
    quiet, busy = errors[True][0] / errors[False][0], errors[True][1] / errors[False][1]
    assert quiet < busy
    assert busy > 1
