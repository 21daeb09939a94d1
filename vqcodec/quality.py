"""What quality, step index and rate mean; without numpy, so that a file's facts are there at once."""

from __future__ import annotations

from vqcodec.errors import UsageError

__all__ = ["COARSEST", "PICTURE_QUALITY", "SOUND_QUALITY", "kbps", "quality_of_step", "step_of_quality"]

# The qualities of those who ask for none.
PICTURE_QUALITY = 60.0
SOUND_QUALITY = 45.0  # speech measures 4.3 of 4.6 in PESQ-WB, 4.5 of 5 in Zimtohrli
COARSEST = 255


def step_of_quality(quality: float) -> int:
    """Step index 0 (finest) to 255 of a quality from 1 to 100.

    Raises:
        UsageError: out of range.
    """
    if not 1 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range; give 1 (smallest) to 100 (best)")
    return round((100 - quality) * COARSEST / 99)


def quality_of_step(step: int) -> float:
    """Quality from 1 to 100 of a step index: of those that :func:`step_of_quality` takes to it the roundest."""
    middle = 100 - step * 99 / COARSEST
    whole = float(round(middle))
    return whole if step_of_quality(whole) == step else round(middle, 1)


def kbps(size: int, seconds: float) -> float:
    """Thousands of bits per second of so many bytes."""
    return size * 8 / 1000 / seconds
