"""Size and PSNR of a picture at every step, estimated in a fraction of an encode: where a search for a target starts.

Half a bit for each octave that a coefficient's energy lies above the step's, and as error a coefficient's own energy
where it lies below. The coefficients are Haar's, which are not the codec's but spread over the magnitudes as those do.
How far off this is on average was measured and is taken off. Of a single picture the size is then still 20 % off and
the PSNR 1 dB, which a sample of it brings down to 0.4 dB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.arrays import F32, Samples
from vqcodec.image.config import STEPS, step_size

__all__ = ["SEAMS", "estimate", "sample"]

LEVELS = 5
STRIP = 512  # rows at a time, so that a large picture does not take twelve times its memory
HALF = np.float32(0.5)
BINS = np.arange(-80, 81)  # of a coefficient's energy, by quarters of an octave
BYTES_OF_BITS = np.e / 8  # bytes per bit of the estimate, measured: a codec that predicts less than it might
ERROR = 1 / 6
# What image-3 was above the estimate on 14 training photographs: natural logarithm of the size, decibels, the visual
# ones less what image-4's filter gives (0.12, 0.19, 0.16 and -0.06 by quarter of the steps, from fine to coarse).
BIAS_STEPS = (20, 80, 140, 210)
BIAS = {
    "visual": ((-0.31, -0.19, -0.01, 0.39), (-2.06, -1.00, -0.38, 0.63)),
    "psnr": ((-0.07, -0.01, 0.08, 0.25), (0.48, 1.20, 1.07, 0.78)),
}
BLOCK = 128  # pixels a side of the blocks of a sample: of smaller ones the seams are too much
SHARE = 8  # of a picture's pixels, one in so many is in its sample
MOST_BLOCKS = 32
GOLDEN = (5**0.5 - 1) / 2
SEAMS = 0.65  # decibels that the seams of a sample and the lack of the filter cost: 12 training photographs


def estimate(pixels: Samples, tune: str = "visual") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bytes of coded symbols, and decibels, at every step, of a picture [H, W, C]."""
    counts = np.zeros(len(BINS))
    for top in range(0, len(pixels), STRIP):
        for coefficients in _haar(pixels[top : top + STRIP]):
            octaves = np.log2(np.maximum(np.square(coefficients), 2.0 ** (BINS[0] / 4)))
            index = np.minimum(np.rint(4 * octaves).astype(np.int64) - BINS[0], len(BINS) - 1)
            counts += np.bincount(index.ravel(), minlength=len(BINS))
    energy = 2.0 ** (BINS / 4)
    steps = np.square([step_size(step) for step in range(STEPS)])[:, None]
    size = BYTES_OF_BITS * 0.5 * np.log2(1 + energy / steps) @ counts
    error = np.minimum(energy, ERROR * steps) @ counts / pixels.size
    larger, better = (np.interp(np.arange(STEPS), BIAS_STEPS, bias) for bias in BIAS[tune])
    return size * np.exp(larger), 10 * np.log10(255**2 / np.maximum(error, 1e-9)) + better


def sample(pixels: Samples) -> Samples | None:
    """Blocks from all over a picture side by side; None of a picture that is small itself."""
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    count = min(rows * columns // SHARE, MOST_BLOCKS)
    if count == 0:
        return None
    blocks = []
    for i in range(count):
        row = (2 * i + 1) * rows // (2 * count)
        y, x = row * BLOCK, int(i * GOLDEN % 1 * columns) * BLOCK  # rows in turn, columns spread evenly too
        blocks.append(pixels[y : y + BLOCK, x : x + BLOCK])
    return np.concatenate(blocks, 1)


def _haar(pixels: Samples) -> list[F32]:
    """Details of all levels of an orthonormal Haar transform of luma and two differences of colour."""
    x: F32 = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        x /= 257
    planes: list[F32] = [x[:, :, 0]]
    if x.shape[2] == 3:
        r, g, b = x[:, :, 0], x[:, :, 1], x[:, :, 2]
        thirds, halves, sixths = (np.float32(n**-0.5) for n in (3, 2, 6))
        planes = [p.astype(np.float32) for p in ((r + g + b) * thirds, (r - b) * halves, (r - 2 * g + b) * sixths)]
    out: list[F32] = []
    for start in planes:
        plane = start
        for _ in range(LEVELS):
            plane = np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge")
            a, b, c, d = plane[::2, ::2], plane[::2, 1::2], plane[1::2, ::2], plane[1::2, 1::2]
            out += [(a - b + c - d) * HALF, (a + b - c - d) * HALF, (a - b - c + d) * HALF]
            plane = (a + b + c + d) * HALF
    return out
