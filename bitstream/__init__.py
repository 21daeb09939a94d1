"""The .vqc file and its entropy coder, without torch. SPEC.md is normative.

Names are resolved on first use: what a header says is to be had without numpy, whose import takes longer than the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqcodec.bitstream.checks import code_hash, sample_hash
    from vqcodec.bitstream.coder import RangeDecoder, RangeEncoder, Tables
    from vqcodec.bitstream.container import Chunk, FileInfo, VqcFile, read_header, read_vqc, write_vqc
    from vqcodec.bitstream.header import NO_MODEL, AudioHeader, ImageHeader
    from vqcodec.bitstream.limits import Limits

__all__ = [
    "NO_MODEL",
    "AudioHeader",
    "Chunk",
    "FileInfo",
    "ImageHeader",
    "Limits",
    "RangeDecoder",
    "RangeEncoder",
    "Tables",
    "VqcFile",
    "code_hash",
    "read_header",
    "read_vqc",
    "sample_hash",
    "write_vqc",
]

_HOMES = {
    **dict.fromkeys(("Chunk", "FileInfo", "VqcFile", "read_header", "read_vqc", "write_vqc"), "container"),
    **dict.fromkeys(("RangeDecoder", "RangeEncoder", "Tables"), "coder"),
    **dict.fromkeys(("NO_MODEL", "AudioHeader", "ImageHeader"), "header"),
    "Limits": "limits",
    **dict.fromkeys(("code_hash", "sample_hash"), "checks"),
}


def __getattr__(name: str) -> object:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
