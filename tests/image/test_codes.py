"""The walk through a picture's codes: round trips, what batches and cuts change, what the hash sees."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.errors import CorruptError
from vqcodec.image.codes import CodeModel, decode_codes, encode_codes, hash_codes, walk, zero_code
from vqcodec.image.context import Context, grid
from vqcodec.image.model import ImageModel
from vqcodec.prior.integer import join_phases, phase


@pytest.fixture(scope="module")
def codes_model(tiny_model: ImageModel) -> CodeModel:
    return tiny_model.codes


def random_codes(model: CodeModel, height: int, width: int, seed: int, *, extreme: bool = False) -> list[np.ndarray]:
    """Any codes at all, or only the two ends of every codebook."""
    rng = np.random.default_rng(seed)
    low = rng.integers(-200, 201, (1, height + height % 2, width + width % 2, 3))
    out = [low]
    for s in model.slices:
        shape = (1, *grid(s, model.levels, height, width), s.groups)
        ends = rng.choice([0, s.codewords - 1], shape)
        out.append(ends if extreme else rng.integers(0, s.codewords, shape))
    return [c.astype(np.int32) for c in out]


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (3, 2)])
def test_any_codes_come_back(codes_model: CodeModel, height: int, width: int, extreme: bool) -> None:
    codes = random_codes(codes_model, height, width, 3, extreme=extreme)
    payload, ends = encode_codes(codes_model, 77, codes, height, width)
    again = decode_codes(codes_model, 77, payload, height, width)
    assert all(np.array_equal(a, b) for a, b in zip(codes, again, strict=True))
    assert len(ends) == codes_model.levels - 1
    assert list(ends) == sorted(ends)
    assert ends[-1] == len(payload)


def test_each_stage_needs_only_its_bytes(codes_model: CodeModel) -> None:
    codes = random_codes(codes_model, 2, 2, 5)
    payload, ends = encode_codes(codes_model, 0, codes, 2, 2)
    for stages in range(6):
        cut = payload[: ends[stages - 1]] if stages else b""
        got = decode_codes(codes_model, 0, cut, 2, 2, stages=stages)
        levels = [6, *(s.level for s in codes_model.slices)]
        for level, want, have in zip(levels, codes, got, strict=True):
            known = stages > 0 and level >= codes_model.levels - stages
            assert np.array_equal(want, have) == known, (stages, level)


def test_gray_codes_have_no_chroma(codes_model: CodeModel) -> None:
    codes = random_codes(codes_model, 1, 1, 6)
    codes[0][..., 1:] = 0
    for i, s in enumerate(codes_model.slices):
        if s.chroma:
            codes[1 + i][...] = zero_code(s)
    gray, _ = encode_codes(codes_model, 9, codes, 1, 1, gray=True)
    colour, _ = encode_codes(codes_model, 9, codes, 1, 1)
    assert len(gray) < len(colour)
    again = decode_codes(codes_model, 9, gray, 1, 1, gray=True)
    assert all(np.array_equal(a, b) for a, b in zip(codes, again, strict=True))


def test_rows_of_a_batch_are_those_of_its_pictures(codes_model: CodeModel) -> None:
    pictures = [random_codes(codes_model, 2, 3, seed) for seed in range(8)]
    steps = np.arange(8) * 30

    def rows(which: slice) -> list[np.ndarray]:
        chosen = [np.concatenate(parts) for parts in zip(*pictures[which], strict=True)]
        seen = []

        def choose(index: int, p: int, rows: np.ndarray, sign: np.ndarray | None) -> np.ndarray:
            seen.append(rows if sign is None else np.where(sign < 0, -1 - rows, rows))
            if index < 0:
                return np.full(rows.shape, 600, np.int32) + p
            s = codes_model.slices[index]
            part = chosen[1 + index]
            part = part if s.level == codes_model.levels else phase(part, p)
            return part if sign is None else np.where(sign < 0, s.codewords - 1 - part, part)

        walk(codes_model, steps[which], 2, 3, choose)
        return seen

    together = rows(slice(0, 8))
    for i in range(8):
        for alone, all_eight in zip(rows(slice(i, i + 1)), together, strict=True):
            assert np.array_equal(alone[0], all_eight[i])


@pytest.mark.parametrize("position", [0, 1, -1])
def test_codes_outside_their_table_are_refused(codes_model: CodeModel, position: int) -> None:
    codes = random_codes(codes_model, 1, 1, 2)
    codes[position][0, 0, 0, 0] = 30_000
    with pytest.raises(ValueError, match="absent from its table row"):
        encode_codes(codes_model, 0, codes, 1, 1)


def test_garbage_never_crashes(codes_model: CodeModel) -> None:
    for seed, size in enumerate((0, 1, 7, 500, 8_000, 30_000, 30_000)):
        try:
            codes = decode_codes(codes_model, 10, np.random.default_rng(seed).bytes(size), 1, 1)
        except CorruptError:
            continue
        assert size > 7  # less is always too short
        for s, code in zip(codes_model.slices, codes[1:], strict=True):
            assert 0 <= code.min() <= code.max() < s.codewords


def test_the_hash_sees_every_array(codes_model: CodeModel) -> None:
    codes = random_codes(codes_model, 1, 2, 4)
    whole = hash_codes(codes, codes_model.low_size)
    for array in codes:
        array[0, -1, -1, -1] ^= 1
        assert hash_codes(codes, codes_model.low_size) != whole
        array[0, -1, -1, -1] ^= 1
    assert hash_codes(codes, codes_model.low_size) == whole


def test_the_lowest_low_values_can_be_hashed(codes_model: CodeModel) -> None:
    """All symbols zero: every phase goes down from the one before, as far as the low band can go."""
    lowest = walk(codes_model, np.array([0]), 2, 2, lambda i, p, rows, sign: np.zeros_like(rows))
    sizes = [codes_model.low_size, *(s.codewords for s in codes_model.slices)]
    highest = walk(codes_model, np.array([0]), 2, 2, lambda i, p, rows, sign: np.full_like(rows, sizes[1 + i] - 1))
    assert lowest[0].min() < -codes_model.low_size
    assert highest[0].max() == -lowest[0].min()
    assert hash_codes(lowest, codes_model.low_size) != hash_codes(highest, codes_model.low_size)


def test_join_phases_inverts_phase() -> None:
    x = np.arange(2 * 6 * 4 * 3).reshape(2, 6, 4, 3)
    assert np.array_equal(join_phases([phase(x, i) for i in range(4)]), x)


def test_luma_never_looks_at_chroma(codes_model: CodeModel) -> None:
    """So that gray pictures are coded with the same context as colour ones."""
    context = Context(codes_model.slices, codes_model.levels, 1, 1, 1)
    for i, s in enumerate(codes_model.slices):
        seen = [codes_model.slices[j] for j in context.others(i)]
        assert s.chroma or not any(o.chroma for o in seen)
        assert all(s.level <= o.level <= s.level + 2 for o in seen)
