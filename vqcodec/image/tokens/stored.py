"""Tokens by themselves: the codes of a picture or of frames, with their codebooks, as an .npz file."""

from __future__ import annotations

import io
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format

from vqcodec.bitstream.arrays import F32, U16
from vqcodec.errors import InputError, LimitError, UsageError
from vqcodec.image.tokens.codes import SCALES
from vqcodec.image.tokens.config import BOTTOM, LEVELS, TOP
from vqcodec.image.tokens.network import CELL
from vqcodec.options import MAX_PIXELS
from vqcodec.sources import MOST_STREAMED, Compressed, name_of, naming, opened, read_all, write_atomic

__all__ = ["ZIP", "Tokens", "check_pixels", "check_tokens", "pack_tokens", "read_tokens", "write_tokens"]

ZIP = b"PK\x03\x04"
"""What an .npz file begins with."""

_ARRAYS = (*LEVELS, *(f"{level}_words" for level in LEVELS))
_CELLS = [TOP, BOTTOM]  # pixels along the sides of cells, which a file says for who reads it without us
_WRONG = "make it anew with vqcodec tokens"
_MODEL = re.compile("[0-9a-f]{8}")


@dataclass(frozen=True)
class Tokens:
    """Codes of a picture, or of T frames of one size.

    Attributes:
        top: codes of cells of 16 x 16 pixels, [h, w] or [T, h, w].
        bottom: codes of cells of 8 x 8 pixels, [2 h, 2 w] or [T, 2 h, 2 w].
        residual: of the same cells and shape: what is added to the bottom's vectors; 0 adds nothing.
        top_words, bottom_words, residual_words: codewords [K, d] as the quantisers see them. A cell's vector is
            bottom_words[bottom] + residual_words[residual], and says what the top does not.
        height, width: of the picture; the grids reach beyond it to whole cells of 64 pixels.
        model: identity of the model, in hexadecimal: the first eight digits, as in the header of a file.
    """

    top: U16
    bottom: U16
    residual: U16
    top_words: F32
    bottom_words: F32
    residual_words: F32
    height: int
    width: int
    model: str

    @property
    def frames(self) -> int | None:
        """How many there are; None of a single picture."""
        return len(self.top) if self.top.ndim == 3 else None


def pack_tokens(tokens: Tokens) -> bytes:
    """The bytes of an .npz file.

    Raises:
        UsageError, InputError: these are no tokens.
    """
    buffer = io.BytesIO()
    _write(tokens, buffer)
    return buffer.getvalue()


def write_tokens(tokens: Tokens, path: str | os.PathLike[str], *, force: bool = False, parents: bool = False) -> None:
    """Write an .npz file, whole or not at all.

    Args:
        force: whether an existing file may be replaced.
        parents: whether missing folders are made.

    Raises:
        OutputError: it exists and ``force`` is not set, or it cannot be written.
        UsageError, InputError: these are no tokens.
    """
    write_atomic(Path(path), lambda file: _write(tokens, file), force=force, parents=parents)


def _write(tokens: Tokens, file: BinaryIO) -> None:
    check_tokens(tokens)
    arrays: dict[str, Any] = {name: getattr(tokens, name) for name in _ARRAYS}
    arrays |= {"size": np.array([tokens.height, tokens.width], np.int64), "cells": np.array(_CELLS, np.int64)}
    np.savez_compressed(file, **arrays, model=np.frombuffer(bytes.fromhex(tokens.model), np.uint8))


def read_tokens(source: Compressed, *, max_pixels: int = MAX_PIXELS) -> Tokens:
    """Inverse of :func:`write_tokens`.

    Args:
        source: a path, the bytes of the file, or the file open for bytes.
        max_pixels: larger pictures are refused.

    Raises:
        InputError: there is no such file, or it does not hold tokens.
        LimitError: the picture has more pixels than allowed, or the arrays take more than 2 GiB.
        UsageError: this is no file.
    """
    name = name_of(source)
    with naming(name or "the input"), opened(source) as content:
        a = _arrays(content)
        size, model = a["size"], a["model"]
        if size.dtype.kind not in "iu" or size.shape != (2,) or model.dtype != np.uint8 or model.shape != (4,):
            raise InputError(f"its size or its model is none; {_WRONG}")
        if a["cells"].dtype.kind not in "iu" or not np.array_equal(a["cells"], _CELLS):
            raise InputError(f"its cells are not those of {TOP} and of {BOTTOM} pixels that its codes are of; {_WRONG}")
        height, width = (int(side) for side in size)
        check_pixels(width, height, max_pixels)
        arrays = {name: a[name] for name in _ARRAYS}
        found = Tokens(**arrays, height=height, width=width, model=model.tobytes().hex())
        check_tokens(found)
        return found


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise LimitError if there are more pixels than allowed."""
    if width * height > max_pixels:
        raise LimitError(
            f"{width} x {height} is more than {max_pixels:,} pixels; raise the limit by --max-pixels (max_pixels)"
        )


def _arrays(content: Any) -> dict[str, Any]:
    """What a path, bytes or an open file hold under the names of tokens' arrays."""
    if hasattr(content, "read"):
        content = read_all(content, name_of(content) or "the input")
    if not isinstance(content, (bytes, str)):
        raise UsageError(f"{type(content).__name__} is no file of tokens; give a path, bytes or an open file")
    try:
        with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as stored:
            return {name: _array(stored, f"{name}.npy") for name in (*_ARRAYS, "size", "cells", "model")}
    except (LimitError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError("no such file; check the path") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error}); name an .npz file") from error
    except Exception as error:  # the readers of zip and of arrays raise almost anything on damaged files
        detail = str(error).strip("'\"").splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(f"holds no tokens ({detail}); give an .npz file that vqcodec tokens wrote") from error


def _array(stored: zipfile.ZipFile, name: str) -> Any:
    """One array. Of its header nothing is believed that is not there, as numpy's own reader would."""
    size = stored.getinfo(name).file_size
    if size > MOST_STREAMED:
        raise LimitError(f"{name} has {size:,} bytes, which are not read into memory; make the film shorter")
    with stored.open(name) as member:
        file = io.BytesIO(member.read(size))
    first = format.read_magic(file) == (1, 0)
    shape, by_columns, kind = (format.read_array_header_1_0 if first else format.read_array_header_2_0)(file)
    if kind.hasobject:
        raise ValueError(f"{name} holds objects")
    values = np.frombuffer(file.read(), kind)
    return values.reshape(shape, order="F" if by_columns else "C").copy()


def check_tokens(tokens: Tokens) -> None:
    """Refuse what does not fit together, so that whoever has made it learns what.

    Raises:
        UsageError: these are no tokens.
        InputError: the arrays do not fit together, or a number is out of range.
    """
    if not isinstance(tokens, Tokens):
        raise UsageError(f"{type(tokens).__name__} is no Tokens; take what vqcodec.tokens or read_tokens give")
    given: Any = tokens  # nobody has checked the types of its parts
    codes, height, width = (given.top, given.bottom, given.residual), given.height, given.width
    if any(not isinstance(x, np.ndarray) or x.dtype != np.uint16 for x in codes):
        raise InputError(f"its codes are no whole numbers of 16 bits (uint16); {_WRONG}")
    if any(not isinstance(x, (int, np.integer)) or x < 1 for x in (height, width)):
        raise InputError(f"its size {width} x {height} is none; {_WRONG}")
    if not isinstance(given.model, str) or not _MODEL.fullmatch(given.model):
        raise InputError(f"its model {given.model!r} is none, which has eight hexadecimal digits; {_WRONG}")
    h, w = -(-height // CELL), -(-width // CELL)
    fits = [
        x.ndim in (2, 3) and x.size > 0 and x.shape[-2:] == (scale * h, scale * w)
        for x, scale in zip(codes, SCALES, strict=True)
    ]
    if not all(fits) or len({x.shape[:-2] for x in codes}) > 1:
        shapes = ", ".join(str(x.shape) for x in codes)
        raise InputError(f"its grids of {shapes} codes do not fit {width} x {height} pixels; {_WRONG}")
    words = given.top_words, given.bottom_words, given.residual_words
    if any(not isinstance(x, np.ndarray) or x.dtype != np.float32 or x.ndim != 2 or not x.size for x in words):
        raise InputError(f"its codebooks are no float32 [K, d]; {_WRONG}")
    if not all(np.isfinite(x).all() for x in words):
        raise InputError(f"its codebooks hold what are no finite numbers; {_WRONG}")
    for name, codebook, indices in zip(LEVELS, words, codes, strict=True):
        if indices.max() >= len(codebook):
            raise InputError(f"a code of its {name} is {indices.max()}, the codebook has {len(codebook)}; {_WRONG}")
