"""How near sets of pictures are, on features of the AlexNet of the ST-LPIPS wheel.

The Fréchet distance of Gaussians fitted to features (Heusel et al. 2017) and the score of Salimans et al. (2016), but
not with their network, which is not to be had offline: the figures are no FID and no IS, and compare with each other
only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from vqcodec.stlpips import PerceptualDistance

__all__ = ["features", "frechet", "score"]

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float64]

_SHARPNESS = 50.0  # of the softmax that makes classes of channels, whose means differ by hundredths
_SHRINKAGE = 0.1  # of a covariance of few pictures towards its diagonal


def features(pictures: Iterable[Pixels]) -> Features:
    """Means of the last stage's channels over each picture [H, W, 3]: [N, 256]."""
    network = PerceptualDistance("alex")
    rows = []
    with torch.inference_mode():
        for picture in pictures:
            x = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].float()
            rows.append(network.features(x)[-1].mean((2, 3))[0].double().numpy())
    return np.stack(rows)


def frechet(a: Features, b: Features) -> float:
    """Fréchet distance of two sets [N, C], in units of 1e-3."""
    from scipy.linalg import sqrtm

    means = a.mean(0) - b.mean(0)
    first, second = _covariance(a), _covariance(b)
    root = np.real(sqrtm(first @ second))
    return float(means @ means + np.trace(first + second - 2 * root)) * 1e3


def _covariance(x: Features) -> Features:
    own: Features = np.cov(x.T)
    return (1 - _SHRINKAGE) * own + _SHRINKAGE * np.diag(np.diag(own))


def score(x: Features) -> float:
    """exp of the mean divergence of each picture's classes from the mean; channels stand for classes."""
    logits = _SHARPNESS * (x - x.mean(0))
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return float(np.exp((p * (np.log(p + 1e-12) - np.log(p.mean(0) + 1e-12))).sum(1).mean()))
