"""Pictures and sounds from and to files and arrays, with their metadata.

What needs soundfile is in the modules ``sound`` and ``sound_save``, which are imported by those that use sound.
"""

from __future__ import annotations

from vqcodec.media.files import check_writable, write_atomic
from vqcodec.media.kinds import SOUND_INPUT_SUFFIXES, SOUND_SUFFIXES, is_sound
from vqcodec.media.picture import INPUT_SUFFIXES, MAX_PIXELS, MAX_SIDE, Picture, Source, load_picture, to_pil
from vqcodec.media.save import SUFFIXES, format_for, save_picture, write_picture

__all__ = [
    "INPUT_SUFFIXES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "SOUND_INPUT_SUFFIXES",
    "SOUND_SUFFIXES",
    "SUFFIXES",
    "Picture",
    "Source",
    "check_writable",
    "format_for",
    "is_sound",
    "load_picture",
    "save_picture",
    "to_pil",
    "write_atomic",
    "write_picture",
]
