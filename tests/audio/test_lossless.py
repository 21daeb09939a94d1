"""Sound without loss: every sample comes back at 16 and 24 bits, and damage stays in its chunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import vqcodec
from vqcodec.audio.exact import EXACT_FRAME, encode_chunk
from vqcodec.bitstream import NO_MODEL, AudioHeader, Chunk, VqcFile, read_vqc, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, DecodeError, UsageError, VqcWarning

FULL = 2**23


@st.composite
def sounds(draw: st.DrawFn) -> np.ndarray:
    """Silence, noise and tones of whole numbers with 24 bits: [T, C]."""
    length, channels = draw(st.integers(1, 9000)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.sampled_from([8, 16, 24]))
    way = draw(st.integers(0, 2))
    if way == 0:
        out = np.full((length, channels), int(rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1))))
    elif way == 1:
        out = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (length, channels))
    else:
        out = np.rint(np.sin(np.arange(length)[:, None] / (20 + np.arange(channels))) * (2 ** (bits - 1) - 1))
    return out.astype(np.int64) << 24 - bits


@settings(max_examples=40, deadline=None)
@given(sounds(), st.sampled_from([1_000, 44_100, 384_000, 1_048_575]))
def test_every_sample_comes_back(whole: np.ndarray, rate: int) -> None:
    samples = (whole / FULL).astype(np.float32)
    data = vqcodec.compress(samples, sample_rate=rate, lossless=True)
    vqcodec.verify(data)
    back = vqcodec.decompress(data, kind="audio")
    assert back.sample_rate == rate
    assert back.bits == (24 if (whole % 256).any() else 16)
    assert np.array_equal(back.samples, samples)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_files(tmp_path: Path, subtype: str, suffix: str) -> None:
    rng = np.random.default_rng(1)
    bits = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24}[subtype]
    whole = rng.integers(-(2 ** (bits - 3)), 2 ** (bits - 3), (10_001, 3)) << 32 - bits
    source, packed, out = tmp_path / "in.wav", tmp_path / "a.vqc", tmp_path / f"out{suffix}"
    soundfile.write(source, whole.astype(np.int32), 44_100, subtype)
    packed.write_bytes(vqcodec.compress(source, lossless=True))
    sound = vqcodec.decompress(packed, kind="audio")
    sound.save(out)
    back, rate = soundfile.read(out, dtype="int32")
    assert rate == 44_100
    assert np.array_equal(back, whole)
    assert soundfile.info(out).subtype == ("PCM_24" if bits == 24 else "PCM_16")
    content = out.read_bytes()
    assert suffix == ".flac" or int.from_bytes(content[4:8], "little") + 8 == len(content)


def melody(seconds: float, rate: int = 8_000) -> np.ndarray:
    t = np.arange(round(seconds * rate))
    return (np.rint(8000 * np.sin(t / 9) * np.cos(t / 1000)) / 2**15).astype(np.float32)[:, None]


def test_parts_and_damage() -> None:
    samples = melody(14)
    data = vqcodec.compress(samples, sample_rate=8_000, lossless=True)
    assert vqcodec.info(data)["chunks"] == 4
    for start, end in ((0, 1), (3.9, 4.2), (5, 14), (13.5, 20), (4.096, 8.192)):
        part = vqcodec.decompress(data, kind="audio", start=start, end=end).samples
        assert np.array_equal(part, samples[round(start * 8_000) : round(end * 8_000)])
    broken = bytearray(data)
    broken[len(data) // 2] ^= 16
    with pytest.raises(ChecksumError, match="chunk"):
        vqcodec.decompress(bytes(broken))
    damaged = read_vqc(bytes(broken), conceal=True).chunks.index(None)
    for index in range(4):
        stretch = {"start": 4.096 * index, "end": 4.096 * (index + 1)}
        if index == damaged:
            with pytest.raises(ChecksumError, match=f"chunk {index}"):
                vqcodec.decompress(bytes(broken), **stretch)
        else:
            part = vqcodec.decompress(bytes(broken), kind="audio", **stretch).samples
            assert np.array_equal(part, samples[32_768 * index : 32_768 * (index + 1)])
    with pytest.warns(VqcWarning, match="1 of 4 chunks damaged or missing"):
        whole = vqcodec.decompress(bytes(broken), kind="audio", conceal=True).samples
    same = (whole == samples)[:, 0].reshape(-1)
    length = 8 * EXACT_FRAME
    assert [bool(same[i * length : (i + 1) * length].all()) for i in range(4)].count(False) == 1
    with pytest.warns(VqcWarning, match="chunks damaged or missing"):
        cut = vqcodec.decompress(data[: len(data) * 2 // 3], kind="audio", allow_truncated=True).samples
    assert np.array_equal(cut[:length], samples[:length])


def test_finer_samples_are_rounded_and_told(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, (3000, 1))
    path = tmp_path / "fine.wav"
    for subtype in ("FLOAT", "DOUBLE", "PCM_32"):
        soundfile.write(path, samples, 8_000, subtype)
        with pytest.warns(VqcWarning, match=r"fine\.wav: its samples are finer than 24 bits"):
            data = vqcodec.compress(path, lossless=True)
        back = vqcodec.decompress(data, kind="audio").samples
        assert np.abs(back - samples).max() <= 1 / FULL
    with pytest.warns(VqcWarning, match="beyond full scale"):
        vqcodec.compress(np.ones((5, 1), np.float32), sample_rate=8_000, lossless=True)
    with pytest.raises(UsageError, match="exact_alpha is for pictures"):
        vqcodec.compress(melody(1), sample_rate=8_000, lossless=True, exact_alpha=True)


HEADER = AudioHeader(8_000, 2, 5000, 0, NO_MODEL, 0, 8, lossless=True)


def test_chunks_that_are_none() -> None:
    samples = np.random.default_rng(3).integers(-(2**15), 2**15, (5000, 2)).astype(np.int32) << 8
    chunk = encode_chunk(samples)

    def file(header: AudioHeader, *chunks: Chunk) -> bytes:
        return write_vqc(VqcFile(header, list(chunks)))

    vqcodec.verify(file(HEADER, chunk))
    with pytest.raises(ChecksumError, match="chunk 0: the decoded samples"):
        vqcodec.verify(file(HEADER, replace(chunk, code_hash=chunk.code_hash ^ 1)))
    for payload in (b"\1" * 900, chunk.payload[:900] + b"\1", chunk.payload[:-1] + b"\3"):
        for header in (HEADER, replace(HEADER, deep=True)):
            with pytest.raises((CorruptError, ChecksumError), match="chunk 0"):
                vqcodec.verify(file(header, replace(chunk, payload=payload)))
    with pytest.raises(CorruptError, match="chunk 0: unknown method 2"):
        vqcodec.verify(file(HEADER, replace(chunk, payload=chunk.payload[:-1] + b"\2")))
    for change in ({"channels": 1}, {"samples": 4999}, {"samples": 5001}):
        with pytest.raises(DecodeError, match="chunk 0"):
            vqcodec.decompress(file(replace(HEADER, **change), chunk))
    with pytest.raises(CorruptError, match=r"header\.chunks: 2 chunks do not make 5000 samples"):
        vqcodec.decompress(file(HEADER, chunk, chunk))
    assert read_vqc(file(HEADER, chunk)).header == HEADER
