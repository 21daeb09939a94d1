"""The walk through the codes of sound: round trips, exactness, batches, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from audio.independent_decoder import SoundChunk, predict_half, steps_of_channels
from audio.random_model import (
    BANDS,
    CODEWORDS,
    LINES,
    envelope_prior,
    random_codes,
    random_model,
    stored_tables,
    whole,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from image.independent_decoder import Stream

from vqcodec.audio import walk as audio_walk
from vqcodec.audio.codes import AudioCodes, decode_audio_codes, encode_audio_codes, hash_audio_codes, silent_codes
from vqcodec.audio.model import integer_arrays
from vqcodec.audio.stereo import pairs_of
from vqcodec.audio.walk import (
    AudioCodeModel,
    EnvelopePrior,
    check_envelope_bounds,
    check_expected_bounds,
    expected_map,
    walk_envelope,
    walk_lines,
    walk_unit_powers,
)
from vqcodec.errors import CorruptError
from vqcodec.prior.integer import phase

SEED = 4


@pytest.fixture(scope="module")
def model() -> AudioCodeModel:
    return random_model(SEED)


def same(a: AudioCodes, b: AudioCodes) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in AudioCodes.__annotations__)


def independent(model: AudioCodeModel) -> dict[str, np.ndarray]:
    """Tensors of the model as a weights file holds them."""
    return integer_arrays(model, stored_tables(np.random.default_rng(SEED)))


MODEL = random_model(SEED)


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 60), channels=st.integers(1, 6), step=st.integers(0, 255), seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
)  # fmt: skip
def test_any_codes_come_back(frames: int, channels: int, step: int, seed: int, extreme: bool) -> None:
    codes = random_codes(MODEL, step, channels, frames, np.random.default_rng(seed), extreme=extreme)
    payload, ends = encode_audio_codes(MODEL, step, codes)
    assert same(codes, decode_audio_codes(MODEL, step, payload, channels, frames))
    assert 0 < ends[0] <= ends[1] == len(payload)


@pytest.mark.parametrize(("channels", "frames"), [(1, 1), (2, 28), (3, 7), (6, 3)])
def test_integers_of_64_bits_decode_the_same(model: AudioCodeModel, channels: int, frames: int) -> None:
    for step, extreme in ((0, False), (131, True), (255, False)):
        codes = random_codes(model, step, channels, frames, np.random.default_rng(step), extreme=extreme)
        payload, _ = encode_audio_codes(model, step, codes)
        pairs = len(pairs_of(channels))
        chunk = SoundChunk(independent(model), steps_of_channels(step, channels), frames, pairs)
        theirs = chunk.decode(Stream(payload).batch)
        assert same(codes, AudioCodes(**vars(theirs)))
        assert theirs.hash() == hash_audio_codes(codes)


def test_level_and_envelope_need_only_their_bytes(model: AudioCodeModel) -> None:
    codes = random_codes(model, 9, 2, 12, np.random.default_rng(1))
    payload, ends = encode_audio_codes(model, 9, codes)
    assert ends[0] < len(payload)
    first = decode_audio_codes(model, 9, payload[: ends[0]], 2, 12)
    assert first.level == codes.level
    assert np.array_equal(first.envelope, codes.envelope)
    assert np.array_equal(first.powers, codes.powers)
    assert not np.array_equal(first.lines, codes.lines)


@pytest.mark.parametrize(("channels", "frames"), [(1, 1), (2, 30), (6, 200)])
def test_silence_has_no_stream(model: AudioCodeModel, channels: int, frames: int) -> None:
    payload, _ = encode_audio_codes(model, 255, silent_codes(model, channels, frames))
    for stream in (b"", payload):
        with pytest.raises(CorruptError, match="level of silence"):
            decode_audio_codes(model, 255, stream, channels, frames)


def rows_of(model: AudioCodeModel, codes: list[AudioCodes], steps: np.ndarray) -> list[np.ndarray]:
    """All rows of several chunks side by side; one channel each."""
    envelope, moments, lines = (
        np.concatenate([getattr(c, name) for c in codes]) for name in ("envelope", "powers", "lines")
    )
    seen: list[np.ndarray] = []

    def bands(t: int, half: int, rows: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        seen.extend([rows, prediction])
        return envelope[:, t, half::2]

    def symbols(p: int, rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return phase(lines, p)

    def powers(half: int, rows: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        seen.extend([rows, prediction])
        return moments[:, half::2]

    coded = walk_envelope(model, steps, envelope.shape[1], bands)
    if moments.shape[1]:
        walk_unit_powers(model, steps, coded, powers)
    walk_lines(model, steps, coded, symbols)
    return seen


def test_rows_of_a_batch_are_those_of_its_sounds(model: AudioCodeModel) -> None:
    rng, steps = np.random.default_rng(2), np.arange(8) * 31  # all of them have powers
    codes = [random_codes(model, int(s), 1, 6, rng) for s in steps]
    together = rows_of(model, codes, steps)
    assert all(len(np.unique(rows)) > 1 for rows in together)
    for i in range(8):
        for alone, all_eight in zip(rows_of(model, codes[i : i + 1], steps[i : i + 1]), together, strict=True):
            assert np.array_equal(alone[0], all_eight[i])


def test_a_later_frame_changes_nothing_before_it(model: AudioCodeModel) -> None:
    """The envelope of a cut sound is the start of the whole one's: the walk is causal in time."""
    rng = np.random.default_rng(3)
    codes = random_codes(model, 80, 1, 10, rng)
    whole_rows = rows_of(model, [codes], np.array([80]))
    half = replace(
        codes, short=codes.short[:6], envelope=codes.envelope[:, :6], powers=codes.powers[:, :12],
        lines=codes.lines[:, :6],
    )  # fmt: skip
    for a, b in zip(rows_of(model, [half], np.array([80]))[:24], whole_rows[:24], strict=True):
        assert np.array_equal(a, b)


# --- exactness ---


def reference(prior: EnvelopePrior, half: int, step: int, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tensors = {f"prior.envelope.{half}.{k}": v for k, v in vars(prior).items()}
    return predict_half(tensors, half, step, inputs.astype(np.int64))


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("kind", ["random", "ends", "aligned"])
def test_float32_is_exact(half: int, kind: str) -> None:
    """Shifts from 0 on, so that every bit shows; inputs anywhere, at the ends, or all of their weights' sign."""
    rng = np.random.default_rng(5)
    prior = envelope_prior(rng, half, bands=18, low=0, high=3)
    n, largest = len(prior.first), 127
    inputs = {
        "random": whole(rng, largest, 40, n),
        "ends": rng.choice([-largest, largest], (40, n)).astype(np.float32),
        "aligned": largest * np.sign(np.concatenate([prior.first.T, -prior.first.T, prior.last[-n:].T])),
    }[kind].astype(np.float32)
    steps = rng.integers(0, 256, len(inputs))
    mean, spread = audio_walk._band_predictor(prior, steps)(inputs)
    for i, step in enumerate(steps):
        want = reference(prior, half, int(step), inputs[i])
        assert np.array_equal(mean[i], want[0])
        assert np.array_equal(spread[i], want[1])


def near_the_bound(sums: np.ndarray) -> np.ndarray:
    """What a bias may be in size for sums to stay just below 2**24."""
    return (2**24 - 1 - sums).astype(np.float32)


@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_at_the_bound_are_exact(sign: int) -> None:
    rng = np.random.default_rng(6)
    prior = envelope_prior(rng, 0, bands=18)
    largest = np.r_[np.full(len(prior.second), 255.0), np.full(len(prior.first), 127.0)]
    prior = replace(
        prior,
        first_bias=np.tile(sign * near_the_bound(np.abs(prior.first).sum(0) * 127), (256, 1)),
        second_bias=sign * near_the_bound(np.abs(prior.second).sum(0) * 255),
        last_bias=np.tile(sign * near_the_bound(largest @ np.abs(prior.last)), (256, 1)),
        last_shift=np.zeros_like(prior.last_shift),
    )
    check_envelope_bounds(prior)
    inputs = 127 * sign * np.sign(np.concatenate([prior.first.T, prior.last[-len(prior.first) :].T]))
    mean, spread = audio_walk._band_predictor(prior, np.zeros(len(inputs), np.int64))(inputs)
    for i, x in enumerate(inputs):
        want = reference(prior, 0, 0, x)
        assert np.array_equal(mean[i], want[0])
        assert np.array_equal(spread[i], want[1])
    assert max(np.abs(mean).max(), np.abs(spread).max()) > 2**23


def test_the_expected_map_is_exact(model: AudioCodeModel) -> None:
    rng = np.random.default_rng(7)
    room = 2**24 - 1 - 127 * np.abs(model.factor) @ np.abs(model.spread)
    top = replace(model, offset=room * rng.choice([-1, 1], room.shape).astype(np.float32))
    check_expected_bounds(top.start, top.spread, top.factor, top.offset)
    envelope = rng.choice([-127, 0, 127, 5], (256, 4, BANDS)).astype(np.int32)
    for one in (model, top):
        tensors = {f"prior.{k}": getattr(one, k) for k in ("spread", "factor", "offset")}
        tensors |= {"prior.envelope.table": np.ones((8, 129)), "prior.lines.table": np.ones((1, 3))}
        ours = expected_map(one, np.arange(256), envelope)
        slow = SoundChunk(tensors, list(range(256)), 4)
        for step in range(256):
            assert np.array_equal(ours[step], slow.expected(step, envelope[step].astype(np.int64)))
    assert len(np.unique(expected_map(model, np.arange(256), envelope))) > 100


# --- what is refused ---


@pytest.mark.parametrize("part", ["first", "first_bias", "second", "second_bias", "last", "last_bias"])
def test_what_float32_cannot_hold_is_refused(part: str) -> None:
    prior = envelope_prior(np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="exact range of float32"):
        check_envelope_bounds(replace(prior, **{part: getattr(prior, part) + np.float32(2**24)}))


@pytest.mark.parametrize("part", ["first_shift", "second_shift", "last_shift"])
@pytest.mark.parametrize("shift", [-1, 25])
def test_shifts_out_of_range_are_refused(part: str, shift: int) -> None:
    prior = envelope_prior(np.random.default_rng(0), 1)
    bad = getattr(prior, part).copy()
    bad[-1] = shift
    with pytest.raises(ValueError, match="exact range"):
        check_envelope_bounds(replace(prior, **{part: bad}))


@pytest.mark.parametrize("part", ["start", "spread", "factor", "offset"])
def test_expected_maps_out_of_range_are_refused(model: AudioCodeModel, part: str) -> None:
    good = {k: getattr(model, k) for k in ("start", "spread", "factor", "offset")}
    check_expected_bounds(**good)
    with pytest.raises(ValueError, match="outside -127..127" if part == "start" else "exact range"):
        check_expected_bounds(**good | {part: good[part] - (255 if part == "start" else np.float32(2**24))})


def test_codes_without_a_symbol_are_refused(model: AudioCodeModel) -> None:
    codes = random_codes(model, 0, 1, 3, np.random.default_rng(0))
    lines = codes.lines.copy()
    lines[0, 1, 2] = CODEWORDS
    envelope = codes.envelope.copy()
    envelope[0, 1, 0] = 500
    for bad in (replace(codes, lines=lines), replace(codes, envelope=envelope), replace(codes, level=128)):
        with pytest.raises(ValueError, match="absent from its table row"):
            encode_audio_codes(model, 0, bad)


def test_a_prediction_out_of_range_still_leaves_every_value_a_symbol(model: AudioCodeModel) -> None:
    """A network that says 30,000: the prediction stays in the envelope's range, so the loudest value can be written."""
    wild = tuple(
        replace(e, last_bias=e.last_bias + np.float32(2**21), last_shift=np.zeros_like(e.last_shift))
        for e in model.envelope
    )
    model = replace(model, envelope=(wild[0], wild[1]))
    codes = random_codes(model, 3, 2, 4, np.random.default_rng(8))
    assert codes.envelope.min() >= 127 - 64
    payload, _ = encode_audio_codes(model, 3, codes)
    assert same(codes, decode_audio_codes(model, 3, payload, 2, 4))


def test_garbage_never_crashes(model: AudioCodeModel) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for size in (0, 1, 7, 60, 500, 30_000):
        try:
            codes = decode_audio_codes(model, 10, rng.bytes(size), 2, 9)
        except CorruptError:
            refused += 1
            continue
        assert 0 <= codes.level < 128
        assert np.abs(codes.envelope).max() <= 127
        assert 0 <= codes.lines.min() <= codes.lines.max() < CODEWORDS
        assert codes.lines.shape == (2, 9, LINES)
    assert refused < 6  # no byte at all is a stream: zeros without end


def test_the_hash_sees_every_array(model: AudioCodeModel) -> None:
    codes = random_codes(model, 0, 2, 3, np.random.default_rng(9))
    whole_hash = hash_audio_codes(codes)
    assert hash_audio_codes(replace(codes, level=codes.level ^ 1)) != whole_hash
    for name in ("envelope", "lines"):
        changed = getattr(codes, name).copy()
        changed[-1, -1, -1] ^= 1
        assert hash_audio_codes(replace(codes, **{name: changed})) != whole_hash
