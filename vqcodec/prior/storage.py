"""Models as files: safetensors with the integer half of a prior as arrays, an identity, a self-check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from vqcodec.bitstream.arrays import F32, U16, Arrays
from vqcodec.bitstream.coder import Tables
from vqcodec.bitstream.tables import unpack_weights
from vqcodec.errors import ModelError, SelfCheckError
from vqcodec.prior.integer import Hidden, PriorSlice, check_bounds

__all__ = ["canonical_hash", "read_model", "read_slice", "read_tables", "slice_arrays"]


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


def read_slice(
    name: str, a: Arrays, *, level: int, chroma: bool, d: int, groups: int, phases: int,
    row_offset: int, row_width: int, rows: int,
) -> PriorSlice:  # fmt: skip
    """Inverse of :func:`slice_arrays`; what the arrays do not say is given.

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

    every = range(phases)
    s = PriorSlice(
        level=level, chroma=chroma, d=d, groups=groups,
        weight=tuple(real(f"{p}.weight") for p in every),
        bias=tuple(real(f"{p}.bias") for p in every),
        shift=tuple(a[f"{name}.{p}.shift"].astype(np.int32) for p in every),
        sign_weight=tuple(real(f"{p}.sign_weight") if f"{name}.{p}.sign_weight" in a else None for p in every),
        sign_edges=real("sign_edges"), energy=real("energy"), signed=real("signed"),
        row_offset=row_offset, row_width=row_width, rows=rows, hidden=tuple(hidden(p) for p in every),
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


def read_model(
    path: Path,
    kind: str,
    presets: Mapping[str, Config],
    build: Callable[[Config, Arrays], Codes],
    check: Callable[[Codes], int],
) -> tuple[Config, Arrays, Codes]:
    """Shape, arrays and integer half of a model of some kind, its check vector verified; errors as :func:`load_model`.

    Args:
        kind: image or audio, for the message.
        build: the integer half from the arrays.
        check: its check vector.
    """
    try:
        with safe_open(path, "numpy") as f:
            facts = json.loads((f.metadata() or {})["vqcodec"])
            arrays: Arrays = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - not a dict
        config = presets[facts["preset"]]
        codes = build(config, arrays)
    except (OSError, SafetensorError, LookupError, ValueError, RuntimeError) as e:
        raise ModelError(f"{path}: not a vqcodec {kind} model, or damaged ({e}); install the package again") from e
    if str(check(codes)) != facts["check"]:
        raise SelfCheckError(
            f"{path}: this machine does not reproduce the prior exactly; files would not be portable, so none is made"
        )
    return config, arrays, codes
