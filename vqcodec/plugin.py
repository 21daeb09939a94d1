"""Pillow reads and writes .vqc pictures with the models of this package."""

from __future__ import annotations

from vqcodec import registry

__all__ = ["register_pillow"]


def register_pillow() -> None:
    """Teach Pillow the format: ``Image.open("x.vqc")`` and ``image.save("x.vqc", quality=60)`` work from then on.

    ``save`` takes those options of :func:`vqcodec.compress` that are for pictures, and ``icc_profile``, ``exif`` and
    ``xmp`` as bytes to replace what the image carries in its ``.info``; of others a warning says that they have no
    effect.
    """
    from vqcodec.image.plugin import register

    register(registry.picture_codec, registry.image_codec_for)
