"""The networks of audio.transform in torch, for training; what each does is said there."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.audio.config import AudioConfig
from vqcodec.audio.mdct import HOP
from vqcodec.audio.network import KERNEL
from vqcodec.audio.transform import (
    FINE_UNIT,
    FLOOR,
    LEAST,
    LOUDEST,
    MOST_NOISE,
    NOISE_GAIN,
    SIDES,
    band_weights,
    fine_share,
    short_noise,
)
from vqcodec.prior.knots import KNOTS, step_knots

__all__ = ["AudioNetworks"]

START_NOISE = 0.5  # amplitude of the noise before training, in that of the envelope


class Block(nn.Module):
    """ConvNeXt block on [B, T, C]: depthwise over time, then two dense layers; scale and shift by quality."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(KERNEL, width) * 0.1)
        self.scale = nn.Parameter(torch.ones(KNOTS, width))
        self.shift = nn.Parameter(torch.zeros(KNOTS, width))
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor, knots: Tensor) -> Tensor:
        t = x.shape[1]
        padded = F.pad(x, (0, 0, KERNEL // 2, KERNEL // 2))
        y = padded[:, :t] * self.taps[0]
        for k in range(1, KERNEL):
            y = torch.addcmul(y, padded[:, k : k + t], self.taps[k])
        y = F.layer_norm(y, y.shape[-1:])
        y = y * (knots @ self.scale)[:, None] + (knots @ self.shift)[:, None]
        out: Tensor = x + self.gain * self.down(F.gelu(self.up(y), approximate="tanh"))
        return out


class FrameNetwork(nn.Module):
    """Features [B, T, inputs] to outputs [B, T, outputs] that start at zero."""

    def __init__(self, inputs: int, width: int, blocks: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.position = nn.Parameter(torch.zeros(KNOTS, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last = nn.Linear(width, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def reach(self) -> int:
        """Frames to each side that an output depends on."""
        return len(self.blocks) * (KERNEL // 2)

    def hidden(self, x: Tensor, knots: Tensor) -> Tensor:
        """What the last layer, which is linear, sees: [B, T, width]."""
        x = self.first(x) + (knots @ self.position)[:, None]
        for block in self.blocks:
            x = block(x, knots)
        return F.layer_norm(x, x.shape[-1:])

    def forward(self, x: Tensor, knots: Tensor) -> Tensor:
        out: Tensor = self.last(self.hidden(x, knots))
        return out


class AudioNetworks(nn.Module):
    """Both networks and the learned curves of the skeleton. Frames are [B, T, HOP], envelopes [B, T, bands]."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        bands = len(config.edges) - 1
        self.analysis = FrameNetwork(HOP + bands + 1, config.width, config.analysis_blocks, HOP + bands)
        self.synthesis = FrameNetwork(2 * HOP + bands + 1, config.width, config.synthesis_blocks, 3 * HOP)
        with torch.no_grad():
            self.synthesis.last.bias[HOP:] = START_NOISE
        self.shape = nn.Parameter(torch.full((KNOTS,), config.shape))  # exponent of the step on the envelope
        self.tilt = nn.Parameter(torch.zeros(KNOTS, bands))  # log2 of the step, by band
        self.envelope_step = nn.Parameter(torch.zeros(KNOTS))  # log2
        spread, gather = (torch.from_numpy(w) for w in band_weights(config.edges))
        self.spread = nn.Buffer(spread, persistent=False)
        self.gather = nn.Buffer(gather, persistent=False)

    def envelope(self, frames: Tensor) -> Tensor:
        """Log2 of the mean square of every band, smoothed over neighbouring frames: [B, T, bands]."""
        power = frames.square()
        sides = F.pad(power, (0, 0, 1, 1), mode="replicate")
        power = (1 - 2 * SIDES) * power + SIDES * (sides[:, :-2] + sides[:, 2:])
        return (power @ self.gather + FLOOR).log2()

    def curves(self, envelope: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Log2 amplitude of every line by a decoded envelope, and log2 of its quantiser step; both [B, T, HOP]."""
        knots = step_knots(step)
        amplitude = 0.5 * envelope @ self.spread
        base = self.config.base + step.to(torch.float32) / self.config.octave
        follow = (knots @ self.shape)[:, None, None]
        log_step = base[:, None, None] + follow * (amplitude - self.config.reference)
        return amplitude, log_step + ((knots @ self.tilt) @ self.spread)[:, None]

    def envelope_unit(self, step: Tensor) -> Tensor:
        """Step of the envelope's quantiser in log2 of energy, [B, 1, bands]."""
        coarse = (step_knots(step) @ self.envelope_step)[:, None]
        share = torch.from_numpy(fine_share(step.cpu().numpy(), self.config.edges)).to(coarse.device)
        unit: Tensor = torch.exp2(coarse + share * (math.log2(FINE_UNIT) - coarse).clamp(max=0))
        return unit[:, None]

    def analyse(self, frames: Tensor, short: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Envelope in its units (not rounded), and what moves the lines (see :meth:`lines`); ``short`` [B, T]."""
        envelope = self.envelope(frames)
        x = torch.cat([compand(frames), 0.1 * envelope, short[..., None].to(frames.dtype)], 2)
        move, raised = self.analysis(x, step_knots(step)).split([HOP, envelope.shape[2]], 2)
        return (envelope + raised) / self.envelope_unit(step), move

    def lines(self, frames: Tensor, move: Tensor, log_step: Tensor) -> Tensor:
        """Lines in units of their step."""
        return frames * torch.exp2(-log_step) + 0.5 * torch.tanh(move)

    def _told(
        self, lines: Tensor, envelope: Tensor, log_step: Tensor, short: Tensor, shift: Tensor | float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Lines as they were coded, the size of their step, and what the synthesis is told."""
        size = torch.exp2((log_step + shift).clamp(max=LOUDEST))
        plain = lines * size
        x = torch.cat(
            [
                compand(plain), 0.25 * lines.clamp(-8, 8), 0.1 * (envelope + 2 * shift),
                short[..., None].to(lines.dtype),
            ], 2
        )  # fmt: skip
        return plain, size, x

    def noise_inputs(self, lines: Tensor, envelope: Tensor, short: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """What the levels of the noise are made from, [B, T, width], and the unit of a level, in steps [B, T, HOP]."""
        amplitude, log_step = self.curves(envelope, step)
        _, _, x = self._told(lines, envelope, log_step, short, 0.0)
        return self.synthesis.hidden(x, step_knots(step)), noise_unit(amplitude, log_step)

    def synthesise(
        self, lines: Tensor, envelope: Tensor, noise: Tensor, short: Tensor, step: Tensor, shift: Tensor | float = 0.0
    ) -> Tensor:
        """Frames from codes, with noise of the level that training finds, whatever the step.

        Args:
            lines: values of the codes, in steps [B, T, HOP].
            envelope: decoded, in log2 energy [B, T, bands].
            noise: of unit variance [B, T, HOP].
            short: which frames are short, [B, T].
            step: [B] step indices.
            shift: log2 of an amplitude that every frame is raised by, [B, T, 1]: brings frames to a common level.
        """
        amplitude, log_step = self.curves(envelope, step)
        plain, size, x = self._told(lines, envelope, log_step, short, shift)
        # the third part is not learned by this, but by train.noise
        grown, level, _ = self.synthesis(x, step_knots(step)).split(HOP, 2)
        # Lines that were coded move along their sign; in those that were not there is noise: with a free offset the
        # network puts one steady tone into every band, which measures of loudness by bands take for the original.
        wanted = noise_unit(amplitude, log_step) * NOISE_GAIN * level
        near = short | F.pad(short[:, 1:], (0, 1))
        share = torch.from_numpy(short_noise(step.cpu().numpy())).to(wanted.device)[:, None, None]
        wanted = torch.where(near[..., None], share * wanted, wanted)
        filled = MOST_NOISE * torch.tanh(wanted / MOST_NOISE) * noise
        change = torch.where(lines == 0, filled, 0.5 * torch.tanh(grown) * lines.sign())
        out: Tensor = plain + change * size
        return out


def noise_unit(amplitude: Tensor, log_step: Tensor) -> Tensor:
    """What of an envelope's amplitude is above its floor, in steps."""
    heard = 0.5 * (torch.exp2(2 * amplitude.clamp(max=LOUDEST)) - FLOOR).clamp(min=LEAST).log2()
    return torch.exp2((heard - log_step).clamp(-LOUDEST, LOUDEST))


def compand(x: Tensor) -> Tensor:
    """Signed logarithm of lines in 16-bit units, about -3..3."""
    return x.sign() * torch.log1p(x.abs() / 16) * 0.4
