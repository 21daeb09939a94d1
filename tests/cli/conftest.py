"""A packed picture for the tests of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

import vqcodec
import vqcodec.registry


@pytest.fixture
def packed(tmp_path, photo) -> Path:
    path = tmp_path / "photo.vqc"
    path.write_bytes(vqcodec.compress(photo))
    return path
