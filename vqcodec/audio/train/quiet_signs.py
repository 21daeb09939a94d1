"""Makes the table of :mod:`vqcodec.audio.noise`: signs of lines whose sound fluctuates little.

python -m vqcodec.audio.train.quiet_signs FILE    # a minute and a half of one core

Another table is another sound of every file: it is not part of a model, which names its codes alone.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqcodec.audio.mdct import HOP
from vqcodec.audio.noise import FRAMES
from vqcodec.audio.train.mdct import imdct

__all__ = ["fluctuation", "quiet_signs"]

RATE = 48_000
WINDOWS = (256, 512, 1024, 2048)  # samples in which power is looked at, a quarter of each apart
BANDS = 40  # an equivalent rectangular bandwidth each (B. Glasberg and B. Moore, Hearing Research 47, 1990)
LOWEST = (16, 16, 8, 8)  # first band, by window: below, a window cannot tell bands apart
HARDENING = (1.0, 4.0)  # slope of the hyperbolic tangent that becomes a sign, at the beginning and at the end
DECIDED = 0.2  # weight of how far values are from signs, reached at half of the way


@cache
def _bands(window: int) -> Tensor:
    """Weights [bins, BANDS] that average power over a band."""
    hertz = np.arange(window // 2 + 1) * RATE / window
    place = 21.4 * np.log10(1 + 0.00437 * hertz)
    weight = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(1, BANDS + 1)) / 0.8)
    return torch.from_numpy((weight / np.maximum(weight.sum(0), 1e-9)).astype(np.float32))


def fluctuation(lines: Tensor) -> Tensor:
    """Variance of the power in bands and windows, in units of its mean squared, of lines [T, HOP] that repeat."""
    around = torch.cat([lines[-2:], lines, lines[:2]])[None]
    sound = imdct(around, torch.zeros(around.shape[:2], dtype=torch.bool))[0]
    total = torch.zeros(())
    for window, lowest in zip(WINDOWS, LOWEST, strict=True):
        shape = torch.hann_window(window)
        spectrum = torch.stft(sound, window, window // 4, window=shape, center=False, return_complex=True)
        power = (_bands(window).T @ spectrum.abs().square())[lowest:]
        total = total + (power / power.mean(1, keepdim=True) - 1).square().mean()
    return total / len(WINDOWS)


def quiet_signs(frames: int = FRAMES, steps: int = 600, seed: int = 0) -> Tensor:
    """Signs [frames, HOP] by gradient descent on their fluctuation, from random ones."""
    generator = torch.Generator().manual_seed(seed)
    soft = (0.5 * torch.randn(frames, HOP, generator=generator)).requires_grad_()
    optimiser = torch.optim.Adam([soft], 0.05)
    for step in range(steps):
        share = step / steps
        values = torch.tanh((HARDENING[0] + (HARDENING[1] - HARDENING[0]) * share) * soft)
        undecided = 1 - values.square().mean()
        loss = fluctuation(values / values.square().mean().sqrt()) + DECIDED * min(1.0, 2 * share) * undecided
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return torch.where(soft.detach() > 0, 1.0, -1.0)


def main(path: Path) -> None:
    """Write the table, and say how much it fluctuates."""
    signs = quiet_signs()
    path.write_bytes(np.packbits(signs.numpy() > 0).tobytes())
    random = torch.randn(FRAMES, HOP, generator=torch.Generator().manual_seed(1))
    found = {"normal": random, "signs": random.sign(), "quiet signs": signs}
    print({name: round(float(fluctuation(lines)), 3) for name, lines in found.items()})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
