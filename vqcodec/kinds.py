"""Picture or sound: told by the first bytes of a file, else by its name. Imports nothing that costs."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SOUND_INPUT_SUFFIXES", "SOUND_SUFFIXES", "is_sound", "is_vqc", "is_vqc_sound"]

# What is taken from a folder; a file named by itself may have any suffix.
SOUND_INPUT_SUFFIXES = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")
SOUND_SUFFIXES = (".flac", ".wav")
"""What can be written."""

_STARTS = (b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"riff\x2e\x91\xcf\x11")
_FORMS = ((b"RIFF", b"WAVE"), (b"RF64", b"WAVE"), (b"RIFX", b"WAVE"), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))
_VQC = b"\x89VQC"


def is_sound(head: bytes, name: str = "") -> bool:
    """Whether a file holds sound.

    Args:
        head: its first 12 bytes or more.
        name: decides by its suffix where the bytes say nothing (MP3 may start with anything).
    """
    if head.startswith(_STARTS) or (head[:4], head[8:12]) in _FORMS:
        return True
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # a frame of MPEG audio, layer III
        return True
    return not head.startswith(_VQC) and Path(name).suffix.lower() in SOUND_INPUT_SUFFIXES


def is_vqc(head: bytes) -> bool:
    """Whether a file is a .vqc file."""
    return head.startswith(_VQC)


def is_vqc_sound(head: bytes) -> bool:
    """Whether a .vqc file holds sound, by its first 10 bytes: signature, version, flags."""
    return is_vqc(head) and len(head) > 9 and bool(head[9] & 1)
