"""The audio codec: samples to chunks of codes and back. Joins transform, quantiser, prior and entropy coder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vqcodec.audio.codes import (
    ENVELOPE_LIMIT,
    LEVELS,
    RESIDUAL_LIMIT,
    AudioCodes,
    AudioCodeWriter,
    channel_steps,
    decode_audio_codes,
    hash_audio_codes,
    walk_envelope,
    walk_lines,
)
from vqcodec.audio.mdct import HOP, imdct, mdct_window
from vqcodec.audio.model import AudioModel, audio_model_id
from vqcodec.audio.transform import LOUD, AudioTransform
from vqcodec.bitstream import AudioHeader, Chunk
from vqcodec.bitstream.arrays import F32, I32
from vqcodec.bitstream.checks import check_written
from vqcodec.errors import CorruptError, DecodeError, VqcError
from vqcodec.kernels import assign
from vqcodec.prior.integer import phase
from vqcodec.prior.rate import LAMBDA, bit_costs
from vqcodec.threads import using_threads

__all__ = ["AudioCodec", "search_chunk"]

SAMPLE_UNIT = 32768.0
LEVELS_PER_OCTAVE = 4
QUIETEST = 20  # level index of -60 dB of full scale: anything below is coded as if it were that loud
FALL = 3  # level steps that the level may fall from chunk to chunk, so that pauses are not coded finely
SILENT = 4.3  # log2 energy of a line, 57 dB below a loud frame's, under which an envelope is not heard
# Squared units of the envelope that a bit is worth: nearly none, so that bits decide between equals only. With more,
# PESQ and ViSQOL were lower at equal rate (held-out training speech).
ENVELOPE_PRICE = 1e-4
NEAR = np.array([-1, 0, 1, 2], np.int32)[:, None, None]
FAR = 1e6
LOUD_SHARE = 90  # percentile of the frames' power that is a chunk's level
SPARSE = 16.0  # but the level's power is at least the loudest frame's over this: short sounds in silence count too


@dataclass(frozen=True)
class SearchCosts:
    """Bits of every residual of the envelope, LAMBDA times the bits of every symbol of the lines; by row."""

    envelope: F32
    lines: Tensor

    @classmethod
    def of(cls, model: AudioModel) -> SearchCosts:
        lines = torch.from_numpy(LAMBDA * bit_costs(model.codes.line_tables))
        return cls(bit_costs(model.codes.envelope_tables), lines)


def _choose_envelope(wanted: F32, unit: F32, rows: I32, prediction: I32, bits: F32) -> I32:
    """Values [B, h] for half of a frame's bands: the nearest to what is wanted.

    Below what can be heard all values are as good as each other, so that silence takes what the prior expects.
    """
    nearest = np.round(wanted).astype(np.int32)
    candidates = np.concatenate([nearest + NEAR, prediction + NEAR])
    candidates = np.clip(candidates, prediction - RESIDUAL_LIMIT, prediction + RESIDUAL_LIMIT)
    candidates = np.clip(candidates, -ENVELOPE_LIMIT, ENVELOPE_LIMIT)
    silent = SILENT / unit
    error = np.maximum(candidates, silent) - np.maximum(wanted, silent)
    price = error**2 + ENVELOPE_PRICE * bits[rows, candidates - prediction + RESIDUAL_LIMIT]
    # a value far too low would make the lines' step needlessly fine
    price[candidates < nearest - 1] += FAR
    best = price.argmin(0)
    out: I32 = np.take_along_axis(candidates, best[None], 0)[0].astype(np.int32)
    return out


@torch.inference_mode()
def search_chunk(
    model: AudioModel,
    transform: AudioTransform,
    frames: Tensor,
    step: int,
    level: int,
    costs: SearchCosts,
    inner: slice,
    writer: AudioCodeWriter | None = None,
) -> AudioCodes:
    """Codes of the inner frames of a window [B, T, HOP] at the model's level; the rest is context of the analysis.

    Args:
        costs: what symbols cost.
        writer: told every code as it is found.
    """
    index = channel_steps(step, len(frames))
    steps = torch.from_numpy(index)
    wanted, gain, offset = (x[:, inner] for x in transform.analyse(frames, steps))
    unit = transform.envelope_unit(steps).detach().numpy()[:, 0]
    goal = wanted.numpy()

    def envelope(t: int, half: int, rows: I32, prediction: I32) -> I32:
        values = _choose_envelope(goal[:, t, half::2], unit, rows, prediction, costs.envelope)
        if writer is not None:
            writer.envelope(rows, prediction, values)
        return values

    coded = walk_envelope(model.codes, index, wanted.shape[1], envelope)
    _, log_step = transform.curves(torch.from_numpy(coded) * transform.envelope_unit(steps), steps)
    lines = transform.lines(frames[:, inner], gain, offset, log_step).numpy()
    lines = np.pad(lines, ((0, 0), (0, lines.shape[1] % 2), (0, 0)))

    def symbols(p: int, rows: I32) -> I32:
        x = torch.from_numpy(np.ascontiguousarray(phase(lines, p)).reshape(1, -1, 1))
        found = assign(x, model.codebook[None], costs.lines[None], torch.from_numpy(rows.reshape(1, -1)))
        out: I32 = found.numpy().astype(np.int32).reshape(rows.shape)
        if writer is not None:
            writer.lines(rows, out)
        return out

    return AudioCodes(level, coded, walk_lines(model.codes, index, coded, symbols))


@dataclass(frozen=True)
class _Values:
    """One chunk's codes as values: lines in steps and noise [B, T, HOP], envelope in log2 energy.

    Attributes:
        missing: there were no codes; these are values of silence.
    """

    level: int
    lines: Tensor
    envelope: Tensor
    noise: Tensor
    missing: bool = False


class AudioCodec:
    """One model. Safe for concurrent encode and decode.

    Attributes:
        core_rate: Hz; sound comes and goes at this rate.
        hop: samples of a frame.
        chunk_frames: frames of a chunk, 4 s.
        model_id: first 4 bytes of the SHA-256 of the canonical weights.
        model_hint: number of the model in the registry.
        threads: how many a call may use; None: as many as torch is set to.
    """

    core_rate = 24000
    hop = HOP
    chunk_frames = 200

    def __init__(self, model: AudioModel, hint: int, *, threads: int | None = None) -> None:
        self.model = model
        self.model_id = audio_model_id(model)
        self.model_hint = hint
        self.threads = threads
        self._transform = AudioTransform(model.config).eval()
        self._transform.load_state_dict({k: v.float() for k, v in model.transform.items()})

    @cached_property
    def _costs(self) -> SearchCosts:
        """Rate terms of the search; decoding needs none."""
        return SearchCosts.of(self.model)

    def encode(self, blocks: Iterable[F32], step: int, *, check: bool = True) -> Iterator[Chunk]:
        """Code a sound as it comes.

        Args:
            blocks: samples [n, C] at the core rate, full scale 1; any lengths.
            step: step index, 0 (finest) to 255.
            check: verify each chunk by decoding its codes; whoever keeps the chunks and leaves it out does so later.

        Yields:
            One chunk per 200 frames. Frame f is made of the blocks of 480 samples
            number f - 1 and f, so there is one frame more than blocks.
        """
        reach = self._transform.analysis.reach + 1  # one more for the envelope, which is smoothed
        level = 0
        for window, left in stretches(blocks, self.chunk_frames * HOP, (reach + 1) * HOP, reach * HOP):
            inner = window[(reach + 1) * HOP : -reach * HOP]
            level = max(_level_of(inner[: max(-(-left // HOP), 1) * HOP]), level - FALL)
            frames = min(-(-left // HOP) + 1, self.chunk_frames)
            with using_threads(self.threads):
                chunk = self._encode_chunk(window, slice(reach, reach + frames), step, level, check)
            yield chunk

    @torch.inference_mode()
    def _encode_chunk(self, window: F32, inner: slice, step: int, level: int, check: bool) -> Chunk:
        samples = torch.from_numpy(_to_mid_side(window).T.copy()) * (SAMPLE_UNIT * LOUD / _amplitude(level))
        codes_model, channels = self.model.codes, len(samples)
        writer = AudioCodeWriter(codes_model, level)
        frames = mdct_window(samples)
        codes = search_chunk(self.model, self._transform, frames, step, level, self._costs, inner, writer)
        payload, ends = writer.finish()
        if check:
            again = decode_audio_codes(codes_model, step, payload, channels, codes.envelope.shape[1])
            if hash_audio_codes(again) != hash_audio_codes(codes):
                raise VqcError(
                    "the codes just written do not decode to themselves; please report this as a bug with the sound"
                )
        return Chunk(payload, ends, hash_audio_codes(codes))

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
            with using_threads(self.threads):  # all of it: looking up values is enough work for torch to share it out
                known = {i: known[i] if i in known else self._values(header, chunks, i, conceal) for i in near}
                if all(values.missing for values in known.values()):  # so that what is concealed costs nothing
                    samples = np.zeros((self.chunk_frames * HOP, header.channels), np.float32)
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
        if codes is None:
            zeros = torch.zeros(header.channels, frames, HOP)
            envelope = torch.zeros(header.channels, frames, self.model.codes.bands)
            return _Values(QUIETEST, zeros, envelope, zeros, missing=True)
        lines = self.model.codebook[:, 0][torch.from_numpy(codes.lines).long()]
        noise = [
            np.random.Generator(np.random.Philox(key=[index, channel])).standard_normal((frames, HOP), np.float32)
            for channel in range(header.channels)
        ]
        return _Values(codes.level, lines, torch.from_numpy(codes.envelope), torch.from_numpy(np.stack(noise)))

    @torch.inference_mode()
    def _synthesise(self, known: dict[int, _Values], index: int, step: int) -> F32:
        """Samples of one chunk from its values and its neighbours'."""
        reach = self._transform.synthesis.reach
        parts: list[tuple[_Values, slice]] = [(known[index], slice(None))]
        if index - 1 in known:
            parts.insert(0, (known[index - 1], slice(-reach, None)))
        if index + 1 in known:
            parts.append((known[index + 1], slice(0, reach + 1)))
        level = known[index].level
        lines, envelope, noise = (
            torch.cat([getattr(v, name)[:, cut] for v, cut in parts], 1) for name in ("lines", "envelope", "noise")
        )
        shift = torch.cat(
            [torch.full((1, v.lines[:, cut].shape[1], 1), (v.level - level) / LEVELS_PER_OCTAVE) for v, cut in parts], 1
        )
        steps = torch.from_numpy(channel_steps(step, len(lines)))
        envelope = envelope * self._transform.envelope_unit(steps)
        frames = self._transform.synthesise(lines, envelope, noise, steps, shift)
        before = parts[0][0].lines[:, parts[0][1]].shape[1] if index - 1 in known else 0
        frames = frames[:, before : before + self.chunk_frames + 1]
        samples = imdct(frames) * (_amplitude(level) / (SAMPLE_UNIT * LOUD))
        out: F32 = _from_mid_side(samples.numpy().T)
        return out


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


def _to_mid_side(samples: F32) -> F32:
    if samples.shape[1] != 2:
        return samples
    left, right = samples.T
    return np.stack([(left + right) / 2, (left - right) / 2], 1)


def _from_mid_side(samples: F32) -> F32:
    if samples.shape[1] != 2:
        return samples
    mid, side = samples.T
    return np.stack([mid + side, mid - side], 1)
