"""Nearest-codeword search: one public function, whatever the device."""

from __future__ import annotations

from vqcodec.kernels.op import assign
from vqcodec.kernels.reference import reference_assign, reference_scores

__all__ = ["assign", "reference_assign", "reference_scores"]
