"""Which colours the samples of a picture stand for, where something else than an ICC profile says so.

PNG has chunks for it (cICP, sRGB, gAMA, cHRM), AVIF a box (nclx), EXIF tags. Pillow heeds none of them; what they say
is turned into an ICC profile, or into sRGB where no colour is lost by that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vqcodec.image.exif import COLOUR_SPACE, GAMMA, INTEROPERABILITY, PRIMARIES, WHITE_POINT, Exif
from vqcodec.image.icc import SRGB_CURVE, make_profile, power_curve, sampled_curve

__all__ = ["Colours", "describe", "from_cicp", "from_exif", "from_gamma"]

UInt8 = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Encoded value to linear light, both 0 to 1, and the same as a tag of a profile where it is a form of ICC's."""

    light: Callable[[Float64], Float64]
    form: bytes = b""

    def tag(self) -> bytes:
        """As a profile has it."""
        return self.form or sampled_curve(self.light(np.linspace(0, 1, 1024)))


_D65 = (0.3127, 0.3290)
_BT709 = (_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_ADOBE = (_D65, (0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_ADOBE_GAMMA = 563 / 256  # Adobe RGB (1998), 4.3.1.2
_GRID = np.linspace(0, 1, 256)
_CLOSE = 0.004  # chromaticities that differ by less are the same, written with other roundings

# ITU-T H.273, tables 2 and 3: white, red, green, blue.
_PRIMARIES = {
    1: _BT709,
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_PQ, _HLG = 16, 18
_UNSPECIFIED = 2
# Light that counts as white when HDR is shown as SDR: 203 cd/m2 (ITU-R BT.2408), of 10,000 for PQ; 75 % signal for HLG.
_PQ_WHITE = 203 / 10_000


def _srgb(v: Float64) -> Float64:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _srgb_inverse(light: Float64) -> Float64:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _power(exponent: float) -> Curve:
    return Curve(lambda v: v**exponent, power_curve(exponent))


def _smpte240(v: Float64) -> Float64:
    return np.where(v < 0.0913, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(v: Float64) -> Float64:
    root = v ** (32 / 2523)
    light = (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
    return np.minimum(light / _PQ_WHITE, 1)


def _hlg(v: Float64) -> Float64:
    a, b, c = 0.17883277, 0.28466892, 0.55991073

    def scene(x: Float64) -> Float64:
        return np.where(x <= 0.5, x * x / 3, (np.exp((x - c) / a) + b) / 12)

    light: Float64 = np.minimum(scene(v) / scene(np.array(0.75)), 1) ** 1.2
    return light


_SRGB = Curve(_srgb, SRGB_CURVE)
# ITU-T H.273, table 3. 1, 6, 14 and 15 are curves of cameras, which browsers show with sRGB's; encoders write them for
# pictures that are sRGB, too.
_CURVES = {
    **dict.fromkeys((1, 6, 13, 14, 15), _SRGB),
    4: _power(2.2),
    5: _power(2.8),
    7: Curve(_smpte240),
    8: _power(1.0),
    _PQ: Curve(_pq),
    17: _power(2.6),
    _HLG: Curve(_hlg),
}


@dataclass(frozen=True)
class Colours:
    """What samples stand for.

    Attributes:
        xy: [4, 2] chromaticities of white, red, green, blue.
        curve: from encoded values to light.
        cicp: the code points, where they say more than a curve can (HDR).
        narrow: whether 16 to 235 is the range of the samples, as in video.
        lasting: whether what says so stays with the picture (EXIF), so that its samples must stay what they are.
    """

    xy: Float64
    curve: Curve
    cicp: bytes = b""
    narrow: bool = False
    lasting: bool = False

    def profile(self) -> bytes | None:
        """The profile of samples that stay as they are; None where they are sRGB."""
        light = self._light()
        if self._is_srgb(np.round(_srgb_inverse(light) * 255)):
            return None
        curve = sampled_curve(np.interp(np.linspace(0, 1, 1024), _GRID, light)) if self.narrow else self.curve.tag()
        return make_profile(self.xy, curve, "as the file describes it", b"" if self.narrow else self.cicp)

    def _light(self) -> Float64:
        """Of the 256 values of a sample."""
        return self.curve.light(np.clip((_GRID * 255 - 16) / 219, 0, 1) if self.narrow else _GRID)

    def _is_srgb(self, table: npt.NDArray[Any]) -> bool:
        """Whether samples are those of sRGB, into which the table [256] would turn them, but for rounding."""
        return self._neutral() and int(np.abs(table.astype(int) - np.arange(256)).max()) <= 1

    def _neutral(self) -> bool:
        return bool(np.abs(self.xy - np.array(_BT709)).max() < _CLOSE)

    def apply(self, samples: UInt8) -> tuple[UInt8, bytes | None]:
        """Samples [H, W, 1 or 3], coded again where that loses no colour, and the profile that they need.

        Curves far from what the eye sees (linear light above all) become sRGB's, because errors of coding would show.

        Raises:
            ValueError: these colours are none.
        """
        table = np.round(_srgb_inverse(self._light()) * 255).astype(np.uint8)
        if self._is_srgb(table):
            return samples, None
        if not self.cicp and not self.lasting and (self._neutral() or samples.shape[2] == 1):
            return table[samples], None
        if self.cicp or self.lasting or (self._perceptual() and not self.narrow):
            return samples, make_profile(self.xy, self.curve.tag(), "as the file describes it", self.cicp)
        return table[samples], make_profile(self.xy, SRGB_CURVE, "primaries of the file, sRGB curve")

    def _perceptual(self) -> bool:
        """Whether equal steps look about equal: middle gray is coded as 90 to 140, as by powers of 1.8 to 2.6."""
        light = self.curve.light(np.array([90 / 255, 140 / 255]))
        return bool(light[0] < 0.2 < light[1])


def describe(info: Mapping[Any, Any], cicp: bytes | None, exif: Exif | None, *, profile: bool) -> Colours | None:
    """What a picture says of its colours, by PNG's order of precedence; None where it is sRGB or its profile holds.

    Args:
        info: of Pillow's image: ``srgb``, ``gamma``, ``chromaticity`` are PNG's chunks of these names.
        cicp: code points, which go before a profile.
        profile: whether there is one.

    Raises:
        ValueError: it says something that is not understood.
    """
    if cicp is not None:
        try:
            if (colours := from_cicp(cicp)) is not None:
                return colours
        except ValueError:
            if not profile:
                raise
    if profile or "srgb" in info:
        return None
    if "gamma" in info or "chromaticity" in info:
        return from_gamma(info.get("gamma"), info.get("chromaticity"))
    return None if exif is None else from_exif(exif)


def from_cicp(codes: bytes) -> Colours | None:
    """Colours of the code points primaries, transfer, matrix, range (ITU-T H.273); None where they say nothing.

    Raises:
        ValueError: they name colours that are not known here.
    """
    primaries, transfer, _, full = codes
    if _UNSPECIFIED in (primaries, transfer):
        return None
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise ValueError(f"code points {primaries} and {transfer}")
    hdr = bytes((primaries, transfer, 0, full)) if transfer in (_PQ, _HLG) else b""
    return Colours(np.array(_PRIMARIES[primaries]), _CURVES[transfer], hdr, narrow=not full)


def from_gamma(gamma: float | None, chromaticities: tuple[float, ...] | None) -> Colours:
    """Colours of PNG's chunks gAMA (0.45455 stands for sRGB too, as the standard has it) and cHRM (white first).

    Raises:
        ValueError: they make no sense.
    """
    curve = _SRGB
    if gamma is not None:
        if not 0.1 <= gamma <= 10:
            raise ValueError(f"gamma {gamma:g}")
        if abs(gamma * 2.2 - 1) > 0.05:  # the tolerance of libpng
            curve = _power(1 / gamma)
        elif chromaticities is not None and not _is_bt709(chromaticities):
            curve = _power(2.2)
    if chromaticities is None:
        return Colours(np.array(_BT709), curve)
    return Colours(np.array(chromaticities).reshape(4, 2), curve)


def _is_bt709(chromaticities: tuple[float, ...]) -> bool:
    return bool(np.abs(np.array(chromaticities).reshape(4, 2) - np.array(_BT709)).max() < _CLOSE)


def from_exif(exif: Exif) -> Colours | None:
    """Colours that EXIF names: Adobe RGB, or primaries and gamma of its own; None for sRGB and where it says nothing.

    Raises:
        ValueError: it says that the colours are not sRGB, but not which they are, or what it says makes no sense.
    """
    space = exif.number(COLOUR_SPACE)
    adobe = bytes(int(v) for v in exif.numbers.get(INTEROPERABILITY, ()) if 0 <= v < 256).startswith(b"R03")
    if space == 2 or (adobe and space != 1):  # 2 is in no standard, but cameras write it
        return Colours(np.array(_ADOBE), _power(_ADOBE_GAMMA), lasting=True)
    if space == 1:
        return None
    white, primaries = exif.numbers.get(WHITE_POINT, ()), exif.numbers.get(PRIMARIES, ())
    gamma = exif.number(GAMMA)
    own = (*white, *primaries) if len(white) == 2 and len(primaries) == 6 else None
    if own is not None or gamma is not None:
        return replace(from_gamma(1 / gamma if gamma else None, own), lasting=True)
    if space == 0xFFFF:
        raise ValueError("uncalibrated colours")
    return None
