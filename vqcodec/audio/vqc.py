"""Sound to the bytes of a .vqc file and back, block by block: all that lies between files and the codec."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vqcodec.audio.files import Float32, Sound, SoundSource, array_source, open_sound, sound_source
from vqcodec.audio.lossless import check_chunks, chunk_seconds, decode_samples, encode_lossless_sound
from vqcodec.audio.resample import REACH, resample, resampled_length
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import MOST_TAGS, unpack_tags
from vqcodec.audio.tries import encode_sound
from vqcodec.bitstream import AudioHeader, Chunk, VqcFile
from vqcodec.errors import ChecksumError, LimitError, TruncatedError, UsageError
from vqcodec.options import CompressSettings, Progress
from vqcodec.quality import SOUND_QUALITY
from vqcodec.sources import name_of, naming, warn_all

if TYPE_CHECKING:
    from vqcodec.audio.codec import AudioCodec

__all__ = [
    "collect",
    "compress_sound",
    "decode_exact_sound",
    "decode_sound",
    "open_source",
    "telling",
    "verify_sound",
]

# What decoding to memory may take: 1 GiB in any case, beyond it as much as 1.5 kbit/s of stereo at 48 kHz come to.
_FREE_VALUES = 2**28
_VALUES_PER_BYTE = 512
_SECTIONS = {"tags": "its tags are lost", "picture": "its picture is lost"}


@contextmanager
def open_source(
    source: Any, sample_rate: int | None, head: bytes, max_seconds: int, *, repair: bool = False
) -> Iterator[SoundSource]:
    """Whatever :func:`vqcodec.compress` takes as sound; ``head`` is what was already read of an open file."""
    if isinstance(source, Sound):
        yield sound_source(source, max_seconds=max_seconds, repair=repair)
    elif isinstance(source, (str, os.PathLike, bytes)) or hasattr(source, "read"):
        if sample_rate is not None:
            raise UsageError("sample_rate is for arrays and tensors; a file says its own, so leave it out")
        with open_sound(source, max_seconds=max_seconds, head=head, repair=repair) as sound:
            yield sound
    else:
        yield array_source(source, sample_rate or 0, max_seconds=max_seconds, repair=repair)


def compress_sound(source: Any, head: bytes, settings: CompressSettings, load: Callable[[], AudioCodec]) -> bytes:
    """Read a sound and compress it.

    Args:
        source: see :func:`vqcodec.api.compress`; ``head`` is what was already read of an open file.
        load: gives the codec, once the sound was opened.

    Raises:
        InputError, LimitError: the sound cannot be read.
        UsageError: the options are not for sound, or a target is out of reach.
    """
    aim = settings.aim(SOUND_QUALITY)
    with open_source(source, settings.sample_rate, head, settings.max_seconds, repair=settings.repair) as sound:
        kept = sound.stripped() if settings.strip else sound
        warn_all(kept.notes, name_of(source))
        settings.check_sound()
        if settings.lossless:
            return encode_lossless_sound(kept, name_of(source))
        return encode_sound(kept, aim, load(), settings.progress)


def decode_sound(
    file: VqcFile,
    header: AudioHeader,
    codec: AudioCodec,
    stretch: tuple[float | None, float | None],
    name: str,
    *,
    conceal: bool = False,
) -> SoundStream:
    """A parsed file as a stream of samples; what is lost of it is warned of.

    Args:
        stretch: from and to so many seconds; None: as far as the sound goes.
        conceal: fill chunks whose codes are wrong with silence instead of refusing the file; a warning comes with the
            block in which it shows.
        name: of the file, for warnings and errors.

    Raises:
        UsageError: the range holds no samples.
        CorruptError: the header contradicts itself.
        ChecksumError, TruncatedError: nothing of the sound is left.
    """
    first, last = _range(header, *stretch)
    part = _part(header, first, last, codec, len(file.chunks))
    _check_wanted(file, part.wanted)
    seconds = header.chunk_frames * codec.hop / codec.core_rate
    _warn_concealed(file.chunks, part.wanted, seconds, name)
    tell = _teller(seconds, name) if conceal else None
    core = codec.decode(header, file.chunks, first=part.first, last=part.last, conceal=tell)
    whole = resample(core, codec.core_rate, header.sample_rate, last - part.start)
    return _stream(file, header, last - first, _from(whole, first - part.start), name)


def decode_exact_sound(
    file: VqcFile,
    header: AudioHeader,
    stretch: tuple[float | None, float | None],
    name: str,
    *,
    conceal: bool = False,
) -> SoundStream:
    """A parsed lossless file as a stream of samples; otherwise as :func:`decode_sound`."""
    check_chunks(header, len(file.chunks))
    first, last = _range(header, *stretch)
    seconds = chunk_seconds(header)
    length = round(seconds * header.sample_rate)
    wanted = range(first // length, -(-last // length))
    _check_wanted(file, wanted)
    _warn_concealed(file.chunks, wanted, seconds, name)
    blocks = decode_samples(header, file.chunks, first, last, _teller(seconds, name) if conceal else None)
    return _stream(file, header, last - first, blocks, name)


def verify_sound(file: VqcFile, header: AudioHeader, find: Callable[[], AudioCodec]) -> None:
    """Check that all of a file decodes to what was encoded.

    Raises:
        CorruptError, ChecksumError: it does not.
    """
    if header.lossless:
        check_chunks(header, len(file.chunks))
    codes = decode_samples(header, file.chunks, 0, header.samples) if header.lossless else None
    for _ in codes or find().decode_codes(header, file.chunks):
        pass


def _check_wanted(file: VqcFile, wanted: range) -> None:
    """Raise what is wrong with the chunks that are wanted, or that there are none at all."""
    for index in wanted:
        if index in file.faults:
            raise file.faults[index]
    if not any(chunk is not None and chunk.complete for chunk in file.chunks):
        raise (TruncatedError if file.cut else ChecksumError)("nothing of the sound can be recovered", "chunk 0")


def _stream(file: VqcFile, header: AudioHeader, samples: int, blocks: Iterator[Float32], name: str) -> SoundStream:
    """Samples with what belongs to them; what is lost of that is warned of."""
    warn_all([_SECTIONS.get(section, f"section {section} is lost") for section in file.lost], name)
    text = file.metadata.get("tags", b"")
    if text.count(b"\n") > MOST_TAGS:
        warn_all([f"only the first {MOST_TAGS:,} of its tags are kept"], name)
    return SoundStream(
        sample_rate=header.sample_rate,
        channels=header.channels,
        samples=samples,
        blocks=_named(blocks, name),
        tags=unpack_tags(text),
        picture=file.metadata.get("picture"),
        bits=24 if header.deep else 16,
    )


def _teller(seconds: float, name: str) -> Callable[[int], None]:
    """A warning for each chunk whose codes are wrong."""

    def tell(index: int) -> None:
        warn_all([f"the codes of chunk {index} (from {index * seconds:.1f} s) are wrong: concealed"], name)

    return tell


def _range(header: AudioHeader, start: float | None, end: float | None) -> tuple[int, int]:
    """Samples from and to, the second not included."""
    rate, samples = header.sample_rate, header.samples
    duration = samples / rate
    for what, value in (("start", start), ("end", end)):
        if value is not None and not value >= 0:
            raise UsageError(f"{what} {value:g} s is out of range; give 0 or more")
    first = 0 if start is None else round(min(start, duration) * rate)
    last = samples if end is None else round(min(end, duration) * rate)
    if first >= last:
        asked = f"{start or 0:g} s to {f'{end:g} s' if end is not None else 'the end'}"
        raise UsageError(f"there is no sound from {asked}; it lasts {duration:.3f} s")
    return first, last


@dataclass(frozen=True)
class _Part:
    """What is decoded for a part of a sound.

    Attributes:
        first, last: chunks ``first`` to ``last`` - 1 are decoded.
        start: the sample of the sound that the first of them begins with.
        wanted: chunks that the part's samples depend on; the first and last of them perhaps by a few frames that the
            network sees beside its own.
    """

    first: int
    last: int
    start: int
    wanted: range


def _part(header: AudioHeader, first: int, last: int, codec: AudioCodec, chunks: int) -> _Part:
    """The chunks that decide samples first to last - 1, with what the resampling filter reaches to either side.

    A frame's worth of samples is decided by the frame of that number and by the next one.
    """
    rate, core = header.sample_rate, codec.core_rate
    length = header.chunk_frames * codec.hop
    reach = 0 if rate == core else -(-REACH * core // min(rate, core))
    begin = max(0, first * core // rate - reach)
    chunk = begin // length
    while chunk * length * rate % core:  # both rates must have a sample where the filter starts
        chunk -= 1
    end = resampled_length(last, rate, core) + reach
    stop = (end + codec.hop - 1) // length + 1
    seen = codec.reach * codec.hop
    wanted = range(max(0, begin // codec.hop * codec.hop - seen) // length, (end + codec.hop - 1 + seen) // length + 1)
    return _Part(chunk, min(stop, chunks), chunk * length * rate // core, wanted[: chunks - wanted.start])


def _warn_concealed(chunks: Sequence[Chunk | None], wanted: range, seconds: float, name: str) -> None:
    bad = [i for i in wanted if (c := chunks[i]) is None or not c.complete]
    if not bad:
        return
    shown = ", ".join(f"{i} (from {i * seconds:.1f} s)" for i in bad[:3]) + (" ..." if len(bad) > 3 else "")
    warn_all([f"{len(bad)} of {len(chunks)} chunks damaged or missing, concealed: {shown}"], name)


def _from(blocks: Iterable[Float32], skip: int) -> Iterator[Float32]:
    for block in blocks:
        if skip < len(block):
            yield block[skip:]
        skip = max(0, skip - len(block))


def _named(blocks: Iterator[Float32], name: str) -> Iterator[Float32]:
    with naming(name):
        yield from blocks


def telling(stream: SoundStream, progress: Progress | None) -> SoundStream:
    """The same stream, which tells how far it has been read."""
    if progress is None:
        return stream

    def blocks() -> Iterator[Float32]:
        done = 0
        for block in stream.blocks:
            yield block
            done += len(block)
            progress(done / max(stream.samples, 1))

    return replace(stream, blocks=blocks())


def collect(stream: SoundStream, chunks: Sequence[Chunk | None]) -> Sound:
    """All of a stream in memory; ``chunks`` are those that it comes from.

    Raises:
        LimitError: it is more than a file of this size may ask for, or than there is memory.
    """
    values = stream.samples * stream.channels
    coded = sum(len(chunk.payload) for chunk in chunks if chunk)
    large = LimitError(
        f"{values * 4 / 2**30:,.1f} GiB of samples from {coded:,} bytes are too much for memory; "
        "read it in blocks by stream_sound, or a part by start and end"
    )
    if values > max(_FREE_VALUES, coded * _VALUES_PER_BYTE):
        raise large
    try:
        samples = np.empty((stream.samples, stream.channels), np.float32)
    except MemoryError:
        raise large from None
    done = 0
    for block in stream.blocks:
        samples[done : done + len(block)] = block
        done += len(block)
    assert done == stream.samples
    return Sound(samples, stream.sample_rate, stream.tags, stream.picture, stream.bits)
