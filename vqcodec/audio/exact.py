"""Exact chunks of sound: samples of 16 or 24 bits as FLAC and back, without loss (SPEC.md, Exact chunks of a sound)."""

from __future__ import annotations

import io

import soundfile

from vqcodec.bitstream import AudioHeader, Chunk, sample_hash
from vqcodec.bitstream.arrays import I32
from vqcodec.bitstream.checks import check_written
from vqcodec.errors import CorruptError

__all__ = ["EXACT_FRAME", "decode_chunk", "encode_chunk", "samples_of"]

EXACT_FRAME = 4096
"""Samples of a frame of a lossless sound, and of FLAC's blocks at 44.1 kHz and above, as its library makes them."""

_SHORT, _LONG = 1, 2  # the last byte of a payload: 16 or 24 bits
_RATE = 48_000  # said to FLAC, whatever the sound's own
_LOW = 8  # bits by which 24-bit samples are longer
_LAST, _INFO_BYTES = 0x80, 34


def samples_of(header: AudioHeader, index: int) -> int:
    """Samples per channel of a chunk."""
    length = header.chunk_frames * EXACT_FRAME
    return min(length, header.samples - index * length)


def encode_chunk(samples: I32) -> Chunk:
    """The chunk of samples [n, C] with 24 bits."""
    short = not (samples & (1 << _LOW) - 1).any()
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", _RATE, samples.shape[1], "PCM_16" if short else "PCM_24", format="FLAC") as f:
        f.write(samples << _LOW)
    return Chunk(_frames(buffer.getvalue()) + bytes([_SHORT if short else _LONG]), (), sample_hash(samples))


def _frames(content: bytes) -> bytes:
    """A FLAC file without its signature and blocks of metadata (RFC 9639, 8)."""
    at, head = 4, 0
    while not head & _LAST:
        head = content[at]
        at += 4 + int.from_bytes(content[at + 1 : at + 4], "big")
    return content[at:]


def decode_chunk(chunk: Chunk, header: AudioHeader, index: int) -> I32:
    """Samples [n, C] of a chunk, with 24 bits.

    Raises:
        CorruptError: the payload is not that of a chunk of this size.
        ChecksumError: the samples are not those that were written.
    """
    place = f"chunk {index}"
    method = chunk.payload[-1] if chunk.payload else 0
    if method not in (_SHORT, _LONG) or (method == _LONG and not header.deep):
        raise CorruptError(f"unknown method {method}", place)
    count = samples_of(header, index)
    content = _start(header.channels, 16 if method == _SHORT else 24, count) + chunk.payload[:-1]
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            samples: I32 = file.read(count, dtype="int32", always_2d=True) >> _LOW
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        raise CorruptError("no FLAC stream", place) from error
    if samples.shape != (count, header.channels):
        raise CorruptError(f"{len(samples)} samples instead of {count}", place)
    check_written(sample_hash(samples), chunk.code_hash, "samples", place)
    return samples


def _start(channels: int, bits: int, samples: int) -> bytes:
    """Signature and stream info (RFC 9639, 8.2), as far as they follow from the header."""
    sizes = EXACT_FRAME << 16 | EXACT_FRAME
    layout = _RATE << 44 | (channels - 1) << 41 | (bits - 1) << 36 | samples
    info = sizes.to_bytes(4, "big") + bytes(6) + layout.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + (_LAST << 24 | _INFO_BYTES).to_bytes(4, "big") + info
