"""What the tests give to workers: those find this module beside the tests, but no module of tests by its full name."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from vqcodec.errors import CorruptError


def about(item: int) -> tuple[str | None, str | None, bool]:
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("PYTHONSAFEPATH"), "torch" in sys.modules


def fail(item: int) -> int:
    raise CorruptError("broken", f"chunk {item}")


def die(item: int) -> int:
    if item == 1:
        os._exit(5)
    return item


def unpicklable(item: int) -> object:
    return lambda: item


def kill(item: int) -> None:
    if item == 1:
        os.kill(os.getpid(), 9)


def slow(item: int, tell: Callable[[float], object]) -> int:
    for share in (0.25, 0.5, 0.75):
        time.sleep(0.25)
        tell(share)
    return item
