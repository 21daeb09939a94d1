"""Models as files: safetensors with the integer half of a prior as arrays, an identity, a self-check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from vqcodec.bitstream.arrays import F32, I32, U16, Arrays
from vqcodec.bitstream.coder import RangeDecoder, RangeEncoder, Tables
from vqcodec.bitstream.tables import unpack_weights
from vqcodec.errors import ModelError, SelfCheckError
from vqcodec.prior.integer import Hidden, PriorSlice, check_bounds

__all__ = [
    "Form",
    "SliceShape",
    "canonical_hash",
    "coder_check",
    "pack_model",
    "read_model",
    "read_slice",
    "read_tables",
    "slice_arrays",
]


Config = TypeVar("Config")


Codes = TypeVar("Codes")


def slice_arrays(name: str, s: PriorSlice) -> Arrays:
    out: Arrays = {
        f"{name}.energy": s.energy.astype(np.int8),
        f"{name}.signed": s.signed.astype(np.int8),
        f"{name}.sign_edges": s.sign_edges.astype(np.int32),
    }
    for p, weight in enumerate(s.weight):
        out[f"{name}.{p}.weight"] = weight.astype(np.int8)
        out[f"{name}.{p}.bias"] = s.bias[p].astype(np.int32)
        out[f"{name}.{p}.shift"] = s.shift[p].astype(np.int8)
        sign = s.sign_weight[p]
        if sign is not None:
            out[f"{name}.{p}.sign_weight"] = sign.astype(np.int8)
        hidden = s.hidden[p]
        if hidden is not None:
            for key, value in vars(hidden).items():
                kind = np.int32 if key.endswith("bias") else np.int8
                out[f"{name}.{p}.hidden.{key}"] = value.astype(kind)
    return out


@dataclass(frozen=True)
class SliceShape:
    """What the arrays of a slice do not say; see :class:`PriorSlice`."""

    level: int
    chroma: bool
    d: int
    groups: int
    phases: int
    row_offset: int
    row_width: int
    rows: int


def read_slice(name: str, a: Arrays, shape: SliceShape) -> PriorSlice:
    """Inverse of :func:`slice_arrays`.

    Raises:
        ValueError: a bound of exactness is broken.
    """

    def real(key: str) -> F32:
        return a[f"{name}.{key}"].astype(np.float32)

    def hidden(p: int) -> Hidden | None:
        if f"{name}.{p}.hidden.first" not in a:
            return None
        fields: Arrays = {
            k: a[f"{name}.{p}.hidden.{k}"].astype(np.int32 if k.endswith("shift") else np.float32)
            for k in Hidden.__annotations__
        }
        return Hidden(**fields)

    every = range(shape.phases)
    s = PriorSlice(
        level=shape.level, chroma=shape.chroma, d=shape.d, groups=shape.groups,
        weight=tuple(real(f"{p}.weight") for p in every),
        bias=tuple(real(f"{p}.bias") for p in every),
        shift=tuple(a[f"{name}.{p}.shift"].astype(np.int32) for p in every),
        sign_weight=tuple(real(f"{p}.sign_weight") if f"{name}.{p}.sign_weight" in a else None for p in every),
        sign_edges=real("sign_edges"), energy=real("energy"), signed=real("signed"),
        row_offset=shape.row_offset, row_width=shape.row_width, rows=shape.rows, hidden=tuple(hidden(p) for p in every),
    )  # fmt: skip
    check_bounds(s)
    return s


def read_tables(stored: U16) -> Tables:
    """Tables of stored weights [..., K]."""
    return Tables(unpack_weights(stored.reshape(-1, stored.shape[-1])))


def canonical_hash(arrays: Arrays) -> bytes:
    h = hashlib.sha256()
    for name in sorted(arrays, key=lambda n: (not n.startswith(("prior.", "codebook.")), n)):
        a = arrays[name]
        h.update(f"{name} {a.dtype.name} {list(a.shape)}\n".encode())
        h.update(np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes())
    return h.digest()


@dataclass(frozen=True)
class Form(Generic[Config, Codes]):
    """How models of one kind are stored.

    Attributes:
        name: the entry ``format`` of the metadata (SPEC.md).
        presets: shapes by name.
        build: the integer half from shape and arrays.
        check: what a walk through made-up codes gives (SPEC.md, check vector).
        tables: those that the coder is checked with.
    """

    name: str
    presets: Mapping[str, Config]
    build: Callable[[Config, Arrays], Codes]
    check: Callable[[Codes], int]
    tables: Callable[[Codes], Tables]


def coder_check(tables: Tables) -> bytes:
    """The bytes that fixed symbols give: what a machine's range coder must reproduce (SPEC.md, coder check)."""
    rows, symbols = _fixed_symbols(tables)
    encoder = RangeEncoder()
    encoder.encode(symbols, rows, tables)
    return encoder.finish()


def _fixed_symbols(tables: Tables) -> tuple[I32, I32]:
    """Rows and symbols [64]."""
    i = np.arange(64, dtype=np.int32)
    count, k = tables.weights.shape
    return i * 7 % np.int32(count), i * i * 31 % np.int32(k)


def pack_model(form: Form[Config, Codes], preset: str, arrays: Arrays, training: Mapping[str, Any]) -> bytes:
    """A model as the bytes of its file; identity and checks are computed here.

    Args:
        training: options of the stages that made it, by stage, for the record.
    """
    codes = form.build(form.presets[preset], arrays)
    facts = {
        "format": form.name,
        "preset": preset,
        "identity": canonical_hash(arrays).hex(),
        "check": str(form.check(codes)),
        "coder": coder_check(form.tables(codes)).hex(),
        "training": training,
    }
    return save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, metadata={"vqcodec": json.dumps(facts)})


def read_model(form: Form[Config, Codes], path: Path) -> tuple[Config, Arrays, Codes, dict[str, Any]]:
    """Shape, arrays, integer half and training options of a model, verified.

    Raises:
        ModelError: not a model of this kind, or not as it was written.
        SelfCheckError: this machine's arithmetic or range coder gives something else than where the model was made.
    """
    try:
        with safe_open(path, "numpy") as f:
            facts = json.loads((f.metadata() or {})["vqcodec"])
            arrays: Arrays = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - not a dict
        if facts["format"] != form.name:
            raise ModelError(f"{path}: is a {facts['format']!r}, not a {form.name!r}")
        if facts["identity"] != canonical_hash(arrays).hex():
            raise ModelError(f"{path}: its arrays are not those that were written")
        config = form.presets[facts["preset"]]
        codes = form.build(config, arrays)
        wanted = str(facts["check"]), bytes.fromhex(facts["coder"])
        training = dict(facts["training"])
    except ModelError:
        raise
    except Exception as e:  # whatever a file that is no model of ours makes these do
        raise ModelError(f"{path}: not a {form.name}, or damaged ({e})") from e
    tables = form.tables(codes)
    if str(form.check(codes)) != wanted[0] or coder_check(tables) != wanted[1] or not _decodes(wanted[1], tables):
        raise SelfCheckError(
            f"{path}: this machine does not reproduce the prior exactly; files would not be portable, so none is made"
        )
    return config, arrays, codes, training


def _decodes(stream: bytes, tables: Tables) -> bool:
    rows, symbols = _fixed_symbols(tables)
    return np.array_equal(RangeDecoder(stream).decode(rows, tables), symbols)
