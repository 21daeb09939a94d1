"""A sound that is to have a quality or to meet a target: coded once, or at several steps, as few as can be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vqcodec.audio.files import Float32, SoundSource
from vqcodec.audio.lossless import exact_if_short
from vqcodec.audio.resample import resample
from vqcodec.bitstream import AudioHeader, Chunk, VqcFile, write_vqc
from vqcodec.errors import UsageError
from vqcodec.options import Progress
from vqcodec.quality import COARSEST, kbps, quality_of_step
from vqcodec.target import Aim, Curve, finest_within, rounded_up, smallest_step, strip_hint

if TYPE_CHECKING:
    from vqcodec.audio.codec import AudioCodec

__all__ = ["encode_sound"]

_PLAUSIBLE = 256  # bytes a channel that the container takes for the payload of any chunk
_NEAR = 0.02  # of the size that is asked for
# Of a sound of so many seconds one in five is tried first, at most four minutes.
_PROBED_FROM, _PROBED_EVERY, _MOST_PROBED = 30, 5, 240
_SEAM_BYTES = 50  # that a second of it costs more than within its surroundings
_CHUNK_BYTES = 7  # of the container, at least, for each chunk
# Bytes of coded symbols in a second of one channel, of examples/speech.flac: where the search for a target starts.
_USUAL_STEPS = (0, 32, 64, 96, 128, 160, 192, 224, 255)
_USUAL_BYTES = (10889, 8701, 6848, 5127, 3728, 2553, 1494, 703, 348)


def encode_sound(source: SoundSource, aim: Aim, codec: AudioCodec, progress: Progress | None = None) -> bytes:
    """Compress a sound; the step is searched where a target asks for it, reading the source anew for each.

    A sound of a few samples is stored exactly where that is smaller, or what the target allows.

    Raises:
        UsageError: the target is out of reach; the message names the nearest that is not.
        InputError, LimitError: the source cannot be read.
    """
    encoder = _Encoder(source, codec, source.metadata)
    exact = exact_if_short(source)
    if aim.step is not None:
        encoder.progress = progress
        coded = encoder.encode(aim.step)
        return coded if exact is None else min(exact, coded, key=len)
    encoder.count()
    tries = 0

    def tell(share: float) -> None:
        """Nobody knows how many tries it will be; mostly three."""
        assert progress is not None
        progress(min((tries - 1 + share) / 4, 0.95))

    encoder.progress = None if progress is None else tell
    limit = aim.most_of_sound(encoder.seconds) or 0.0
    if exact is not None and len(exact) <= limit:
        return exact
    kept: dict[int, list[Chunk | None]] = {}

    def size_at(step: int) -> float:
        nonlocal tries
        tries += 1
        chunks, size = encoder.chunks_at(step, limit)
        if size <= limit:
            kept.clear()  # the last that fits is the finest: what is tried later is finer, or does not fit
            kept[step] = chunks
        return size

    # One step changes the size by 2 %, so the first try that is so near is the best half of the time.
    step = finest_within(limit, size_at, encoder.estimate(limit), enough=1, near=_NEAR)
    if step > COARSEST:
        return _smallest(encoder, limit, exact)
    return encoder.verified(step, kept[step])


def _smallest(encoder: _Encoder, limit: float, exact: bytes | None) -> bytes:
    """The smallest file, where the search found none within the limit.

    Raises:
        UsageError: it is larger.
    """
    chunks_at = cache(lambda step: encoder.chunks_at(step, math.inf))
    step = smallest_step(lambda step: chunks_at(step)[1])
    coded = encoder.pack(step, chunks_at(step)[0])
    if len(coded) <= limit:
        return encoder.verified(step, chunks_at(step)[0])
    ways = ((len(coded), f"quality {quality_of_step(step):g}"), (math.inf if exact is None else len(exact), "exact"))
    smallest, how = min(ways)
    size, seconds = int(smallest), encoder.seconds
    rate = rounded_up(kbps(size, seconds), 2, lambda kbit: size <= kbit * 125 * seconds)
    raise UsageError(
        f"the target is out of reach: the smallest file of this sound has {size:,} bytes "
        f"({rate} kbit/s, {how}); ask for that or more" + strip_hint(size, limit, encoder.metadata)
    )


class _Encoder:
    """Encodes one source at any step; knows its length once it was read for the first time."""

    def __init__(self, source: SoundSource, codec: AudioCodec, metadata: dict[str, bytes]) -> None:
        self.source = source
        self.codec = codec
        self.metadata = metadata
        self.samples = 0
        self.progress: Progress | None = None

    @property
    def seconds(self) -> float:
        return self.samples / self.source.sample_rate

    def count(self) -> None:
        """Read the source once, to learn how long it is."""
        for _ in self._counted():
            pass

    def encode(self, step: int) -> bytes:
        """The file at a step."""
        core = resample(self._counted(), self.source.sample_rate, self.codec.core_rate)
        return self.pack(step, list(self.codec.encode(core, step)))

    def chunks_at(self, step: int, limit: float) -> tuple[list[Chunk | None], float]:
        """Chunks at a step, not yet verified, and the bytes of the file.

        Where these come to more than the limit, the rest is not coded but its bytes are estimated.
        """
        core = resample(self._counted(), self.source.sample_rate, self.codec.core_rate)
        chunks: list[Chunk | None] = []
        size = 0
        total = -(-(self.codec.core_rate * self.samples // self.source.sample_rate) // self._chunk_samples)
        for chunk in self.codec.encode(core, step, check=False):
            size += len(chunk.payload) + _CHUNK_BYTES
            chunks.append(chunk)
            if size > limit and len(chunks) < total:
                return chunks, size * total / len(chunks)
        return chunks, len(self.pack(step, chunks))

    @property
    def _chunk_samples(self) -> int:
        return self.codec.chunk_frames * self.codec.hop

    def estimate(self, limit: float) -> Curve:
        """Bytes of the file at every step, near the limit as some of a longer sound tell."""
        overhead = self._overhead()
        about = overhead + self._usual()
        if self.seconds < _PROBED_FROM:
            return about
        some = [self._stretches(max(_PROBED_EVERY, math.ceil(self.seconds / _MOST_PROBED)))]
        share = len(some[0]) / (self.seconds * self.codec.core_rate)
        seen: dict[int, float] = {}

        def size_at(step: int) -> float:
            chunks = self.codec.encode(some, step, check=False)
            size = sum(len(chunk.payload) for chunk in chunks) - _SEAM_BYTES * len(some[0]) / self.codec.core_rate
            seen[step] = max(size, 1.0) / share + overhead
            return seen[step]

        finest_within(limit, size_at, about)
        steps = sorted(seen)
        off = np.interp(np.arange(COARSEST + 1), steps, [math.log(seen[step] / about[step]) for step in steps])
        found: Curve = about * np.exp(off)
        return found

    def _stretches(self, every: int) -> Float32:
        """One second in so many, one after the other, each softened at its ends; [n, C] at the core rate."""
        kept, at, length, fade = [], 0, self.codec.core_rate, self.codec.core_rate // 100
        for block in resample(self._counted(), self.source.sample_rate, self.codec.core_rate):
            place = at + np.arange(len(block))
            inside = place // length % every == every // 2
            within = place[inside] % length
            soft = np.minimum(np.minimum(within, length - 1 - within) / fade, 1)
            kept.append(block[inside] * soft[:, None].astype(np.float32))
            at += len(block)
        return np.concatenate(kept)

    def _usual(self) -> Curve:
        """Bytes of coded symbols at every step, as they are of speech."""
        of_channel = np.exp(np.interp(np.arange(COARSEST + 1), _USUAL_STEPS, np.log(_USUAL_BYTES)))
        coded: Curve = of_channel * self.seconds * self.source.channels**0.5
        return coded

    def _overhead(self) -> int:
        """Bytes of the file beside its payload."""
        frames = -(-self.samples * self.codec.core_rate // (self.source.sample_rate * self.codec.hop)) + 1
        payload = b"\1" * _PLAUSIBLE * self.source.channels
        chunks = [Chunk(payload, (), 0)] * -(-frames // self.codec.chunk_frames)
        return len(self.pack(COARSEST, chunks)) - len(payload) * len(chunks)

    def pack(self, step: int, chunks: Sequence[Chunk | None]) -> bytes:
        """The file of these chunks."""
        return write_vqc(VqcFile(self._header(step), list(chunks), self.metadata))

    def verified(self, step: int, chunks: Sequence[Chunk | None]) -> bytes:
        """The file of chunks that were not verified yet."""
        for _ in self.codec.decode_codes(self._header(step), chunks):
            pass
        return self.pack(step, chunks)

    def _header(self, step: int) -> AudioHeader:
        return AudioHeader(
            sample_rate=self.source.sample_rate,
            channels=self.source.channels,
            samples=self.samples,
            step=step,
            model_id=self.codec.model_id,
            model_hint=self.codec.model_hint,
            chunk_frames=self.codec.chunk_frames,
        )

    def _counted(self) -> Iterator[Float32]:
        count = 0
        for block in self.source.blocks():
            count += len(block)
            yield block
            if self.progress is not None and self.source.expected:
                self.progress(min(count / self.source.expected, 1.0))
        self.samples = count
