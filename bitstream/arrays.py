"""Names for array types, so that signatures stay short."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["C128", "F32", "F64", "I32", "I64", "U8", "U16", "Arrays", "Samples"]

C128 = npt.NDArray[np.complex128]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
Samples = npt.NDArray[np.unsignedinteger[Any]]
"""Samples of a picture, of 8 or 16 bits."""
Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by name, as a weights file holds them."""
