"""Image models on disk: one safetensors file, its identity, its self-check."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.bitstream.arrays import F32, I32, I64, U16, Arrays
from vqcodec.bitstream.coder import Tables
from vqcodec.image.codes import CodeModel, walk
from vqcodec.image.config import PRESETS, ImageConfig
from vqcodec.image.level_network import network_arrays, read_network
from vqcodec.image.seen import check_wholes
from vqcodec.image.sight import Sight
from vqcodec.prior.integer import PriorSlice
from vqcodec.prior.storage import (
    Form,
    SliceShape,
    canonical_hash,
    pack_model,
    read_model,
    read_slice,
    read_tables,
    slice_arrays,
)
from vqcodec.sources import write_atomic

__all__ = ["ImageModel", "check_vector", "load_model", "model_id", "save_model"]


@dataclass
class ImageModel:
    """Everything that a trained image codec is.

    Attributes:
        config: its shape.
        colour: rotation [3, 3] from RGB - 128 to luma and two chroma planes (rows).
        codebooks: per slice [g, K, d], in units.
        trust: shrinkage of the chroma prediction (see image.dequantise), per level.
        codes: prior and tables, integers only.
        restore: arrays of the filter after the inverse wavelet (see image.synthesis); empty: none.
        faithful: those in whose place others stand where the least squared error is asked for.
        stored: the integer arrays as the file holds them.
        training: options of the stages that made it, by stage.
    """

    config: ImageConfig
    colour: F32
    codebooks: list[F32]
    trust: list[F32]
    codes: CodeModel
    restore: dict[str, F32] = field(default_factory=dict)
    faithful: dict[str, F32] = field(default_factory=dict)
    stored: Arrays = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def integer_arrays(config: ImageConfig, codes: CodeModel, stored: list[U16], low: U16) -> Arrays:
    """The integer half of a model as arrays by name, from its prior and its tables in stored form."""
    out: Arrays = {"prior.low.edges": codes.low_edges.astype(np.int32), "prior.low.table": low}
    for spec, s, table in zip(config.slices, codes.slices, stored, strict=True):
        out |= slice_arrays(f"prior.{spec.name}", s)
        out[f"prior.{spec.name}.table"] = table
    if codes.sight is not None:
        out["prior.low.unit"] = codes.sight.units
        out |= {f"prior.{config.slices[i].name}.whole": words for i, words in codes.sight.codewords.items()}
        for i, running in codes.sight.networks.items():
            out |= network_arrays(f"prior.{config.slices[i].name}.network", running.network)
    return out


def _sight_of(config: ImageConfig, a: Arrays) -> Sight | None:
    if "prior.low.unit" not in a:
        return None
    names = [s.name for s in config.slices]
    words = {i: a[f"prior.{name}.whole"] for i, name in enumerate(names) if f"prior.{name}.whole" in a}
    check_wholes(a["prior.low.unit"], list(words.values()))
    networks = [i for i, name in enumerate(names) if f"prior.{name}.network.fine" in a]
    return Sight.of(
        a["prior.low.unit"],
        words,
        {i: read_network(f"prior.{names[i]}.network", a) for i in networks},
    )


def _slice_of(config: ImageConfig, index: int, a: Arrays) -> PriorSlice:
    spec = config.slices[index]
    phases = 1 if spec.level == config.levels else 4
    shape = SliceShape(
        spec.level, spec.chroma, spec.d, spec.groups, phases, config.row_offset, spec.row_width, config.rows
    )
    return read_slice(f"prior.{spec.name}", a, shape)


def code_model(config: ImageConfig, a: Arrays) -> CodeModel:
    """Prior and tables from the integer arrays of a file.

    Raises:
        ModelError: a bound of exactness is broken.
    """

    def tables(name: str) -> Tables:
        return read_tables(a[f"prior.{name}.table"])

    return CodeModel(
        levels=config.levels,
        low_size=config.low_codewords,
        low_edges=a["prior.low.edges"],
        low_tables=tables("low"),
        slices=tuple(_slice_of(config, i, a) for i in range(len(config.slices))),
        tables=tuple(tables(s.name) for s in config.slices),
        shared=tuple(s.shared for s in config.slices),
        sight=_sight_of(config, a),
    )


def check_vector(codes: CodeModel) -> int:
    """Hash of the rows that the prior gives for made-up codes at three steps; exact arithmetic gives one value."""
    state = np.uint32(1)
    seen: list[I32] = []

    def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        nonlocal state
        seen.append(np.ascontiguousarray(rows))
        if sign is not None:
            seen.append((sign + 1).astype(np.int32))
        k = codes.low_size if index < 0 else codes.slices[index].codewords
        n = rows.size
        with np.errstate(over="ignore"):
            draws = (np.arange(n, dtype=np.uint32) + state) * np.uint32(2654435761)
            state = state * np.uint32(1664525) + np.uint32(1013904223)
        spread = (draws >> 16).astype(np.int64) % (1 + (k - 1) // (1 << (draws & 7).astype(np.int64)))
        middle = 0 if index >= 0 and codes.slices[index].d > 1 else (k - 1) // 2
        signs = np.where(draws & 8, 1, -1) if middle else 1
        symbols: I64 = np.clip(middle + signs * spread // (2 if middle else 1), 0, k - 1)
        return symbols.astype(np.int32).reshape(rows.shape)

    walk(codes, np.array([0, 100, 255]), 1, 2, choose)
    digest = hashlib.sha256(b"".join(a.astype("<i4").tobytes() for a in seen)).digest()
    return int.from_bytes(digest[:4], "little")


def model_arrays(model: ImageModel) -> Arrays:
    """All arrays of a model by name, as stored."""
    out = dict(model.stored)
    out["colour"] = model.colour
    for spec, codebook in zip(model.config.slices, model.codebooks, strict=True):
        out[f"codebook.{spec.name}"] = codebook
    for level, trust in zip(range(model.config.levels - 1, 0, -1), model.trust, strict=True):
        out[f"trust.{level}"] = trust
    for kind, tensors in (("restore", model.restore), ("faithful", model.faithful)):
        out |= {f"{kind}.{name}": array for name, array in tensors.items()}
    return out


def model_id(model: ImageModel) -> bytes:
    """First 4 bytes of the SHA-256 of the canonical weights (design: integers first, then the rest, in name order)."""
    return canonical_hash(model_arrays(model))[:4]


FORM = Form("vqcodec image model 2", PRESETS, code_model, check_vector, lambda codes: codes.low_tables)


def save_model(model: ImageModel, path: Path) -> None:
    """Write a model, whole or not at all."""
    write_atomic(path, pack_model(FORM, model.config.name, model_arrays(model), model.training), force=True)


def load_model(path: Path) -> ImageModel:
    """Read a model and verify that it is whole and that this machine's arithmetic is exact for it.

    Raises:
        ModelError: not a model of ours, or damaged.
        SelfCheckError: the prior or the coder gives something else here than where the model was made.
    """
    config, arrays, codes, training = read_model(FORM, path)

    def tensors(kind: str) -> dict[str, F32]:
        return {k.removeprefix(kind): v for k, v in arrays.items() if k.startswith(kind)}

    return ImageModel(
        config=config,
        colour=arrays["colour"],
        codebooks=[arrays[f"codebook.{s.name}"] for s in config.slices],
        trust=[arrays[f"trust.{level}"] for level in range(config.levels - 1, 0, -1)],
        codes=codes,
        restore=tensors("restore."),
        faithful=tensors("faithful."),
        stored={k: v for k, v in arrays.items() if k.startswith("prior.")},
        training=training,
    )
