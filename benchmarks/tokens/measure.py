"""One picture at one rate: tokens, and the classical codecs at the same number of bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

import vqcodec
from vqcodec.benchmarks.image.codecs import decode, encode, select_codecs
from vqcodec.benchmarks.image.metrics import ms_ssim, mse, psnr
from vqcodec.errors import UsageError
from vqcodec.stlpips import PerceptualDistance

__all__ = ["Judge", "Measured", "classical", "compare", "ours"]

Pixels = npt.NDArray[np.uint8]

CODECS = {"AVIF": "avif-420", "WebP": "webp"}
"""Names of the benchmark of pictures, by what the report calls them."""


class Judge:
    """Distances of decoded pictures to one original, whose features are computed once."""

    def __init__(self, original: Pixels, networks: dict[str, PerceptualDistance]) -> None:
        self.original, self.networks = original, networks
        with torch.inference_mode():
            self.wanted = {name: network.features(_tensor(original)) for name, network in networks.items()}

    def __call__(self, decoded: Pixels) -> dict[str, float]:
        """PSNR, MS-SSIM, and ST-LPIPS by network."""
        out = {"PSNR": psnr(mse(self.original, decoded)), "MS-SSIM": ms_ssim(self.original, decoded) or 0.0}
        with torch.inference_mode():
            for name, network in self.networks.items():
                out[f"ST-LPIPS {name}"] = float(network.between(network.features(_tensor(decoded)), self.wanted[name]))
        return out


def _tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float()


@dataclass(frozen=True)
class Measured:
    """A codec on a picture at a rate.

    Attributes:
        codec: its name.
        size: bytes of the file.
        decoded: the picture.
        figures: of :class:`Judge`.
        seconds: of encoding and decoding.
    """

    codec: str
    size: int
    decoded: Pixels
    figures: dict[str, float]
    seconds: tuple[float, float]


def ours(original: Pixels, bpp: float, judge: Judge) -> Measured:
    """Tokens, at most so many bits per pixel; where even the largest file has fewer, that one.

    Raises:
        UsageError: the rate is out of reach.
    """
    data = vqcodec.compress(original, model="tokens", target_bpp=bpp, threads=1)
    began = time.perf_counter()
    vqcodec.compress(original, model="tokens", quality=vqcodec.info(data)["quality"], threads=1)
    middle = time.perf_counter()
    decoded = np.asarray(vqcodec.decompress(data, kind="image", threads=1).convert("RGB"))
    times = middle - began, time.perf_counter() - middle
    return Measured("tokens", len(data), decoded, judge(decoded), times)


def classical(name: str, original: Pixels, size: int, judge: Judge) -> Measured:
    """A classical codec at the highest quality whose file has at most so many bytes, else the lowest quality."""
    codec = next(codec for codec in select_codecs([CODECS[name]]) if codec.name == CODECS[name])
    picture = Image.fromarray(original)
    low, high = 0, 100
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(encode(codec, picture, middle)) <= size else (low, middle - 1)
    data = encode(codec, picture, low)
    decoded = decode(codec, data)
    return Measured(name, len(data), decoded, judge(decoded), (0.0, 0.0))


def compare(original: Pixels, bpp: float, judge: Judge, tell: Callable[[str], object]) -> list[Measured]:
    """All codecs at the bytes of ours; nothing where ours cannot go so low."""
    try:
        own = ours(original, bpp, judge)
    except UsageError as error:
        tell(str(error))
        return []
    return [own, *(classical(name, original, own.size, judge) for name in CODECS)]
