"""The transform of audio.mdct for tensors that gradients pass through; every sound has its own short frames."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.audio.mdct import HOP, SPLITS, cosines, inner_angles, slope_angles

__all__ = ["imdct", "mdct", "mdct_window"]

_PIECE = HOP // SPLITS


@cache
@torch.inference_mode(False)  # kept for training as well, whoever asks first
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cosines of long and of short transforms, angles of the overlaps and within short frames."""
    long, short, slopes, inner = (
        torch.from_numpy(x).to(device) for x in (cosines(HOP), cosines(_PIECE), slope_angles(), inner_angles())
    )
    return long, short, slopes, inner


def _turn(near: Tensor, far: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    c, s = torch.cos(angle), torch.sin(angle)
    return near * c - far * s, far * c + near * s


def _fold(blocks: Tensor, short: Tensor, direction: float) -> Tensor:
    angle = _constants(blocks.device)[2][short.long()] * direction
    half = HOP // 2
    near, far = _turn(blocks[..., :half], blocks[..., half:].flip(-1), angle)
    return torch.cat([near, far.flip(-1)], -1)


def _fold_pieces(z: Tensor, direction: float) -> Tensor:
    half = _PIECE // 2
    inner = z[..., half:-half].reshape(*z.shape[:-1], SPLITS - 1, 2, half)
    near, far = _turn(inner[..., 0, :], inner[..., 1, :].flip(-1), _constants(z.device)[3] * direction)
    turned = torch.stack([near, far.flip(-1)], -2).reshape(*z.shape[:-1], -1)
    return torch.cat([z[..., :half], turned, z[..., -half:]], -1)


def _transform(z: Tensor, short: Tensor, *, back: bool) -> Tensor:
    long, pieces, *_ = _constants(z.device)
    out = z @ long
    if bool(short.any()):
        part = z[short]
        if back:
            part = part.reshape(-1, _PIECE, SPLITS).transpose(1, 2) @ pieces
            part = _fold_pieces(part.reshape(-1, HOP), -1.0)
        else:
            part = _fold_pieces(part, 1.0).reshape(-1, SPLITS, _PIECE) @ pieces
            part = part.transpose(1, 2).reshape(-1, HOP)
        out = out.masked_scatter(short[..., None].expand_as(out), part)
    return out


def mdct_window(samples: Tensor, short: Tensor) -> Tensor:
    """Frames [B, T, HOP] of samples [B, (T + 1) * HOP]; ``short`` [B, T + 2]: with a frame before and one behind."""
    blocks = samples.reshape(len(samples), -1, HOP)
    folded = _fold(blocks, short[:, :-1] | short[:, 1:], 1.0)
    half = HOP // 2
    return _transform(torch.cat([folded[:, :-1, half:], folded[:, 1:, :half]], 2), short[:, 1:-1], back=False)


def mdct(samples: Tensor, short: Tensor) -> Tensor:
    """Frames [B, T + 1, HOP] of samples [B, T * HOP], which are zero outside; ``short`` [B, T + 1]."""
    return mdct_window(F.pad(samples, (HOP, HOP)), F.pad(short, (1, 1)))


def imdct(frames: Tensor, short: Tensor) -> Tensor:
    """Samples [B, (T - 1) * HOP] of frames [B, T, HOP], ``short`` [B, T]: those that two frames overlap in."""
    z = _transform(frames, short, back=True)
    half = HOP // 2
    blocks = torch.cat([z[:, :-1, half:], z[:, 1:, :half]], 2)
    return _fold(blocks, short[:, :-1] | short[:, 1:], -1.0).flatten(1)
