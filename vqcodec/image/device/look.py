"""Whether torch could find a CUDA device, told without torch, whose import takes seconds."""

from __future__ import annotations

import ctypes
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["may_be_there"]

_DRIVER = "libcuda.so.1"  # which CUDA's runtime opens by this name
# Of the driver's devices: on cards, on Tegra boards (two kinds of kernel), under WSL. They count, because torch may
# find the library by a path of its own.
_DEVICES = Path("/dev")
_NODES = ("nvidia", "nvhost", "nvgpu", "nvmap", "dxg")


def may_be_there() -> bool:
    """False: torch would find none for certain. True: it has to be asked.

    torch finds one only if it is built for CUDA, or for ROCm, whose devices go by the same name, and if the driver is
    there. That is looked for on Linux alone: elsewhere, only who has a card installs such a build.
    """
    if "torch" in sys.modules:
        return True  # to ask it costs nothing
    found = find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return True  # its import says what is wrong
    cuda, rocm = _built_for(Path(found.submodule_search_locations[0]))
    if rocm or sys.platform != "linux":
        return cuda or rocm
    return cuda and _has_driver()


def _built_for(folder: Path) -> tuple[bool, bool]:
    """Whether torch in its folder is built for CUDA, and for ROCm; both where it does not say so."""
    try:
        said = runpy.run_path(str(folder / "version.py"))  # of plain values, written when torch was built
        return said["cuda"] is not None, said["hip"] is not None
    except Exception:  # whatever the file of a build that nobody has seen may do
        return True, True


def _has_driver() -> bool:
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return any(node.name.startswith(_NODES) for node in _DEVICES.glob("*"))
    return True
