"""Analysis and synthesis of sound: an MDCT with an envelope, and networks at the frame rate around it.

The skeleton is a transform codec by itself: log energies of bands (the envelope), and MDCT lines in units of a step
that follows the envelope. Two networks (audio.network) learned what to add: the analysis moves lines and envelope
before they are rounded; the synthesis restores what rounding took. Neither may move a line by more than half a step: so
what is coded comes back as coded, and the finer the step, the less there is to restore. Everything is conditioned on
the step index at eight knots. The same for training: audio.train.network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from vqcodec.audio.config import AudioConfig
from vqcodec.audio.mdct import HOP, Flags
from vqcodec.audio.network import FrameNetwork
from vqcodec.bitstream.arrays import F32, I64
from vqcodec.prior.integer import product
from vqcodec.prior.knots import knot_weights

__all__ = [
    "AROUND",
    "FINE_UNIT",
    "FLOOR",
    "LEAST",
    "LOUD",
    "LOUDEST",
    "MOST_NOISE",
    "NOISE_GAIN",
    "SIDES",
    "AudioTransform",
    "band_weights",
    "compand",
    "fine_share",
    "held_share",
    "short_noise",
    "steadiness",
]

# Share that each neighbouring frame has in a frame's envelope. Zimtohrli of music at 25 kbit/s is 0.05 higher than with
# 0.25 at equal rate, as high as with 0, which takes 4 % more bits.
SIDES = 0.12
FLOOR = 16.0  # of an envelope's mean square, in 16-bit units: nothing quieter is told apart
LEAST = 1e-3  # of what noise has of that: an envelope at the floor is of nothing, and nothing is made of it
LOUD = 2121.0  # root mean square of loud frames at the model's level, in 16-bit units
LOUDEST = 40.0  # log2 of an amplitude, far above any sound's: codes that no encoder writes must not overflow
# Share of the noise that a short frame has, and the one before it, whose envelope the attack raises, being smoothed: up
# to the first step index; all of it from the second on, where speech is coded, whose onsets are short frames too.
# Without, test speech lost 0.2 in PESQ-WB at 2.5 to 5.5 kbit/s.
SHORT_NOISE, SHORT_NOISE_FROM, SHORT_NOISE_TO = 0.17, 150, 190
# The noise has the level that lines really hold (audio.train.noise) where a sound is steady and steps are fine, and
# about what training found, half of that, elsewhere. Held-out music gains 0.1 to 0.2 in Zimtohrli at 16 to 50 kbit/s;
# speech with the former throughout loses 0.1 in PESQ-WB. Steady: how much the envelope from 200 Hz to 7.5 kHz moves in
# half a second, in log2 of energy; of held-out speech 3.2 to 3.8 in the median, of music 0.9 to 1.8.
HELD_TO, TRAINED_FROM = 200, 225  # step indices
STEADY, MOVING, AROUND = 1.8, 2.6, 12  # deviations; frames to each side
WATCHED = (8, 300)  # lines
# Of the level that training found, which was with noise of the normal distribution, and is too little for one that
# fluctuates as little as audio.noise's: held-out speech gains 0.02 to 0.05 in Zimtohrli and 0.01 in DNSMOS, and keeps
# its PESQ; with 1.3 it loses 0.03. Training has it, too, so that it finds what is used.
NOISE_GAIN = 1.15
MOST_NOISE = 0.4  # of a step: what may stand in a line whose code is zero
# The envelope's quantiser, in log2 of energy, where noise alone carries a sound: 4 dB from 4 kHz on. What training
# finds for all bands alike is 9 to 13 dB. Band energies are what measures of hearing see there: held-out music gains
# 0.17 in Zimtohrli at 8 kbit/s and 0.10 at 15 at equal rate before any training with it. Of the coarsest steps it would
# take a tenth of the bits.
FINE_UNIT = 1.33
FINE_FROM, FINE_TO = 76, 160  # lines: bands that begin before the first are coarse, from the second on fine
COARSE_FROM, COARSE_TO = 220, 250  # step indices: fine up to the first, coarse from the second on


def compand(x: F32) -> F32:
    """Signed logarithm of lines in 16-bit units, about -3..3."""
    return np.sign(x) * np.log1p(np.abs(x) / 16) * np.float32(0.4)


def band_weights(edges: tuple[int, ...]) -> tuple[F32, F32]:
    """Weights [bands, HOP] that interpolate a band curve over the lines, and [HOP, bands] that average over a band."""
    lines = np.arange(HOP) + 0.5
    ends = np.array(edges, np.float32)
    middle = (ends[1:] + ends[:-1]) / 2
    right = np.clip(np.searchsorted(middle, lines), 1, len(middle) - 1)
    share = np.clip((lines - middle[right - 1]) / (middle[right] - middle[right - 1]), 0, 1)
    spread = np.zeros((len(middle), HOP), np.float32)
    spread[right - 1, np.arange(HOP)] = 1 - share
    spread[right, np.arange(HOP)] += share
    inside = (lines[:, None] > ends[:-1]) & (lines[:, None] < ends[1:])
    return spread, (inside / inside.sum(0)).astype(np.float32)


def short_noise(step: I64) -> F32:
    """Share of the noise that short frames have at step indices, of any shape."""
    return np.interp(step, (SHORT_NOISE_FROM, SHORT_NOISE_TO), (SHORT_NOISE, 1.0)).astype(np.float32)


def held_share(step: I64) -> F32:
    """Share of the level that lines hold in the level of the noise, at step indices, of any shape."""
    return np.interp(step, (HELD_TO, TRAINED_FROM), (1.0, 0.0)).astype(np.float32)


def fine_share(step: I64, edges: tuple[int, ...]) -> F32:
    """How fine every band of an envelope is at step indices [B], 0 to 1: [B, bands]."""
    band = np.interp(edges[:-1], (FINE_FROM, FINE_TO), (0.0, 1.0))
    return (np.interp(step, (COARSE_FROM, COARSE_TO), (1.0, 0.0))[:, None] * band).astype(np.float32)


def steadiness(envelope: F32, edges: tuple[int, ...]) -> F32:
    """How steady a sound is, 0 to 1 [T], by its envelope in log2 of energy [T, bands]."""
    first, last = np.searchsorted(edges, WATCHED)
    watched = np.pad(envelope[:, first:last], ((AROUND, AROUND), (0, 0)), mode="edge")
    moves = np.lib.stride_tricks.sliding_window_view(watched, 2 * AROUND + 1, 0).std(2).mean(1)
    out: F32 = np.interp(moves, (STEADY, MOVING), (1.0, 0.0)).astype(np.float32)
    return out


class AudioTransform:
    """Both networks and the learned curves of the skeleton, for one channel: frames [T, HOP], envelopes [T, bands]."""

    def __init__(self, config: AudioConfig, tensors: Mapping[str, F32]) -> None:
        self.config = config
        self.spread, gather = band_weights(config.edges)
        self._gather = np.ascontiguousarray(gather.T)
        self._curves = {k: v.astype(np.float32) for k, v in tensors.items() if "." not in k}
        self._tensors = tensors

    def _network(self, name: str) -> FrameNetwork:
        return FrameNetwork({k.removeprefix(name): v for k, v in self._tensors.items() if k.startswith(name)})

    @cached_property
    def analysis(self) -> FrameNetwork:
        """Made when first needed, as its counterpart is: who decodes needs none."""
        return self._network("analysis.")

    @cached_property
    def synthesis(self) -> FrameNetwork:
        """See :attr:`analysis`."""
        return self._network("synthesis.")

    def envelope(self, frames: F32) -> F32:
        """Log2 of the mean square of every band, smoothed over neighbouring frames."""
        power = np.square(frames)
        sides = np.pad(power, ((1, 1), (0, 0)), mode="edge")
        power = np.float32(1 - 2 * SIDES) * power + np.float32(SIDES) * (sides[:-2] + sides[2:])
        out: F32 = np.log2(product(self._gather, np.ascontiguousarray(power.T)).T + np.float32(FLOOR))
        return out

    def curves(self, envelope: F32, step: int) -> tuple[F32, F32]:
        """Log2 amplitude of every line by a decoded envelope, and log2 of its quantiser step; both [T, HOP]."""
        config, knots = self.config, knot_weights(np.array([step]))[0]
        amplitude = np.float32(0.5) * (envelope @ self.spread)
        follow = knots @ self._curves["shape"]
        base = np.float32(config.base + step / config.octave) + (knots @ self._curves["tilt"]) @ self.spread
        log_step: F32 = base + follow * (amplitude - np.float32(config.reference))
        return amplitude, log_step

    def envelope_unit(self, step: int) -> F32:
        """Step of the envelope's quantiser in log2 of energy, [bands]."""
        index = np.array([step])
        coarse = float(knot_weights(index)[0] @ self._curves["envelope_step"])
        share = fine_share(index, self.config.edges)[0]
        out: F32 = np.exp2(coarse + share * min(math.log2(FINE_UNIT) - coarse, 0.0)).astype(np.float32)
        return out

    def analyse(self, frames: F32, short: Flags, step: int) -> tuple[F32, F32]:
        """Envelope in its units (not rounded), and what moves the lines (see :meth:`lines`); ``short`` [T]."""
        envelope = self.envelope(frames)
        x = np.concatenate([compand(frames), np.float32(0.1) * envelope, short[:, None]], 1, dtype=np.float32)
        out = self.analysis(x, step)
        return (envelope + out[:, HOP:]) / self.envelope_unit(step), out[:, :HOP]

    @staticmethod
    def lines(frames: F32, move: F32, log_step: F32) -> F32:
        """Lines in units of their step."""
        out: F32 = np.add(frames * np.exp2(-log_step), np.float32(0.5) * np.tanh(move), dtype=np.float32)
        return out

    def synthesise(self, lines: F32, envelope: F32, noise: F32, short: Flags, step: int, shift: F32) -> F32:
        """Frames from codes.

        Args:
            lines: values of the codes, in steps [T, HOP].
            envelope: decoded, in log2 energy [T, bands].
            noise: of unit variance [T, HOP].
            short: which frames are short, [T].
            step: step index.
            shift: log2 of an amplitude that every frame is raised by, [T, 1]: brings frames to a common level.
        """
        amplitude, log_step = self.curves(envelope, step)
        size = np.exp2(np.minimum(log_step + shift, np.float32(LOUDEST)))
        plain = lines * size
        told = (compand(plain), 0.25 * np.clip(lines, -8, 8), 0.1 * (envelope + 2 * shift), short[:, None])
        out = self.synthesis(np.concatenate(told, 1, dtype=np.float32), step)
        power = np.exp2(2 * np.minimum(amplitude, np.float32(LOUDEST))) - np.float32(FLOOR)
        heard = np.float32(0.5) * np.log2(np.maximum(power, np.float32(LEAST)))
        change, trained, held = np.split(out, 3, 1)
        share = held_share(np.array([step])) * steadiness(envelope + 2 * shift, self.config.edges)[:, None]
        level = share * held + (1 - share) * np.float32(NOISE_GAIN) * trained
        wanted = np.exp2(np.clip(heard - log_step, -LOUDEST, LOUDEST)) * level
        near = short | np.append(short[1:], False)
        wanted = wanted * np.where(near[:, None], short_noise(np.array([step])), np.float32(1))
        filled = np.float32(MOST_NOISE) * np.tanh(wanted / np.float32(MOST_NOISE)) * noise
        moved = np.where(lines == 0, filled, np.float32(0.5) * np.tanh(change) * np.sign(lines))
        frames: F32 = plain + moved * size
        return frames
