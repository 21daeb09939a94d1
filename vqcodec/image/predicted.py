"""Samples of 16 bits, each predicted from six neighbours, and what is left in classes (SPEC.md, Method 5).

The low half of 16-bit samples is mostly noise. Of noise a prediction keeps least that averages several neighbours, with
weights that are fitted to the tile; then only the size of what is left follows any pattern, so this goes as a lossless
WebP picture of its own, whose code tables change from place to place, and the bits below it are stored as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.bitstream.arrays import F64, I32, U8, U16
from vqcodec.bitstream.varint import read_varint, write_varint
from vqcodec.errors import CorruptError
from vqcodec.image.webp import Ways, from_webp, to_webp

__all__ = ["LEAST_SIDE", "decode_predicted", "encode_predicted"]

LEAST_SIDE = 64
"""Pixels a side of the smallest tile, for along short diagonals decoding is slow."""
_PIXELS_PER_BYTE = 8  # at most: a tile for which this does not hold is better off without prediction
# Rows up and columns to the right of the neighbours.
_NEIGHBOURS = ((0, -1), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0))
_ABOVE, _LEFT, _RIGHT = 2, 2, 1  # places beyond the edges that they reach
_UNIT = 10  # weights count 2^-10
_MOST = 1 << 14  # of the sum of their sizes, so that sums of products stay below 2^31
_HALF = 1 << 15
_TOP = 3  # bits of a number that its class tells, the leading one among them
_CLASSES = 60
# Thorough coding of classes takes twice the time of all the rest, for 0.1 %.
_WAYS: Ways = ((4, 0),)
_PLACES = 30_000  # to which weights are fitted; more change nothing
_LINES = 8  # from the diagonal of what is two rows up to that of what is right of the row below
# The order of the channels: green tells most of the others.
_ORDERS = {1: (0,), 2: (0, 1), 3: (1, 0, 2), 4: (1, 0, 2, 3)}


def encode_predicted(samples: U16) -> bytes:
    """The bytes of samples [H, W, C], at least LEAST_SIDE pixels a side."""
    height, width, channels = samples.shape
    order = _ORDERS[channels]
    padded = _padded(samples.transpose(2, 0, 1)[order, :, :])
    top = int(samples.max())
    errors = np.empty((channels, height, width), np.int32)
    weights = []
    for c in range(channels):
        known = [*_taps(padded[c]), *errors[:c]]
        weights.append(_fit(known, padded[c, _ABOVE:, _LEFT:-_RIGHT]))
        sums = _sum(known, weights[c])
        errors[c] = _signed(padded[c, _ABOVE:, _LEFT:-_RIGHT] - _predicted(sums, top))
    classes, extra, numbers = _classified(errors)
    back = np.empty(channels, np.intp)
    back[list(order)] = np.arange(channels)
    stream = to_webp(np.ascontiguousarray(classes.transpose(1, 2, 0)[:, :, back]), _WAYS)
    table = b"".join(np.array(w, "<i2").tobytes() for w in weights)
    return top.to_bytes(2, "little") + table + write_varint(len(stream)) + stream + _pack(extra, numbers)


def decode_predicted(body: bytes, shape: tuple[int, int, int]) -> U16:
    """Samples of a tile [H, W, C].

    Raises:
        CorruptError, TruncatedError: the bytes are not those of such a tile.
    """
    height, width, channels = shape
    if min(height, width) < LEAST_SIDE or height * width > _PIXELS_PER_BYTE * len(body):
        raise CorruptError("this tile cannot have been predicted")
    top = int.from_bytes(body[:2], "little")
    weights, at = [], 2
    for c in range(channels):
        size = 2 * (len(_NEIGHBOURS) + c)
        weights.append(np.frombuffer(body[at : at + size], "<i2").astype(np.int32))
        if np.abs(weights[c]).sum() > _MOST:
            raise CorruptError("weights out of range")
        at += size
    size, at = read_varint(body, at, "")
    order = list(_ORDERS[channels])
    classes = from_webp(body[at : at + size], shape).transpose(2, 0, 1)[order]
    if classes.max() >= _CLASSES:
        raise CorruptError(f"class {classes.max()}")
    errors = _errors(classes, body[at + size :])
    sums = np.stack([_sum(errors[:c], weights[c][len(_NEIGHBOURS) :], errors.shape[1:]) for c in range(channels)])
    made = _rebuilt(errors, sums, np.stack([w[: len(_NEIGHBOURS)] for w in weights]), top)
    out = np.empty(shape, np.uint16)
    out[:, :, order] = made.transpose(1, 2, 0)
    return out


def _padded(planes: U16) -> I32:
    """Planes [C, H, W] with what counts beyond their edges, as far as neighbours reach.

    Zeros above and beyond the first row; beside the other rows the nearest sample of the row above.
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, height + _ABOVE, _LEFT + width + _RIGHT), np.int32)
    out[:, _ABOVE:, _LEFT:-_RIGHT] = planes
    out[:, _ABOVE + 1 :, :_LEFT] = planes[:, :-1, :1]
    out[:, _ABOVE + 1 :, -_RIGHT:] = planes[:, :-1, -1:]
    return out


def _taps(padded: I32) -> list[I32]:
    """The neighbours of a padded plane, each [H, W]."""
    height, width = padded.shape[0] - _ABOVE, padded.shape[1] - _LEFT - _RIGHT
    return [padded[_ABOVE - up :, _LEFT + right :][:height, :width] for up, right in _NEIGHBOURS]


def _sum(known: Sequence[I32] | I32, weights: I32, shape: tuple[int, ...] = ()) -> I32:
    """Products of weights and what is known; of nothing zeros of this shape."""
    out = np.zeros(known[0].shape if len(known) else shape, np.int32)
    for values, weight in zip(known, weights, strict=True):
        out += values * weight
    return out


def _predicted(sums: I32, top: int) -> I32:
    """From the sum of products: the nearest sample."""
    sums += 1 << _UNIT - 1
    sums >>= _UNIT
    np.maximum(sums, 0, out=sums)
    np.minimum(sums, top, out=sums)
    return sums


def _signed(values: I32) -> I32:
    """Modulo 2^16, from -2^15."""
    return ((values + _HALF) & 0xFFFF) - _HALF


def _fit(known: Sequence[I32], wanted: I32) -> I32:
    """Weights of the least absolute error, about: two rounds of weighted squares over a part of the places.

    Squares alone would fit edges, which are few.
    """
    step = int((wanted.size / _PLACES) ** 0.5) | 1  # odd, lest the places follow a pattern
    places = slice(step // 2, None, step)
    matrix = np.stack([values[places, places].ravel() for values in known], 1).astype(np.float64)
    target = wanted[places, places].ravel().astype(np.float64)
    errors: F64 = np.zeros(len(target))
    found: F64 = np.zeros(len(known))
    for _ in range(2):
        scale = 1 / (np.abs(errors) + np.median(np.abs(errors)) / 2 + 1)
        left = (matrix * scale[:, None]).T @ matrix
        left.flat[:: len(left) + 1] += 1e-9 * np.trace(left) / len(left) + 1e-9
        found = np.linalg.solve(left, (matrix * scale[:, None]).T @ target)
        errors = target - matrix @ found
    rounded = np.round(found * (1 << _UNIT))
    if not np.abs(rounded).sum() <= _MOST:  # of a plane that says too little; NaN, too
        rounded = np.zeros(len(known))
        rounded[:2] = 1 << _UNIT - 1
    return rounded.astype(np.int32)


def _classified(errors: I32) -> tuple[U8, U8, I32]:
    """Of each error its class, how many bits that leaves out, and the number that these are the lowest bits of.

    Signs go into the lowest bit of a number; small numbers are their own class.
    """
    numbers: I32 = (errors << 1) ^ (errors >> 31)
    length = (numbers.astype(np.float32).view(np.int32) >> 23) - 126  # by the exponent, which for 0 is far below
    extra = np.maximum(length - _TOP, 0)
    classes = (extra << _TOP - 1) + (numbers >> extra)
    return classes.astype(np.uint8), extra.astype(np.uint8), numbers


def _pack(extra: U8, numbers: I32) -> bytes:
    """The bits that classes leave out: of those that leave out one, two, and so on.

    Of more than eight the lowest eight come first, of all of the group, as bytes. The others are packed, low bits
    first, in whole bytes.
    """
    out = []
    flat, low = extra.reshape(-1), numbers.reshape(-1).astype(np.uint16)
    for bits in range(1, int(extra.max()) + 1):
        group = low[np.flatnonzero(flat == bits)]
        more = bits
        if bits > 8:
            out.append(group.astype(np.uint8).tobytes())
            group, more = (group >> 8).astype(np.uint16), bits - 8
        eights = np.zeros((-(-len(group) // 8), 8), np.uint64)
        eights.reshape(-1)[: len(group)] = group & ((1 << more) - 1)
        eights <<= np.arange(0, 8 * more, more, dtype=np.uint64)
        words = np.bitwise_or.reduce(eights, axis=1).astype("<u8")
        out.append(words.view(np.uint8).reshape(-1, 8)[:, :more].tobytes()[: -(-len(group) * more // 8)])
    return b"".join(out)


def _unpacked(body: bytes, count: int, bits: int) -> U16:
    """So many numbers of 1 to 8 bits, as :func:`_pack` has them."""
    padded = np.zeros((-(-count // 8), 8), np.uint8)
    whole = np.frombuffer(body + bytes(-len(body) % bits), np.uint8).reshape(-1, bits)
    padded[:, :bits] = whole
    words = padded.view("<u8").astype(np.uint64)
    numbers = words >> np.arange(0, 8 * bits, bits, dtype=np.uint64)
    out = (numbers & np.uint64((1 << bits) - 1)).astype(np.uint16).reshape(-1)
    if out[count:].any():
        raise CorruptError("bits are left over")
    return out[:count]


def _errors(classes: U8, body: bytes) -> I32:
    """Errors of classes [C, H, W]; the body is that of :func:`_pack`.

    Raises:
        CorruptError: it has another length.
    """
    extra = np.maximum((classes >> _TOP - 1).astype(np.int8) - 1, 0)
    numbers: I32 = classes - (extra.astype(np.int32) << _TOP - 1)
    numbers <<= extra
    flat, every, at = extra.reshape(-1), numbers.reshape(-1), 0

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        if at > len(body):
            raise CorruptError("bits are missing")
        return body[at - size : at]

    for bits in range(1, int(extra.max()) + 1):
        here = np.flatnonzero(flat == bits)
        low = np.frombuffer(take(len(here)), np.uint8) if bits > 8 else np.uint16(0)
        more = bits - 8 if bits > 8 else bits
        group = _unpacked(take(-(-len(here) * more // 8)), len(here), more)
        every[here] += (group << bits - more) + low
    if at != len(body):
        raise CorruptError("bits are left over")
    return (numbers >> 1) ^ -(numbers & 1)


def _rebuilt(errors: I32, sums: I32, weights: I32, top: int) -> U16:
    """Samples [C, H, W]: along diagonals, all of whose neighbours are known.

    Place (y, x) is on diagonal x + 2 y. Eight diagonals are kept, [C, _ABOVE + H] each, by row.

    Args:
        sums: what the errors of channels before add to the sum of products.
        weights: [C, neighbours].
    """
    channels, height, width = errors.shape
    out = np.empty((channels, height, width), np.uint16)
    made, left, rest = out.reshape(channels, -1), errors.reshape(channels, -1), sums.reshape(channels, -1)
    lines = np.zeros((_LINES, channels, _ABOVE + height), np.int32)
    columns = weights.T[:, :, None]
    part = np.empty((channels, height), np.int32)
    for t in range(width + 2 * (height - 1)):
        first, last = max(0, -(-(t - width + 1) // 2)), min(height - 1, t // 2)
        rows = slice(_ABOVE + first, _ABOVE + last + 1)
        inner = slice(t + first * (width - 2), t + last * (width - 2) + 1, width - 2)
        total, product = rest[:, inner].copy(), part[:, : last - first + 1]
        for (up, right), weight in zip(_NEIGHBOURS, columns, strict=True):
            line = lines[(t - 2 * up + right) % _LINES]
            np.multiply(line[:, rows.start - up : rows.stop - up], weight, out=product)
            total += product
        total = _predicted(total, top)
        total += left[:, inner]
        total &= 0xFFFF
        lines[t % _LINES, :, rows] = total
        made[:, inner] = total
        # beyond the edges, see _padded: where a row begins, left of the next; where one ends, right of the next
        if t == 2 * last:
            for ahead in (0, 1):
                lines[(t + ahead) % _LINES, :, rows.stop : rows.stop + 1] = total[:, -1:]
        if t == width - 1:
            lines[(t + 1) % _LINES, :, _ABOVE] = 0
        if t == width - 1 + 2 * first:
            lines[(t + 3) % _LINES, :, rows.start + 1 : rows.start + 2] = total[:, :1]
    return out
