"""``python -m vqcodec``: the command line."""

from __future__ import annotations

from vqcodec.cli import main

main(prog_name="vqcodec")
