"""Whole sounds without loss: chunks of FLAC and nothing else, for which no model is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from vqcodec.audio.exact import EXACT_FRAME, decode_chunk, encode_chunk, samples_of
from vqcodec.audio.files import Float32, SoundSource
from vqcodec.bitstream import NO_MODEL, AudioHeader, Chunk, VqcFile, write_vqc
from vqcodec.bitstream.arrays import I32
from vqcodec.errors import CorruptError, DecodeError
from vqcodec.sources import warn_all

__all__ = ["check_chunks", "chunk_seconds", "decode_samples", "encode_lossless_sound", "exact_if_short"]

_FULL = 2**23  # full scale of 24 bits, and of the floats in blocks
_SECONDS = 4.0  # of a chunk, about
_SHIFT = 8  # what 16-bit samples lack of 24


def exact_if_short(source: SoundSource) -> bytes | None:
    """The exact file of a sound of a few samples, for which codes may take more bytes; None of a longer one.

    What is finer than 24 bits is rounded, which is far nearer than codes come; what is beyond full scale would be
    clipped, and is left to codes.
    """
    if source.expected > EXACT_FRAME:
        return None
    blocks, count = [], 0
    for block in source.blocks():
        blocks.append(block)
        count += len(block)
        if count > EXACT_FRAME or np.abs(block).max(initial=0) > 1:
            return None
    return _file(replace(source, blocks=lambda: iter(blocks)))[0]


def encode_lossless_sound(source: SoundSource, name: str) -> bytes:
    """The file of a sound; a warning says where its samples are finer than 24 bits."""
    data, rounded = _file(source)
    if rounded:
        warn_all(["its samples are finer than 24 bits, or beyond full scale: rounded, or clipped"], name)
    return data


def _file(source: SoundSource) -> tuple[bytes, bool]:
    """The file of a sound, and whether it is not quite the sound."""
    frames = max(round(_SECONDS * source.sample_rate / EXACT_FRAME), 1)
    chunks: list[Chunk | None] = []
    count = 0
    rounded, deep = not source.exact, False
    for part in _parts(source.blocks(), frames * EXACT_FRAME):
        samples, off = _whole_numbers(part)
        rounded |= off
        deep |= bool((samples & (1 << _SHIFT) - 1).any())
        chunks.append(encode_chunk(samples))
        count += len(samples)
    header = AudioHeader(source.sample_rate, source.channels, count, 0, NO_MODEL, 0, frames, lossless=True, deep=deep)
    return write_vqc(VqcFile(header, chunks, metadata=source.metadata)), rounded


def _parts(blocks: Iterator[Float32], length: int) -> Iterator[Float32]:
    """The same samples in blocks of this length; the last may be shorter."""
    kept: list[Float32] = []
    size = 0
    for block in blocks:
        kept.append(block)
        size += len(block)
        if size >= length:
            whole = np.concatenate(kept)
            while len(whole) >= length:
                yield whole[:length]
                whole = whole[length:]
            kept, size = [whole], len(whole)
    if size:
        yield np.concatenate(kept)


def _whole_numbers(block: Float32) -> tuple[I32, bool]:
    """Samples with 24 bits, and whether they are not the same."""
    scaled = block * np.float32(_FULL)
    near = np.clip(np.rint(scaled), -_FULL, _FULL - 1)
    return near.astype(np.int32), not np.array_equal(near, scaled)


def chunk_seconds(header: AudioHeader) -> float:
    """How long a chunk is."""
    return header.chunk_frames * EXACT_FRAME / header.sample_rate


def check_chunks(header: AudioHeader, count: int) -> None:
    """Raise CorruptError if so many chunks do not make the samples that the header says."""
    if count != -(-header.samples // (header.chunk_frames * EXACT_FRAME)):
        raise CorruptError(f"{count} chunks do not make {header.samples} samples", "header.chunks")


def decode_samples(
    header: AudioHeader,
    chunks: Sequence[Chunk | None],
    first: int,
    last: int,
    conceal: Callable[[int], object] | None = None,
) -> Iterator[Float32]:
    """Samples ``first`` to ``last`` - 1, full scale 1, chunk by chunk; chunks that are None or cut are silent.

    Args:
        conceal: told the numbers of chunks that do not decode, which are silent, too; without it, they are errors.

    Raises:
        CorruptError, ChecksumError: a chunk does not decode.
    """
    length = header.chunk_frames * EXACT_FRAME
    for index in range(first // length, -(-last // length)):
        block = _chunk_or_silence(header, chunks[index], index, conceal)
        start = index * length
        yield block[max(first - start, 0) : last - start]


def _chunk_or_silence(
    header: AudioHeader, chunk: Chunk | None, index: int, conceal: Callable[[int], object] | None
) -> Float32:
    if chunk is not None and chunk.complete:
        try:
            return decode_chunk(chunk, header, index).astype(np.float32) / np.float32(_FULL)
        except DecodeError:
            if conceal is None:
                raise
            conceal(index)
    return np.zeros((samples_of(header, index), header.channels), np.float32)
