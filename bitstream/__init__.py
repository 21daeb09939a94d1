"""The .vqc file and its entropy coder, without torch. SPEC.md is normative."""

from __future__ import annotations

from vqcodec.bitstream.checks import code_hash
from vqcodec.bitstream.coder import RangeDecoder, RangeEncoder, Tables
from vqcodec.bitstream.container import Chunk, FileInfo, VqcFile, read_header, read_vqc, write_vqc
from vqcodec.bitstream.header import AudioHeader, ImageHeader
from vqcodec.bitstream.limits import Limits

__all__ = [
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
    "write_vqc",
]
