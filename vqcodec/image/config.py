"""Presets: what shapes a model, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = [
    "IMAGE",
    "PRESETS",
    "TINY",
    "ImageConfig",
    "SliceConfig",
    "step_size",
]

STEPS = 256


def step_size(step: int) -> float:
    """Quantiser step in units of 8-bit sample values for a step index 0..255 (0 is the finest): 4 * 2**(step / 36)."""
    return 4.0 * float(2.0 ** (step / 36.0))


@dataclass(frozen=True)
class SliceConfig:
    """One band set: the luma (or chroma) details of one level, cut into vectors and coded in four phases.

    Attributes:
        level: wavelet level, 1 is the finest.
        chroma: the two chroma planes (6 groups) instead of luma (3 groups).
        d: vector dimension; 1, or 2 for horizontal pairs.
        codewords: K.
        core: reach of the unit cells of the start codebook, in steps; beyond it cells widen.
        weight: how many times finer than the picture's step the slice is quantised, in terms of its share of the
            picture's error; below 1 coarser.
        row_width: width of a row of the probability table, in 1/16 of log2 energy.
        sign_bins: how many classes of the predicted sign strength the tables tell apart (d=1 only; 1 turns it off).
        shared: one table for all groups instead of one each.
    """

    level: int
    chroma: bool
    d: int
    codewords: int
    core: float
    weight: float
    row_width: int
    sign_bins: int
    shared: bool

    @property
    def groups(self) -> int:
        return 6 if self.chroma else 3

    @property
    def name(self) -> str:
        return f"{'c' if self.chroma else 'y'}{self.level}"


@dataclass(frozen=True)
class ImageConfig:
    """Shape of an image model. Slices stand in coding order, coarse to fine, luma before chroma.

    Attributes:
        activity_level: the steps of this level and all finer ones follow local activity (see image.activity).
        activity_exponent, activity_floor: the step goes with (variance + floor) to the power of half the exponent;
            variances are of gray in sample values.
        restore_width, faithful_width: channels of the filter, and of the one for the least squared error, which may
            take longer. Processors with AVX-512 work on sixteen at a time: 40 would take as long as 48.
        restore_layers: hidden layers of both.
    """

    name: str
    levels: int
    slices: tuple[SliceConfig, ...]
    rows: int = 64
    row_offset: int = -73  # in 1/16 of log2 energy: the floor of an all-zero neighbourhood
    low_step: float = 24.0  # the low band never needs a finer step than this: its error is spread over 64 x 64 pixels
    low_codewords: int = 2561
    low_rows: int = 24
    activity_level: int = 3
    activity_exponent: float = 0.6
    activity_floor: float = 80.0
    restore_width: int = 32
    faithful_width: int = 48
    restore_layers: int = 3

    def evened(self) -> ImageConfig:
        """The same with steps that are the same for all bands and places, as the least squared error asks."""
        return replace(self, activity_exponent=0.0, slices=tuple(replace(s, weight=1.0) for s in self.slices))


# Weights of SliceConfig, finest level first. Measured on training photographs for SSIMULACRA2, PSNR held: luma of
# middle levels is what that score misses at equal bytes, fine chroma is what it misses least.
LUMA_WEIGHTS = (0.65, 1.0, 1.3, 1.5, 1.6, 1.6)
CHROMA_WEIGHTS = (0.4, 0.6, 0.8, 0.9, 1.0, 1.0)


def _slices(levels: int, scale: float = 1.0) -> tuple[SliceConfig, ...]:
    out = []
    for level in range(levels, 0, -1):
        codewords, core = {6: (1023, 380.0), 5: (1023, 380.0), 4: (767, 280.0), 3: (511, 180.0), 2: (319, 120.0)}.get(
            level, (255, 90.0)
        )
        width = 6 if level >= 4 else 4
        for chroma in (False, True):
            pairs = chroma and level <= 2
            out.append(
                SliceConfig(
                    level=level,
                    chroma=chroma,
                    d=2 if pairs else 1,
                    codewords=320 if pairs else int(codewords * scale) | 1,
                    core=5.2 if pairs else core * scale,
                    weight=(CHROMA_WEIGHTS if chroma else LUMA_WEIGHTS)[level - 1],
                    row_width=width,
                    sign_bins=1 if chroma else 5,
                    shared=level >= (3 if chroma else 4),
                )
            )
    return tuple(out)


IMAGE = ImageConfig("image", 6, _slices(6))
TINY = ImageConfig(
    "tiny", 6, _slices(6, 0.5), rows=32, low_rows=12, restore_width=8, faithful_width=8, restore_layers=1
)

PRESETS = {c.name: c for c in (IMAGE, TINY)}
