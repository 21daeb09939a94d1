"""The walk, the prior's exactness, the stream; and weights computed once more from SPEC.md alone, in int64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from vqcodec.errors import CorruptError
from vqcodec.image.tokens.codes import SCALES, CodeModel, Codes, Walk, decode_tile, encode_tile, hash_codes
from vqcodec.image.tokens.model import TokensModel, integer_arrays
from vqcodec.image.tokens.prior import STEPS, Step, check_step

SIZE = (2, 3)  # cells


def made_up(model: CodeModel, seed: int = 1, batch: int = 1) -> Codes:
    rng = np.random.default_rng(seed)
    h, w = SIZE
    top, bottom, residual = (
        rng.integers(0, len(table), (batch, scale * h, scale * w)).astype(np.int32)
        for table, scale in zip(model.tables, SCALES, strict=True)
    )
    return top, bottom, residual


def weights_of(model: CodeModel, codes: Sequence[np.ndarray], step: int) -> list[np.ndarray]:
    """Of all batches [B, N, K]."""
    seen = []
    walk = Walk(model, step, len(codes[0]), *SIZE)

    def choose(batch: Step, weights: np.ndarray) -> np.ndarray:
        seen.append(weights.reshape(len(codes[0]), -1, weights.shape[1]))
        return batch.of(codes[batch.level]).ravel()

    for level in range(3):
        walk.level(level, choose)
    first = SIZE[0] * SIZE[1]  # positions of batch 0, one after the other
    return [np.concatenate(seen[:first], 1), *seen[first:]]


def test_steps_cover_every_code_once() -> None:
    for level, scale in enumerate(SCALES):
        grid = np.zeros((1, scale * 2, scale * 3), int)
        for step in STEPS:
            if step.level == level:
                part = step.of(grid)
                part += 1
        assert (grid == 1).all()


@pytest.mark.parametrize("step", [0, 255])
def test_a_stream_gives_its_codes_back(tiny_tokens: TokensModel, step: int) -> None:
    codes = made_up(tiny_tokens.codes)
    payload, ends = encode_tile(tiny_tokens.codes, step, codes)
    assert len(ends) == 3
    assert ends[0] < ends[1] < ends[2] == len(payload)
    for a, b in zip(codes, decode_tile(tiny_tokens.codes, step, payload, *SIZE), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("stages", [1, 2])
def test_a_cut_stream_gives_the_coarse_levels(tiny_tokens: TokensModel, stages: int) -> None:
    codes = made_up(tiny_tokens.codes)
    payload, ends = encode_tile(tiny_tokens.codes, 9, codes)
    found, again = (
        decode_tile(tiny_tokens.codes, 9, payload[: ends[stages - 1]], *SIZE, stages=stages) for _ in range(2)
    )
    for level in range(3):
        assert np.array_equal(found[level], codes[level]) == (level < stages)
        assert np.array_equal(found[level], again[level])


def test_the_batch_makes_no_difference(tiny_tokens: TokensModel) -> None:
    codes = made_up(tiny_tokens.codes, batch=3)
    together = weights_of(tiny_tokens.codes, codes, 40)
    for i in range(3):
        alone = weights_of(tiny_tokens.codes, [level[i : i + 1] for level in codes], 40)
        for a, b in zip(alone, together, strict=True):
            assert np.array_equal(a[0], b[i])


def by_the_specification(arrays: dict[str, np.ndarray], codes: Sequence[np.ndarray], s: int) -> list[np.ndarray]:
    """Weights of all batches [N, K], position by position in int64."""
    top, bottom, residual = (level[0] for level in codes)
    tables = [arrays[f"prior.{name}.embedding"].astype(np.int64) for name in ("top", "bottom", "residual")]
    grids = [(top, 4, rc, 0) for rc in ((0, 0), (2, 2), (0, 2), (2, 0))]
    grids += [(top, 2, rc, 0) for rc in ((1, 1), (0, 1), (1, 0))]
    grids += [(bottom, 2, rc, 1) for rc in ((0, 0), (1, 1), (0, 1), (1, 0))]
    grids += [(residual, 2, rc, 2) for rc in ((0, 0), (1, 1), (0, 1), (1, 0))]
    parts = [tables[level][grid[r::m, c::m]] for grid, m, (r, c), level in grids]
    out = []
    for i, part in enumerate(parts):
        if i == 0:
            maps = [part]
        elif i < 4:
            maps = parts[:i]
        elif i < 7:
            maps = [tables[0][top[::2, ::2]], *parts[4:i]]
        else:
            maps = [tables[0][top], *parts[7:i]]
        p = {key: arrays[f"prior.{i}.{key}"].astype(np.int64) for key in (
            "first", "first_bias", "first_shift", "second", "second_bias", "second_shift", "last", "last_bias",
            "last_shift",
        )}  # fmt: skip
        h, w = part.shape[:2]
        rows = []
        for y in range(h):
            for x in range(w):
                u = p["first_bias"][s].copy()
                for t in range(9):
                    yy, xx = y + t // 3 - 1, x + t % 3 - 1
                    if i == 0 and ((yy, xx) >= (y, x) or not (yy >= 0 and 0 <= xx < w)):
                        continue  # not known yet, or outside: zeros
                    yy, xx = min(max(yy, 0), h - 1), min(max(xx, 0), w - 1)
                    u += np.concatenate([m[yy, xx] for m in maps]) @ p["first"][t]
                u = np.clip(u >> p["first_shift"], 0, 255)
                v = np.clip((u @ p["second"] + p["second_bias"]) >> p["second_shift"], 0, 255)
                logit = (v @ p["last"] + p["last_bias"]) >> p["last_shift"]
                exponential = arrays["prior.exponential"]
                rows.append(exponential[np.minimum(logit.max() - logit, len(exponential) - 1)])
        out.append(np.array(rows))
    return out


@pytest.mark.parametrize("step", [0, 100, 255])
def test_weights_are_those_of_the_specification(tiny_tokens: TokensModel, step: int) -> None:
    codes = made_up(tiny_tokens.codes, seed=step)
    wanted = by_the_specification(integer_arrays(tiny_tokens.codes), codes, step)
    found = weights_of(tiny_tokens.codes, codes, step)
    assert len(found) == len(wanted) == 15
    for a, b in zip(found, wanted, strict=True):
        assert np.array_equal(a[0], b)
    assert any(len(np.unique(w)) > 10 for w in found)  # it does say something


def test_a_weight_that_may_not_be_exact_is_refused(tiny_tokens: TokensModel) -> None:
    prior = tiny_tokens.codes.steps[-1]
    check_step(prior, tiny_tokens.codes.tables)
    with pytest.raises(ValueError, match="product sum"):
        check_step(replace(prior, last_bias=prior.last_bias + 2**24), tiny_tokens.codes.tables)
    with pytest.raises(ValueError, match="shift"):
        check_step(replace(prior, last_shift=prior.last_shift + 30), tiny_tokens.codes.tables)
    with pytest.raises(ValueError, match="map"):
        check_step(prior, [t * 100 for t in tiny_tokens.codes.tables])


def test_too_short_a_stream_is_refused(tiny_tokens: TokensModel) -> None:
    with pytest.raises(CorruptError):
        decode_tile(tiny_tokens.codes, 0, b"\x80", 16, 16)


def test_the_hash_sees_every_level(tiny_tokens: TokensModel) -> None:
    codes = made_up(tiny_tokens.codes)
    for level in range(3):
        other = [c.copy() for c in codes]
        other[level][0, -1, -1] ^= 1
        assert hash_codes(other) != hash_codes(codes)
