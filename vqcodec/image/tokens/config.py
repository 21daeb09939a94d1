"""Shapes of a tokens model: grids, codebooks and the convolutions of each part.

Three levels of codes: the top at 1/16 of the size; the bottom at 1/8, which says what the top does not; and the
residual on the bottom's grid, a second stage of the bottom's quantiser (residual vector quantisation, B.-H. Juang and
A. H. Gray, ICASSP 1982). The residual's code 0 adds nothing, so that the encoder spends bits where a picture is busy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["BOTTOM", "LEVELS", "PRESETS", "TOP", "Conv", "TokensConfig", "parts"]

TOP, BOTTOM = 16, 8
"""Pixels per side of a cell of the coarse and of the fine grid."""

LEVELS = ("top", "bottom", "residual")
"""Of codes, in coding order."""


@dataclass(frozen=True)
class Conv:
    """Shape of one convolution; fields as of :class:`vqcodec.image.runtime.Layer`."""

    inputs: int
    outputs: int
    side: int = 3
    relu: bool = False
    skip: int | None = None


@dataclass(frozen=True)
class TokensConfig:
    """Shape of a model.

    Attributes:
        codewords: K of every level.
        top_d, bottom_d: dimension d of the vectors of both grids.
        encoder: channels and residual blocks of the encoder at 1/8.
        top: channels at 1/16, on both sides; one residual block each.
        told: channels that the top hands down to 1/8.
        middle, quarter, half: channels and residual blocks of the decoder at 1/8, 1/4 and 1/2.
        embedding: numbers that stand for a code in the prior's context.
        hidden: units of each of the prior's two hidden layers.
    """

    name: str
    codewords: tuple[int, int, int] = (512, 512, 256)
    top_d: int = 24
    bottom_d: int = 16
    encoder: tuple[int, int] = (96, 2)
    top: int = 128
    told: int = 64
    middle: tuple[int, int] = (112, 5)
    quarter: tuple[int, int] = (64, 1)
    half: tuple[int, int] = (24, 1)
    embedding: int = 16
    hidden: int = 96

    def extends(self, other: TokensConfig) -> bool:
        """Whether a network of this shape may begin as one of the other: it differs in residual blocks, if at all."""
        mine, others = ((c.encoder, c.middle, c.quarter, c.half) for c in (self, other))
        deeper = all(a[0] == b[0] and a[1] >= b[1] for a, b in zip(mine, others, strict=True))
        encoder, middle, quarter, half = mine
        rest = replace(other, name=self.name, encoder=encoder, middle=middle, quarter=quarter, half=half)
        return deeper and self == rest


PRESETS = {
    c.name: c
    for c in (
        TokensConfig("tokens"),
        TokensConfig("tokens-deep", encoder=(96, 4), middle=(112, 8), quarter=(64, 2)),
        TokensConfig(
            "tokens-tiny", codewords=(16, 32, 8), top_d=6, bottom_d=4, encoder=(8, 1), top=8, told=4,
            middle=(8, 1), quarter=(8, 1), half=(4, 1), embedding=4, hidden=16,
        ),
    )
}  # fmt: skip


def _blocks(width: int, count: int, before: int) -> list[Conv]:
    """Residual blocks of two 3 x 3 convolutions; ``before`` layers come first in the part, one at least."""
    out: list[Conv] = []
    for _ in range(count):
        start = before + len(out) - 1
        out += [Conv(width, width, relu=True), Conv(width, width, skip=start)]
    return out


def parts(c: TokensConfig) -> dict[str, list[Conv]]:
    """The convolutions of every part of the network, in order; how parts are joined is in :mod:`network`."""
    eight, sixteen = 3 * BOTTOM**2, 3 * TOP**2
    (enc, enc_blocks), (mid, mid_blocks), (quarter, quarter_blocks), (half, half_blocks) = (
        c.encoder, c.middle, c.quarter, c.half,
    )  # fmt: skip
    return {
        "encoder": [Conv(eight, enc, relu=True), *_blocks(enc, enc_blocks, 1)],
        "top_encoder": [Conv(4 * enc, c.top, 1, relu=True), *_blocks(c.top, 1, 1)],
        "top_in": [Conv(sixteen + c.top, c.top_d, 1)],
        "bottom_in": [Conv(eight + enc, c.bottom_d, 1)],
        "expected": [Conv(c.top_d, 4 * c.bottom_d)],
        "top_out": [Conv(c.top_d, c.top, relu=True), *_blocks(c.top, 1, 1), Conv(c.top, 4 * c.told, 1)],
        "at8": [
            Conv(c.bottom_d + c.told, mid, relu=True), *_blocks(mid, mid_blocks, 1), Conv(mid, 4 * quarter, 1),
        ],
        "at4": [Conv(quarter, quarter, relu=True), *_blocks(quarter, quarter_blocks, 1), Conv(quarter, 4 * half, 1)],
        "at2": [Conv(half, half, relu=True), *_blocks(half, half_blocks, 1), Conv(half, 12)],
        "linear": [Conv(c.bottom_d, eight)],
    }  # fmt: skip
