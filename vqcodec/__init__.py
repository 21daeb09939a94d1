"""vqcodec: image and audio compression by learned models, whose files decode to the same codes on every machine.

>>> import vqcodec
>>> data = vqcodec.compress("photo.png", quality=60)  # doctest: +SKIP
>>> image = vqcodec.decompress(data)  # doctest: +SKIP
>>> sound = vqcodec.decompress(vqcodec.compress("speech.wav", target_kbps=6))  # doctest: +SKIP

Names are resolved on first use, so that importing the package costs nothing and never loads torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

_folder = Path(__file__).parent
if not (_folder / "bitstream").is_dir() and (_folder.parent / "bitstream" / "SPEC.md").is_file():
    # in a checkout, bitstream, cli and benchmarks stand beside this folder; when installed, they are in it
    __path__.append(str(_folder.parent))

if TYPE_CHECKING:
    from vqcodec.api import compress, decompress, info, verify
    from vqcodec.audio.files import Sound
    from vqcodec.audio.vqc import stream_sound
    from vqcodec.image.plugin import register_pillow

    __version__: str

__all__ = ["Sound", "__version__", "compress", "decompress", "info", "register_pillow", "stream_sound", "verify"]

_HOMES = {
    "Sound": "vqcodec.audio.files",
    "compress": "vqcodec.api",
    "decompress": "vqcodec.api",
    "info": "vqcodec.api",
    "register_pillow": "vqcodec.image.plugin",
    "stream_sound": "vqcodec.audio.vqc",
    "verify": "vqcodec.api",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        return version("vqcodec")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
