"""The models in the package: which there are, loading them, finding the one a file needs. Sound imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, cast

from vqcodec.bitstream import AudioHeader, ImageHeader
from vqcodec.errors import CorruptError, DeviceError, ModelError, SelfCheckError, UnknownModelError, UsageError

if TYPE_CHECKING:
    from vqcodec.audio.codec import AudioCodec
    from vqcodec.image.codec import ImageCodec
    from vqcodec.image.tokens.codec import TokensCodec

__all__ = [
    "AUDIO_MODELS",
    "IMAGE_MODELS",
    "TOKENS_MODELS",
    "Release",
    "audio_codec_for",
    "image_codec_for",
    "limited",
    "load_audio_codec",
    "load_image_codec",
    "load_tokens_codec",
    "picture_codec",
    "placed",
    "release_of",
]

Codec = TypeVar("Codec", bound="AudioCodec | ImageCodec | TokensCodec")

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Release:
    """A model that ships.

    Attributes:
        name: as users read it.
        file: of the weights, in the package's folder ``weights``.
        identity: the first four bytes of the SHA-256 of the canonical weights (SPEC.md), as the headers of files hold.
    """

    name: str
    file: str
    identity: bytes

    @property
    def path(self) -> Path:
        return FOLDER / self.file


IMAGE_MODELS = (Release("image-4", "image-4.safetensors", bytes.fromhex("90063c96")),)
AUDIO_MODELS = (Release("audio-5", "audio-5.safetensors", bytes.fromhex("aa82fbde")),)
TOKENS_MODELS = (Release("tokens-7", "tokens-7.safetensors", bytes.fromhex("85f85864")),)
"""In the order in which they were released; the last one is used for new files, its number is their model hint."""


_LOADING = Lock()
_loaded: dict[Release, AudioCodec | ImageCodec | TokensCodec] = {}
_placed: dict[bytes, ImageCodec] = {}  # by identity, on the CUDA device


def _load(release: Release, make: Callable[[Release], Codec]) -> Codec:
    """The codec of a release, made once: threads that come together wait for it instead of making one each."""
    with _LOADING:
        if release not in _loaded:
            try:
                codec = make(release)
            except SelfCheckError:
                raise
            except ModelError as error:
                raise ModelError(f"{error}; install the package again") from error
            _check_identity(release, codec.model_id)
            _loaded[release] = codec
        return cast("Codec", _loaded[release])


def _make_image(release: Release) -> ImageCodec:
    from vqcodec.image.codec import ImageCodec
    from vqcodec.image.model import load_model

    return ImageCodec(load_model(release.path), IMAGE_MODELS.index(release))


def _make_tokens(release: Release) -> TokensCodec:
    from vqcodec.image.tokens.codec import TokensCodec
    from vqcodec.image.tokens.model import load_tokens

    return TokensCodec(load_tokens(release.path), TOKENS_MODELS.index(release))


def _make_audio(release: Release) -> AudioCodec:
    from vqcodec.audio.codec import AudioCodec
    from vqcodec.audio.model import load_audio_model

    return AudioCodec(load_audio_model(release.path), AUDIO_MODELS.index(release))


def _check_identity(release: Release, identity: bytes) -> None:
    """Weights that differ from the released ones would make files that no other installation can read."""
    if identity != release.identity:
        raise ModelError(
            f"{release.path}: its identity is {identity.hex()}, {release.name} is {release.identity.hex()}; "
            "the file is damaged: install the package again"
        )


def load_image_codec() -> ImageCodec:
    """The newest image codec; loaded once.

    Raises:
        ModelError: the weights are damaged, or this machine cannot reproduce the prior.
    """
    return _load(IMAGE_MODELS[-1], _make_image)


def load_audio_codec() -> AudioCodec:
    """The newest audio codec, loaded once; errors as of :func:`load_image_codec`."""
    return _load(AUDIO_MODELS[-1], _make_audio)


def load_tokens_codec() -> TokensCodec:
    """The newest tokens codec, loaded once; errors as of :func:`load_image_codec`."""
    return _load(TOKENS_MODELS[-1], _make_tokens)


def picture_codec(model: str | None, threads: int | None, device: str = "cpu") -> ImageCodec | TokensCodec:
    """The codec for a new picture by the name of its kind, ``tokens`` or by default ``image``, threads and device."""
    codec: ImageCodec | TokensCodec = load_tokens_codec() if model == "tokens" else load_image_codec()
    return limited(placed(codec, device), threads)


def image_codec_for(header: ImageHeader) -> ImageCodec | TokensCodec:
    """The codec that a picture was made with.

    Raises:
        UnknownModelError: no model of this package has the identity in the header; none is loaded to find out.
        CorruptError: the model is one for sound.
        ModelError: as for :func:`load_image_codec`.
    """
    release = _needed(header.model_id, (*IMAGE_MODELS, *TOKENS_MODELS), "pictures")
    return _load(release, _make_tokens) if release in TOKENS_MODELS else _load(release, _make_image)


def audio_codec_for(header: AudioHeader) -> AudioCodec:
    """The codec that a sound was made with; as :func:`image_codec_for`."""
    return _load(_needed(header.model_id, AUDIO_MODELS, "sound"), _make_audio)


def limited(codec: Codec, threads: int | None) -> Codec:
    """The same codec, which uses no more than so many threads; None: as many as there are."""
    if threads is None:
        return codec
    out = copy(codec)  # shares the model
    out.threads = threads
    return out


def placed(codec: ImageCodec | TokensCodec, device: str) -> ImageCodec | TokensCodec:
    """The same codec at work on a device: ``cpu``, ``cuda``, or ``auto``, cuda where it is there and of use.

    Raises:
        DeviceError: there is no such device, or torch is not there to use it.
        UsageError: the model works on the CPU only.
        SelfCheckError: the device cannot reproduce the prior.
    """
    if device == "cpu":
        return codec
    from vqcodec.image.codec import ImageCodec

    if not isinstance(codec, ImageCodec):
        if device == "auto":
            return codec
        raise UsageError(f"device {device!r} is for the model 'image', these are tokens; give 'auto' or 'cpu'")
    with _LOADING:
        if codec.model_id not in _placed:
            missing = _missing()
            if missing and device == "auto":
                return codec
            if missing:
                raise DeviceError(f"device {device!r} is not there: {missing}; give 'auto' or 'cpu'")
            _placed[codec.model_id] = _on_card(codec)
        return _placed[codec.model_id]


def _missing() -> str:
    """What lacks for work on a CUDA device; nothing where it is all there."""
    from vqcodec.image.device.look import may_be_there

    none = "torch finds no CUDA device, or is a build without CUDA"
    if not may_be_there():
        return none
    try:
        import torch
    except (ImportError, OSError) as error:  # the latter where one of its libraries is damaged
        return f"torch cannot be imported ({error})"
    return "" if torch.cuda.is_available() else none


def _on_card(codec: ImageCodec) -> ImageCodec:
    import torch

    from vqcodec.image.device.codec import DeviceCodec

    return DeviceCodec(codec, torch.device("cuda"))


def release_of(identity: bytes) -> Release | None:
    """The release with an identity, or None."""
    return next((r for r in (*IMAGE_MODELS, *TOKENS_MODELS, *AUDIO_MODELS) if r.identity == identity), None)


def _needed(identity: bytes, releases: Sequence[Release], what: str) -> Release:
    release = release_of(identity)
    if release is None:
        raise UnknownModelError(f"the file needs model {identity.hex()}, which is not in this version of vqcodec")
    if release not in releases:
        raise CorruptError(f"model {release.name} is not for {what}", "header.model_id")
    return release
