"""Threads that share the library: the same bytes as one alone, each its own warnings, one codec for all."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import scene
from PIL import Image

import vqcodec
from vqcodec import registry
from vqcodec.errors import VqcWarning

THREADS = 8


def test_eight_threads_at_once_give_the_same_bytes() -> None:
    t = np.arange(9_000)[:, None] / 24_000
    tone = (0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)
    pictures = [scene(40 + 8 * i, 56) for i in range(4)]

    def work(number: int) -> tuple[bytes, bytes, bytes, bytes]:
        picture = vqcodec.compress(pictures[number % 4], quality=50)
        sound = vqcodec.compress(tone * (1 + number % 4), sample_rate=24_000, quality=30)
        pixels = np.asarray(vqcodec.decompress(picture)).tobytes()
        return picture, sound, pixels, vqcodec.decompress(sound).samples.tobytes()

    alone = [work(number) for number in range(4)]
    start = threading.Barrier(THREADS)

    def together(number: int) -> tuple[bytes, bytes, bytes, bytes]:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(together, range(THREADS)))
    assert results == [alone[number % 4] for number in range(THREADS)]


def test_threads_that_come_first_together_share_one_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def slow(release: registry.Release) -> object:
        threading.Event().wait(0.05)
        made.append(SimpleNamespace(model_id=release.identity))
        return made[-1]

    monkeypatch.setattr(registry, "_make_image", slow)
    monkeypatch.setattr(registry, "_loaded", {})
    with ThreadPoolExecutor(THREADS) as pool:
        codecs = list(pool.map(lambda _: registry.load_image_codec(), range(THREADS)))
    assert len(made) == 1
    assert all(codec is made[0] for codec in codecs)


def test_warnings_of_no_thread_are_swallowed() -> None:
    """Nothing of ours changes the process-wide filters while others warn."""
    ink = Image.frombytes("CMYK", (13, 9), np.random.default_rng(0).bytes(9 * 13 * 4))
    start = threading.Barrier(THREADS)

    def work(_: int) -> None:
        start.wait()
        for _ in range(4):
            vqcodec.compress(ink, quality=20)
            warnings.warn("one of the caller's own", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(THREADS)))
    ours = [w for w in caught if issubclass(w.category, VqcWarning) and "CMYK" in str(w.message)]
    assert len(ours) == 4 * THREADS
    assert sum("the caller's own" in str(w.message) for w in caught) == 4 * THREADS
