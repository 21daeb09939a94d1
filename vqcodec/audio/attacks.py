"""Where a sound attacks: which frames an encoder makes short (see audio.mdct).

Energies of the high-passed sound in pieces of 2.5 ms are compared with the mean of the 30 ms before them, as in the
block switching of MPEG-4 AAC (ISO/IEC 14496-3, annex B): only what is loud after silence has an echo before it that is
heard.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vqcodec.audio.mdct import HOP, SPLITS
from vqcodec.bitstream.arrays import F32

__all__ = ["short_frames"]

RISE = 10.0  # of a piece's energy over the mean before it
BEFORE = 12  # pieces of that mean
QUIET = 40.0  # root mean square of a high-passed piece, in 16-bit units at the model's level; below nothing attacks


def short_frames(samples: F32) -> npt.NDArray[np.bool_]:
    """Frames that contain an attack, [B, T] of samples [B, (T + 1) * HOP]; frame t lies about the end of block t.

    The first frames know less of what was before them.
    """
    step = np.diff(samples, axis=1, prepend=samples[:, :1])
    energy = np.square(step).reshape(len(samples), -1, HOP // SPLITS).mean(2, dtype=np.float64)
    total = np.cumsum(np.pad(energy, ((0, 0), (BEFORE + 1, 0)), mode="edge"), 1)
    before = (total[:, BEFORE:-1] - total[:, : -BEFORE - 1]) / BEFORE
    attack = (energy > RISE * before) & (energy > QUIET**2)
    half = SPLITS // 2
    out: npt.NDArray[np.bool_] = attack[:, half:-half].reshape(len(samples), -1, SPLITS).any(2)
    return out
