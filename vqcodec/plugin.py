"""Pillow reads and writes .vqc pictures with the models of this package."""

from __future__ import annotations

from vqcodec import registry

__all__ = ["register_pillow"]


def register_pillow() -> None:
    """Teach Pillow the format: ``Image.open("x.vqc")`` and ``image.save("x.vqc", quality=60)`` work from then on.

    ``save`` takes ``quality``, ``target_bpp``, ``target_size``, ``target_psnr`` and ``strip`` as
    :func:`vqcodec.compress` does, and ``icc_profile``, ``exif`` and ``xmp`` as bytes to replace what the image carries
    in its ``.info``.
    """
    from vqcodec.image.plugin import register

    register(registry.load_image_codec, registry.image_codec_for)
