"""The dearest files of a given size that decode at all, and what they cost: SPEC.md, Cost, states the figures.

cd tests && python -m abuse.cost --size 10000
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from abuse.craft import assemble

import vqcodec
from vqcodec import registry
from vqcodec.bitstream import AudioHeader, ImageHeader, Limits, read_header
from vqcodec.bitstream.metadata import FILLER

__all__ = ["Cost", "flat_picture", "long_silence", "measure"]

_COARSEST = 255


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time and bytes of memory that decoding a file took, beyond those of the smallest file."""

    size: int
    seconds: float
    memory: int


def flat_picture(size: int) -> bytes:
    """As many flat gray megapixels as a file of so many bytes may hold: no other tile has as few bytes a pixel."""
    codec = registry.load_image_codec()
    side = 1024 if size > 500 else 64
    chunk = codec.encode(np.full((side, side, 1), 128, np.uint8), _COARSEST)[0]
    count = max(min(Limits().pixels_of(size) // side**2, size // (len(chunk.payload) + 8)) if side == 1024 else 1, 1)
    rows = max(n for n in range(1, 9) if count % n == 0)
    header = ImageHeader(side * count // rows, side * rows, _COARSEST, True, False, codec.model_id, codec.model_hint)
    data = assemble(header, [chunk] * count)
    filler = [(FILLER, bytes(size - len(data)))] if size > len(data) else []
    return assemble(header, [chunk] * count, filler)


def long_silence(size: int, sample_rate: int = 24_000, channels: int = 1) -> bytes:
    """As many seconds of silence as so many bytes hold."""
    codec = registry.load_audio_codec()
    length = codec.chunk_frames * codec.hop
    chunk = next(iter(codec.encode([np.zeros((2 * length, channels), np.float32)], _COARSEST)))
    count = max(size // (len(chunk.payload) + 8), 1)
    samples = (count * length - codec.hop) * sample_rate // codec.core_rate  # so that the last chunk is whole
    header = AudioHeader(
        sample_rate, channels, samples, _COARSEST, codec.model_id, codec.model_hint, codec.chunk_frames
    )
    return assemble(header, [chunk] * count)


def measure(data: bytes) -> Cost:
    """Decode in a process of its own, after a small file of the same kind."""
    with tempfile.NamedTemporaryFile(suffix=".vqc") as file:
        file.write(data)
        file.flush()
        command = [sys.executable, "-P", __file__, file.name]
        paths = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        result = subprocess.run(command, env=paths, capture_output=True, text=True, check=True, timeout=600)
    seconds, memory = result.stdout.split()
    return Cost(len(data), float(seconds), int(memory))


def _child(path: str) -> None:
    data = Path(path).read_bytes()
    small = flat_picture(100) if isinstance(read_header(data).header, ImageHeader) else None
    vqcodec.decompress(long_silence(100) if small is None else small)
    before, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    vqcodec.decompress(data)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    print(time.process_time() - before, grown * 1024)


@click.command()
@click.option("--size", default=10_000, show_default=True, help="Bytes of the files.")
def main(size: int) -> None:
    """Measure the dearest files of a size."""
    made = {
        "flat gray picture": flat_picture(size),
        "silence at 24 kHz": long_silence(size),
        "silence at 50 Hz": long_silence(size, 50),
        "silence at 1,048,575 Hz": long_silence(size, 1_048_575),
        "silence in eight channels": long_silence(size, 24_000, 8),
    }
    for name, data in made.items():
        try:
            cost = measure(data)
        except subprocess.CalledProcessError as error:
            click.echo(f"{name}: refused ({error.stderr.strip().splitlines()[-1]})")
            continue
        click.echo(f"{name}: {cost.size:,} bytes, {cost.seconds:.1f} s, {cost.memory / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main() if sys.argv[1:2] in ([], ["--size"]) else _child(sys.argv[1])
