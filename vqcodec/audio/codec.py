"""The audio codec: samples to chunks of codes and back. Joins transform, quantiser, prior and entropy coder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vqcodec.audio.attacks import short_frames
from vqcodec.audio.codes import (
    LEVELS,
    SILENCE,
    AudioCodes,
    AudioCodeWriter,
    decode_audio_codes,
    hash_audio_codes,
    silent_codes,
)
from vqcodec.audio.mdct import HOP, Flags, imdct, mdct_window
from vqcodec.audio.model import AudioModel, audio_model_id
from vqcodec.audio.noise import quiet_noise
from vqcodec.audio.powers import MOMENT, PER_FRAME, POWER_BANDS, corrected, powers_of, units_of
from vqcodec.audio.search import SearchCosts, search_chunk
from vqcodec.audio.stereo import by_frame, choose_angles, groups_of, pairs_of, turn
from vqcodec.audio.transform import AROUND, LOUD, AudioTransform
from vqcodec.audio.walk import channel_steps, has_powers
from vqcodec.bitstream import AudioHeader, Chunk
from vqcodec.bitstream.arrays import F32, I32
from vqcodec.bitstream.checks import check_written
from vqcodec.errors import CorruptError, DecodeError, VqcError
from vqcodec.threads import Threaded

__all__ = ["AudioCodec"]

SAMPLE_UNIT = 32768.0
SILENT_SAMPLE = 2.0**-17  # a quarter of a step of 16-bit samples: below it is silence
LEVELS_PER_OCTAVE = 4
QUIETEST = 20  # level index of -60 dB of full scale: anything below is coded as if it were that loud
FALL = 3  # level steps that the level may fall from chunk to chunk, so that pauses are not coded finely
LOUD_SHARE = 90  # percentile of the frames' power that is a chunk's level
SPARSE = 16.0  # but the level's power is at least the loudest frame's over this: short sounds in silence count too


@dataclass(frozen=True)
class _Values:
    """One chunk's codes as values, all of them by frame.

    Attributes:
        angles: [pairs, T, bands].
        lines, noise: in steps [B, T, HOP].
        envelope: in units [B, T, bands].
        powers: [U, 2 T, POWER_BANDS], not a number where there are none.
        silent: of a chunk of silence, or of one without codes.
    """

    level: int
    short: Flags
    angles: I32
    lines: F32
    envelope: F32
    powers: F32
    noise: F32
    silent: bool = False

    def part(self, cut: slice) -> _Values:
        """Some of its frames."""
        parts = {name: getattr(self, name)[:, cut] for name in ("angles", "lines", "envelope", "noise")}
        return replace(self, short=self.short[cut], **parts)

    @property
    def frames(self) -> int:
        return len(self.short)


class AudioCodec(Threaded):
    """One model. Safe for concurrent encode and decode.

    Args:
        threads: at most so many, the calling one included; None for as many as there are processors.

    Attributes:
        core_rate: Hz; sound comes and goes at this rate.
        hop: samples of a frame.
        chunk_frames: frames of a chunk, 4 s.
        model_id: first 4 bytes of the SHA-256 of the canonical weights.
        model_hint: number of the model in the registry.
    """

    core_rate = 48000
    hop = HOP
    chunk_frames = 200

    def __init__(self, model: AudioModel, hint: int, *, threads: int | None = None) -> None:
        super().__init__(threads)
        self.model = model
        self.model_id = audio_model_id(model)
        self.model_hint = hint
        self._transform = AudioTransform(model.config, model.transform)

    @cached_property
    def _costs(self) -> SearchCosts:
        """Rate terms of the search; decoding needs none."""
        return SearchCosts(self.model)

    def encode(self, blocks: Iterable[F32], step: int, *, check: bool = True) -> Iterator[Chunk]:
        """Code a sound as it comes.

        Args:
            blocks: samples [n, C] at the core rate, full scale 1; any lengths.
            step: step index, 0 (finest) to 255.
            check: verify each chunk by decoding its codes; whoever keeps the chunks and leaves it out does so later.

        Yields:
            One chunk per 200 frames. Frame f is made of the blocks of 960 samples
            number f - 1 and f, so there is one frame more than blocks.
        """
        reach = self._transform.analysis.reach + 1  # one more for the envelope, which is smoothed
        level = 0
        for window, left in stretches(blocks, self.chunk_frames * HOP, (reach + 1) * HOP, reach * HOP):
            inner = window[(reach + 1) * HOP : -reach * HOP]
            level = max(_level_of(inner[: max(-(-left // HOP), 1) * HOP]), level - FALL)
            frames = min(-(-left // HOP) + 1, self.chunk_frames)
            yield self._encode_chunk(window, slice(reach, reach + frames), step, level, check)

    def _encode_chunk(self, window: F32, inner: slice, step: int, level: int, check: bool) -> Chunk:
        codes_model, channels = self.model.codes, window.shape[1]
        if np.abs(window[inner.start * HOP : (inner.stop + 1) * HOP]).max() < SILENT_SAMPLE:
            return Chunk(b"", (), 0)
        samples = np.ascontiguousarray(window.T) * np.float32(SAMPLE_UNIT * LOUD / _amplitude(level))
        short: Flags = np.any(short_frames(samples), axis=0)
        frames = mdct_window(samples, np.pad(short, 1))
        angles = self._turn_pairs(frames, inner, step)
        steps = channel_steps(step, channels)
        analysed: dict[int, tuple[F32, F32, F32]] = {}

        def analyse(k: int) -> None:
            envelope, move = self._transform.analyse(frames[k], short, int(steps[k]))
            analysed[k] = frames[k, inner], envelope[inner], move[inner]

        self.workers.each(analyse, range(channels))
        writer = AudioCodeWriter(codes_model, level, short[inner], angles)
        start = (inner.start + 1) * HOP - MOMENT
        around = samples[:, start : start + (PER_FRAME * (inner.stop - inner.start) + 1) * MOMENT]
        told = powers_of(around, units_of(channels)) if has_powers(step) else None
        chosen = [analysed[k] for k in range(channels)]
        found = search_chunk(self.model, self._transform, chosen, told, step, self._costs, writer)
        codes = AudioCodes(level, short[inner], angles, *found)
        payload, ends = writer.finish()
        if check:
            again = decode_audio_codes(codes_model, step, payload, channels, codes.envelope.shape[1])
            if hash_audio_codes(again) != hash_audio_codes(codes):
                raise VqcError(
                    "the codes just written do not decode to themselves; please report this as a bug with the sound"
                )
        return Chunk(payload, ends, hash_audio_codes(codes))

    def _turn_pairs(self, frames: F32, inner: slice, step: int) -> I32:
        """Choose the angles of the inner frames and turn all pairs by them, in place; [pairs, groups, bands]."""
        edges, config = self.model.config.edges, self.model.config
        pairs = pairs_of(len(frames))
        count = inner.stop - inner.start
        out = np.zeros((len(pairs), groups_of(count), len(edges) - 1), np.int32)
        floor = 4.0 ** (config.base + step / config.octave)
        for k, pair in enumerate(pairs):
            both = frames[list(pair)]
            out[k] = choose_angles(both[:, inner], edges, floor)
            around = (inner.start, both.shape[1] - inner.stop), (0, 0)
            frames[list(pair)] = turn(both, np.pad(by_frame(out[k], count), around, mode="edge"), edges)
        return out

    @property
    def reach(self) -> int:
        """Frames to each side that decide what a frame becomes."""
        return max(self._transform.synthesis.reach, AROUND) + 1  # powers are those of two frames

    def frames_of(self, header: AudioHeader) -> int:
        """Number of code frames of a sound."""
        core_samples = -(-header.samples * self.core_rate // header.sample_rate)
        return -(-core_samples // HOP) + 1

    def decode_codes(self, header: AudioHeader, chunks: Sequence[Chunk | None]) -> Iterator[AudioCodes | None]:
        """Codes of one chunk after the other; None for a chunk that is None or not complete.

        Raises:
            CorruptError: a chunk's bytes are no stream of codes, or the header asks for another chunk length.
            ChecksumError: the codes are not those that were written.
        """
        self._check_grid(header, len(chunks))
        for index in range(len(chunks)):
            yield self._decode_chunk(header, chunks, index)

    def _check_grid(self, header: AudioHeader, chunks: int) -> None:
        if header.chunk_frames != self.chunk_frames:
            raise CorruptError(
                f"chunks of {header.chunk_frames} frames, this model has {self.chunk_frames}", "header.chunk_frames"
            )
        if chunks != -(-self.frames_of(header) // self.chunk_frames):
            raise CorruptError(f"{chunks} chunks do not make {header.samples} samples", "header.chunks")

    def _decode_chunk(self, header: AudioHeader, chunks: Sequence[Chunk | None], index: int) -> AudioCodes | None:
        chunk = chunks[index]
        if chunk is None or not chunk.complete:
            return None
        frames = min(self.frames_of(header) - index * self.chunk_frames, self.chunk_frames)
        if not chunk.payload:
            return silent_codes(self.model.codes, header.channels, frames)
        place = f"chunk {index}"
        try:
            codes = decode_audio_codes(self.model.codes, header.step, chunk.payload, header.channels, frames)
        except CorruptError as e:
            raise CorruptError(str(e), place) from e
        check_written(hash_audio_codes(codes), chunk.code_hash, "codes", place)
        return codes

    def decode(
        self,
        header: AudioHeader,
        chunks: Sequence[Chunk | None],
        *,
        first: int = 0,
        last: int | None = None,
        conceal: Callable[[int], None] | None = None,
    ) -> Iterator[F32]:
        """Decode chunks ``first`` to ``last`` - 1 of a sound, one block of samples each.

        Every chunk is synthesised together with the neighbouring frames that the network looks at, always the same
        ones, so a part decodes to the same samples as the whole. A chunk that is None or not complete becomes silence.

        Args:
            conceal: told the number of every chunk whose codes are wrong, which then becomes silence too instead of an
                error.

        Yields:
            Samples [n, C] at the core rate; together those of all chunks are the sound.

        Raises:
            CorruptError, ChecksumError: as for :meth:`decode_codes`; also CorruptError for samples that are no numbers.
        """
        self._check_grid(header, len(chunks))
        core_samples = -(-header.samples * self.core_rate // header.sample_rate)
        known: dict[int, _Values] = {}
        for index in range(first, len(chunks) if last is None else last):
            near = range(max(index - 1, 0), min(index + 2, len(chunks)))
            known = {i: known[i] if i in known else self._values(header, chunks, i, conceal) for i in near}
            if all(values.silent for values in known.values()):  # silence costs nothing, nor what is concealed
                samples = np.zeros((known[index].frames * HOP, header.channels), np.float32)
            else:
                samples = self._synthesise(known, index, header.step)
            if not np.isfinite(samples).all():
                if conceal is None:
                    raise CorruptError("its codes stand for no sound", f"chunk {index}")
                conceal(index)
                samples = np.zeros_like(samples)
            yield samples[: max(core_samples - index * self.chunk_frames * HOP, 0)]

    def _values(
        self,
        header: AudioHeader,
        chunks: Sequence[Chunk | None],
        index: int,
        conceal: Callable[[int], None] | None,
    ) -> _Values:
        try:
            codes = self._decode_chunk(header, chunks, index)
        except DecodeError:
            if conceal is None:
                raise
            conceal(index)
            codes = None
        frames = min(self.frames_of(header) - index * self.chunk_frames, self.chunk_frames)
        channels = header.channels
        unknown = np.full((len(units_of(channels)), PER_FRAME * frames, POWER_BANDS), np.nan, np.float32)
        if codes is None or codes.level == SILENCE:
            zeros = np.zeros((channels, frames, HOP), np.float32)
            angles = np.zeros((len(pairs_of(channels)), frames, self.model.codes.bands), np.int32)
            silence = np.zeros((channels, frames, self.model.codes.bands), np.float32)
            return _Values(QUIETEST, np.zeros(frames, bool), angles, zeros, silence, unknown, zeros, silent=True)
        lines = self.model.codebook[:, 0].take(codes.lines)
        powers = codes.powers.astype(np.float32) if codes.powers.size else unknown
        return _Values(
            codes.level, codes.short, by_frame(codes.angles, frames), lines, codes.envelope.astype(np.float32), powers,
            quiet_noise(index * self.chunk_frames, frames, channels),
        )  # fmt: skip

    def _synthesise(self, known: dict[int, _Values], index: int, step: int) -> F32:
        """Samples of one chunk from its values and its neighbours'."""
        reach = self.reach
        parts = [known[index]]
        if index - 1 in known:
            parts.insert(0, known[index - 1].part(slice(-reach, None)))
        if index + 1 in known:
            parts.append(known[index + 1].part(slice(0, reach + 1)))
        level, channels = known[index].level, len(parts[0].lines)
        before = parts[0].frames if index - 1 in known else 0
        lead = min(before, 1)
        wanted = slice(before - lead, before + self.chunk_frames + 2)
        angles, lines, envelope, noise = (
            np.concatenate([getattr(v, name) for v in parts], 1) for name in ("angles", "lines", "envelope", "noise")
        )
        short = np.concatenate([v.short for v in parts])
        silent = np.concatenate([np.full(v.frames, v.silent) for v in parts])
        shift = np.concatenate(
            [np.full((v.frames, 1), (v.level - level) / LEVELS_PER_OCTAVE, np.float32) for v in parts]
        )
        steps = channel_steps(step, channels)
        frames = np.empty((channels, len(short[wanted]), HOP), np.float32)

        def synthesise(k: int) -> None:
            unit = self._transform.envelope_unit(int(steps[k]))
            made = self._transform.synthesise(lines[k], envelope[k] * unit, noise[k], short, int(steps[k]), shift)
            frames[k] = np.where(silent[wanted, None], np.float32(0), made[wanted])

        self.workers.each(synthesise, range(channels))
        for k, pair in enumerate(pairs_of(channels)):
            frames[list(pair)] = turn(frames[list(pair)], angles[k, wanted], self.model.config.edges, back=True)
        samples = imdct(frames, short[wanted])
        count = min(frames.shape[1] - 1 - lead, known[index].frames) * HOP
        samples = np.pad(samples, ((0, 0), (HOP * (1 - lead), HOP)))[:, MOMENT : HOP + count + MOMENT]
        moments = PER_FRAME * count // HOP + 1
        powers, shift = self._powers(known, index)
        samples = corrected(samples, powers[:, :moments], units_of(channels), shift[:moments])
        return np.ascontiguousarray(samples.T) * np.float32(_amplitude(level) / (SAMPLE_UNIT * LOUD))

    @staticmethod
    def _powers(known: dict[int, _Values], index: int) -> tuple[F32, F32]:
        """Powers of a chunk and the first ones of the next, [U, K + 1, POWER_BANDS]; log2 of their scale, [K + 1]."""
        values, after = known[index], known.get(index + 1)
        last = np.full_like(values.powers[:, :1], np.nan) if after is None else after.powers[:, :1]
        shift = np.zeros(values.powers.shape[1] + 1, np.float32)
        if after is not None:  # told at its own level
            shift[-1] = 2 * (after.level - values.level) / LEVELS_PER_OCTAVE
        return np.concatenate([values.powers, last], 1), shift


def stretches(blocks: Iterable[F32], length: int, before: int, after: int) -> Iterator[tuple[F32, int]]:
    """Cut a sound into windows of ``before`` + ``length`` + ``after`` samples, ``length`` apart, zeros outside.

    Yields:
        The window [n, C], and how many samples of the sound there are from its inner part on (a lower bound that
        suffices while the sound goes on; at its end possibly negative by less than a frame).
    """
    held: F32 | None = None
    for block in blocks:
        held = np.zeros((before, block.shape[1]), np.float32) if held is None else held
        held = np.concatenate([held, block])
        while len(held) >= before + length + after:
            yield held[: before + length + after], len(held) - before
            held = held[length:]
    if held is None:
        return
    left = len(held) - before
    while left > -HOP:
        window = np.zeros((before + length + after, held.shape[1]), np.float32)
        window[: len(held)] = held[: len(window)]
        yield window, left
        held, left = held[length:], left - length


def _level_of(samples: F32) -> int:
    """Level index of a stretch of whole frames [n, C]: the power of its loud frames."""
    power = np.square(samples.reshape(-1, HOP, samples.shape[1])).mean(1).max(1)
    loud = SAMPLE_UNIT * float(max(np.percentile(power, LOUD_SHARE), power.max() / SPARSE)) ** 0.5
    return int(np.clip(round(LEVELS_PER_OCTAVE * np.log2(max(loud, 1.0))), QUIETEST, LEVELS - 1))


def _amplitude(level: int) -> float:
    """Root mean square of loud frames that a level stands for, in 16-bit units."""
    return float(2.0 ** (level / LEVELS_PER_OCTAVE))
