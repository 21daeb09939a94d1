"""A clear line instead of a traceback where a package of the bench extra is missing."""

from __future__ import annotations

import importlib.util

from vqcodec.errors import UsageError

__all__ = ["need"]


def need(*modules: str) -> None:
    """Check that these modules can be imported.

    Raises:
        UsageError: names the missing ones and how to install them.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"this benchmark needs {', '.join(missing)}: pip install 'vqcodec[bench]'")
