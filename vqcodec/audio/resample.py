"""Another sample rate, block by block, without any shift in time and with an exact number of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import soxr

__all__ = ["REACH", "resample", "resampled_length"]

Float32 = npt.NDArray[np.float32]

# The filter's length is a fixed number of samples at the lower of the two rates; measured below 250 for this quality.
_QUALITY = "HQ"
REACH = 512
"""So many samples at the lower rate to either side decide a sample; beyond them nothing is heard of the neighbours."""


def resampled_length(samples: int, rate_in: int, rate_out: int) -> int:
    """Samples at the new rate that cover as much time as ``samples`` at the old one."""
    return -(-samples * rate_out // rate_in)


def resample(blocks: Iterable[Float32], rate_in: int, rate_out: int, length: int | None = None) -> Iterator[Float32]:
    """Change the sample rate of a sound that comes in blocks; what comes out does not depend on how it was cut.

    Linear phase: sample n of the result lies at the same time as sample n * rate_in / rate_out of the input. Before and
    after the sound there is silence.

    Args:
        blocks: float32 [n, C], any n.
        rate_in, rate_out: Hz.
        length: samples of the result; by default :func:`resampled_length` of what came in.

    Yields:
        float32 [n, C], any n, together ``length`` samples.
    """
    stream = None
    taken = given = channels = 0
    for block in blocks:
        taken += len(block)
        channels = block.shape[1]
        if rate_in != rate_out and stream is None:
            stream = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality=_QUALITY)
        out = block if stream is None else stream.resample_chunk(np.ascontiguousarray(block))
        if length is not None:
            out = out[: length - given]
        given += len(out)
        if len(out):
            yield out
    total = resampled_length(taken, rate_in, rate_out) if length is None else length
    silence = np.zeros((REACH + rate_in // 10, channels), np.float32)
    while given < total:
        out = (silence if stream is None else stream.resample_chunk(silence))[: total - given]
        given += len(out)
        if len(out):
            yield out
