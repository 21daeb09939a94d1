"""The second decoder for the codes of sound: SPEC.md, section Sound, in 64-bit integers, sharing nothing with us.

``decode_sound_file`` gives the codes of every chunk and checks their hash; samples are not its business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from image.independent_decoder import (
    PHASES,
    Reader,
    Stream,
    Weights,
    aligned,
    branch,
    code_hash,
    conv,
    read_chunks,
    read_start,
    stacked,
    stored_weights,
)

CHUNK_FRAMES = 200
Batch = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows (any shape), table [R, K] -> symbols."""


@dataclass
class SoundCodes:
    """Level, flags [T], angles [P, G, bands], envelope [B, T, bands], powers [U, M, 4], lines [B, T, F]."""

    level: int
    short: np.ndarray
    angles: np.ndarray
    envelope: np.ndarray
    powers: np.ndarray
    lines: np.ndarray

    def hash(self) -> int:
        shifted = self.envelope + 127, self.powers + 127
        return code_hash([np.array([self.level]), self.short, self.angles, *shifted, self.lines])


def predict_half(
    t: Weights, half: int, step: int, x: np.ndarray, name: str = "envelope"
) -> tuple[np.ndarray, np.ndarray]:
    """Means and classes [h] of one channel or unit from its inputs [I]."""
    prefix = f"prior.{name}.{half}."
    get = {k.removeprefix(prefix): v.astype(np.int64) for k, v in t.items() if k.startswith(prefix)}
    u = np.clip((x @ get["first"] + get["first_bias"][step]) // 2 ** get["first_shift"], 0, 255)
    v = np.clip((u @ get["second"] + get["second_bias"]) // 2 ** get["second_shift"], 0, 255)
    out = (np.concatenate([v, x]) @ get["last"] + get["last_bias"][step]) // 2 ** get["last_shift"]
    return out[: len(out) // 2], out[len(out) // 2 :]


class SoundChunk:
    """Decodes one chunk of B channels at steps [B] (a file has one step; the check vector has three) and T frames."""

    def __init__(self, tensors: Weights, steps: list[int], frames: int, pairs: int = 0) -> None:
        self.t, self.steps, self.frames, self.pairs = tensors, steps, frames, pairs
        self.envelope_table = stored_weights(tensors["prior.envelope.table"])
        self.power_table = stored_weights(tensors["prior.powers.table"]) if "prior.powers.table" in tensors else None
        self.line_table = stored_weights(tensors["prior.lines.table"])
        self.predictions: list[np.ndarray] = []

    def decode_envelope(self, batch: Batch) -> np.ndarray:
        start = self.t["prior.start"].astype(np.int64)
        bands = start.shape[1]
        known = np.zeros((len(self.steps), self.frames + 2, bands), np.int64)
        known[:, :2] = start[self.steps][:, None]
        classes = len(self.envelope_table) // 8
        for t in range(2, self.frames + 2):
            for half in (0, 1):
                means, rows = [], []
                for channel, step in enumerate(self.steps):
                    k = known[channel]
                    x = np.concatenate([k[t - 2], k[t - 1], k[t, 0 : half * bands : 2]])
                    mean, klass = predict_half(self.t, half, step, x)
                    means.append(np.clip(mean // 8, -127, 127))
                    rows.append(np.clip(klass, 0, classes - 1) * 8 + mean % 8)
                prediction = np.array(means)
                self.predictions.append(prediction)
                symbols = batch(np.array(rows), self.envelope_table)
                known[:, t, half::2] = np.clip(prediction + symbols - 64, -127, 127)
        return known[:, 2:]

    def decode_powers(self, batch: Batch, envelope: np.ndarray, units: list[int]) -> np.ndarray:
        """Powers [U, 2 T, 4] of units with these first channels."""
        assert self.power_table is not None
        out = np.zeros((len(units), 2 * self.frames, 4), np.int64)
        classes, last = len(self.power_table) // 8, self.frames - 1
        for half in (0, 1):
            means, klasses = [], []
            for u, channel in enumerate(units):
                e, p = envelope[channel], out[u, ::2]
                for t in range(self.frames):
                    after = min(t + 1, last)
                    known = [e[t], e[after], p[t], p[after]] if half else [e[max(t - 1, 0)], e[t], e[after]]
                    mean, klass = predict_half(self.t, half, self.steps[channel], np.concatenate(known), "powers")
                    means.append(mean)
                    klasses.append(klass)
            mean, klass = (np.array(x).reshape(len(units), self.frames, 4) for x in (means, klasses))
            prediction = np.clip(mean // 8, -127, 127)
            self.predictions.append(prediction)
            symbols = batch(np.clip(klass, 0, classes - 1) * 8 + mean % 8, self.power_table)
            out[:, half::2] = np.clip(prediction + symbols - 64, -127, 127)
        return out

    def expected(self, channel: int, envelope: np.ndarray) -> np.ndarray:
        """[T', F] of one channel's envelope [T', bands]."""
        get = {k: self.t[f"prior.{k}"].astype(np.int64) for k in ("spread", "factor", "offset")}
        step = self.steps[channel]
        total = (envelope * get["factor"][step]) @ get["spread"] + get["offset"][step]
        return np.clip(total // 1024, -127, 127)

    def decode_lines(self, batch: Batch, envelope: np.ndarray) -> np.ndarray:
        prefix = "prior.lines."
        t = {k.removeprefix(prefix): v.astype(np.int64) for k, v in self.t.items() if k.startswith(prefix)}
        rows_count = len(self.line_table)
        padded = np.concatenate([envelope, envelope[:, -1:]], 1) if self.frames % 2 else envelope
        maps = [self.expected(c, e)[..., None] for c, e in enumerate(padded)]
        height, width = padded.shape[1] // 2, maps[0].shape[1] // 2
        codes = np.zeros((len(self.steps), 2 * height, 2 * width), np.int64)
        for p, (dt, df) in enumerate(PHASES):
            rows = np.zeros((len(self.steps), height, width), np.int64)
            for c, step in enumerate(self.steps):
                own = [t["energy"][0, codes[c, y::2, x::2], 0][..., None] for y, x in PHASES[:p]]
                a = stacked([*own, aligned(maps[c], height, width)])
                acc = t[f"{p}.bias"][step] + conv(a, t[f"{p}.weight"])
                if f"{p}.hidden.first" in t:
                    acc = acc + branch(t, p, step, a)
                energy = acc[..., 0] // 2 ** t[f"{p}.shift"][0]
                rows[c] = np.clip((energy + 81) // 6, 0, rows_count - 1)
            codes[:, dt::2, df::2] = batch(rows, self.line_table)
        return codes[:, : self.frames]

    def silence(self) -> SoundCodes:
        bands, lines = self.t["prior.spread"].shape
        channels, middle = len(self.steps), (self.line_table.shape[1] - 1) // 2
        return SoundCodes(
            0,
            np.zeros(self.frames, np.int64),
            np.zeros((self.pairs, -(-self.frames // 25), bands), np.int64),
            np.zeros((channels, self.frames, bands), np.int64),
            np.zeros((channels - self.pairs, 0, 4), np.int64),
            np.full((channels, self.frames, lines), middle),
        )

    def decode(self, batch: Batch) -> SoundCodes:
        level = int(batch(np.zeros(1, np.int64), np.ones((1, 128), np.int64))[0])
        assert level, "a chunk that is there is not silent"
        bands = len(self.t["prior.spread"])
        short = batch(np.zeros(self.frames, np.int64), stored_weights(self.t["prior.short.table"]))
        angles = np.zeros((self.pairs, -(-self.frames // 25), bands), np.int64)
        table = stored_weights(self.t["prior.angles.table"])
        for group in range(angles.shape[1] if self.pairs else 0):
            rows = angles[:, group - 1] if group else np.full((self.pairs, bands), 16)
            angles[:, group] = batch(rows, table)
        envelope = self.decode_envelope(batch)
        seconds = PAIRS.get(len(self.steps), []) if self.pairs else []
        units = [c for c in range(len(self.steps)) if c not in seconds]
        powers = np.zeros((len(units), 0, 4), np.int64)
        if self.steps[0] <= 220:
            powers = self.decode_powers(batch, envelope, units)
        return SoundCodes(level, short, angles, envelope, powers, self.decode_lines(batch, envelope))


PAIRS = {2: [1], 3: [1], 4: [1, 3], 5: [1, 4], 6: [1, 5], 7: [1, 6], 8: [1, 5, 7]}
"""Second channels of the pairs, by number of channels."""


def steps_of_channels(step: int, channels: int) -> list[int]:
    """The second of a pair is coded more coarsely."""
    coarser = min(step + min(step // 3, 40 + min(max(step - 170, 0), 20)), 255)
    return [coarser if c in PAIRS.get(channels, []) else step for c in range(channels)]


def decode_sound_file(data: bytes, tensors: Weights) -> list[SoundCodes]:
    """Codes of every chunk of a sound."""
    r = Reader(data)
    flags, step = read_start(r, tensors)
    assert flags & 0b111 == 1, "a sound"
    rate, channels, samples, chunk_frames, count = (r.varint() for _ in range(5))
    assert chunk_frames == CHUNK_FRAMES
    core_samples = -(-samples * 48000 // rate)
    frames = -(-core_samples // 960) + 1
    assert count == -(-frames // CHUNK_FRAMES)
    out = []
    steps = steps_of_channels(step, channels)
    for i, (wanted, payload) in enumerate(read_chunks(r, count, flags, sparse=True)):
        chunk = SoundChunk(tensors, steps, min(frames - i * CHUNK_FRAMES, CHUNK_FRAMES), len(PAIRS.get(channels, [])))
        out.append(chunk.decode(Stream(payload).batch) if payload else chunk.silence())
        assert not payload or out[-1].hash() == wanted
    return out


def sound_check_value(tensors: Weights) -> int:
    """The check vector of a model of sound."""
    words = np.random.Philox(key=610735763742393210 << 64 | 16920295385781661272)
    chunk = SoundChunk(tensors, [0, 100, 255], 5)
    log: list[np.ndarray] = []

    def numbers(shape: tuple[int, ...], largest: int) -> np.ndarray:
        out = []
        for r in words.random_raw(int(np.prod(shape))).tolist():
            d = (r >> 8) % 2 ** (r % 8)
            out.append(d if r & 128 else -d)
        return np.clip(np.array(out), -largest, largest).reshape(shape)

    def envelope(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
        log.extend([rows, chunk.predictions[-1]])
        return numbers(rows.shape, 64) + 64

    def lines(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
        log.append(rows)
        middle = (table.shape[1] - 1) // 2
        return middle + numbers(rows.shape, middle)

    coded = chunk.decode_envelope(envelope)
    chunk.decode_powers(envelope, coded, [0, 1, 2])
    chunk.decode_lines(lines, coded)
    digest = hashlib.sha256(b"".join(a.astype("<i4").tobytes() for a in log)).digest()
    return int.from_bytes(digest[:4], "little")
