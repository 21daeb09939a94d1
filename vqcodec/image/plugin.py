"""Pillow reads and writes .vqc pictures like any other format, once :func:`vqcodec.register_pillow` was called.

The structure follows Pillow's handbook, "Writing your own image plugin".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, ImageFile

from vqcodec.bitstream import ImageHeader, Limits, VqcFile, read_vqc
from vqcodec.bitstream.header import SIGNATURE
from vqcodec.image.loaded import for_pillow, to_image, to_pil
from vqcodec.image.vqc import compress_picture, decode_picture
from vqcodec.options import CompressSettings, DecompressSettings, settle
from vqcodec.sources import name_of, warn_all

if TYPE_CHECKING:
    from vqcodec.image.tries import PictureCodec

__all__ = ["VqcImageFile", "register"]

_FORMAT = "VQC"
_OPTIONS = (
    *("quality", "target_bpp", "target_size", "target_psnr", "lossless", "exact_alpha", "model", "tune", "effort"),
    *("device", "strip", "max_pixels", "threads", "progress"),
)
_METADATA = ("icc_profile", "exif", "xmp")

Load = Callable[[str | None, int | None, str], "PictureCodec"]
"""Name of a kind of model, number of threads and device to the codec that new files are made with."""
Find = Callable[[ImageHeader], "PictureCodec"]
"""Header of a file to the codec that it was made with."""


def register(load: Load, find: Find) -> None:
    """Teach Pillow the format; see :func:`vqcodec.register_pillow`."""
    reader = type(VqcImageFile.__name__, (VqcImageFile,), {"find": staticmethod(find)})
    Image.register_open(_FORMAT, reader, _accept)
    Image.register_save(_FORMAT, partial(_save, load))
    Image.register_save_all(_FORMAT, partial(_save, load))  # which warns of the other frames
    Image.register_extension(_FORMAT, ".vqc")
    Image.register_mime(_FORMAT, "image/x-vqc")


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


class VqcImageFile(ImageFile.ImageFile):
    """A .vqc picture: opening reads the container, the first use of the pixels decodes them."""

    format = _FORMAT
    format_description = "vqcodec picture"
    find: ClassVar[Find]
    _pending: tuple[VqcFile, ImageHeader] | None = None

    def _open(self) -> None:
        assert self.fp is not None
        # Pillow's own limit guards the size as for every format, so ours must not be the stricter one.
        limits = Limits(pixels=2 * (Image.MAX_IMAGE_PIXELS or 2**40))
        file = read_vqc(self.fp.read(), limits=limits, allow_truncated=bool(ImageFile.LOAD_TRUNCATED_IMAGES))
        if not isinstance(file.header, ImageHeader):
            raise SyntaxError("holds sound, not a picture")  # how Pillow's plugins say "not mine"
        self._pending = file, file.header
        self._size = (file.header.width, file.header.height)
        pixels = np.zeros((1, 1, 1 if file.header.gray else 3), np.uint8)
        sample = to_pil(pixels, pixels[:, :, 0] if file.header.alpha else None, file.metadata)
        self._mode = sample.mode
        if file.header.deep and file.header.gray and not file.header.alpha:
            self._mode = "I;16"
        self.info.update(sample.info)

    def load(self) -> Any:
        """Decode the pixels, once."""
        if self._pending is not None:
            (file, header), self._pending = self._pending, None
            find = partial(type(self).find, header)
            name = name_of(self.filename)
            picture, notes = for_pillow(decode_picture(file, header, find, DecompressSettings(), name))
            warn_all(notes, name)
            image = to_image(picture)
            self.im, self._mode = image.im, image.mode  # another one where alpha is lost
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()


def _save(load: Load, im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    options = dict(im.encoderinfo)
    known = {name: options[name] for name in _OPTIONS if name in options}
    given = {name: options[name] for name in _METADATA if name in options}
    unknown = [name for name in options if name not in (*_OPTIONS, *_METADATA)]
    if unknown:
        names = f"{', '.join((*_OPTIONS, *_METADATA))}"
        warn_all([f"without effect on .vqc: {', '.join(unknown)}; there are {names}"], "")
    # Pillow's own limit guards the size as for every format, so ours need not.
    settings = settle(CompressSettings, {"max_pixels": 2**40, **known})
    fp.write(
        compress_picture(im, b"", settings, lambda: load(settings.model, settings.threads, settings.device), "", given)
    )
