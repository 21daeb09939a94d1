"""Image models on disk: one safetensors file, its identity, its self-check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from vqcodec.bitstream.coder import Tables
from vqcodec.bitstream.codes import CodeModel, walk
from vqcodec.bitstream.prior import F32, Hidden, PriorSlice, check_bounds
from vqcodec.bitstream.tables import unpack_weights
from vqcodec.errors import ModelError, SelfCheckError
from vqcodec.models.config import PRESETS, ImageConfig

__all__ = ["ImageModel", "check_vector", "load_model", "model_id", "save_model"]

Arrays = dict[str, npt.NDArray[Any]]
Config = TypeVar("Config")
Codes = TypeVar("Codes")


@dataclass
class ImageModel:
    """Everything that a trained image codec is.

    Attributes:
        config: its shape.
        colour: rotation [3, 3] from RGB - 128 to luma and two chroma planes (rows).
        codebooks: per slice [g, K, d], in units.
        trust: shrinkage of the chroma prediction (see quantize.dequantise), per level.
        codes: prior and tables, integers only.
        restore: tensors of the filter after the inverse wavelet (see transform.restore); empty: none.
        faithful: the same where the least squared error is asked for; what is not in it is as in ``restore``.
        stored: the integer arrays as the file holds them.
        training: options and lengths of the stages that made it, for the record.
    """

    config: ImageConfig
    colour: Tensor
    codebooks: list[Tensor]
    trust: list[Tensor]
    codes: CodeModel
    restore: dict[str, Tensor] = field(default_factory=dict)
    faithful: dict[str, Tensor] = field(default_factory=dict)
    stored: Arrays = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


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


def integer_arrays(
    config: ImageConfig, codes: CodeModel, stored: list[npt.NDArray[np.uint16]], low: npt.NDArray[np.uint16]
) -> Arrays:
    """The integer half of a model as arrays by name, from its prior and its tables in stored form."""
    out: Arrays = {"prior.low.edges": codes.low_edges.astype(np.int32), "prior.low.table": low}
    for spec, s, table in zip(config.slices, codes.slices, stored, strict=True):
        out |= slice_arrays(f"prior.{spec.name}", s)
        out[f"prior.{spec.name}.table"] = table
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


def _slice_of(config: ImageConfig, index: int, a: Arrays) -> PriorSlice:
    spec = config.slices[index]
    return read_slice(
        f"prior.{spec.name}", a, level=spec.level, chroma=spec.chroma, d=spec.d, groups=spec.groups,
        phases=1 if spec.level == config.levels else 4,
        row_offset=config.row_offset, row_width=spec.row_width, rows=config.rows,
    )  # fmt: skip


def read_tables(stored: npt.NDArray[np.uint16]) -> Tables:
    """Tables of stored weights [..., K]."""
    return Tables(unpack_weights(stored.reshape(-1, stored.shape[-1])))


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
    )


def check_vector(codes: CodeModel) -> int:
    """Hash of the rows that the prior gives for made-up codes at three steps; exact arithmetic gives one value."""
    state = np.uint32(1)
    seen: list[npt.NDArray[np.int32]] = []

    def choose(index: int, p: int, rows: npt.NDArray[np.int32], sign: F32 | None) -> npt.NDArray[np.int32]:
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
        symbols: npt.NDArray[np.int64] = np.clip(middle + signs * spread // (2 if middle else 1), 0, k - 1)
        return symbols.astype(np.int32).reshape(rows.shape)

    walk(codes, np.array([0, 100, 255]), 1, 2, choose)
    digest = hashlib.sha256(b"".join(a.astype("<i4").tobytes() for a in seen)).digest()
    return int.from_bytes(digest[:4], "little")


def canonical_hash(arrays: Arrays) -> bytes:
    h = hashlib.sha256()
    for name in sorted(arrays, key=lambda n: (not n.startswith(("prior.", "codebook.")), n)):
        a = arrays[name]
        h.update(f"{name} {a.dtype.name} {list(a.shape)}\n".encode())
        h.update(np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes())
    return h.digest()


def model_arrays(model: ImageModel) -> Arrays:
    """All arrays of a model by name, as stored."""
    out = dict(model.stored)
    out["colour"] = model.colour.numpy()
    for spec, codebook in zip(model.config.slices, model.codebooks, strict=True):
        out[f"codebook.{spec.name}"] = codebook.numpy()
    for level, trust in zip(range(model.config.levels - 1, 0, -1), model.trust, strict=True):
        out[f"trust.{level}"] = trust.numpy()
    for kind, tensors in (("restore", model.restore), ("faithful", model.faithful)):
        for name, tensor in tensors.items():
            out[f"{kind}.{name}"] = tensor.detach().numpy()
    return out


def model_id(model: ImageModel) -> bytes:
    """First 4 bytes of the SHA-256 of the canonical weights (design: integers first, then the rest, in name order)."""
    return canonical_hash(model_arrays(model))[:4]


def save_model(model: ImageModel, path: Path) -> None:
    """Write a model; the check vector is computed here."""
    arrays = model_arrays(model)
    facts = {
        "format": "vqcodec image model 1",
        "preset": model.config.name,
        "check": str(check_vector(model.codes)),
        "training": model.training,
    }
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, metadata={"vqcodec": json.dumps(facts)})


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


def load_model(path: Path) -> ImageModel:
    """Read a model and verify that this machine's arithmetic is exact for it.

    Raises:
        ModelError: not a model of ours.
        SelfCheckError: the prior gives other rows here than where the model was made.
    """
    config, arrays, codes = read_model(path, "image", PRESETS, code_model, check_vector)
    with safe_open(path, "numpy") as f:
        training = json.loads(f.metadata()["vqcodec"]).get("training", {})

    def tensors(kind: str) -> dict[str, Tensor]:
        return {k.removeprefix(kind): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(kind)}

    return ImageModel(
        config=config,
        colour=torch.from_numpy(arrays["colour"]),
        codebooks=[torch.from_numpy(arrays[f"codebook.{s.name}"]) for s in config.slices],
        trust=[torch.from_numpy(arrays[f"trust.{level}"]) for level in range(config.levels - 1, 0, -1)],
        codes=codes,
        restore=tensors("restore."),
        faithful=tensors("faithful."),
        stored={k: v for k, v in arrays.items() if k.startswith("prior.")},
        training=training,
    )
