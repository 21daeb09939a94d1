"""Nearest-codeword search: one public signature, whatever the device.

``assign`` picks the implementation by the device of its input: numpy and torch's matrix product on the CPU (``cpu``),
Triton on a GPU (``gpu``, ``triton_kernels``, launch shapes in ``tuning``), plain torch elsewhere (``plain``).
``reference`` is what all of them are tested against. The decoder uses none of this.
"""

from __future__ import annotations

from vqcodec.kernels.ema import ema_update
from vqcodec.kernels.op import assign, residual_assign
from vqcodec.kernels.reference import reference_assign, reference_scores

__all__ = ["assign", "ema_update", "reference_assign", "reference_scores", "residual_assign"]
