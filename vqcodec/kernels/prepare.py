"""What every form of the search needs to know of its codebook, whatever the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Prepared", "prepare"]


class Prepared(NamedTuple):
    """A codebook made ready for scores of the form ``offset_k - (x - centre) . word_k``, free of NaN."""

    centre: Tensor  # [G, 1, d] mean of the finite codewords
    words: Tensor  # [G, K, d] codewords less the centre; 0 where a codeword is not finite
    offset: Tensor  # [G, K], with a table [G, R, K]: (|word|^2 + bias)/2; +inf where a codeword is forbidden


def prepare(codebook: Tensor, bias: Tensor | None, table: bool = False, direct: bool = False) -> Prepared:
    """Centre the codebook and join what does not depend on x: ``bias`` [G, K], or a table [R, K] or [G, R, K].

    The argmin does not change when both sides move by the same vector, and small numbers cancel less. ``direct``
    prepares for sums of squared differences instead, which need neither centre nor norms: the offset is then the bias
    alone, in full.
    """
    finite = codebook.isfinite().all(-1, keepdim=True)
    words = codebook.float().where(finite, 0.0)
    centre = words.sum(1, keepdim=True) / finite.sum(1, keepdim=True).clamp(min=1)
    if direct:
        centre = torch.zeros_like(centre)
    else:
        words = (words - centre).where(finite, 0.0)
    norms = torch.zeros_like(words[..., 0]) if direct else 0.5 * words.square().sum(-1)
    offset = norms.masked_fill(~finite[..., 0], torch.inf)
    if bias is not None:
        offset = (offset[:, None] if table else offset) + (bias if direct else 0.5 * bias)
    return Prepared(centre, words, offset.float().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf))
