"""Which channel is where: sounds come and go in WAVE order, and a mask says which speakers those are."""

from __future__ import annotations

from vqcodec.audio.tags import Tag, Tags

__all__ = ["DEFAULT_MASKS", "MASK_TAG", "mask_of", "mask_tags", "wave_order"]

DEFAULT_MASKS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
"""Speakers by number of channels (RFC 9639, 9.1.3), as bits of WAVEFORMATEXTENSIBLE's dwChannelMask."""
MASK_TAG = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"
"""Name of the Vorbis comment for other masks (RFC 9639, 8.6.2); kept in a .vqc file's tags in the same form."""

# Vorbis I, 4.3.9, and Opus family 1 (RFC 7845, 5.1.1.2) number channels from left to right, bass last.
_FROM_VORBIS = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


def wave_order(channels: int) -> tuple[int, ...] | None:
    """Which channel of a Vorbis or Opus sound each channel in WAVE order is; None where both orders are the same."""
    return _FROM_VORBIS.get(channels)


def mask_tags(mask: int | None, channels: int) -> list[Tag]:
    """The tag that a mask needs: none where it is missing or the usual one."""
    if mask is None or mask == DEFAULT_MASKS.get(channels):
        return []
    return [(MASK_TAG, f"0x{mask:X}")]


def mask_of(tags: Tags, channels: int) -> int:
    """The mask that tags name, or the usual one where they name none or one for more speakers than channels."""
    usual = DEFAULT_MASKS.get(channels, 0)
    for text in tags.get(MASK_TAG, [])[:1]:
        try:
            mask = int(text, 16)
        except ValueError:
            return usual
        return mask if 0 <= mask < 2**32 and mask.bit_count() <= channels else usual
    return usual
