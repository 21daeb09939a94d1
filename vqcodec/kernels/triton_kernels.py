# mypy: disable-error-code="assignment"
# mypy: allow-untyped-defs, allow-untyped-calls, allow-incomplete-defs, allow-untyped-decorators
# (annotations of a kernel are read by the compiler, which knows only its own types)
"""The Triton kernels: scores never leave the registers, and no N x K array exists.

Minimised is ``offset_k + sum_j x_j w_kj``: ``w`` are the negated, centred codewords, ``offset`` holds half their
squared norms and half the bias (+inf where a codeword is forbidden or is padding); in the DIRECT form, for the smallest
dimensions, ``bias_k + sum_j (x_j + w_kj)^2``. Lowest index on ties: codewords are visited in order and only a strictly
smaller score replaces the best. No atomics, no autotuning: the same input gives the same output.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["assign_dot", "assign_fma", "prepare_table", "prepare_words", "residual_dot", "residual_fma"]

# never compiled in: one binary serves every N
RUNTIME = ("count", "table_rows", "bias_size")
PER_CODEWORD = tl.constexpr(0)  # offset [G, K]
TABLE = tl.constexpr(1)  # offset [G, K, R] (fma) or [G, R, K] (dot), and a row per vector
PER_PAIR = tl.constexpr(2)  # offset [G, K] and a bias [G, N, K]; dot only


@triton.jit
def _load_words(codebook_ptr, code, size, D: tl.constexpr, WIDTH: tl.constexpr):
    """Codewords [BLOCK, WIDTH] as float32, 0 where they are not finite or none, and which are finite."""
    dims = tl.arange(0, WIDTH)
    there = (code < size)[:, None] & (dims < D)[None, :]
    words = tl.load(codebook_ptr + code[:, None] * D + dims[None, :], mask=there, other=0.0).to(tl.float32)
    broken = tl.max(tl.where(tl.abs(words) < float("inf"), 0, 1), axis=1)  # NaN is not below either
    finite = (code < size) & (broken == 0)
    return tl.where(finite[:, None], words, 0.0), finite


@triton.jit(do_not_specialize=("size", "padded"))
def prepare_words(
    codebook_ptr, bias_ptr, centre_ptr, words_ptr, offset_ptr, size, padded,
    D: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CENTRED: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """What :func:`vqcodec.kernels.prepare.prepare` gives, words negated, K padded with what never wins; grid [G]."""
    group = tl.program_id(0).to(tl.int64)
    codebook_ptr += group * size * D
    lanes = tl.arange(0, BLOCK)
    dims = tl.arange(0, WIDTH)
    total = tl.zeros([WIDTH], tl.float32)
    if CENTRED:
        count = 0.0
        for k in range(0, size, BLOCK):
            words, finite = _load_words(codebook_ptr, k + lanes, size, D, WIDTH)
            total += tl.sum(words, axis=0)
            count += tl.sum(tl.where(finite, 1.0, 0.0), axis=0)
        total = total / tl.maximum(count, 1.0)
    tl.store(centre_ptr + group * D + dims, total, mask=dims < D)
    for k in range(0, padded, BLOCK):
        code = k + lanes
        words, finite = _load_words(codebook_ptr, code, size, D, WIDTH)
        words = tl.where(finite[:, None], words - total[None, :], 0.0)
        offset = tl.zeros([BLOCK], tl.float32)
        if not DIRECT:
            offset += 0.5 * tl.sum(words * words, axis=1)
        if bias_ptr is not None:
            bias = tl.load(bias_ptr + group * size + code, mask=finite, other=0.0).to(tl.float32)
            offset += bias if DIRECT else 0.5 * bias
        offset = tl.where(finite & (offset == offset), offset, float("inf"))  # NaN differs from itself
        place = (group * padded + code)[:, None] * D + dims[None, :]
        tl.store(words_ptr + place, -words, mask=(code < padded)[:, None] & (dims < D)[None, :])
        tl.store(offset_ptr + group * padded + code, offset, mask=code < padded)


@triton.jit(do_not_specialize=("table_rows", "size", "padded", "table_stride"))
def prepare_table(
    table_ptr, offset_ptr, out_ptr, table_rows, size, padded, table_stride, row_stride, code_stride,
    BLOCK: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Offsets of a table from those of the words alone; grid [R, ceil(K / BLOCK), G].

    ``table_stride`` is 0 where all groups share the table; the other two are of what is written.
    """
    row, group = tl.program_id(0).to(tl.int64), tl.program_id(2).to(tl.int64)
    code = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    bias = tl.load(table_ptr + group * table_stride + row * size + code, mask=code < size, other=0.0).to(tl.float32)
    offset = tl.load(offset_ptr + group * padded + code, mask=code < padded, other=float("inf"))
    offset += bias if DIRECT else 0.5 * bias
    offset = tl.where(offset == offset, offset, float("inf"))  # NaN differs from itself
    place = group * table_rows * padded + row * row_stride + code.to(tl.int64) * code_stride
    tl.store(out_ptr + place, offset, mask=code < padded)


@triton.jit
def _load_columns(x_ptr, vector, inside, D: tl.constexpr):
    """The D coordinates of every vector, each as one tensor: a thread owns whole vectors, so sums need no exchange."""
    xs = ()
    for j in tl.static_range(D):
        xs = xs + (tl.load(x_ptr + vector * D + j, mask=inside, other=0.0).to(tl.float32),)  # noqa: RUF005
    return xs


@triton.jit
def _all_finite(xs, D: tl.constexpr):
    largest = tl.abs(xs[0])
    finite = largest < float("inf")  # false for NaN as well
    for j in tl.static_range(1, D):
        finite = finite & (tl.abs(xs[j]) < float("inf"))
    return finite


@triton.jit
def _score(xs, word_ptr, offset, D: tl.constexpr, DIRECT: tl.constexpr):
    """One score per vector, in float32 with one rounding per coordinate."""
    for j in tl.static_range(D):
        word = tl.load(word_ptr + j)
        if DIRECT:
            difference = xs[j] + word
            offset = tl.fma(difference, difference, offset)
        else:
            offset = tl.fma(xs[j], word, offset)
    return offset


@triton.jit
def _search_fma(
    xs, words_ptr, offset_ptr, row, size, table_rows,
    D: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, FORM: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Index of the best codeword: the least of each STEP codewords first, and which of them it was only at the end."""
    best = tl.full([ROWS], float("inf"), tl.float32)
    first = tl.zeros([ROWS], tl.int32)
    for k in range(0, size, STEP):
        least = tl.full([ROWS], float("inf"), tl.float32)
        for u in tl.static_range(STEP):
            if FORM == TABLE:
                offset = tl.load(offset_ptr + (k + u) * table_rows + row)
            else:
                offset = tl.load(offset_ptr + k + u) + tl.zeros([ROWS], tl.float32)
            least = tl.minimum(least, _score(xs, words_ptr + (k + u) * D, offset, D, DIRECT))
        better = least < best
        best = tl.where(better, least, best)
        first = tl.where(better, k, first)
    index = first
    best = tl.full([ROWS], float("inf"), tl.float32)
    for u in tl.static_range(STEP):
        code = first + u
        offset = tl.load(offset_ptr + code * table_rows + row) if FORM == TABLE else tl.load(offset_ptr + code)
        score = _score(xs, words_ptr + code * D, offset, D, DIRECT)
        index = tl.where(score < best, code, index)
        best = tl.minimum(best, score)
    return index


@triton.jit(do_not_specialize=RUNTIME)
def assign_fma(
    x_ptr, words_ptr, centre_ptr, offset_ptr, rows_ptr, out_ptr,
    count, size, table_rows,
    D: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, FORM: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Nearest codeword for small D by unrolled multiply-add; grid [ceil(N / ROWS), G]."""
    group = tl.program_id(1).to(tl.int64)
    vector = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = vector < count
    xs = _load_columns(x_ptr + group * count * D, vector, inside, D)
    finite = _all_finite(xs, D)
    centred = ()
    for j in tl.static_range(D):
        centred = centred + (tl.where(finite, xs[j], 0.0) - tl.load(centre_ptr + group * D + j),)  # noqa: RUF005
    row = tl.zeros([ROWS], tl.int32)
    if FORM == TABLE:  # a row outside the table would read foreign memory: clamp it
        row = tl.load(rows_ptr + group * count + vector, mask=inside, other=0).to(tl.int32)
        row = tl.minimum(tl.maximum(row, 0), table_rows - 1)
    offset_ptr += group * size * table_rows
    words_ptr += group * size * D
    index = _search_fma(centred, words_ptr, offset_ptr, row, size, table_rows, D, ROWS, STEP, FORM, DIRECT)
    tl.store(out_ptr + group * count + vector, tl.where(finite, index, 0).to(tl.int64), mask=inside)


@triton.jit(do_not_specialize=RUNTIME)
def residual_fma(
    x_ptr, words_ptr, centre_ptr, offset_ptr, out_ptr, count, size,
    D: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, STAGES: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """All stages of a residual quantiser for small D; the residual stays in registers. Grid [ceil(N / ROWS), G]."""
    group = tl.program_id(1).to(tl.int64)
    vector = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = vector < count
    xs = _load_columns(x_ptr + group * count * D, vector, inside, D)
    finite = _all_finite(xs, D)
    row = tl.zeros([ROWS], tl.int32)
    for stage in tl.static_range(STAGES):
        place = group * STAGES + stage
        centred = ()
        for j in tl.static_range(D):
            centred = centred + (tl.where(finite, xs[j], 0.0) - tl.load(centre_ptr + place * D + j),)  # noqa: RUF005
        stage_ptr = words_ptr + place * size * D
        start_ptr = offset_ptr + place * size
        index = _search_fma(centred, stage_ptr, start_ptr, row, size, 1, D, ROWS, STEP, PER_CODEWORD, DIRECT)
        index = tl.where(finite, index, 0)
        tl.store(out_ptr + (group * count + vector) * STAGES + stage, index.to(tl.int64), mask=inside)
        xs = ()
        for j in tl.static_range(D):  # the words are negated: adding one takes the codeword away
            xs = xs + (centred[j] + tl.load(stage_ptr + index * D + j),)  # noqa: RUF005


@triton.jit
def _search_dot(
    x, words_ptr, offset_ptr, row, bias_ptr, inside, size, bias_size,
    D: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, CODES: tl.constexpr, FORM: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Index of the best codeword by matrix products; the running best is kept per lane of the tile and joined once."""
    dims = tl.arange(0, WIDTH)
    lanes = tl.arange(0, CODES)
    best = tl.full([ROWS, CODES], float("inf"), tl.float32)
    start = tl.zeros([ROWS, CODES], tl.int32)
    for k in range(0, size, CODES):
        codes = k + lanes
        words = tl.load(words_ptr + codes[None, :] * D + dims[:, None], mask=dims[:, None] < D, other=0.0)
        scores = tl.dot(x, words, input_precision=PRECISION)
        if FORM == TABLE:
            scores += tl.load(offset_ptr + row[:, None] * size + codes[None, :])
        else:
            scores += tl.load(offset_ptr + codes)[None, :]
        if FORM == PER_PAIR:
            wanted = inside[:, None] & (codes[None, :] < bias_size)
            scores += 0.5 * tl.load(bias_ptr + codes[None, :], mask=wanted, other=0.0)
        better = scores < best  # false for NaN
        best = tl.where(better, scores, best)
        start = tl.where(better, k, start)
    least = tl.min(best, axis=1)
    code = tl.where(best < float("inf"), start + lanes[None, :], 0)
    return tl.min(tl.where(best == least[:, None], code, 2147483647), axis=1)


@triton.jit(do_not_specialize=RUNTIME)
def assign_dot(
    x_ptr, words_ptr, centre_ptr, offset_ptr, rows_ptr, bias_ptr, out_ptr,
    count, size, table_rows, bias_size,
    D: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, CODES: tl.constexpr, FORM: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Nearest codeword on the matrix units; grid [ceil(N / ROWS), G]. WIDTH: D up to a power of two, at least 16."""
    group = tl.program_id(1).to(tl.int64)
    vector = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = vector < count
    dims = tl.arange(0, WIDTH)
    used = inside[:, None] & (dims[None, :] < D)
    x = tl.load(x_ptr + group * count * D + vector[:, None] * D + dims[None, :], mask=used, other=0.0)
    broken = tl.max(tl.where(tl.abs(x.to(tl.float32)) < float("inf"), 0, 1), axis=1)
    x = tl.where((broken == 0)[:, None], x, 0.0).to(x.dtype)
    if centre_ptr is not None:
        x -= tl.load(centre_ptr + group * D + dims, mask=dims < D, other=0.0)[None, :]
    row = tl.zeros([ROWS], tl.int32)
    if FORM == TABLE:
        row = tl.load(rows_ptr + group * count + vector, mask=inside, other=0).to(tl.int32)
        row = tl.minimum(tl.maximum(row, 0), table_rows - 1)
    pair_ptr = out_ptr
    if FORM == PER_PAIR:
        pair_ptr = bias_ptr + (group * count + vector)[:, None] * bias_size
    offset_ptr += group * size * table_rows
    index = _search_dot(
        x, words_ptr + group * size * D, offset_ptr, row, pair_ptr, inside, size, bias_size,
        D, WIDTH, ROWS, CODES, FORM, PRECISION,
    )  # fmt: skip
    tl.store(out_ptr + group * count + vector, tl.where(broken == 0, index, 0).to(tl.int64), mask=inside)


@triton.jit(do_not_specialize=RUNTIME)
def residual_dot(
    x_ptr, words_ptr, centre_ptr, offset_ptr, out_ptr, count, size,
    D: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, CODES: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """All stages of a residual quantiser on the matrix units, float32; grid [ceil(N / ROWS), G]."""
    group = tl.program_id(1).to(tl.int64)
    vector = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = vector < count
    dims = tl.arange(0, WIDTH)
    used = inside[:, None] & (dims[None, :] < D)
    x = tl.load(x_ptr + group * count * D + vector[:, None] * D + dims[None, :], mask=used, other=0.0)
    broken = tl.max(tl.where(tl.abs(x) < float("inf"), 0, 1), axis=1)
    x = tl.where((broken == 0)[:, None], x, 0.0)
    row = tl.zeros([ROWS], tl.int32)
    for stage in range(STAGES):
        place = group * STAGES + stage
        x -= tl.load(centre_ptr + place * D + dims, mask=dims < D, other=0.0)[None, :]
        stage_ptr = words_ptr + place * size * D
        index = _search_dot(
            x, stage_ptr, offset_ptr + place * size, row, out_ptr, inside, size, size,
            D, WIDTH, ROWS, CODES, PER_CODEWORD, PRECISION,
        )  # fmt: skip
        index = tl.where(broken == 0, index, 0)
        tl.store(out_ptr + (group * count + vector) * STAGES + stage, index.to(tl.int64), mask=inside)
        x += tl.load(stage_ptr + index[:, None] * D + dims[None, :], mask=dims[None, :] < D, other=0.0)
