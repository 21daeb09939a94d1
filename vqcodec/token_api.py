"""The public functions of tokens: codes of pictures and back, pictures drawn, repaired, enlarged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from vqcodec import registry
from vqcodec.errors import InputError, UsageError
from vqcodec.image.files import load_picture, to_pil
from vqcodec.image.tokens.stored import Tokens
from vqcodec.options import MAX_PIXELS
from vqcodec.quality import COARSEST
from vqcodec.sources import name_of, naming, warn_all

if TYPE_CHECKING:
    from PIL import Image

    from vqcodec.bitstream.arrays import U8
    from vqcodec.image.files import Picture, Source
    from vqcodec.image.tokens.codec import Memory, TokensCodec

    Frames = Sequence[Source]

__all__ = ["detokenize", "restore", "restore_frames", "sample", "tokens", "tokens_of_frames"]


def tokens(source: Source, *, step: int = 0, max_pixels: int = MAX_PIXELS, threads: int | None = None) -> Tokens:
    """Codes of a picture under the newest tokens model.

    Args:
        source: a path, the bytes of a picture file, a Pillow image, an array or a tensor; see :func:`vqcodec.compress`.
        step: what a bit weighs against the error in the choice of codes, 0 (nothing) to 255, as in a file's header.
        max_pixels: larger pictures are refused.
        threads: how many the codec may use.

    Warns:
        VqcWarning: alpha and metadata are no part of tokens.

    Raises:
        InputError, LimitError, UsageError, ModelError: see :mod:`vqcodec.errors`.
    """
    codec = _codec(threads)
    picture = _colours(source, max_pixels)
    top, bottom = codec.codes_of(picture.pixels, _step(step))
    return _tokens(codec, top[0], bottom[0], *picture.pixels.shape[:2])


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
    top, bottom = (np.concatenate([codes[level] for codes in found]) for level in range(2))
    return _tokens(codec, top, bottom, *shape)


def _tokens(codec: TokensCodec, top: Any, bottom: Any, height: int, width: int) -> Tokens:
    codes = top.astype(np.uint16), bottom.astype(np.uint16)
    return Tokens(*codes, *codec.words, height, width, codec.model_id.hex())


def detokenize(tokens: Tokens, *, threads: int | None = None) -> list[Image.Image]:
    """Pictures of tokens: one, or one for each frame.

    Raises:
        InputError: they are of a model that this version does not have, or a code is outside its codebook.
    """
    codec = _codec(threads)
    if tokens.model != codec.model_id.hex():
        raise InputError(f"the tokens are of model {tokens.model}, this is {codec.model_id.hex()}; make them anew")
    for codes, words in ((tokens.top, codec.words[0]), (tokens.bottom, codec.words[1])):
        if codes.size and codes.max() >= len(words):
            raise InputError(f"a code is {codes.max()}, the codebook has {len(words)}; make the tokens anew")
    tops, bottoms = (x if x.ndim == 3 else x[None] for x in (tokens.top, tokens.bottom))
    return [
        _image(codec.paint((a[None].astype(np.int32), b[None].astype(np.int32)), tokens.height, tokens.width))
        for a, b in zip(tops, bottoms, strict=True)
    ]


def sample(
    count: int = 1,
    *,
    width: int = 256,
    height: int = 256,
    seed: int = 1,
    temperature: float = 1.0,
    like: Source | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> Iterator[Image.Image]:
    """Pictures drawn from the prior: codes of the top first, then of the bottom, each given those before.

    Args:
        count: how many.
        width, height: pixels, unless ``like`` is given.
        seed: the same one draws the same codes on every machine with the same numpy.
        temperature: 1 draws as the prior has it, less prefers what is likelier, 0 takes the likeliest.
        like: a picture whose top codes are kept, so that only the details are drawn.

    Raises:
        UsageError: a number out of range; else as of :func:`tokens`.
    """
    from vqcodec.image.tokens.network import CELL
    from vqcodec.image.tokens.use import draw_codes

    if count < 1 or min(width, height) < 1 or width * height > max_pixels or not 0 <= temperature < np.inf or seed < 0:
        raise UsageError("count, width, height and seed must be positive, temperature 0 or more; see the help")
    codec = _codec(threads)
    known = None
    if like is not None:
        picture = _colours(like, max_pixels)
        height, width = picture.pixels.shape[:2]
        codes = codec.codes_of(picture.pixels)
        known = codes, (np.ones(codes[0].shape, bool), np.zeros(codes[1].shape, bool))
    rng = np.random.default_rng(seed)

    def draw() -> Iterator[Image.Image]:
        for _ in range(count):
            codes = draw_codes(codec, -(-height // CELL), -(-width // CELL), rng, temperature, known)
            yield _image(codec.paint(codes, height, width))

    return draw()


class RestoreOptions(TypedDict, total=False):
    """What :func:`restore` takes by name, one of the first three.

    Attributes:
        mask: a picture of the same size: what is not black is a hole, whose fine codes are drawn given a
            smooth filling and the rest. All other pixels stay as they are.
        denoise: take noise away.
        upscale: 2: twice the size.
        seed: of what is drawn; 1.
        max_pixels: larger pictures are refused.
        threads: how many the codec may use.
    """

    mask: Source | None
    denoise: bool
    upscale: int | None
    seed: int
    max_pixels: int
    threads: int | None


def restore(source: Source, **options: Unpack[RestoreOptions]) -> Image.Image:
    """A picture repaired.

    Args:
        source: see :func:`tokens`.
        options: see :class:`RestoreOptions`.

    Raises:
        UsageError: none of mask, denoise and upscale, or two; else as of :func:`tokens`.
    """
    return next(restore_frames([source], **options))


def restore_frames(
    frames: Frames,
    *,
    mask: Source | None = None,
    denoise: bool = False,
    upscale: int | None = None,
    seed: int = 1,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> Iterator[Image.Image]:
    """The frames of a film repaired, in order, as :func:`restore` does one; the top's codes are smoothed over time."""
    if (mask is not None) + denoise + (upscale is not None) != 1:
        raise UsageError("give one of mask, denoise and upscale")
    if upscale not in (None, 2):
        raise UsageError(f"upscale {upscale} is not known; give 2")
    codec = _codec(threads)
    work = _work(codec, mask, denoise, seed, max_pixels)

    def run() -> Iterator[Image.Image]:
        for picture, memory in _film(frames, max_pixels):
            gray = picture.pixels.shape[2] == 1
            out = work(np.repeat(picture.pixels, 3, 2) if gray else picture.pixels, memory)
            yield _image(out[:, :, 1:2] if gray else out)

    return run()


def _work(
    codec: TokensCodec, mask: Source | None, denoise: bool, seed: int, max_pixels: int
) -> Callable[[U8, Memory], U8]:
    from vqcodec.image.tokens import use

    if denoise:
        return lambda pixels, memory: use.denoise(codec, pixels, memory)
    if mask is None:
        return lambda pixels, memory: use.upscale(codec, pixels, memory)
    with naming(name_of(mask)):
        hole = load_picture(mask, max_pixels=max_pixels).pixels.max(2) > 0

    def fill(pixels: U8, memory: Memory) -> U8:
        if pixels.shape[:2] != hole.shape:
            sizes = [f"{x.shape[1]} x {x.shape[0]}" for x in (hole, pixels)]
            raise InputError(f"the mask has {sizes[0]} pixels, the picture {sizes[1]}; give a mask of the same size")
        return use.fill_hole(codec, pixels, hole, use.Filling(seed=seed), memory)

    return fill


def _film(frames: Frames, max_pixels: int) -> Iterator[tuple[Picture, Memory]]:
    """Frames one after the other, with one memory for all."""
    from vqcodec.image.tokens.codec import Memory

    if not len(frames):
        raise InputError("there is no frame; give a folder of pictures")
    memory, first = Memory(), None
    for frame in frames:
        picture = _colours(frame, max_pixels)
        first = first or picture.pixels.shape[:2]
        if picture.pixels.shape[:2] != first:
            raise InputError(f"{name_of(frame)}: the frames of a film have one size; this one has another")
        yield picture, memory


def _colours(source: Source, max_pixels: int) -> Picture:
    """A picture's pixels; what is not part of them is warned of."""
    name = name_of(source)
    with naming(name):
        picture = load_picture(source, max_pixels=max_pixels, strip=True, name=name)
    alpha = ["its alpha plane is left out: tokens have none"] if picture.alpha is not None else []
    warn_all([*picture.notes, *alpha], name)
    return picture


def _codec(threads: int | None) -> TokensCodec:
    return registry.limited(registry.load_tokens_codec(), threads)


def _step(step: int) -> int:
    if not 0 <= step <= COARSEST:
        raise UsageError(f"step {step} is out of range; give 0 to {COARSEST}")
    return step


def _image(pixels: U8) -> Image.Image:
    return to_pil(pixels, None, {})
