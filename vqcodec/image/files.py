"""Pictures in: whatever Pillow opens, or an array, as upright 8-bit gray or RGB samples with alpha split off."""

from __future__ import annotations

import importlib
import io
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from vqcodec.bitstream.arrays import Samples
from vqcodec.errors import InputError, LimitError, UsageError, VqcError
from vqcodec.image.avif import is_avif, nclx, without_exif
from vqcodec.image.bmp import bmp_colours
from vqcodec.image.colour import describe
from vqcodec.image.icc import profile_fault
from vqcodec.image.loaded import Picture, stripped
from vqcodec.image.metadata import Given, collect, keep_resolution, parse_exif, take_orientation
from vqcodec.image.png import PNG_SIGNATURE, PngFacts, png_facts, without_bad_chunks
from vqcodec.image.samples import eight_bit, join_equal, reduce16, split_alpha
from vqcodec.image.tiff import PHOTOMETRIC, TIFF_STARTS, as_bytes, black_is_zero, kind_of_samples, without_range
from vqcodec.image.wide import disguised, has_wide_samples, only_wide, turned, wide_samples
from vqcodec.kinds import is_sound
from vqcodec.options import MAX_PIXELS
from vqcodec.sources import dense

__all__ = ["INPUT_SUFFIXES", "MAX_SIDE", "Source", "load_picture"]

MAX_SIDE = 65_535
# What is taken from a folder; a file named by itself may have any suffix that Pillow knows.
INPUT_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".jxl", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
_SIGNATURE = b"\x89VQC"
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
# A pipe is read at once: at most so many bytes per pixel allowed (16 bits, RGBA, not packed) and for metadata.
_PIXEL_BYTES, _PIPE_BYTES = 8, 64 * 2**20
_JPEG_EXIF = re.compile(rb"(\xff\xe1..)Exif\0\0", re.DOTALL)

UInt8 = npt.NDArray[np.uint8]
Source = Image.Image | npt.NDArray[Any] | str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a picture: at most so many pixels, 16 bits where it has them, samples as they are."""

    max_pixels: int
    deep: bool
    exact: bool


def load_picture(
    source: Source,
    *,
    max_pixels: int = MAX_PIXELS,
    strip: bool = False,
    given: Given | None = None,
    name: str = "",
    deep: bool = False,
    exact: bool = False,
) -> Picture:
    """Read a picture.

    Args:
        source: a path, the bytes of a picture file, a Pillow image, an array: uint8 or uint16 [H, W] or
            [H, W, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha), or a torch tensor [1 to 4, H, W]: uint8, or
            floats from 0 to 1.
        max_pixels: larger pictures are refused before their pixels are allocated.
        strip: leave out the metadata; a picture that is not sRGB becomes so.
        given: metadata that replaces the Pillow image's own.
        name: of what the bytes were read from, for errors.
        deep: keep 16 bits per sample; else they are reduced to 8.
        exact: leave the samples what they are, those of invisible pixels, too; else colours that nobody sees are
            filled in, and curves far from the eye's are straightened.

    Raises:
        InputError: there is no such file, or it is not a picture that can be read.
        LimitError: the picture is larger than ``max_pixels`` or 65,535 a side.
        UsageError: an array or tensor of another shape or type.
    """
    picture = _load(source, _Wanted(max_pixels, deep, exact), given or {}, name)
    return stripped(picture, exact=exact) if strip else picture


def _load(source: Source, wanted: _Wanted, given: Given, name: str) -> Picture:
    if isinstance(source, np.ndarray):
        return _from_array(source, wanted)
    if isinstance(source, Image.Image):
        with _reading("the image"):
            return _from_pil(source, "the image", wanted, given=given)
    if hasattr(source, "numpy"):
        return _from_array(_from_tensor(source), wanted)
    if not isinstance(source, (bytes, str, os.PathLike)):
        raise UsageError(f"{type(source).__name__} is no picture; give a path, bytes, a Pillow image or an array")
    name = name or ("the input" if isinstance(source, bytes) else os.fspath(source))
    with _reading(name), _open(source, wanted.max_pixels) as file:
        head = file.read(16)
        if not head:
            raise InputError(f"{name}: is empty; give a picture or a sound")
        if head.startswith(_SIGNATURE):
            raise InputError(f"{name}: is a .vqc file already; decompress it instead")
        _load_plugin(head, name)
        try:
            return _from_pil(_identify(file, head), name, wanted, file=file)
        except VqcError:
            raise
        except Exception as error:  # Pillow's readers raise almost anything on damaged files
            if isinstance(error, UnidentifiedImageError) and is_sound(head, name):
                what = "holds sound" if is_sound(head) else "is sound by its name"
                raise InputError(f"{name}: {what}, and a picture is needed; name one") from None
            mended = _mended(file, head, name)
            if mended is None:
                raise
            try:
                content, image, notes = mended
                picture = _from_pil(image, name, wanted, file=content)
            except VqcError:
                raise
            except Exception:
                raise error from None
            return replace(picture, notes=(*notes, *picture.notes))


def _open(source: str | os.PathLike[str] | bytes, max_pixels: int) -> IO[bytes]:
    """The content as a file that can be rewound; a pipe is read to its end."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    file = Path(source).open("rb")  # noqa: SIM115 - whoever asked closes it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    with file:
        most = _PIXEL_BYTES * max_pixels + _PIPE_BYTES
        content = file.read(most + 1)
    if len(content) > most:
        raise LimitError(
            f"{os.fspath(source)}: gives more than {most:,} bytes; raise the limit by --max-pixels (max_pixels)"
        )
    return io.BytesIO(content)


def _load_plugin(head: bytes, name: str) -> None:
    """Have JPEG XL read, for which Pillow needs a package beside it, but does not look by itself.

    Raises:
        InputError: it is not installed.
    """
    if head.startswith(_JXL):
        try:
            importlib.import_module("pillow_jxl")
        except ImportError as error:
            raise InputError(f"{name}: is a JPEG XL picture; install pillow-jxl-plugin to read it") from error


def _identify(file: IO[bytes], head: bytes) -> ImageFile.ImageFile:
    """The file as an image whose pixels are not read yet.

    As Image.open does it, but without its check of the size, whose limit and warnings are those of the whole process:
    the size is checked by whoever asks.

    Raises:
        UnidentifiedImageError: no reader takes it.
    """
    Image.preinit()
    tried: set[str] = set()
    for more in (lambda: None, Image.init):
        more()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            if accept is not None and accept(head) is not True:  # a text says what this Pillow was built without
                continue
            file.seek(0)
            try:
                return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # how a reader says "not mine"
                continue
    raise UnidentifiedImageError


def _mended(file: IO[bytes], head: bytes, name: str) -> tuple[IO[bytes], Image.Image, list[str]] | None:
    """A file that cannot be read without what keeps it from that, opened, and what was left out; None where that fails.

    Raises:
        InputError: a TIFF file of a kind that cannot be read.
    """
    file.seek(0)
    content, notes = file.read(), []
    photometric = None
    if head.startswith(PNG_SIGNATURE):
        content, bad = without_bad_chunks(content)
        notes = [f"its chunks {', '.join(bad)} are damaged or over-long and were dropped"] if bad else []
    elif head.startswith(b"\xff\xd8"):
        content = _JPEG_EXIF.sub(rb"\1skip\0\0", content, count=1)
        notes = ["its EXIF is damaged and was dropped"]
    elif is_avif(head):
        content = without_exif(content)
        notes = ["its EXIF is damaged and was dropped"]
    elif head.startswith(TIFF_STARTS) and (rising := black_is_zero(content)) is not None:
        content, photometric = rising, 0
    four = as_bytes(content) if head.startswith(TIFF_STARTS) else None
    content = content if four is None else four[0]
    try:
        image = _identify(io.BytesIO(content), head)
    except Exception:
        kind = kind_of_samples(content) if head.startswith(TIFF_STARTS) else ""
        if kind:
            raise InputError(
                f"{name}: a TIFF file with {kind}, is of a kind that cannot be read; "
                "convert it to PNG first, which keeps 16 bits, gray or colours, with alpha"
            ) from None
        return None
    if four is not None:
        disguised(image, four[1])
    if photometric is not None:
        image.tag_v2[PHOTOMETRIC] = photometric  # type: ignore[attr-defined]  # so that the samples are turned round
    return io.BytesIO(content), image, notes


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Everything that reading a picture file can raise, as one error of our tree that names the file."""
    try:
        yield
    except (VqcError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(
            f"{name}: more pixels than Pillow reads of this format; raise PIL.Image.MAX_IMAGE_PIXELS, or convert it"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder; name a picture file") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read; check its permissions") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name}: neither a picture nor a sound that can be read; "
            "convert it to PNG, JPEG, WebP or TIFF first, or to WAV or FLAC"
        ) from error
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: cannot be read as a picture ({detail}); is the file whole?") from error


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{name}: the picture has no pixels ({width}x{height})")
    if max(width, height) > MAX_SIDE:
        raise LimitError(f"{name}: {width}x{height} is more than {MAX_SIDE:,} pixels a side; scale it down or cut it")
    if width * height > max_pixels:
        raise LimitError(
            f"{name}: {width}x{height} is more than {max_pixels:,} pixels; raise the limit by --max-pixels (max_pixels)"
        )


def _from_pil(
    image: Image.Image, name: str, wanted: _Wanted, *, file: IO[bytes] | None = None, given: Given | None = None
) -> Picture:
    """A picture from an image; ``file`` is what it is read from, where that is known."""
    _check_size(*image.size, name, wanted.max_pixels)
    if image.format == "TIFF" and (kind := without_range(getattr(image, "tag_v2", {}))):
        raise InputError(f"{name}: holds {kind}, whose range is not known; convert it to 8 bits first")
    notes: list[str] = []
    facts, own = _facts(image, file)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        what = "pictures (the others may be a preview, depth or a gain map)" if image.format == "MPO" else "frames"
        notes.append(f"only one of its {frames} {what} is kept")
    wide = None
    if has_wide_samples(image):
        wide = _wide(image, file, name) if wanted.deep or only_wide(image) else None
        if wide is None or not wanted.deep:
            notes.append("16 bits per sample are reduced to 8")
    image.load()
    _check_size(*image.size, name, wanted.max_pixels)  # a few formats learn their size while loading
    metadata = collect(image, {**own, **(given or {})}, notes.append)
    orientation = take_orientation(metadata)
    if image.format == "TIFF":
        orientation = 1  # Pillow has applied it on loading
    keep_resolution(metadata, image, turned=orientation > 4)
    _drop_foreign_profile(metadata, {"CMYK": ("CMYK",), "LAB": ("Lab",)}.get(image.mode, ("RGB", "GRAY")), notes)
    samples: Samples = eight_bit(image, name, facts.depth, metadata, notes) if wide is None else wide
    if wide is not None and not wanted.deep:
        samples = reduce16(wide)
    if orientation > 1:
        samples = turned(samples, orientation)
    pixels, alpha = split_alpha(samples, fill=not wanted.exact)
    if image.mode not in ("CMYK", "LAB"):  # which are sRGB by now
        pixels = _with_known_colours(pixels, {**image.info, **own}, facts.cicp, metadata, notes, exact=wanted.exact)
    pixels = join_equal(pixels)
    _drop_foreign_profile(metadata, ("RGB", "GRAY") if pixels.shape[2] == 1 else ("RGB",), notes)
    return Picture(pixels, alpha, metadata, tuple(notes))


def _wide(image: Image.Image, file: IO[bytes] | None, name: str) -> npt.NDArray[np.uint16] | None:
    """16 bits of an image that has them, where they can be read from its file."""
    content = b""
    if file is not None:
        file.seek(0)
        content = file.read()
    return wide_samples(image, content, lambda: _identify(io.BytesIO(content), content[:16]), name)


def _facts(image: Image.Image, file: IO[bytes] | None) -> tuple[PngFacts, Given]:
    """What the file says and Pillow does not, as far as the file is at hand; what has a name of Pillow's, by that."""
    file = file or getattr(image, "fp", None)
    if file is None or file.closed:
        return PngFacts(), {}
    if image.format == "PNG":
        return png_facts(file), {}
    if image.format == "BMP":
        return PngFacts(), bmp_colours(file)
    if image.format == "AVIF" and "icc_profile" not in image.info:
        file.seek(0)
        return PngFacts(cicp=nclx(file.read())), {}
    return PngFacts(), {}


def _with_known_colours(
    pixels: Samples,
    info: Mapping[Any, Any],
    cicp: bytes | None,
    metadata: dict[str, bytes],
    notes: list[str],
    *,
    exact: bool,
) -> Samples:
    """Pixels, and in the metadata the profile that goes with them, where something else says which colours they are."""
    try:
        colours = describe(info, cicp, parse_exif(metadata.get("exif")), profile="icc" in metadata)
        if colours is None:
            return pixels
        if exact or pixels.dtype != np.uint8:
            icc = colours.profile()
        else:
            pixels, icc = colours.apply(pixels.astype(np.uint8, copy=False))
    except ValueError as error:
        notes.append(f"what it says of its colours is not understood ({error}); they are read as sRGB")
        return pixels
    metadata.pop("icc", None)
    if icc is not None:
        metadata["icc"] = icc
    return pixels


def _drop_foreign_profile(metadata: dict[str, bytes], spaces: tuple[str, ...], notes: list[str]) -> None:
    """Keep a profile only where it describes these samples (a gray picture may have been RGB with an RGB profile)."""
    icc = metadata.get("icc")
    fault = "" if icc is None else profile_fault(icc, *spaces)
    if fault:
        del metadata["icc"]
        notes.append(fault)


def _from_array(array: npt.NDArray[Any], wanted: _Wanted) -> Picture:
    samples = array[:, :, None] if array.ndim == 2 else array
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4:
        raise UsageError(f"the array has shape {array.shape}; give [H, W] or [H, W, 1 to 4]")
    if samples.dtype.kind != "u" or samples.itemsize > 2:
        raise UsageError(
            f"the array has type {array.dtype}; give samples of uint8 or uint16 (for sound, give sample_rate)"
        )
    _check_size(samples.shape[1], samples.shape[0], "the array", wanted.max_pixels)
    native = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    reduced = native.dtype == np.uint16 and not wanted.deep
    pixels, alpha = split_alpha(reduce16(native) if reduced else native, fill=not wanted.exact)
    return Picture(join_equal(pixels), alpha, {}, ("16 bits per sample are reduced to 8",) if reduced else ())


def _from_tensor(tensor: Any) -> UInt8:
    """Samples [H, W, C] of a torch tensor [C, H, W] of bytes, or of floats from 0 to 1."""
    if tensor.is_nested or tensor.ndim != 3 or not 1 <= tensor.shape[0] <= 4:
        shape = "several shapes" if tensor.is_nested else f"shape {list(tensor.shape)}"
        raise UsageError(f"the tensor has {shape}; give [C, H, W] with 1 to 4 channels")
    if not tensor.is_floating_point():
        if str(tensor.dtype) != "torch.uint8":
            raise UsageError(f"the tensor has type {tensor.dtype}; give uint8, or floats from 0 to 1")
        samples: UInt8 = dense(tensor)
    else:
        values = dense(tensor.double())
        if values.size and not (values.min() >= 0 and values.max() <= 1):  # not a number fails, too
            raise UsageError("the tensor has values outside 0 to 1; scale or clamp it, or give uint8")
        samples = np.round(values * 255).astype(np.uint8)
    return np.ascontiguousarray(samples.transpose(1, 2, 0))
