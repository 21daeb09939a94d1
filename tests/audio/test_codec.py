"""The codec of sound with the weights of the package: lengths, parts, damage, levels; nothing knows their values."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audio.voices import CHUNK, RATE, STEP, decoded, header_of, rms, size, snr, voice

from vqcodec.audio import search
from vqcodec.audio.codec import AudioCodec, stretches
from vqcodec.audio.mdct import HOP
from vqcodec.audio.powers import MOMENT, powers_of, units_of
from vqcodec.bitstream import Chunk
from vqcodec.errors import ChecksumError


@pytest.mark.parametrize(
    ("samples", "channels"),
    [
        (1, 1),
        (1, 2),
        (959, 3),
        (960, 1),
        (961, 2),
        (191_040, 1),
        (191_041, 1),
        (191_999, 1),
        (192_000, 1),
        (192_001, 2),
    ],
)
def test_every_length(codec: AudioCodec, samples: int, channels: int) -> None:
    wanted = voice(samples, channels)
    chunks = list(codec.encode([wanted], 40))
    header = header_of(codec, wanted, 40)
    frames = -(-samples // 960) + 1
    assert codec.frames_of(header) == frames
    assert len(chunks) == -(-frames // 200)
    codes = list(codec.decode_codes(header, chunks))
    assert [c.lines.shape for c in codes if c] == [(channels, min(frames - i, 200), 960) for i in range(0, frames, 200)]
    got = decoded(codec, header, chunks)
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    if samples >= 960:
        assert snr(got, wanted) > 3


def test_nine_seconds(codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]]) -> None:
    samples, chunks = nine
    assert len(chunks) == 3
    blocks = list(codec.decode(header_of(codec, samples), chunks))
    assert [len(b) for b in blocks] == [CHUNK, CHUNK, 9 * RATE - 2 * CHUNK]
    got = np.concatenate(blocks)
    assert snr(got, samples) > 0
    for channel in range(2):  # no channel leaks into another
        own, other = (abs(np.corrcoef(got[:, channel], samples[:, c])[0, 1]) for c in (channel, 1 - channel))
        assert own > other + 0.3


def test_seams_of_chunks_cannot_be_heard(codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]]) -> None:
    """The error around the seam is no larger than elsewhere."""
    samples, chunks = nine
    error = decoded(codec, header_of(codec, samples), chunks) - samples
    elsewhere = [rms(error[at : at + 1920]) for at in range(9600, CHUNK - 9600, 1920)]
    for seam in (CHUNK, 2 * CHUNK):
        assert rms(error[seam - 960 : seam + 960]) < 1.5 * max(elsewhere)


def pieces(samples: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    at = i = 0
    while at < len(samples):
        yield samples[at : at + sizes[i % len(sizes)]]
        at += sizes[i % len(sizes)]
        i += 1


@pytest.mark.parametrize("sizes", [[1000], [479, 1, 0, 5000], [100_000]])
def test_lengths_of_blocks_do_not_matter(
    codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]], sizes: list[int]
) -> None:
    samples, chunks = nine
    assert list(codec.encode(pieces(samples, sizes), STEP)) == chunks


@pytest.mark.parametrize("total", [1, 5, 9, 10, 11, 19, 20, 21, 30, 33])
@pytest.mark.parametrize("block", [1, 4, 50])
def test_stretches_tile_the_sound(total: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 2 + 10 + 3 samples, 10 apart, at a frame of 2 samples: as many as there are chunks of 5 frames."""
    monkeypatch.setattr("vqcodec.audio.codec.HOP", 2)
    sound = 1 + np.arange(total, dtype=np.float32)[:, None]
    padded = np.pad(sound, ((2, 40), (0, 0)))
    seen = list(stretches(pieces(sound, [block]), 10, 2, 3))
    frames = -(-total // 2) + 1
    assert len(seen) == -(-frames // 5)
    for i, (window, left) in enumerate(seen):
        assert np.array_equal(window, padded[10 * i : 10 * i + 15])
        assert min(-(-left // 2) + 1, 5) == min(frames - 5 * i, 5)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 2), (2, 3), (1, 3), (2, None)])
def test_a_part_is_the_slice_of_the_whole(
    codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]], first: int, last: int | None
) -> None:
    samples, chunks = nine
    header = header_of(codec, samples)
    part = decoded(codec, header, list(chunks), first=first, last=last)
    stop = len(samples) if last is None else last * CHUNK
    assert np.array_equal(part, decoded(codec, header, list(chunks))[first * CHUNK : stop])


def test_a_part_needs_only_the_chunks_beside_it(codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]]) -> None:
    samples, chunks = nine
    header = header_of(codec, samples)
    bad = replace(chunks[2], code_hash=chunks[2].code_hash ^ 1)
    assert len(decoded(codec, header, [*chunks[:2], bad], first=0, last=1)) == CHUNK
    with pytest.raises(ChecksumError) as caught:
        decoded(codec, header, [*chunks[:2], bad], first=0, last=2)
    assert caught.value.place == "chunk 2"


@pytest.mark.parametrize("step", [0, 150, 255])
def test_silence_costs_nothing(codec: AudioCodec, step: int) -> None:
    samples = np.zeros((10 * RATE, 2), np.float32)
    chunks = list(codec.encode([samples], step))
    assert size(chunks) <= 4 * len(chunks)
    assert not decoded(codec, header_of(codec, samples, step), list(chunks)).any()


def test_silence_after_sound_is_silence(codec: AudioCodec) -> None:
    """The frame that a chunk begins with still overlaps the sound before."""
    samples = np.concatenate([voice(CHUNK), np.zeros((2 * CHUNK, 1), np.float32)])
    chunks = list(codec.encode([samples], STEP))
    got = decoded(codec, header_of(codec, samples), list(chunks))
    assert chunks[2].payload == b""
    assert np.abs(got[CHUNK + 20 * HOP :]).max() < 2.0**-16  # half a step of 16-bit samples
    assert not got[2 * CHUNK :].any()
    assert snr(got[:CHUNK], samples[:CHUNK]) > 0


def test_a_pause_after_sound_is_cheap(codec: AudioCodec) -> None:
    """The level falls slowly, so a pause is not coded finely."""
    samples = voice(4 * RATE)
    paused = np.concatenate([samples, 3e-4 * np.random.default_rng(2).standard_normal((8 * RATE, 1))]).astype(
        np.float32
    )
    chunks = list(codec.encode([paused], STEP))
    assert size(chunks[1:]) < 0.4 * size(chunks[:1])


def test_loud_and_quiet_copies_have_the_same_codes(codec: AudioCodec) -> None:
    """A factor that is a power of two moves the level by whole steps and nothing else."""
    samples = voice(2 * RATE)
    chunks = [list(codec.encode([samples * factor], STEP)) for factor in (np.float32(2), np.float32(2**-4))]
    header = header_of(codec, samples)
    loud, quiet = (next(codec.decode_codes(header, c)) for c in chunks)
    assert loud is not None
    assert quiet is not None
    assert loud.level - quiet.level == 5 * 4
    assert np.array_equal(loud.lines, quiet.lines)
    assert np.array_equal(loud.envelope, quiet.envelope)
    a, b = (decoded(codec, header, list(c)) for c in chunks)
    assert np.allclose(a, 32 * b, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.1, 0.3])
@pytest.mark.parametrize("before", [0.0, 1.5])
def test_short_sounds_have_the_level_of_their_own(codec: AudioCodec, seconds: float, before: float) -> None:
    """They are much shorter than a tenth of the chunk, of which the loud frames are taken."""
    samples = np.concatenate([np.zeros((round(before * RATE), 1), np.float32), voice(round(seconds * RATE))])
    samples = np.concatenate([samples, np.zeros((round(before * RATE), 1), np.float32)])
    chunk = next(codec.encode([samples], STEP))
    codes = next(codec.decode_codes(header_of(codec, samples), [chunk]))
    assert codes is not None
    assert 2 ** (codes.level / 4) > 0.1 * 32_768 * rms(voice(round(seconds * RATE)))


def test_equal_channels_cost_one(codec: AudioCodec) -> None:
    mono = voice(4 * RATE)
    stereo = np.repeat(mono, 2, 1)
    once, twice = (size(list(codec.encode([x], STEP))) for x in (mono, stereo))
    assert twice < 1.25 * once + 100
    got = decoded(codec, header_of(codec, stereo), list(codec.encode([stereo], STEP)))
    assert rms(got[:, 0] - got[:, 1]) < 0.05 * rms(got)


def test_coarser_steps_are_smaller_and_worse(codec: AudioCodec) -> None:
    samples = voice(3 * RATE)
    sizes, quality = [], []
    for step in (0, 90, 180, 255):
        chunks = list(codec.encode([samples], step))
        sizes.append(size(chunks))
        quality.append(snr(decoded(codec, header_of(codec, samples, step), list(chunks)), samples))
    assert sizes == sorted(sizes, reverse=True)
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 15


@pytest.mark.parametrize("scale", [8.0, 1e-6])
def test_beyond_full_scale_and_below_the_quietest(codec: AudioCodec, scale: float) -> None:
    samples = voice(RATE) * np.float32(scale)
    got = decoded(codec, header_of(codec, samples, 60), list(codec.encode([samples], 60)))
    assert np.isfinite(got).all()
    assert np.abs(got - samples).max() < 0.5 * max(np.abs(samples).max(), 0.002)


@pytest.mark.parametrize("hertz", [440, 1000, 11_000, 15_000])
def test_a_tone_keeps_its_level(codec: AudioCodec, hertz: int) -> None:
    t = np.arange(4 * RATE)[:, None] / RATE
    samples = (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
    inner = slice(RATE // 2, -RATE // 2)
    for step, least, most in ((102, 25, 0.2), (0, 40, 0.05)):
        got = decoded(codec, header_of(codec, samples, step), list(codec.encode([samples], step)))
        assert snr(got[inner], samples[inner]) > least
        assert abs(20 * np.log10(rms(got[inner]) / rms(samples[inner]))) < most


def test_an_attack_has_no_echo_before_it(codec: AudioCodec) -> None:
    """Noise that begins at once, in the middle of a frame: what is before it by more than 5 ms stays quiet."""
    samples = np.zeros((2 * RATE, 1), np.float32)
    start = RATE + HOP // 2 + 300
    burst = np.random.default_rng(5).standard_normal((4800, 1)) * np.exp(-np.arange(4800)[:, None] / 900)
    samples[start : start + 4800] = 0.3 * burst
    chunk = next(codec.encode([samples], STEP))
    codes = next(codec.decode_codes(header_of(codec, samples), [chunk]))
    assert codes is not None
    assert 1 <= codes.short.sum() <= 3
    got = decoded(codec, header_of(codec, samples), [chunk])
    before, after = got[start - 960 : start - 240], got[start : start + 720]
    assert rms(before) < 0.025 * rms(after)
    assert rms(after) > 0.7 * rms(samples[start : start + 720])


def test_short_frames_keep_their_noise_where_speech_is_coded(codec: AudioCodec) -> None:
    """Its onsets are short frames: with a fifth of their noise it loses much at low rates."""
    samples = 0.1 * np.random.default_rng(6).standard_normal((2 * RATE, 1)).astype(np.float32)
    samples *= np.where(np.arange(2 * RATE) % 9600 < 4800, 1.0, 0.02)[:, None].astype(np.float32)
    step = 250
    chunk = next(codec.encode([samples], step))
    codes = next(codec.decode_codes(header_of(codec, samples, step), [chunk]))
    assert codes is not None
    starts = [HOP * t for t in np.flatnonzero(codes.short) if t]
    assert starts
    got = decoded(codec, header_of(codec, samples, step), [chunk])
    assert (
        np.mean([rms(got[s : s + HOP]) / rms(samples[s : s + HOP]) for s in starts]) > 0.55
    )  # 0.47 with a fifth of it


def test_clicks_and_full_scale_noise_are_written(codec: AudioCodec) -> None:
    """The envelope leaps further than a coded residual can: it follows in two frames, and the codes still decode."""
    samples = np.zeros((2 * RATE, 1), np.float32)
    samples[RATE] = 1
    samples[RATE + 9600 : RATE + 14_400] = np.random.default_rng(0).choice([-1.0, 1.0], (4800, 1))
    for step in (0, 255):
        chunks = list(codec.encode([samples], step))
        assert np.isfinite(decoded(codec, header_of(codec, samples, step), list(chunks))).all()


PROGRAM = """
import hashlib, sys
import numpy as np
from vqcodec.bitstream import AudioHeader
from vqcodec.registry import load_audio_codec
threads, path = int(sys.argv[1]), sys.argv[2]
samples = np.load(path)
codec = load_audio_codec()
codec.threads = threads
chunks = list(codec.encode([samples], 120))
header = AudioHeader(48000, samples.shape[1], len(samples), 120, codec.model_id, 0, 200)
codes = list(codec.decode_codes(header, chunks))
print(hashlib.sha256(b"".join(c.payload for c in chunks)).hexdigest())
print(hashlib.sha256(b"".join(c.envelope.tobytes() + c.lines.tobytes() for c in codes)).hexdigest())
"""


def test_threads_do_not_change_the_codes(codec: AudioCodec, tmp_path: Path) -> None:
    samples = voice(2 * RATE, 2)
    np.save(tmp_path / "samples.npy", samples)
    seen = []
    for threads in ("1", "2"):
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        environment["OMP_WAIT_POLICY"] = "passive"  # spinning threads are slow where other processes use the cores
        command = [sys.executable, "-c", PROGRAM, threads, str(tmp_path / "samples.npy")]
        seen.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert seen[0] == seen[1]
    chunks = list(codec.encode([samples], 120))
    assert hashlib.sha256(b"".join(c.payload for c in chunks)).hexdigest() == seen[0].split()[0]


def test_the_envelope_follows_the_prior_only_where_nothing_is_heard() -> None:
    rows, prediction, unit = np.zeros((1, 2), np.int32), np.zeros((1, 2), np.int32), np.ones((1, 1), np.float32)
    bits = np.abs(np.arange(-64, 65, dtype=np.float32))[None]  # the prediction itself costs nothing
    wanted = np.array([[10.4, 3.4]], np.float32)  # heard; not heard
    chosen = search._choose_envelope(wanted, unit, rows, prediction, bits)
    assert chosen.tolist() == [[10, 2]]  # 2: a value far below what is wanted would ask for a needlessly fine step
    between = np.array([[10.5, -3.0]], np.float32)
    assert search._choose_envelope(between, unit, rows, prediction, bits).tolist() == [[10, 0]]
    far = np.array([[200.0, -200.0]], np.float32)
    assert (np.abs(search._choose_envelope(far, unit, rows, prediction, bits)) <= 64).all()


@pytest.mark.parametrize("channels", [1, 2])
def test_noise_follows_the_original_in_time(codec: AudioCodec, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise that pulses every 30 ms, over two chunks: powers are told, measured where they are told of, and kept."""
    rng = np.random.default_rng(8)
    time = np.arange(5 * RATE)
    pulse = np.where(time % 1440 < 720, 0.2, 0.02)
    samples = (rng.standard_normal((5 * RATE, channels)) * pulse[:, None]).astype(np.float32)
    header = header_of(codec, samples, 200)
    chunks: list[Chunk | None] = list(codec.encode([samples], 200))
    for place in (slice(0, 3 * RATE), slice(CHUNK - 2400, CHUNK + 2400)):  # the second one is the seam
        whole = place.start // MOMENT * MOMENT, place.stop // MOMENT * MOMENT
        wanted, got = (
            powers_of(np.ascontiguousarray(32768 * x[slice(*whole)].T), units_of(channels))
            for x in (samples, decoded(codec, header, chunks))
        )
        with monkeypatch.context() as patch:
            patch.setattr("vqcodec.audio.codec.corrected", lambda x, *_: x[:, MOMENT:-MOMENT])
            plain = powers_of(
                np.ascontiguousarray(32768 * decoded(codec, header, chunks)[slice(*whole)].T), units_of(channels)
            )
        assert np.abs(got - wanted).mean() < 0.8
        assert np.abs(got - wanted).mean() < 0.75 * np.abs(plain - wanted).mean()


@pytest.mark.parametrize("step", [0, 100, 200])
def test_hiss_before_something_loud_stays_soft(codec: AudioCodec, step: int) -> None:
    """A chunk at a much higher level tells nothing of what is at its floor, and so raises nothing before it."""
    samples = (10 ** (-75 / 20) * np.random.default_rng(3).standard_normal((6 * RATE, 1))).astype(np.float32)
    samples[CHUNK + RATE // 5 :, 0] += 0.9 * np.sin(2 * np.pi * 300 / RATE * np.arange(6 * RATE - CHUNK - RATE // 5))
    got = decoded(codec, header_of(codec, samples, step), list(codec.encode([samples], step)))
    assert rms(got[CHUNK - 240 : CHUNK]) < 1.5 * rms(samples[CHUNK - 2400 : CHUNK])
    assert step or rms(got[CHUNK - 240 : CHUNK]) > 0.4 * rms(samples[CHUNK - 2400 : CHUNK])


def test_both_chunks_make_the_same_of_the_samples_at_their_seam(
    codec: AudioCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What powers are measured on reaches over the seam to either side."""
    seen: list[np.ndarray] = []

    def look(x: np.ndarray, *_: object) -> np.ndarray:
        seen.append(x)
        return x[:, MOMENT:-MOMENT]

    samples = 0.1 * np.random.default_rng(9).standard_normal((2 * CHUNK, 1)).astype(np.float32)
    chunks: list[Chunk | None] = list(codec.encode([samples], STEP))
    monkeypatch.setattr("vqcodec.audio.codec.corrected", look)
    decoded(codec, header_of(codec, samples), chunks)
    before, after = seen[0][:, -2 * MOMENT :], seen[1][:, : 2 * MOMENT]
    assert rms(before - after) < 1e-3 * rms(before)
