"""``python -m vqcodec``: the command line."""

from __future__ import annotations

import sys
from pathlib import Path

# Python looks for modules in the working folder first, and would take a user's signal.py there for its own. Only where
# the folder is that of this package itself, processes that are started need it.
if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from vqcodec.cli import main

main(prog_name="vqcodec")
