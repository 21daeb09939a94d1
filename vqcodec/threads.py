"""How many threads torch may use for one call, and how a process made by fork gets along without its parent's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

__all__ = ["HOME", "using_threads"]

HOME = os.getpid()
"""The process that imported this; in another one, made from it by fork, torch's threads are gone."""

_lock = Lock()
_calls = 0
_before = 0


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Within, torch works with so many threads; None: as it is set. Afterwards it is as before.

    A child made by fork works with one: it has inherited the list of its parent's threads but none of them, and would
    wait for them for ever. Calls that overlap share one setting, the last one's, until all of them have ended.
    """
    global _calls, _before
    count = count if os.getpid() == HOME else 1
    if count is None:
        yield
        return
    import torch

    with _lock:
        _before = _before if _calls else torch.get_num_threads()
        _calls += 1
        torch.set_num_threads(count)
    try:
        yield
    finally:
        with _lock:
            _calls -= 1
            torch.set_num_threads(_before)
