"""Audio models on disk: one safetensors file, its identity, its self-check."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.audio.config import AUDIO_PRESETS, AudioConfig
from vqcodec.audio.noise import check_noise
from vqcodec.audio.walk import (
    RESIDUAL_LIMIT,
    AudioCodeModel,
    EnvelopePrior,
    check_envelope_bounds,
    check_expected_bounds,
    walk_envelope,
    walk_lines,
    walk_unit_powers,
)
from vqcodec.bitstream.arrays import F32, I32, U16, Arrays
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

__all__ = [
    "AudioModel",
    "audio_code_model",
    "audio_model_id",
    "integer_arrays",
    "load_audio_model",
    "save_audio_model",
]


@dataclass
class AudioModel:
    """Everything that a trained audio codec is.

    Attributes:
        config: its shape.
        transform: tensors of audio.transform, matrices in half precision as the file holds them.
        codebook: codewords of the lines [K, 1], in steps.
        codes: prior and tables, integers only.
        stored: the integer arrays as the file holds them.
        training: options of the stages that made it, by stage.
    """

    config: AudioConfig
    transform: Arrays
    codebook: F32
    codes: AudioCodeModel
    stored: Arrays = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def integer_arrays(codes: AudioCodeModel, tables: dict[str, U16]) -> Arrays:
    """The integer half of a model as arrays by name, from its prior and its tables in stored form.

    Args:
        tables: ``envelope``, ``powers``, ``lines``, ``short`` and ``angles``.
    """
    out: Arrays = {
        "prior.start": codes.start.astype(np.int8),
        "prior.factor": codes.factor.astype(np.int32),
        "prior.offset": codes.offset.astype(np.int32),
        "prior.spread": codes.spread.astype(np.int8),
    }
    out |= {f"prior.{name}.table": table for name, table in tables.items()}
    for name, halves in (("envelope", codes.envelope), ("powers", codes.powers)):
        for half, prior in enumerate(halves):
            for key, value in vars(prior).items():
                kind = np.int32 if key.endswith("bias") else np.int8
                out[f"prior.{name}.{half}.{key}"] = value.astype(kind)
    return out | slice_arrays("prior.lines", codes.lines)


def audio_code_model(config: AudioConfig, a: Arrays) -> AudioCodeModel:
    """Prior and tables from the integer arrays of a file.

    Raises:
        ValueError: a bound of exactness is broken.
    """

    def prior(name: str, half: int) -> EnvelopePrior:
        fields: Arrays = {
            k: a[f"prior.{name}.{half}.{k}"].astype(np.int32 if k.endswith("shift") else np.float32)
            for k in EnvelopePrior.__annotations__
        }
        found = EnvelopePrior(**fields)
        check_envelope_bounds(found)
        return found

    shape = SliceShape(1, False, 1, 1, 4, config.row_offset, config.row_width, config.rows)
    lines = read_slice("prior.lines", a, shape)
    model = AudioCodeModel(
        start=a["prior.start"].astype(np.int32),
        envelope=(prior("envelope", 0), prior("envelope", 1)),
        classes=config.spread_classes,
        envelope_tables=read_tables(a["prior.envelope.table"]),
        powers=(prior("powers", 0), prior("powers", 1)),
        power_tables=read_tables(a["prior.powers.table"]),
        factor=a["prior.factor"].astype(np.float32),
        offset=a["prior.offset"].astype(np.float32),
        spread=a["prior.spread"].astype(np.float32),
        lines=lines,
        line_tables=read_tables(a["prior.lines.table"]),
        short_tables=read_tables(a["prior.short.table"]),
        angle_tables=read_tables(a["prior.angles.table"]),
    )
    check_expected_bounds(model.start, model.spread, model.factor, model.offset)
    return model


def _check_vector(codes: AudioCodeModel) -> int:
    """Hash of the rows that the prior gives for made-up codes at three steps; exact arithmetic gives one value."""
    rng = np.random.Generator(np.random.Philox(7))  # raw bits only: they are the same in every numpy
    seen: list[I32] = []

    def draw(shape: tuple[int, ...], largest: int) -> I32:
        bits = rng.bit_generator.random_raw(int(np.prod(shape))).astype(np.uint64)
        sizes = np.uint64(1) << (bits & np.uint64(7))
        value = ((bits >> np.uint64(8)) % sizes).astype(np.int32) * np.where(bits & np.uint64(128), 1, -1)
        return np.clip(value, -largest, largest).astype(np.int32).reshape(shape)

    def envelope(t: int, half: int, rows: I32, prediction: I32) -> I32:
        seen.extend((rows, prediction))
        return prediction + draw(rows.shape, RESIDUAL_LIMIT)

    def powers(_half: int, rows: I32, prediction: I32) -> I32:
        seen.extend((rows, prediction))
        return prediction + draw(rows.shape, RESIDUAL_LIMIT)

    def lines(p: int, rows: I32) -> I32:
        seen.append(rows)
        middle = (codes.lines.codewords - 1) // 2
        return middle + draw(rows.shape, middle)

    steps = np.array([0, 100, 255])
    coded = walk_envelope(codes, steps, 5, envelope)
    walk_unit_powers(codes, steps, coded, powers)
    walk_lines(codes, steps, coded, lines)
    digest = hashlib.sha256(b"".join(a.astype("<i4").tobytes() for a in seen)).digest()
    return int.from_bytes(digest[:4], "little")


def _arrays(model: AudioModel) -> Arrays:
    out = dict(model.stored)
    out["codebook.lines"] = model.codebook
    return out | {f"transform.{name}": tensor for name, tensor in model.transform.items()}


def audio_model_id(model: AudioModel) -> bytes:
    """First 4 bytes of the SHA-256 of the canonical weights (design: integers first, then the rest, in name order)."""
    return canonical_hash(_arrays(model))[:4]


FORM = Form("vqcodec audio model 4", AUDIO_PRESETS, audio_code_model, _check_vector, lambda codes: codes.line_tables)


def save_audio_model(model: AudioModel, path: Path) -> None:
    """Write a model, whole or not at all."""
    write_atomic(path, pack_model(FORM, model.config.name, _arrays(model), model.training), force=True)


def load_audio_model(path: Path) -> AudioModel:
    """Read a model and verify that it is whole and that this machine's arithmetic is exact for it.

    Raises:
        ModelError: not a model of ours, or damaged; or the table of its noise is not there.
        SelfCheckError: the prior or the coder gives something else here than where the model was made.
    """
    check_noise()
    config, arrays, codes, training = read_model(FORM, path)
    return AudioModel(
        config=config,
        transform={k.removeprefix("transform."): v for k, v in arrays.items() if k.startswith("transform.")},
        codebook=arrays["codebook.lines"],
        codes=codes,
        stored={k: v for k, v in arrays.items() if k.startswith("prior.")},
        training=training,
    )
