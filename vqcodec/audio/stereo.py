"""Pairs of channels as one that holds most and one that holds the rest, turned by an angle per band and half a second.

45 degrees is mid and side, 0 is left and right as they are, others are sounds that stand off the middle, 135 degrees is
left against right. It is mid and side unless another angle, mostly that of the first principal component, saves many
bits: where a pair is one sound, the rest is nothing. Small savings cost more than they bring, in both ears and in their
mean.
Source: R. van der Waal, R. Veldhuis, "Subband coding of stereophonic digital audio signals", 1991.
"""

from __future__ import annotations

import numpy as np

from vqcodec.bitstream.arrays import F32, I32

__all__ = ["ANGLES", "GROUP", "MIDDLE", "by_frame", "choose_angles", "groups_of", "pairs_of", "turn"]

ANGLES = 16  # of half a turn
MIDDLE = 4  # the angle of mid and side
FAR = 1e9  # bits that no angle saves
GROUP = 25  # frames that share an angle
STAY = 3.0  # bits that another angle than before must save
# Bits of a line that another angle than mid and side must save. Six clips of held-out music, Zimtohrli at 60 kbit/s,
# downmix and mean of the ears: +0.07 and +0.02 over 0. More keeps sounds that have nothing in common from their sides:
# 0.4 gives the downmix 0.03 more at 20 kbit/s, and lets a panned instrument's softer side come out 5 to 10 dB too loud.
OFF_MIDDLE = 0.1
FAINT = 1e-3  # of the energy of a line that costs nothing
# Bits of a line, by octave of energy that the second channel, which is the coarser one, is louder: they change places
# where it is by 7.5 dB. Where that happens sooner the downmix loses 0.03 to 0.05, and the ears gain nothing.
LOUDER = 0.04
ALONE = (
    1e-3  # of a channel's energy: what is softer on the other side is kept apart, lest it hear the noise of this one
)
# By channels in WAVE order (audio.layout): front, back and side pairs; centre and bass stand alone.
_PLACES = {
    2: ((0, 1),),
    3: ((0, 1),),
    4: ((0, 1), (2, 3)),
    5: ((0, 1), (3, 4)),
    6: ((0, 1), (4, 5)),
    7: ((0, 1), (5, 6)),
    8: ((0, 1), (4, 5), (6, 7)),
}


def pairs_of(channels: int) -> tuple[tuple[int, int], ...]:
    """Channels that are coded as pairs."""
    return _PLACES.get(channels, ())


def groups_of(frames: int) -> int:
    """Groups of so many frames."""
    return -(-frames // GROUP)


def by_frame(angles: I32, frames: int) -> I32:
    """Angles [..., groups, bands] as those of every frame, [..., frames, bands]."""
    return np.repeat(angles, GROUP, -2)[..., :frames, :]


def turn(pair: F32, angles: I32, edges: tuple[int, ...], *, back: bool = False) -> F32:
    """Frames [2, T, HOP] turned by angles [T, bands], or back."""
    by_band = angles.astype(np.float32) * np.float32(np.pi / ANGLES)
    c, s = (np.repeat(f(by_band), np.diff(edges), 1) for f in (np.cos, np.sin))
    if back:
        s = -s
    return np.stack([c * pair[0] + s * pair[1], c * pair[1] - s * pair[0]])


def choose_angles(pair: F32, edges: tuple[int, ...], floor: float) -> I32:
    """Angles [groups, bands] of frames [2, T, HOP]: those under which both channels together cost the fewest bits.

    Args:
        floor: energy of a line under which it costs nothing.
    """
    groups, bands = groups_of(pair.shape[1]), len(edges) - 1
    starts = np.arange(0, pair.shape[1], GROUP)

    def energy(product: F32) -> F32:
        by_band = np.add.reduceat(product, edges[:-1], 1)
        out: F32 = np.add.reduceat(by_band, starts, 0)
        return out

    left, right, both = energy(pair[0] ** 2), energy(pair[1] ** 2), energy(pair[0] * pair[1])
    count = np.diff(edges)[None] * np.diff([*starts, pair.shape[1]])[:, None]
    angle = np.arange(ANGLES)[:, None, None] * (np.pi / ANGLES)
    c, s = np.cos(angle), np.sin(angle)
    first = np.maximum(c * c * left + s * s * right + 2 * c * s * both, 0) / count
    rest = np.maximum(s * s * left + c * c * right - 2 * c * s * both, 0) / count
    cost = 0.5 * count * (np.log2(first + floor) + np.log2(rest + floor))
    faint = FAINT * floor
    cost += LOUDER * count * np.maximum(np.log2((rest + faint) / (first + faint)), 0)
    cost += OFF_MIDDLE * count * (np.arange(ANGLES)[:, None, None] != MIDDLE)
    cost[:, right < ALONE * left] += FAR * (np.arange(ANGLES)[:, None] != 0)
    cost[:, left < ALONE * right] += FAR * (np.arange(ANGLES)[:, None] != ANGLES // 2)
    out = np.empty((groups, bands), np.int32)
    before = np.full(bands, MIDDLE)
    for g in range(groups):
        bits = cost[:, g] + STAY * (np.arange(ANGLES)[:, None] != before)
        before = bits.argmin(0)
        out[g] = before
    return out
