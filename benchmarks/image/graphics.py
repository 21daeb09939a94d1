"""Twenty drawn pictures, the same every time: pages of text, charts, line art, pixel art, screenshots with photographs.

What a user's folder holds beside photographs, and wavelets are worst at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["draw_graphics"]

Pixels = NDArray[np.uint8]

_TEXT = (
    "the transform makes few large numbers of many alike and what is left is written with as many bits as it is rare "
    "so a page of letters has edges everywhere and nothing between them while a photograph has little of either and "
    "every codec that was made for the one spoils the other unless it looks first at what there is to keep"
)
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
_PAGES = ((320, 200, 14), (640, 480, 16), (1240, 1754, 26))  # width, height, size of letters
_SCREEN = (1280, 800)


def draw_graphics(photographs: Sequence[Image.Image]) -> dict[str, Image.Image]:
    """The pictures by name.

    Args:
        photographs: at least one, for the screenshots.
    """
    out = {f"text-{i + 1}": _page(*page, seed=i) for i, page in enumerate(_PAGES)}
    out |= {f"chart-{i + 1}": picture for i, picture in enumerate(_charts())}
    out |= {f"lines-{i + 1}": picture for i, picture in enumerate(_line_art())}
    out |= {f"pixels-{i + 1}": picture for i, picture in enumerate(_pixel_art())}
    for i in range(5):
        out[f"screen-{i + 1}"] = _screenshot(photographs[i % len(photographs)], i)
    return out


def _write(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int, seed: int, fill: str) -> None:
    """Words in lines within a box."""
    rng = np.random.default_rng(seed)
    font, words = ImageFont.load_default(size), _TEXT.split()
    for y in range(box[1], box[3] - size, round(size * 1.4)):
        line = ""
        while True:
            word = words[rng.integers(len(words))]
            if draw.textlength(f"{line} {word}", font) > box[2] - box[0]:
                break
            line = f"{line} {word}".strip()
        draw.text((box[0], y), line, fill=fill, font=font)


def _page(width: int, height: int, size: int, seed: int) -> Image.Image:
    """Black on white."""
    image = Image.new("RGB", (width, height), "white")
    _write(
        ImageDraw.Draw(image),
        (width // 16, width // 16, width - width // 16, height - width // 16),
        size,
        seed,
        "black",
    )
    return image


def _axes(image: Image.Image, title: str) -> ImageDraw.ImageDraw:
    draw = ImageDraw.Draw(image)
    width, height = image.size
    font = ImageFont.load_default(13)
    draw.text((width // 2 - 60, 10), title, fill="black", font=ImageFont.load_default(18))
    for i in range(6):
        y = 50 + (height - 100) * i // 5
        draw.line((60, y, width - 30, y), fill="#dddddd")
        draw.text((20, y - 8), f"{100 - 20 * i}", fill="#444444", font=font)
    draw.line((60, 50, 60, height - 50, width - 30, height - 50), fill="black", width=2)
    return draw


def _charts() -> Iterator[Image.Image]:
    """Bars, curves, points, slices."""
    rng = np.random.default_rng(10)
    bars = Image.new("RGB", (800, 500), "white")
    draw = _axes(bars, "Bytes by level")
    for i, value in enumerate(rng.integers(40, 390, 12).tolist()):
        draw.rectangle((80 + 57 * i, 450 - value, 120 + 57 * i, 449), fill=_COLOURS[i % 6], outline="black")
    yield bars
    curves = Image.new("RGB", (800, 500), "white")
    draw = _axes(curves, "Rate and distortion")
    for colour in _COLOURS[:4]:
        heights = 250 + np.cumsum(rng.normal(0, 6, 70))
        draw.line([(60 + 10 * i, y) for i, y in enumerate(heights.clip(60, 440).tolist())], fill=colour, width=3)
    # as a plotting library has it: drawn large and reduced, so that edges are soft
    yield curves.resize((1600, 1000), Image.Resampling.NEAREST).resize((720, 450), Image.Resampling.LANCZOS)
    points = Image.new("RGB", (700, 700), "white")
    draw = _axes(points, "Decibels")
    for x, y, c in zip(*rng.normal(350, 110, (2, 400)).clip(70, 640), rng.integers(0, 6, 400), strict=True):
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_COLOURS[c])
    yield points
    slices = Image.new("RGB", (600, 600), "#f8f8f4")
    draw, at = ImageDraw.Draw(slices), 0
    for colour, part in zip(_COLOURS, (90, 70, 60, 55, 50, 35), strict=True):
        draw.pieslice((80, 80, 520, 520), at, at + part, fill=colour, outline="white", width=3)
        at += part
    yield slices


def _line_art() -> Iterator[Image.Image]:
    """Curves, a plan, hatching, and a fine net; with hard and with soft edges."""
    t = np.linspace(0, 60 * np.pi, 6000)
    curve = np.stack([np.sin(t * 1.01) * np.sin(t / 60), np.cos(t * 0.99) * np.sin(t / 60)], 1)
    rose = Image.new("L", (600, 600), 255)
    ImageDraw.Draw(rose).line([(300 + 280 * x, 300 + 280 * y) for x, y in curve.tolist()], fill=0)
    yield rose.convert("RGB")
    plan = Image.new("RGB", (900, 600), "white")
    draw, rng = ImageDraw.Draw(plan), np.random.default_rng(20)
    for x, y, w, h in zip(*rng.integers(0, 12, (2, 30)) * 50, *rng.integers(2, 7, (2, 30)) * 50, strict=True):
        draw.rectangle((20 + x, 20 + y % 500, 20 + x + w, 20 + y % 500 + h), outline="#203060", width=3)
        draw.arc((x, y % 500, x + 80, y % 500 + 80), 0, 90, fill="#203060", width=2)
    yield plan
    hatched = Image.new("L", (1200, 1200), 255)
    draw = ImageDraw.Draw(hatched)
    for i in range(-1200, 1200, 24):
        draw.line((i, 0, i + 1200, 1200), fill=60, width=3)
    draw.ellipse((250, 250, 950, 950), fill=255, outline=0, width=8)
    for i in range(260, 950, 16):
        reach = int((350**2 - (i - 600) ** 2) ** 0.5) if abs(i - 600) < 350 else 0
        draw.line((600 - reach, i, 600 + reach, i), fill=0, width=2)
    yield hatched.resize((600, 600), Image.Resampling.LANCZOS).convert("RGB")
    net = Image.new("RGB", (800, 800), "#fffdf5")
    draw = ImageDraw.Draw(net)
    places = (
        400 + 380 * np.stack([np.cos(np.arange(40) / 40 * 2 * np.pi), np.sin(np.arange(40) / 40 * 2 * np.pi)], 1)
    ).tolist()
    for i, a in enumerate(places):
        for j in (7, 11, 18):
            draw.line((*a, *places[(i + j) % 40]), fill=_COLOURS[j % 6])
    yield net


def _pixel_art() -> Iterator[Image.Image]:
    """Sprites, tiles of a game, a dithered sky, and a map, enlarged by whole numbers and not."""
    rng = np.random.default_rng(30)
    palette = np.array(
        [
            [20, 12, 28],
            [68, 36, 52],
            [48, 52, 109],
            [78, 74, 78],
            [133, 76, 48],
            [52, 101, 36],
            [208, 70, 72],
            [222, 238, 214],
        ],
        np.uint8,
    )
    half = rng.integers(0, 8, (4, 16, 8)) * (rng.random((4, 16, 8)) > 0.4)
    sprites = np.concatenate(np.concatenate([half, half[:, :, ::-1]], 2), 1)
    yield _enlarged(palette[sprites], 8)
    kinds = rng.integers(0, 8, (6, 16, 16))
    kinds[:, ::2] = np.arange(6)[:, None, None]
    places = rng.integers(0, 6, (20, 30))
    yield _enlarged(palette[kinds[places].transpose(0, 2, 1, 3).reshape(320, 480)], 2)
    bayer = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16
    sky = (np.linspace(0, 6.9, 160)[:, None] + np.tile(bayer, (40, 60))).astype(int).clip(0, 7)
    yield _enlarged(palette[sky], 3)
    land = np.cumsum(np.cumsum(rng.normal(0, 1, (120, 160)), 0), 1)
    yield _enlarged(palette[np.digitize(land, np.quantile(land, np.linspace(0, 1, 9)[1:-1]))], 5)


def _enlarged(pixels: Pixels, times: int) -> Image.Image:
    return Image.fromarray(pixels.repeat(times, 0).repeat(times, 1))


def _screenshot(photograph: Image.Image, number: int) -> Image.Image:
    """A window with a bar, a list of words, buttons, and a photograph that takes more of it from one to the next."""
    image = Image.new("RGB", _SCREEN, "#eceff1")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1280, 36), fill="#263238")
    draw.text((14, 9), f"Window {number + 1}", fill="white", font=ImageFont.load_default(15))
    draw.rectangle((0, 37, 220, 800), fill="#cfd8dc")
    _write(draw, (14, 60, 210, 700), 13, 40 + number, "#102027")
    for i in range(3):
        draw.rounded_rectangle((14 + 68 * i, 740, 74 + 68 * i, 776), 8, fill=_COLOURS[i])
    width = 320 + 80 * number
    photo = photograph.convert("RGB").resize((width, width * 3 // 4), Image.Resampling.LANCZOS)
    image.paste(photo, (247, 63))
    _write(draw, (260 + width, 63, 1260, 780), 14, 50 + number, "#212121")
    return image
