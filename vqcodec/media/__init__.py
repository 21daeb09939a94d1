"""Pictures from and to files and arrays, with their metadata."""

from __future__ import annotations

from vqcodec.media.files import check_writable, write_atomic
from vqcodec.media.picture import INPUT_SUFFIXES, MAX_PIXELS, MAX_SIDE, Picture, Source, load_picture, to_pil
from vqcodec.media.save import SUFFIXES, format_for, save_picture, write_picture

__all__ = [
    "INPUT_SUFFIXES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "SUFFIXES",
    "Picture",
    "Source",
    "check_writable",
    "format_for",
    "load_picture",
    "save_picture",
    "to_pil",
    "write_atomic",
    "write_picture",
]
