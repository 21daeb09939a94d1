"""Presets of audio models: what shapes a model, as a frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AUDIO", "AUDIO_PRESETS", "AUDIO_TINY", "AudioConfig"]


# Bark-like bands of the envelope, as lines of 25 Hz: no line is far from the middle of its band
BANDS = (0, 8, 16, 24, 32, 40, 50, 60, 72, 86, 104, 126, 152, 184, 220, 260, 308, 380, 460, 560, 660, 780, 960)


@dataclass(frozen=True)
class AudioConfig:
    """Shape of an audio model.

    Attributes:
        edges: first line of every envelope band, and the end of the last.
        width, analysis_blocks, synthesis_blocks: of the networks at the frame rate.
        base: log2 of the quantiser step at step index 0, in 16-bit units at the reference level.
        octave: step indices that double the step.
        shape: start of the exponent with which the step follows the envelope.
        reference: log2 amplitude at which that exponent turns.
        codewords, core, reach: of the lines' codebook, in steps (see train.fits.scalar_codebook).
        rows, row_offset, row_width: of the lines' tables, by predicted energy in 1/16 of log2.
        spread_classes: of the envelope's table.
        prior_width, envelope_width: units per hidden layer of the priors of lines and envelope.
    """

    name: str
    edges: tuple[int, ...] = BANDS
    width: int = 256
    analysis_blocks: int = 4
    synthesis_blocks: int = 6
    base: float = 2.0
    octave: float = 25.5
    shape: float = 0.25
    reference: float = 8.0
    codewords: int = 2047
    core: int = 600
    reach: float = 40000.0
    rows: int = 64
    row_offset: int = -81
    row_width: int = 6
    spread_classes: int = 12
    prior_width: int = 32
    envelope_width: int = 48


AUDIO = AudioConfig("audio")


AUDIO_TINY = AudioConfig("audio-tiny", width=16, analysis_blocks=1, synthesis_blocks=1, prior_width=8, envelope_width=8)


AUDIO_PRESETS = {c.name: c for c in (AUDIO, AUDIO_TINY)}
