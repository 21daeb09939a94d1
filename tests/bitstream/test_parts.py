"""Varints, the hash of codes, alpha bodies."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import code_hash
from vqcodec.bitstream.alpha import decode_alpha, encode_alpha
from vqcodec.bitstream.varint import VARINT_MAX, read_varint, write_varint
from vqcodec.errors import CorruptError, TruncatedError


@given(st.integers(0, VARINT_MAX), st.binary(max_size=3), st.binary(max_size=3))
def test_varint_round_trip(value: int, before: bytes, after: bytes) -> None:
    spelled = write_varint(value)
    assert read_varint(before + spelled + after, len(before), "x") == (value, len(before + spelled))
    assert len(spelled) == max(1, -(-value.bit_length() // 7))
    for size in range(len(spelled)):
        with pytest.raises(TruncatedError, match="x: "):
            read_varint(spelled[:size], 0, "x")


def test_varint_has_one_spelling() -> None:
    assert write_varint(300).hex() == "ac02"
    assert read_varint(b"\xff\xff\xff\xff\x7f", 0, "x") == (VARINT_MAX, 5)
    for longer in (b"\x80\x00", b"\xac\x82\x00", b"\xff\xff\xff\xff\x80\x00"):
        with pytest.raises(CorruptError, match=r"shortest|longer"):
            read_varint(longer, 0, "x")
    for value in (-1, VARINT_MAX + 1):
        with pytest.raises(ValueError, match="outside"):
            write_varint(value)


def test_code_hash() -> None:
    codes = np.arange(1000, dtype=np.int32).reshape(10, 100)
    frozen = code_hash([codes, codes[:, ::3]])
    assert frozen == 38_034
    assert code_hash([codes.astype(np.int64), codes[:, ::3].astype(np.uint16)]) == frozen
    assert code_hash([]) == code_hash([codes[:0]]) == 0
    # Any one code that changes by a little is seen.
    seen = set()
    for i in range(1000):
        changed = codes.copy()
        changed.flat[i] ^= 1
        seen.add(code_hash([changed, codes[:, ::3]]) == frozen)
    assert seen == {False}
    for bad in (-1, 65_536):
        with pytest.raises(ValueError, match="outside"):
            code_hash([np.array([5, bad])])


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32), st.sampled_from(["noise", "ramp", "mask", "flat"])
)
def test_alpha_round_trip(height: int, width: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    plane = {
        "noise": rng.integers(0, 256, (height, width)),
        "ramp": rng.integers(0, 9) * x + rng.integers(0, 9) * y,
        "mask": 255 * (np.hypot(y - height / 2, x - width / 2) < rng.random() * 30),
        "flat": np.full((height, width), rng.integers(0, 256)),
    }[kind].astype(np.uint8)
    body = encode_alpha(plane)
    assert np.array_equal(decode_alpha(body, height, width), plane)
    for cut in range(len(body)):
        with pytest.raises(CorruptError, match="section alpha"):
            decode_alpha(body[:cut], height, width)


def test_alpha_costs_little_where_little_is_there() -> None:
    assert encode_alpha(np.full((500, 500), 255, np.uint8)) == b"\0\xff"
    y, x = np.mgrid[:500, :500]
    assert len(encode_alpha((y + 3 * x).astype(np.uint8))) < 130
    mask = np.where(np.hypot(y - 250, x - 250) < 200, 255, 0).astype(np.uint8)
    assert len(encode_alpha(mask)) < 1300
    large = np.zeros((2001, 2000), np.uint8)
    large[700:] = 9
    assert np.array_equal(decode_alpha(encode_alpha(large), 2001, 2000), large)


def test_no_torch() -> None:
    code = "import sys, vqcodec.bitstream; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
