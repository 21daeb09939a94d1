"""Picture or sound: told by the first bytes of a file, else by its name. Imports nothing that costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vqcodec.errors import UsageError

__all__ = [
    "SOUND_INPUT_SUFFIXES",
    "SOUND_SUFFIXES",
    "Foreign",
    "foreign_sound",
    "is_sound",
    "is_vqc",
    "is_vqc_sound",
    "takes_for_sound",
]

# What is taken from a folder; a file named by itself may have any suffix.
SOUND_INPUT_SUFFIXES = (
    *(".aac", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mp3", ".mp4"),
    *(".mpc", ".oga", ".ogg", ".opus", ".rf64", ".w64", ".wav", ".wma", ".wv"),
)
SOUND_SUFFIXES = (".flac", ".wav")
"""What can be written."""

_STARTS = (b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"riff\x2e\x91\xcf\x11")
_FORMS = (
    *((b"RIFF", b"WAVE"), (b"RF64", b"WAVE"), (b"BW64", b"WAVE"), (b"RIFX", b"WAVE")),
    *((b"FORM", b"AIFF"), (b"FORM", b"AIFC")),
)
_VQC = b"\x89VQC"


@dataclass(frozen=True)
class Foreign:
    """A kind of sound that only ffmpeg reads.

    Attributes:
        what: its name in a sentence.
        demuxer: ffmpeg's name of the container.
    """

    what: str
    demuxer: str


_MP4 = Foreign("MP4 (AAC, ALAC or a video)", "mov")
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"crx ")
_FOREIGN = (
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Foreign("Windows Media", "asf")),
    (b"\x1a\x45\xdf\xa3", Foreign("Matroska or WebM", "matroska")),
    (b"wvpk", Foreign("WavPack", "wv")),
    (b"MAC ", Foreign("Monkey's Audio", "ape")),
    (b"MPCK", Foreign("Musepack", "mpc8")),
    (b"MP+", Foreign("Musepack", "mpc")),
    (b"#!AMR", Foreign("AMR", "amr")),
    (b"DSD ", Foreign("DSD", "dsf")),
)
_AAC = Foreign("AAC", "aac")


def foreign_sound(head: bytes) -> Foreign | None:
    """What a file is that holds sound, or a video, which only ffmpeg reads; ``head`` is its first 12 bytes or more."""
    if head[4:8] == b"ftyp":
        return None if head[8:12] in _PICTURE_BRANDS else _MP4
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # ADTS, layer 0
        return _AAC
    return next((kind for start, kind in _FOREIGN if head.startswith(start)), None)


def is_sound(head: bytes, name: str = "") -> bool:
    """Whether a file holds sound.

    Args:
        head: its first 12 bytes or more.
        name: decides by its suffix where the bytes say nothing (MP3 may start with anything).
    """
    if head.startswith(_STARTS) or (head[:4], head[8:12]) in _FORMS or foreign_sound(head):
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


def takes_for_sound(source: object, head: bytes, name: str, kind: str | None, sample_rate: int | None) -> bool:
    """Whether what a caller gives is taken for sound; ``kind`` decides where it is given, else a rate, else the bytes.

    Raises:
        UsageError: there is no such kind, or a tensor may be either.
    """
    if kind not in (None, "image", "audio"):
        raise UsageError(f"there is no kind {kind!r}; give image or audio")
    if kind is not None:
        return kind == "audio"
    if sample_rate is None and hasattr(source, "numpy"):
        raise UsageError("a tensor may be a picture or a sound; give kind='image', or the sample_rate of a sound")
    return sample_rate is not None or hasattr(source, "sample_rate") or is_sound(head, name)
