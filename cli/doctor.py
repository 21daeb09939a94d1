"""``vqcodec doctor``: what is installed, what the machine offers, and whether its arithmetic is exact."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from vqcodec.cli.report import say_json, with_hint
from vqcodec.errors import VqcError

__all__ = ["doctor"]

_PACKAGES = ("vqcodec", "torch", "numpy", "pillow", "constriction", "safetensors", "soundfile", "soxr", "triton")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON instead.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this installation and this machine; the exit code is 1 where something is wrong."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    facts |= _torch()
    facts["image model"], image = _model("image")
    facts["audio model"], audio = _model("audio")
    facts["tokens model"], tokens = _model("tokens")
    healthy = image and audio and tokens
    if as_json:
        say_json({**facts, "ok": healthy})
    else:
        for name, value in _flat(facts):
            click.echo(f"{name:<14} {value}")
    ctx.exit(0 if healthy else 1)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch() -> dict[str, Any]:
    import torch

    cards = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return {"devices": ["cpu", *cards], "threads": torch.get_num_threads(), "cores": os.cpu_count()}


def _model(kind: str) -> tuple[str, bool]:
    """Loading a model compares its identity with the released one and runs its self-check: that is the test."""
    from vqcodec import registry

    try:
        if kind == "tokens":
            identity, releases = registry.load_tokens_codec().model_id, registry.TOKENS_MODELS
        elif kind == "image":
            identity, releases = registry.load_image_codec().model_id, registry.IMAGE_MODELS
        else:
            identity, releases = registry.load_audio_codec().model_id, registry.AUDIO_MODELS
    except VqcError as error:
        return with_hint(error), False
    return f"{releases[-1].name} ({identity.hex()}): loads, and its self-check passes", True


def _flat(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [(key, text or "not installed") for key, text in value.items()]
        else:
            lines.append((name, ", ".join(value) if isinstance(value, list) else value))
    return lines
