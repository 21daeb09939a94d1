"""What became of one file of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vqcodec.cli.plan import Pair

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What became of one pair; plain values, because it may come from another process."""

    pair: Pair
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    details: str = ""
    code: int = 0
