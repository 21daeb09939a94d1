"""The options of the public functions: names, types and defaults, the same in Python and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, TypeVar, get_args

from vqcodec.bitstream import Limits
from vqcodec.errors import UsageError
from vqcodec.quality import PICTURE_QUALITY
from vqcodec.target import Aim, make_aim

__all__ = [
    "EFFORT",
    "EFFORTS",
    "MAX_PIXELS",
    "MAX_SECONDS",
    "TEMPERATURE",
    "CompressOptions",
    "CompressSettings",
    "DecompressOptions",
    "DecompressSettings",
    "Depth",
    "Device",
    "Kind",
    "ModelKind",
    "Progress",
    "ReadOptions",
    "ReadSettings",
    "Tune",
    "settle",
]

Kind = Literal["image", "audio"]
ModelKind = Literal["image", "tokens"]
Tune = Literal["visual", "psnr"]
Depth = Literal[8, 16]
Device = Literal["auto", "cpu", "cuda"]

Progress = Callable[[float], object]
"""Told now and then which share of the work is done, from 0 to 1."""

EFFORT, EFFORTS = 5, range(1, 10)
"""The usual one, and those that there are."""
# Of pictures that are drawn. The Fréchet distance of 128 of them to held-out photographs is 39, at 1.05, too; it is 49
# at 0.95 and 73 at 0.9, and 23 for other crops of the same photographs.
TEMPERATURE = 1.0
MAX_PIXELS = 100_000_000
MAX_SECONDS = 86_400

Settings = TypeVar("Settings", bound="CompressSettings | ReadSettings")


class CompressOptions(TypedDict, total=False):
    """Options of :func:`vqcodec.compress`. At most one of quality and targets; without any, ``quality`` is 60 for
    pictures and 45 for sound.

    Attributes:
        sample_rate: Hz, of an array or tensor that is sound.
        quality: 1 (smallest) to 100 (best); fractions are allowed.
        target_bpp: bits of the file per pixel, at most; the finest step that stays within is chosen. Pictures only.
        target_kbps: thousands of bits of the file per second, at most; likewise. Sound only.
        target_size: bytes of the file, at most; likewise.
        target_psnr: decibels over all colour samples, at least; the coarsest step that reaches it. Pictures only, as
            :func:`vqcodec.decompress` gives them; with ``tune`` psnr as it does with ``faithful``.
        lossless: nothing is lost of samples of up to 16 bits (24 of sound); instead of quality and targets.
        exact_alpha: with ``lossless``, keep the colours of invisible pixels, too.
        model: of a picture: ``tokens`` for the lowest rates, 0.015 to 0.25 bits per pixel; by default ``image``.
        tune: ``visual``, or ``psnr`` for the least squared error of a picture. Both make files of the same kind, which
            ``faithful`` of :func:`vqcodec.decompress` decodes to the picture of the least squared error.
        effort: 1 (fastest) to 9 (smallest at the same quality) of a picture: how thoroughly its codes are searched and
            what is kept without loss is coded.
        device: where the codes of a picture of the model ``image`` are made: ``cpu``; ``cuda``, by torch; or ``auto``,
            ``cuda`` where there is one and the input has a way there. Every file decodes everywhere; codes may differ
            where two are about as good.
        strip: leave out the colour profile, EXIF and XMP of a picture, which is converted to sRGB, and the tags and
            the cover of a sound.
        repair: replace samples of a sound that are no finite numbers instead of refusing it.
        max_pixels: larger pictures are refused.
        max_seconds: longer sounds are refused.
        threads: how many the codec may use; None: as many as torch is set to.
        progress: told which share of the work is done.
    """

    sample_rate: int | None
    quality: float | None
    target_bpp: float | None
    target_kbps: float | None
    target_size: int | None
    target_psnr: float | None
    lossless: bool
    exact_alpha: bool
    model: ModelKind | None
    tune: Tune
    effort: int
    device: Device
    strip: bool
    repair: bool
    max_pixels: int
    max_seconds: int
    threads: int | None
    progress: Progress | None


class ReadOptions(TypedDict, total=False):
    """Options of :func:`vqcodec.verify`.

    Attributes:
        max_pixels: larger pictures are refused before anything is allocated.
        max_seconds: longer sounds likewise.
        threads: how many the codec may use; None: as many as torch is set to.
    """

    max_pixels: int
    max_seconds: int
    threads: int | None


class DecompressOptions(ReadOptions, total=False):
    """Options of :func:`vqcodec.decompress` and :func:`vqcodec.stream_sound`, beside :class:`ReadOptions`.

    Attributes:
        start, end: seconds of a sound; only what lies between is decoded, and need be whole. None: as far as it goes.
            The samples are those of the whole sound, at other rates than 48 kHz but for rounding (1e-6).
        allow_truncated: decode what a cut file still holds.
        conceal: fill damaged tiles or stretches instead of refusing the file.
        depth: 8 or 16 bits per sample of a picture; None: as its source had.
        faithful: the picture of the least squared error, where by default it is the one that looks best; of pictures.
        device: where codes are decoded and made a picture, as for compressing; pixels may differ by rounding. What is
            lossless has no codes and is decoded as ever, whichever is given.
        progress: told which share of the work is done.
    """

    start: float | None
    end: float | None
    allow_truncated: bool
    conceal: bool
    depth: Depth | None
    faithful: bool
    device: Device
    progress: Progress | None


class Reading(TypedDict, total=False):
    """What the container is told when it reads a file."""

    limits: Limits
    allow_truncated: bool
    conceal: bool
    part: bool


@dataclass(frozen=True)
class CompressSettings:
    """:class:`CompressOptions` with the defaults filled in."""

    sample_rate: int | None = None
    quality: float | None = None
    target_bpp: float | None = None
    target_kbps: float | None = None
    target_size: int | None = None
    target_psnr: float | None = None
    lossless: bool = False
    exact_alpha: bool = False
    model: ModelKind | None = None
    tune: Tune = "visual"
    effort: int = EFFORT
    device: Device = "cpu"
    strip: bool = False
    repair: bool = False
    max_pixels: int = MAX_PIXELS
    max_seconds: int = MAX_SECONDS
    threads: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.tune not in get_args(Tune):
            raise UsageError(f"tune {self.tune!r} is not known; give {' or '.join(get_args(Tune))}")
        if self.effort not in EFFORTS:
            raise UsageError(f"effort {self.effort!r} is out of range; give {EFFORTS[0]} to {EFFORTS[-1]}")
        if self.model not in (None, *get_args(ModelKind)):
            raise UsageError(f"there is no model {self.model!r}; give {' or '.join(get_args(ModelKind))}")
        if self.model == "tokens" and self.tune != "visual":
            raise UsageError(f"tune {self.tune!r} is for the model 'image'; leave it out with model 'tokens'")
        if self.model == "tokens" and self.effort != EFFORT:
            raise UsageError(f"effort {self.effort} is for the model 'image'; leave it out with model 'tokens'")
        _check_device(self.device)
        if self.model == "tokens" and self.device == "cuda":
            raise UsageError("device 'cuda' is for the model 'image'; leave it out with model 'tokens', or give 'auto'")
        if self.lossless and self.device == "cuda":
            raise UsageError("lossless is work for the CPU; leave out device 'cuda', or give 'auto'")
        if self.model is not None and self.lossless:
            raise UsageError(f"lossless needs no model; leave out model {self.model!r}")
        aims = ("quality", "target_bpp", "target_kbps", "target_size", "target_psnr")
        given = [name for name in aims if getattr(self, name) is not None]
        if self.lossless and given:
            raise UsageError(f"lossless and {given[0]} contradict each other; give only one of them")
        if self.lossless and self.tune != "visual":
            raise UsageError(f"lossless leaves nothing to tune; leave out tune {self.tune!r}")
        if self.exact_alpha and not self.lossless:
            raise UsageError("exact_alpha goes with lossless only; give both, or neither")

    def check_picture(self) -> None:
        """Raise UsageError if this can be asked of sound only."""
        self.aim().check_picture()
        if self.sample_rate is not None:
            raise UsageError("sample_rate is for sound, and this is a picture; leave it out")

    def check_sound(self) -> None:
        """Raise UsageError if this can be asked of a picture only."""
        self.aim().check_sound()
        _only_pictures(
            exact_alpha=self.exact_alpha,
            model=self.model,
            tune=self.tune if self.tune != "visual" else None,
            effort=self.effort if self.effort != EFFORT else None,
            device=self.device == "cuda",
        )

    def aim(self, usual: float = PICTURE_QUALITY) -> Aim:
        """What quality and targets ask for, the quality ``usual`` if they ask for nothing.

        Raises:
            UsageError: two of them, or a value out of range.
        """
        targets = self.target_bpp, self.target_size, self.target_psnr, self.target_kbps
        return make_aim(self.quality, *targets, usual=usual)


@dataclass(frozen=True)
class ReadSettings:
    """:class:`ReadOptions` with the defaults filled in."""

    max_pixels: int = MAX_PIXELS
    max_seconds: int = MAX_SECONDS
    threads: int | None = None

    @property
    def reading(self) -> Reading:
        """What the container is told."""
        return {"limits": Limits(pixels=self.max_pixels, seconds=self.max_seconds)}


@dataclass(frozen=True)
class DecompressSettings(ReadSettings):
    """:class:`DecompressOptions` with the defaults filled in."""

    start: float | None = None
    end: float | None = None
    allow_truncated: bool = False
    conceal: bool = False
    depth: Depth | None = None
    faithful: bool = False
    device: Device = "cpu"
    progress: Progress | None = None

    def __post_init__(self) -> None:
        _check_device(self.device)
        if self.depth not in (None, *get_args(Depth)):
            raise UsageError(f"depth {self.depth!r} is not known; give {' or '.join(map(str, get_args(Depth)))}")

    @property
    def reading(self) -> Reading:
        """What the container is told."""
        part = self.stretch != (None, None)
        return super().reading | {"allow_truncated": self.allow_truncated, "conceal": self.conceal, "part": part}

    def check_sound(self, *, lossless: bool) -> None:
        """Raise UsageError if this can be asked of a picture only; what is lossless has nothing to do on a device."""
        _only_pictures(depth=self.depth, faithful=self.faithful, device=self.device == "cuda" and not lossless)

    @property
    def stretch(self) -> tuple[float | None, float | None]:
        """Start and end."""
        return self.start, self.end


def _check_device(device: str) -> None:
    if device not in get_args(Device):
        raise UsageError(f"device {device!r} is not known; give {', '.join(get_args(Device))}")


def _only_pictures(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise UsageError(f"{name} is for pictures, and this is sound; leave it out")


def settle(kind: type[Settings], options: Mapping[str, Any]) -> Settings:
    """Options with their defaults.

    Raises:
        UsageError: there is no such option, or it cannot have this value.
    """
    known = [field.name for field in fields(kind)]
    for name in options:
        if name not in known:
            raise UsageError(f"there is no option {name!r}; there are {', '.join(known)}")
    threads = options.get("threads")
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads} is out of range; give 1 or more")
    return kind(**options)
