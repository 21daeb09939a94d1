"""vqcodec: image and audio compression by learned models, whose files decode to the same codes on every machine.

>>> import vqcodec
>>> data = vqcodec.compress("photo.png", quality=60)  # doctest: +SKIP
>>> image = vqcodec.decompress(data)  # doctest: +SKIP
>>> sound = vqcodec.decompress(vqcodec.compress("speech.wav", target_kbps=6))  # doctest: +SKIP

Names are resolved on first use, so that importing the package costs nothing and never loads torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

_folder = Path(__file__).parent
if not (_folder / "bitstream").is_dir() and (_folder.parent / "bitstream" / "SPEC.md").is_file():
    # in a checkout, bitstream, cli and benchmarks stand beside this folder; when installed, they are in it
    __path__.append(str(_folder.parent))

from vqcodec import errors  # noqa: E402 - after the folders

if TYPE_CHECKING:
    from vqcodec.api import compress, decompress, decompress_samples, stream_sound, verify
    from vqcodec.audio.files import Sound
    from vqcodec.facts import info
    from vqcodec.image.loaded import Picture
    from vqcodec.image.tokens.stored import Tokens, read_tokens, write_tokens
    from vqcodec.plugin import register_pillow
    from vqcodec.token_api import detokenize, restore, restore_frames, sample, tokens, tokens_of_frames

__all__ = [
    "Picture",
    "Sound",
    "Tokens",
    "__version__",
    "compress",
    "decompress",
    "decompress_samples",
    "detokenize",
    "errors",
    "info",
    "read_tokens",
    "register_pillow",
    "restore",
    "restore_frames",
    "sample",
    "stream_sound",
    "tokens",
    "tokens_of_frames",
    "verify",
    "write_tokens",
]

__version__ = "0.1.0"

_HOMES = {
    "Picture": "vqcodec.image.loaded",
    "Sound": "vqcodec.audio.files",
    "compress": "vqcodec.api",
    "decompress": "vqcodec.api",
    "Tokens": "vqcodec.image.tokens.stored",
    "decompress_samples": "vqcodec.api",
    "detokenize": "vqcodec.token_api",
    "info": "vqcodec.facts",
    "read_tokens": "vqcodec.image.tokens.stored",
    "register_pillow": "vqcodec.plugin",
    "restore": "vqcodec.token_api",
    "restore_frames": "vqcodec.token_api",
    "sample": "vqcodec.token_api",
    "stream_sound": "vqcodec.api",
    "tokens": "vqcodec.token_api",
    "tokens_of_frames": "vqcodec.token_api",
    "verify": "vqcodec.api",
    "write_tokens": "vqcodec.image.tokens.stored",
}


def __getattr__(name: str) -> object:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
