"""Tokens models on disk: one safetensors file, its identity, its self-check."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, Arrays
from vqcodec.bitstream.coder import Tables
from vqcodec.errors import ModelError
from vqcodec.image.tokens.codes import CodeModel, Walk
from vqcodec.image.tokens.config import LEVELS, PRESETS, TokensConfig
from vqcodec.image.tokens.prior import STEPS, Step, StepPrior, check_step
from vqcodec.prior.storage import Form, canonical_hash, pack_model, read_model
from vqcodec.sources import write_atomic

__all__ = ["TokensModel", "check_vector", "integer_arrays", "load_tokens", "model_id", "save_tokens"]


@dataclass
class TokensModel:
    """Everything that a trained tokens codec is.

    Attributes:
        config: its shape.
        colour: rotation [3, 3] from RGB to planes (rows).
        words: codewords of every level [K, d], as the quantisers see them (see :mod:`compand`).
        error: unit of the weight of a bit of top and bottom, [2]: what a codebook usually leaves over.
        network: weights of all parts by name; the file has them in half precision.
        codes: the prior, integers only.
        training: options of the stages that made it, by stage.
    """

    config: TokensConfig
    colour: F32
    words: tuple[F32, F32, F32]
    error: F32
    network: dict[str, F32]
    codes: CodeModel
    training: dict[str, Any] = field(default_factory=dict)


def integer_arrays(codes: CodeModel) -> Arrays:
    """The integer half of a model as arrays by name."""
    out: Arrays = {"prior.exponential": codes.exponential}
    for name, table in zip(LEVELS, codes.tables, strict=True):
        out[f"prior.{name}.embedding"] = table.astype(np.int8)
    for i, step in enumerate(codes.steps):
        for key, value in vars(step).items():
            out[f"prior.{i}.{key}"] = value.astype(np.int32 if key.endswith("bias") else np.int8)
    return out


def code_model(config: TokensConfig, a: Arrays) -> CodeModel:
    """The prior from the integer arrays of a file.

    Raises:
        ValueError: a bound of exactness is broken, or shapes do not fit.
    """
    top, bottom, residual = (a[f"prior.{name}.embedding"].astype(np.float32) for name in LEVELS)
    tables = (top, bottom, residual)
    steps = []
    for i in range(len(STEPS)):
        fields: Arrays = {
            key: a[f"prior.{i}.{key}"].astype(np.int32 if key.endswith("shift") else np.float32)
            for key in StepPrior.__annotations__
        }
        steps.append(StepPrior(**fields))
        check_step(steps[-1], tables)
    exponential = a["prior.exponential"]
    if exponential.min() < 1 or exponential.max() * max(config.codewords) > 1 << 24:
        raise ValueError("the exponentials do not fit into the 24 bits of a row")
    if tuple(len(t) for t in tables) != config.codewords:
        raise ValueError("the prior is for other codebooks")
    return CodeModel(tables, tuple(steps), exponential)


def check_vector(codes: CodeModel) -> int:
    """Hash of the weights that the prior gives for made-up codes at three steps; exact arithmetic gives one value."""
    seen = hashlib.sha256()
    state = np.uint32(1)

    def choose(_step: Step, weights: I32) -> I32:
        nonlocal state
        seen.update(np.ascontiguousarray(weights, "<i4").tobytes())
        with np.errstate(over="ignore"):
            draws = (np.arange(len(weights), dtype=np.uint32) + state) * np.uint32(2654435761)
            state = state * np.uint32(1664525) + np.uint32(1013904223)
        return ((draws >> 16) % np.uint32(weights.shape[1])).astype(np.int32)

    for step in (0, 100, 255):
        walk = Walk(codes, step, 1, 1, 2)
        for level in range(len(LEVELS)):
            walk.level(level, choose)
    return int.from_bytes(seen.digest()[:4], "little")


def model_arrays(model: TokensModel) -> Arrays:
    """All arrays of a model by name, as stored."""
    out = integer_arrays(model.codes)
    out |= {"colour": model.colour, "error": model.error}
    out |= {f"codebook.{name}": words for name, words in zip(LEVELS, model.words, strict=True)}
    return out | {f"network.{name}": array.astype(np.float16) for name, array in model.network.items()}


def model_id(model: TokensModel) -> bytes:
    """First 4 bytes of the SHA-256 of the canonical weights."""
    return canonical_hash(model_arrays(model))[:4]


def _coder_tables(codes: CodeModel) -> Tables:
    """Tables that the range coder is checked with: falling weights, as a row has them, one row for each level."""
    size = min(len(t) for t in codes.tables)
    at = np.arange(size)
    rows = [codes.exponential.take(at * scale, mode="clip") for scale in (1, 7)]
    return Tables(np.stack(rows).astype(np.uint32))


FORM = Form("vqcodec tokens model 4", PRESETS, code_model, check_vector, _coder_tables)


def save_tokens(model: TokensModel, path: Path) -> None:
    """Write a model, whole or not at all.

    Raises:
        ModelError: a weight of the network is too large for half precision, or not finite.
    """
    largest = max(float(np.abs(array).max()) for array in model.network.values())
    if not largest <= float(np.finfo(np.float16).max):
        raise ModelError(f"{path}: a weight of {largest} is too large to be kept in half precision; train anew")
    write_atomic(path, pack_model(FORM, model.config.name, model_arrays(model), model.training), force=True)


def load_tokens(path: Path) -> TokensModel:
    """Read a model and verify that it is whole and that this machine's arithmetic is exact for it.

    Raises:
        ModelError: not a tokens model, or damaged.
        SelfCheckError: the prior or the coder gives something else here than where the model was made.
    """
    config, arrays, codes, training = read_model(FORM, path)
    prefix = "network."
    top, bottom, residual = (arrays[f"codebook.{name}"] for name in LEVELS)
    return TokensModel(
        config=config,
        colour=arrays["colour"],
        words=(top, bottom, residual),
        error=arrays["error"],
        network={k.removeprefix(prefix): v.astype(np.float32) for k, v in arrays.items() if k.startswith(prefix)},
        codes=codes,
        training=training,
    )
