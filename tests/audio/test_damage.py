"""The codec of sound and what is damaged, forged or no sound at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from audio.voices import CHUNK, RATE, STEP, decoded, header_of, rms, voice

from vqcodec.audio.codec import AudioCodec, _Values
from vqcodec.audio.codes import LEVELS
from vqcodec.audio.mdct import HOP
from vqcodec.audio.powers import POWER_BANDS
from vqcodec.audio.walk import ENVELOPE_LIMIT
from vqcodec.bitstream import Chunk
from vqcodec.errors import ChecksumError, CorruptError, DecodeError


def test_a_damaged_chunk_is_concealed(codec: AudioCodec) -> None:
    samples = voice(18 * RATE)
    chunks: list[Chunk | None] = list(codec.encode([samples], STEP))
    header = header_of(codec, samples)
    whole = decoded(codec, header, chunks)
    chunk = chunks[2]
    assert chunk is not None
    cut = replace(chunk, payload=chunk.payload[:50], complete=False)
    for bad in (None, cut):
        damaged = [*chunks[:2], bad, *chunks[3:]]
        assert [c is None for c in codec.decode_codes(header, damaged)] == [False, False, True, False, False]
        got = decoded(codec, header, damaged)
        # what the network looks at, and the overlap
        near = 960 * (codec.reach + 1)
        assert np.array_equal(got[: 2 * CHUNK - near], whole[: 2 * CHUNK - near])
        assert np.array_equal(got[3 * CHUNK + near :], whole[3 * CHUNK + near :])
        assert rms(got[2 * CHUNK + near : 3 * CHUNK - near]) < 0.01 * rms(whole)
        assert np.abs(got).max() < 1.5 * np.abs(whole).max()  # nothing bursts beside the hole


def test_nothing_left_is_silence(codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]]) -> None:
    samples, chunks = nine
    got = decoded(codec, header_of(codec, samples), [None] * len(chunks))
    assert got.shape == samples.shape
    assert np.abs(got).max() < 0.003


def test_wrong_files_are_refused(codec: AudioCodec, nine: tuple[np.ndarray, list[Chunk]]) -> None:
    samples, chunks = nine
    header = header_of(codec, samples)
    for change, some, place in (
        ({"chunk_frames": 150}, chunks, "header.chunk_frames"),
        ({"samples": 192_000 * 3}, chunks, "header.chunks"),
        ({}, chunks[:2], "header.chunks"),
    ):
        for read in (codec.decode, codec.decode_codes):
            with pytest.raises(CorruptError) as caught:
                list(read(replace(header, **change), list(some)))
            assert caught.value.place == place
    with pytest.raises(ChecksumError, match="not those that were written") as wrong:
        list(codec.decode_codes(header, [replace(chunks[0], code_hash=chunks[0].code_hash ^ 1), *chunks[1:]]))
    assert wrong.value.place == "chunk 0"
    for change in ({"step": STEP + 1}, {"channels": 1}, {"channels": 3}, {"samples": len(samples) - 960}):
        with pytest.raises(DecodeError, match=r"not those that were written|no encoder writes") as other:
            list(codec.decode_codes(replace(header, **change), list(chunks)))
        assert other.value.place in ("chunk 0", "chunk 2")


def test_garbage_streams_end_in_an_error(codec: AudioCodec) -> None:
    samples = voice(4800, 2)
    header, chunk = header_of(codec, samples), next(codec.encode([samples], STEP))
    rng = np.random.default_rng(3)
    for length in (1, 10, 100, 1000, 20_000):
        for _ in range(3):
            with pytest.raises(DecodeError) as caught:
                list(codec.decode(header, [replace(chunk, payload=rng.bytes(length))]))
            assert caught.value.place == "chunk 0"


@pytest.mark.parametrize("step", [0, 255])
@pytest.mark.parametrize("value", [-ENVELOPE_LIMIT, ENVELOPE_LIMIT])
@pytest.mark.parametrize("level", [0, LEVELS - 1])
def test_codes_that_no_encoder_writes_are_numbers_all_the_same(
    codec: AudioCodec, step: int, value: int, level: int
) -> None:
    """Envelopes at their bounds, loud lines, and a neighbour at the other end of the levels."""
    frames, bands = 20, codec.model.codes.bands
    loudest = len(codec.model.codebook) - 1
    made = []
    for own in (level, LEVELS - 1 - level):
        lines = np.full((2, frames, HOP), codec.model.codebook[loudest, 0], np.float32)
        envelope = np.full((2, frames, bands), value, np.float32)
        noise = np.random.default_rng(0).standard_normal((2, frames, HOP)).astype(np.float32)
        angles = np.full((1, frames, bands), 3, np.int32)
        powers = np.full((1, 2 * frames, POWER_BANDS), value, np.float32)
        made.append(_Values(own, np.arange(frames) % 5 == 0, angles, lines, envelope, powers, noise))
    for index in (0, 1):
        assert np.isfinite(codec._synthesise(dict(enumerate(made)), index, step)).all()


def test_samples_that_are_no_numbers_are_refused(codec: AudioCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = voice(960)
    chunks: list[Chunk | None] = list(codec.encode([wanted], STEP))
    monkeypatch.setattr(codec, "_synthesise", lambda *_: np.full((1920, 1), np.nan, np.float32))
    with pytest.raises(CorruptError, match="stand for no sound") as caught:
        decoded(codec, header_of(codec, wanted), chunks)
    assert caught.value.place == "chunk 0"
