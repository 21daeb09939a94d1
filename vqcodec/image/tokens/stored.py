"""Tokens by themselves: the codes of a picture or of frames, with their codebooks, as an .npz file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.bitstream.arrays import F32, U16
from vqcodec.errors import InputError
from vqcodec.image.tokens.config import BOTTOM, TOP
from vqcodec.sources import write_atomic

__all__ = ["Tokens", "read_tokens", "write_tokens"]


@dataclass(frozen=True)
class Tokens:
    """Codes of a picture, or of T frames of one size.

    Attributes:
        top: codes of cells of 16 x 16 pixels, [h, w] or [T, h, w].
        bottom: codes of cells of 8 x 8 pixels, [2 h, 2 w] or [T, 2 h, 2 w].
        top_words, bottom_words: codewords [K, d] as the networks see them; the bottom's are what the top does not tell.
        height, width: of the picture; the grids reach beyond it to whole cells of 64 pixels.
        model: identity of the model, in hexadecimal: the first eight digits, as in the header of a file.
    """

    top: U16
    bottom: U16
    top_words: F32
    bottom_words: F32
    height: int
    width: int
    model: str

    @property
    def frames(self) -> int | None:
        """How many there are; None of a single picture."""
        return len(self.top) if self.top.ndim == 3 else None


def write_tokens(tokens: Tokens, path: Path, *, force: bool = False, parents: bool = False) -> None:
    """Write an .npz file, whole or not at all.

    Raises:
        OutputError: it exists and ``force`` is not set, or it cannot be written.
    """
    arrays: dict[str, Any] = {name: getattr(tokens, name) for name in ("top", "bottom", "top_words", "bottom_words")}
    arrays |= {"size": np.array([tokens.height, tokens.width], np.int64), "cells": np.array([TOP, BOTTOM], np.int64)}
    model = np.frombuffer(bytes.fromhex(tokens.model), np.uint8)
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays, model=model), force=force, parents=parents)


def read_tokens(path: Path, max_pixels: int) -> Tokens:
    """Inverse of :func:`write_tokens`.

    Raises:
        InputError: there is no such file, or it does not hold tokens.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            a = {name: stored[name] for name in ("top", "bottom", "top_words", "bottom_words", "size", "model")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as e:
        raise InputError(f"{path}: holds no tokens ({e}); give an .npz file that vqcodec tokens wrote") from e
    height, width = (int(side) for side in a["size"].ravel()[:2]) if a["size"].size == 2 else (0, 0)
    top, bottom = a["top"], a["bottom"]
    cells = tuple(-(-side // 64) for side in (height, width))
    fits = (
        top.dtype == bottom.dtype == np.uint16
        and top.ndim in (2, 3)
        and top.shape[:-2] == bottom.shape[:-2]
        and top.shape[-2:] == (4 * cells[0], 4 * cells[1])
        and bottom.shape[-2:] == (8 * cells[0], 8 * cells[1])
        and min(height, width) > 0
        and height * width <= max_pixels
        and top.size > 0
        and a["model"].dtype == np.uint8
        and a["model"].size == 4
    )
    if not fits:
        raise InputError(f"{path}: its arrays do not fit together; make it anew with vqcodec tokens")
    return Tokens(top, bottom, a["top_words"], a["bottom_words"], height, width, a["model"].tobytes().hex())
