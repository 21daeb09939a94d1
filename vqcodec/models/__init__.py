"""Models in the package: which there are, loading them, finding the one a file needs. Torch is imported on loading."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vqcodec.errors import DeviceError, UnknownModelError

if TYPE_CHECKING:
    import torch

    from vqcodec.audio_codec import AudioCodec
    from vqcodec.codec import ImageCodec

__all__ = ["AUDIO_MODELS", "IMAGE_MODELS", "load_audio_codec", "load_by_id", "load_image_codec"]

FOLDER = Path(__file__).parent
IMAGE_MODELS = ("image-2.safetensors",)
AUDIO_MODELS = ("audio-1.safetensors",)
"""File names by model hint, in the order in which they were released; the last one is used for new files."""


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:
        reason = str(e).splitlines()[0]
        raise DeviceError(f"device {name!r} is not available here ({reason}); use --device cpu") from e
    return device


@cache
def _load(hint: int, device: torch.device) -> ImageCodec:
    from vqcodec.codec import ImageCodec
    from vqcodec.models.store import load_model

    return ImageCodec(load_model(FOLDER / IMAGE_MODELS[hint]), hint, device)


@cache
def _load_audio(hint: int, device: torch.device) -> AudioCodec:
    from vqcodec.audio_codec import AudioCodec
    from vqcodec.models.audio_store import load_audio_model

    return AudioCodec(load_audio_model(FOLDER / AUDIO_MODELS[hint]), hint, device)


def load_image_codec(device: str = "auto") -> ImageCodec:
    """The newest image codec; loaded once per device.

    Raises:
        DeviceError: the device is not there.
        ModelError: the weights are damaged, or this machine cannot reproduce the prior.
    """
    return _load(len(IMAGE_MODELS) - 1, _device(device))


def load_audio_codec(device: str = "auto") -> AudioCodec:
    """The newest audio codec; as :func:`load_image_codec`."""
    return _load_audio(len(AUDIO_MODELS) - 1, _device(device))


def load_by_id(model_id: bytes, hint: int, device: str = "auto", *, sound: bool = False) -> ImageCodec | AudioCodec:
    """The codec that a file was made with.

    Args:
        model_id: 4 bytes from the file's header.
        hint: where to look first.
        sound: whether to look among the audio models first.

    Raises:
        UnknownModelError: no model of this package has the id.
    """
    where = _device(device)
    loaders: list[tuple[int, Callable[[int, torch.device], ImageCodec | AudioCodec]]] = [
        *((i, _load) for i in range(len(IMAGE_MODELS))),
        *((i, _load_audio) for i in range(len(AUDIO_MODELS))),
    ]
    for i, load in sorted(loaders, key=lambda one: ((one[1] is _load_audio) != sound, one[0] != hint)):
        codec = load(i, where)
        if codec.model_id == model_id:
            return codec
    raise UnknownModelError(
        f"the file needs model {model_id.hex()}, which is not in this version; a newer vqcodec may have it"
    )
