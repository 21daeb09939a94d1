"""The public functions of tokens: codes of pictures and back, pictures drawn, repaired, enlarged."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from vqcodec import registry
from vqcodec.errors import InputError, UsageError
from vqcodec.image.loaded import stripped, to_pil
from vqcodec.image.tokens.config import LEVELS
from vqcodec.image.tokens.stored import Tokens, check_pixels, check_tokens, read_tokens
from vqcodec.image.vqc import open_picture
from vqcodec.options import MAX_PIXELS, TEMPERATURE
from vqcodec.quality import COARSEST
from vqcodec.sources import name_of, naming, opened, warn_all

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image
    from torch import Tensor

    from vqcodec.bitstream.arrays import I32, U8
    from vqcodec.image.loaded import Picture
    from vqcodec.image.tokens.codec import Memory, TokensCodec
    from vqcodec.sources import Compressed

    Source = Compressed | Image.Image | npt.NDArray[np.generic] | Tensor
    Frames = Iterable[Source]
    Mask = npt.NDArray[np.bool_]

__all__ = ["detokenize", "restore", "restore_frames", "sample", "tokens", "tokens_of_frames"]

_SIDE = 256  # of what is drawn, unless told
_FAINT = 16  # a mask's light below this part of its greatest is more likely JPEG's noise than meant


def tokens(source: Source, *, step: int = 0, max_pixels: int = MAX_PIXELS, threads: int | None = None) -> Tokens:
    """Codes of a picture under the newest tokens model.

    Args:
        source: a path, the bytes of a picture file, an open file, a Pillow image, an array or a tensor [C, H, W]; see
            :func:`vqcodec.compress`.
        step: what a bit weighs against the error in the choice of codes, 0 (nothing) to 255, as in a file's header.
        max_pixels: larger pictures are refused.
        threads: how many the codec may use.

    Warns:
        VqcWarning: alpha, EXIF and XMP are no part of tokens; of a film, of each kind of loss the first frame is named.

    Raises:
        InputError, LimitError, UsageError, ModelError: see :mod:`vqcodec.errors`.
    """
    codec = _codec(threads)
    picture = _colours(source, max_pixels, set())
    codes = codec.codes_of(picture.pixels, _step(step))
    return _tokens(codec, [level[0] for level in codes], *picture.pixels.shape[:2])


def tokens_of_frames(
    frames: Frames, *, step: int = 0, max_pixels: int = MAX_PIXELS, threads: int | None = None
) -> Tokens:
    """Codes of the frames of a film, in order; the top's codes are smoothed over time. All have one size.

    Raises:
        InputError: there is no frame, or one has another size; else as of :func:`tokens`.
    """
    codec, found = _codec(threads), []
    shape: tuple[int, ...] = ()
    for picture, memory in _film(frames, max_pixels):
        shape = picture.pixels.shape[:2]
        found.append(codec.codes_of(picture.pixels, _step(step), memory))
    return _tokens(codec, [np.concatenate(level) for level in zip(*found, strict=True)], *shape)


def _tokens(codec: TokensCodec, codes: Sequence[I32], height: int, width: int) -> Tokens:
    top, bottom, residual = (level.astype(np.uint16) for level in codes)
    return Tokens(top, bottom, residual, *codec.model.words, height, width, codec.model_id.hex())


def detokenize(
    tokens: Tokens | Compressed, *, max_pixels: int = MAX_PIXELS, threads: int | None = None
) -> list[Image.Image]:
    """Pictures of tokens: one, or one for each frame.

    Args:
        tokens: what :func:`tokens` gives, or an .npz file that holds it: its path, its bytes, or the open file.
        max_pixels: larger pictures are refused.
        threads: how many the codec may use.

    Raises:
        InputError: they are of a model that this version does not have, or their codebooks are not its, a code is
            outside its codebook, or their parts do not fit together.
        LimitError, UsageError, ModelError: see :mod:`vqcodec.errors`.
    """
    if isinstance(tokens, Tokens):
        check_tokens(tokens)
        check_pixels(tokens.width, tokens.height, max_pixels)
    else:
        name = name_of(tokens)
        tokens = read_tokens(tokens, max_pixels=max_pixels)
        with naming(name):
            return detokenize(tokens, max_pixels=max_pixels, threads=threads)
    codec = _codec(threads)
    if tokens.model != codec.model_id.hex():
        raise InputError(f"the tokens are of model {tokens.model}, this is {codec.model_id.hex()}; make them anew")
    levels = (tokens.top, tokens.bottom, tokens.residual)
    given = (tokens.top_words, tokens.bottom_words, tokens.residual_words)
    for name, own, words in zip(LEVELS, given, codec.model.words, strict=True):
        if own.shape != words.shape or own.tobytes() != words.tobytes():  # by bytes, as 0.0 is equal to -0.0
            raise InputError(
                f"the codebook of the {name} is not that of model {tokens.model}, which alone can decode; "
                "put back what vqcodec.tokens gives, or make the tokens anew"
            )
    film = [x.reshape(-1, 1, *x.shape[-2:]).astype(np.int32) for x in levels]  # frames of one picture each
    return [_image(codec.paint(frame, tokens.height, tokens.width)) for frame in zip(*film, strict=True)]


def sample(
    count: int = 1,
    *,
    width: int | None = None,
    height: int | None = None,
    seed: int = 1,
    temperature: float = TEMPERATURE,
    like: Source | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> Iterator[Image.Image]:
    """Pictures drawn from the prior: codes of the top first, then of the finer levels, each given those before.

    Args:
        count: how many.
        width, height: pixels, 256 each unless told; with ``like`` they are its own.
        seed: the same one draws the same codes on every machine with the same numpy.
        temperature: 1 draws as the prior has it, less prefers what is likelier, 0 takes the likeliest.
        like: a picture whose top codes are kept, so that only the details are drawn.

    Raises:
        UsageError: a number out of range, or a size beside ``like``.
        LimitError: more than ``max_pixels``; else as of :func:`tokens`.
    """
    from vqcodec.image.tokens.network import CELL
    from vqcodec.image.tokens.use import draw_codes

    count, seed = _whole("count", count, 1), _whole("seed", seed, 0)
    if not 0 <= temperature < np.inf:
        raise UsageError(f"temperature {temperature:g} is out of range; give 0 or more")
    if like is not None and (width is not None or height is not None):
        raise UsageError(
            "like and a size contradict each other: the size is that of the picture; give only one of them"
        )
    width, height = (_whole("a side", _SIDE if side is None else side, 1) for side in (width, height))
    check_pixels(width, height, max_pixels)
    codec = _codec(threads)
    known = None
    if like is not None:
        picture = _colours(like, max_pixels, set())
        height, width = picture.pixels.shape[:2]
        codes = codec.codes_of(picture.pixels)
        unknown = np.zeros(codes[1].shape, bool)
        known = codes, (np.ones(codes[0].shape, bool), unknown, unknown)
    rng = np.random.default_rng(seed)

    def draw() -> Iterator[Image.Image]:
        for _ in range(count):
            codes = draw_codes(codec, -(-height // CELL), -(-width // CELL), rng, temperature, known)
            yield _image(codec.paint(codes, height, width))

    return draw()


class RestoreOptions(TypedDict, total=False):
    """What :func:`restore` takes by name, one of the first three.

    Attributes:
        mask: a picture, or an array of booleans, of the same size: what is neither black nor transparent is a hole,
            however dark it is; its fine codes are drawn given a smooth filling and the rest. All other pixels stay as
            they are. A mask without holes is warned of, one that is all hole is refused.
        denoise: take noise away.
        upscale: 2: twice the size.
        seed: of what is drawn in a hole; 1 unless told.
        max_pixels: larger pictures are refused.
        threads: how many the codec may use.
    """

    mask: Source | None
    denoise: bool
    upscale: int | None
    seed: int | None
    max_pixels: int
    threads: int | None


def restore(source: Source, **options: Unpack[RestoreOptions]) -> Image.Image:
    """A picture repaired; its alpha, EXIF and XMP stay, its colours become sRGB, what is filled in becomes opaque.

    Args:
        source: see :func:`tokens`.
        options: see :class:`RestoreOptions`.

    Warns:
        VqcWarning: the mask has no holes, or some that may not be meant.

    Raises:
        UsageError: none of mask, denoise and upscale, or two; a seed without a mask; else as of :func:`tokens`.
        InputError: the mask has another size, or is all hole.
    """
    return next(restore_frames([source], **options))


def restore_frames(
    frames: Frames,
    *,
    mask: Source | None = None,
    denoise: bool = False,
    upscale: int | None = None,
    seed: int | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> Iterator[Image.Image]:
    """The frames of a film repaired, in order, as :func:`restore` does one; the top's codes are smoothed over time."""
    if (mask is not None) + denoise + (upscale is not None) != 1:
        raise UsageError("give one of mask, denoise and upscale")
    if upscale not in (None, 2):
        raise UsageError(f"upscale {upscale} is not known; give 2")
    if seed is not None and mask is None:
        raise UsageError("seed is for what is drawn into the holes of a mask, and there is none; leave it out")
    codec = _codec(threads)
    work, veil = _work(codec, mask, denoise, 1 if seed is None else _whole("seed", seed, 0), max_pixels)

    def run() -> Iterator[Image.Image]:
        for picture, memory in _film(frames, max_pixels, whole=True):
            gray = picture.pixels.shape[2] == 1
            out = work(np.repeat(picture.pixels, 3, 2) if gray else picture.pixels, memory)
            alpha = None if picture.alpha is None else veil(picture.alpha)
            yield to_pil(out[:, :, 1:2] if gray else out, alpha, picture.metadata)

    return run()


def _work(
    codec: TokensCodec, mask: Source | None, denoise: bool, seed: int, max_pixels: int
) -> tuple[Callable[[U8, Memory], U8], Callable[[U8], U8]]:
    """What is done to pixels [H, W, 3] and to alpha [H, W]."""
    from vqcodec.image.tokens import use

    if denoise:
        return lambda pixels, memory: use.denoise(codec, pixels, memory), lambda alpha: alpha
    if mask is None:
        return lambda pixels, memory: use.upscale(codec, pixels, memory), use.doubled
    hole = _hole(mask, max_pixels)

    def fill(pixels: U8, memory: Memory) -> U8:
        if pixels.shape[:2] != hole.shape:
            sizes = [f"{x.shape[1]} x {x.shape[0]}" for x in (hole, pixels)]
            raise InputError(f"the mask has {sizes[0]} pixels, the picture {sizes[1]}; give a mask of the same size")
        return use.fill_hole(codec, pixels, hole, use.Filling(seed=seed), memory)

    return fill, lambda alpha: np.where(hole, np.uint8(255), alpha)


def _hole(mask: Source, max_pixels: int) -> Mask:
    """Where a mask is neither black nor transparent, [H, W].

    Raises:
        InputError: everywhere.
    """
    name = name_of(mask) or "the mask"
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = mask.astype(np.uint8)
    with naming(name), opened(mask) as content:
        picture = open_picture(content, b"", max_pixels, name_of(mask), exact=True)
    light = picture.pixels.max(2)
    if picture.alpha is not None:
        light[picture.alpha == 0] = 0
    hole: Mask = light > 0
    notes = list(picture.notes)
    if hole.all():
        raise InputError(
            f"{name}: is all hole, so that there is nothing to go by; make black or transparent what is to stay"
        )
    if not hole.any():
        notes.append("has no holes: the picture stays as it is; what is to be filled must not be black or transparent")
    faint = int(np.count_nonzero(hole & (light < light.max() // _FAINT)))
    if faint:
        notes.append(f"{faint:,} nearly black pixels are holes, too; if they are not meant, save the mask without loss")
    warn_all(notes, name)
    return hole


def _film(frames: Frames, max_pixels: int, *, whole: bool = False) -> Iterator[tuple[Picture, Memory]]:
    """Frames one after the other, with one memory for all."""
    from vqcodec.image.tokens.codec import Memory

    if isinstance(frames, (str, os.PathLike, bytes, bytearray, memoryview)):
        raise UsageError("one file is no film; give the names of its frames in a list")
    memory, first = Memory(), None
    told: set[str] = set()
    for frame in frames:
        picture = _colours(frame, max_pixels, told, whole=whole)
        first = first or picture.pixels.shape[:2]
        if picture.pixels.shape[:2] != first:
            raise InputError(f"{name_of(frame) or 'a frame'}: the frames of a film have one size; this one has another")
        yield picture, memory
    if first is None:
        raise InputError("there is no frame; give one or more")


def _colours(source: Source, max_pixels: int, told: set[str], *, whole: bool = False) -> Picture:
    """A picture whose pixels are sRGB; what else it has is warned of.

    Args:
        told: notes that have been warned of, which are not repeated for each frame of a film.
        whole: keep alpha, EXIF and XMP.
    """
    name = name_of(source)
    with naming(name), opened(source) as content:
        picture = open_picture(content, b"", max_pixels, name, exact=False, deep=False)
    kept = {key: value for key, value in picture.metadata.items() if key != "icc"}
    picture = stripped(picture)
    lost = [] if whole else ["alpha plane"] * (picture.alpha is not None) + [key.upper() for key in kept]
    notes = [*picture.notes, *(f"its {what} is left out: tokens have none" for what in lost)]
    warn_all([note for note in notes if note not in told], name)
    told.update(notes)
    return replace(picture, metadata=kept)


def _codec(threads: int | None) -> TokensCodec:
    return registry.limited(registry.load_tokens_codec(), None if threads is None else _whole("threads", threads, 1))


def _step(step: int) -> int:
    return _whole("step", step, 0, COARSEST)


def _whole(name: str, value: int, least: int, most: int | None = None) -> int:
    """A whole number within bounds.

    Raises:
        UsageError: it is none, or out of bounds.
    """
    remedy = f"give a whole number, {least} " + ("or more" if most is None else f"to {most}")
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} {value!r} is no whole number; {remedy}") from None
    if number < least or (most is not None and number > most):
        raise UsageError(f"{name} {number} is out of range; {remedy}")
    return number


def _image(pixels: U8) -> Image.Image:
    return to_pil(pixels, None, {})
