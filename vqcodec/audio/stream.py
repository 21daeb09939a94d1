"""A sound on its way out, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vqcodec.audio.tags import Tags
from vqcodec.bitstream.arrays import F32

__all__ = ["SoundStream"]


@dataclass(frozen=True)
class SoundStream:
    """A sound that is decoded while it is read.

    Attributes:
        sample_rate: Hz.
        channels: how many.
        samples: how many per channel all blocks have together.
        blocks: float32 [n, channels], once, in WAVE order; full scale is 1, and a sample may lie beyond.
        tags: texts by name (``TITLE``, ``ARTIST`` ...), each name's in a list.
        picture: the cover as the body of a FLAC PICTURE block, or None.
        bits: per sample of a file that it is saved to, 16 or 24.
    """

    sample_rate: int
    channels: int
    samples: int
    blocks: Iterator[F32]
    tags: Tags = field(default_factory=dict)
    picture: bytes | None = None
    bits: int = 16
