"""The integer prior in float32 against 64-bit integers, with weights and inputs at the bound of what is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from image.independent_decoder import aligned, branch, conv, stacked

from vqcodec.prior.integer import (
    PHASES,
    Hidden,
    PriorSlice,
    align,
    check_bounds,
    context_stack,
    convolve,
    low_prediction,
    phase,
    predict_rows,
)

WIDE = 2**24  # rows of width 1 over the whole range, so that every bit of the accumulator shows in the row
N = 6


def integers(rng: np.random.Generator, largest: int, *shape: int) -> np.ndarray:
    return rng.integers(-largest, largest + 1, shape).astype(np.float32)


def extreme(rng: np.random.Generator, largest: int, *shape: int) -> np.ndarray:
    return (rng.choice([-largest, largest], shape)).astype(np.float32)


def make_slice(rng: np.random.Generator, c: int, signs: int, hidden: bool, draw=integers) -> PriorSlice:
    """One phase with 3 groups, C = c channels of context, S = signs signed channels, shift 0."""
    weight = draw(rng, 127, 9, c, 3)
    layers = Hidden(
        first=draw(rng, 127, 9, c, N), first_bias=integers(rng, 5000, 256, N),
        first_shift=rng.integers(0, 14, N).astype(np.int32), second=draw(rng, 127, N, N),
        second_bias=integers(rng, 5000, N), second_shift=rng.integers(0, 8, N).astype(np.int32),
        last=draw(rng, 127, N, 3),
    )  # fmt: skip
    used = np.abs(weight).reshape(-1, 3).sum(0) * 127
    if hidden:
        used += np.abs(layers.last).sum(0) * 255
    room = WIDE - 1 - used
    assert room.min() >= 0
    return PriorSlice(
        level=5, chroma=False, d=1, groups=3, weight=(weight,),
        bias=((rng.choice([-1, 1], (256, 3)) * room).astype(np.float32),), shift=(np.zeros(3, np.int32),),
        sign_weight=(draw(rng, 127, 9, signs, 3) if signs else None,),
        sign_edges=np.sort(integers(rng, 2**20, 3, 4 if signs else 0)).astype(np.float32),
        energy=integers(rng, 127, 3, 9, 1), signed=integers(rng, 127, 3, 9, 1), row_offset=-WIDE, row_width=1,
        rows=2 * WIDE, hidden=(layers if hidden else None,),
    )  # fmt: skip


def reference(s: PriorSlice, step: int, stack: np.ndarray, signs: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and mirrored positions of one picture [h+2, w+2, C] in 64-bit integers."""
    a = stack.astype(np.int64)
    acc = s.bias[0][step].astype(np.int64) + conv(a, s.weight[0].astype(np.int64))
    if s.hidden[0] is not None:
        acc = acc + branch({f"0.hidden.{k}": v.astype(np.int64) for k, v in vars(s.hidden[0]).items()}, 0, step, a)
    row = np.clip((acc // 2 ** s.shift[0].astype(np.int64) - s.row_offset) // s.row_width, 0, s.rows - 1) * s.sign_bins
    if signs is None or s.sign_weight[0] is None:
        return row, np.zeros(row.shape, bool)
    m = conv(signs.astype(np.int64), s.sign_weight[0].astype(np.int64))
    return row + (np.abs(m)[..., None] >= s.sign_edges.astype(np.int64)).sum(-1), m < 0


def compare(s: PriorSlice, stack: np.ndarray, signs: np.ndarray | None, step: np.ndarray) -> None:
    shape = (stack.shape[0], stack.shape[1] - 2, stack.shape[2] - 2)
    check_bounds(s)
    rows, sign = predict_rows(s, 0, step, stack, signs, shape)
    for i in range(len(step)):
        want, mirrored = reference(s, int(step[i]), stack[i], None if signs is None else signs[i])
        assert np.array_equal(rows[i], want)
        assert np.array_equal(sign[i] < 0 if sign is not None else np.zeros_like(mirrored), mirrored)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("signs", [0, 9])
@pytest.mark.parametrize("draw", [integers, extreme])
def test_random_weights(draw, signs: int, hidden: bool) -> None:
    rng = np.random.default_rng(7)
    s = make_slice(rng, 24, signs, hidden, draw)
    stack = draw(rng, 127, 4, 9, 12, 24)
    signed = draw(rng, 127, 4, 9, 12, signs) if signs else None
    compare(s, stack, signed, np.array([0, 99, 255, 3]))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("hidden", [False, True])
def test_sums_at_the_bound(hidden: bool, sign: int) -> None:
    """Every product has the same sign, the largest size, and the bias fills up to 2**24 - 1: nothing can be larger."""
    rng = np.random.default_rng(1)
    c = 113
    s = make_slice(rng, c, c, hidden, extreme)
    pattern = np.sign(s.weight[0][:, :, 0])  # the inputs follow the signs of group 0
    s = replace(s, bias=(np.abs(s.bias[0]) * sign,), sign_weight=(s.weight[0],))
    if hidden:
        top = Hidden(**vars(s.hidden[0]))
        top = replace(top, first=np.repeat(s.weight[0][..., :1], N, 2) * sign, second=np.abs(top.second))
        top = replace(top, last=np.abs(top.last) * sign, second_shift=np.zeros_like(top.second_shift))
        s = replace(s, hidden=(top,))
    stack = np.zeros((1, 3, 3, c), np.float32)
    stack[0] = (127 * sign * pattern).reshape(3, 3, c)
    compare(s, stack, stack, np.array([17]))
    rows, _ = predict_rows(s, 0, np.array([17]), stack, stack, (1, 1, 1))
    assert rows[0, 0, 0, 0] // s.sign_bins - WIDE == sign * (WIDE - 1)


def test_batches_do_not_change_rows() -> None:
    rng = np.random.default_rng(5)
    s = make_slice(rng, 31, 9, True)
    stack, signed = integers(rng, 127, 8, 10, 7, 31), integers(rng, 127, 8, 10, 7, 9)
    step = rng.integers(0, 256, 8)
    together, signs = predict_rows(s, 0, step, stack, signed, (8, 8, 5))
    for i in range(8):
        alone, sign = predict_rows(s, 0, step[i : i + 1], stack[i : i + 1], signed[i : i + 1], (1, 8, 5))
        assert np.array_equal(alone[0], together[i])
        assert np.array_equal(sign[0], signs[i])


def test_torch_integers_agree_with_the_convolution() -> None:
    rng = np.random.default_rng(8)
    stack, weight = extreme(rng, 127, 2, 8, 9, 40), extreme(rng, 127, 9, 40, 5)
    x = torch.from_numpy(stack).long().permute(0, 3, 1, 2)
    w = torch.from_numpy(weight).long().reshape(3, 3, 40, 5).permute(3, 2, 0, 1)
    want = torch.nn.functional.conv2d(x, w).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(convolve(stack, weight).astype(np.int64), want)


def test_shift_rounds_down() -> None:
    rng = np.random.default_rng(9)
    s = replace(make_slice(rng, 4, 0, False), shift=(np.array([1, 5, 12], np.int32),))
    compare(s, integers(rng, 127, 2, 6, 6, 4), None, np.array([1, 2]))


@pytest.mark.parametrize("part", ["bias", "sign", "first", "second", "last"])
def test_what_float32_cannot_hold_is_refused(part: str) -> None:
    s = make_slice(np.random.default_rng(2), 20, 9, True)
    check_bounds(s)
    large = np.full(1, 2.0**24, np.float32)
    hidden = s.hidden[0]
    assert hidden is not None
    if part == "bias":
        s = replace(s, bias=(s.bias[0] + np.sign(s.bias[0]),))  # one more than what just fits
    elif part == "sign":
        s = replace(s, sign_weight=(s.sign_weight[0] + large,))
    else:
        s = replace(s, hidden=(replace(hidden, **{part: getattr(hidden, part) + large}),))
    with pytest.raises(ValueError, match="level 5, phase 0: a product sum may reach"):
        check_bounds(s)


@pytest.mark.parametrize("shift", [-1, 25, -128])
@pytest.mark.parametrize("part", ["shift", "first_shift", "second_shift"])
def test_shifts_out_of_range_are_refused(part: str, shift: int) -> None:
    s = make_slice(np.random.default_rng(2), 20, 9, True)
    hidden = s.hidden[0]
    assert hidden is not None
    bad = np.array([3, shift, 3], np.int32)
    s = replace(s, shift=(bad,)) if part == "shift" else replace(s, hidden=(replace(hidden, **{part: bad}),))
    with pytest.raises(ValueError, match=r"a shift is outside 0\.\.24"):
        check_bounds(s)


@pytest.mark.parametrize("part", ["energy", "signed"])
def test_maps_out_of_range_are_refused(part: str) -> None:
    s = make_slice(np.random.default_rng(2), 20, 9, False)
    with pytest.raises(ValueError, match="a map is outside"):
        check_bounds(replace(s, **{part: np.full_like(s.energy, -128)}))


@pytest.mark.parametrize("grid", [(8, 8), (4, 8), (8, 16), (16, 8), (2, 4), (32, 32)])
def test_align_and_stack(grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    m, own = integers(rng, 127, 2, 8, 8, 3), integers(rng, 127, 2, *grid, 2)
    stack = context_stack([own], [m], *grid)
    for i in range(2):
        assert np.array_equal(align(m, *grid)[i], aligned(m[i], *grid))
        assert np.array_equal(stack[i], stacked([own[i], aligned(m[i], *grid)]))


def test_phases_cover_the_grid_once() -> None:
    grid = np.zeros((1, 6, 8), int)
    for i in range(4):
        phase(grid, i)[...] += 1
    assert (grid == 1).all()
    assert len(set(PHASES)) == 4


def test_low_prediction_looks_at_earlier_phases_only() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, (2, 4, 6, 3)).astype(np.int32)
    for p in range(4):
        before = low_prediction(values, p)
        changed = values.copy()
        for later in range(p, 4):
            phase(changed, later)[...] = 12345
        after = low_prediction(changed, p)
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_low_prediction_of_a_slope() -> None:
    """A plane is predicted exactly away from the edges; a constant everywhere, with no spread."""
    y, x = np.mgrid[:8, :8]
    plane = np.repeat((3 * y + 5 * x)[None, ..., None], 3, -1).astype(np.int32)
    for p in (1, 2, 3):
        prediction, spread = low_prediction(plane, p)
        inner = (slice(None), slice(1, -1), slice(1, -1))
        assert np.array_equal(prediction[inner], phase(plane, p)[inner])
        assert (spread[inner] == (16 if p == 1 else 10)).all()
        same, none = low_prediction(np.full_like(plane, -7), p)
        assert (same == -7).all()
        assert not none.any()
