"""Pillow reads and writes .vqc pictures like any other format, once :func:`register_pillow` was called.

The structure follows Pillow's handbook, "Writing your own image plugin".
"""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from vqcodec.api import compress_picture, decode_file
from vqcodec.bitstream import ImageHeader, Limits, VqcFile, read_vqc
from vqcodec.bitstream.header import SIGNATURE
from vqcodec.image.files import load_picture, to_pil
from vqcodec.image.metadata import exif_body
from vqcodec.target import make_aim

__all__ = ["VqcImageFile", "register_pillow"]

_FORMAT = "VQC"
_OPTIONS = ("quality", "target_bpp", "target_size", "target_psnr")


def register_pillow() -> None:
    """Teach Pillow the format: ``Image.open("x.vqc")`` and ``image.save("x.vqc", quality=60)`` work from then on.

    ``save`` takes the options of :func:`vqcodec.compress` except ``max_pixels``, and ``icc_profile``, ``exif`` and
    ``xmp`` as bytes to replace what the image carries in its ``.info``.
    """
    Image.register_open(_FORMAT, VqcImageFile, _accept)
    Image.register_save(_FORMAT, _save)
    Image.register_extension(_FORMAT, ".vqc")
    Image.register_mime(_FORMAT, "image/x-vqc")


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


class VqcImageFile(ImageFile.ImageFile):
    """A .vqc picture: opening reads the container, the first use of the pixels decodes them."""

    format = _FORMAT
    format_description = "vqcodec picture"
    _pending: VqcFile | None = None

    def _open(self) -> None:
        assert self.fp is not None
        # Pillow's own limit guards the size as for every format, so ours must not be the stricter one.
        limits = Limits(pixels=2 * (Image.MAX_IMAGE_PIXELS or 2**40))
        file = read_vqc(self.fp.read(), limits=limits, allow_truncated=bool(ImageFile.LOAD_TRUNCATED_IMAGES))
        if not isinstance(file.header, ImageHeader):
            raise SyntaxError("holds sound, not a picture")  # how Pillow's plugins say "not mine"
        self._pending = file
        self._size = (file.header.width, file.header.height)
        pixels = np.zeros((1, 1, 1 if file.header.gray else 3), np.uint8)
        sample = to_pil(pixels, None if file.alpha is None else pixels[:, :, 0], file.metadata)
        self._mode = sample.mode
        self.info.update(sample.info)

    def load(self) -> Any:
        """Decode the pixels, once."""
        if self._pending is not None:
            file, self._pending = self._pending, None
            self.im = decode_file(file, "auto").im
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    options = dict(im.encoderinfo)
    picture = load_picture(im, max_pixels=2**40)
    metadata = dict(picture.metadata)
    for key, name in (("icc", "icc_profile"), ("exif", "exif"), ("xmp", "xmp")):
        if name in options:
            metadata[key] = _as_bytes(options[name])
    given = {name: options[name] for name in _OPTIONS if name in options}
    fp.write(
        compress_picture(
            replace(picture, metadata={key: value for key, value in metadata.items() if value}),
            make_aim(**given),
            strip=bool(options.get("strip", False)),
            device=options.get("device", "auto"),
        )
    )


def _as_bytes(value: Any) -> bytes:
    data = value.tobytes() if isinstance(value, Image.Exif) else value or b""
    return exif_body(data.encode() if isinstance(data, str) else data)
