"""The dearest files of a given size that decode at all, and what they cost: SPEC.md, Cost, states the figures.

cd tests && python -m abuse.cost --size 10000
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from abuse.craft import assemble, likeliest, made_stretch

import vqcodec
from vqcodec import registry
from vqcodec.bitstream import NO_MODEL, AudioHeader, Chunk, ImageHeader, Limits, read_header, sample_hash
from vqcodec.bitstream.metadata import FILLER

__all__ = ["Cost", "flat_exact", "flat_picture", "flat_tokens", "long_hush", "long_silence", "measure", "wrong_sound"]

_COARSEST = 255
CONCEAL = "--conceal"


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
    return _filled(header, [chunk] * count, size)


def flat_tokens(size: int) -> bytes:
    """As many megapixels of tokens as a file of so many bytes may hold, of a flat picture at the lowest quality."""
    codec = registry.load_tokens_codec()
    chunk = codec.encode(np.full((1024, 1024, 3), 128, np.uint8), _COARSEST)[0]
    count = max(min(Limits().pixels_of(size) // 1024**2, size // (len(chunk.payload) + 8)), 1)
    header = ImageHeader(1024 * count, 1024, _COARSEST, False, False, codec.model_id, codec.model_hint)
    return _filled(header, [chunk] * count, size)


def flat_exact(size: int) -> bytes:
    """As many flat megapixels of 16 bits without loss as a file of so many bytes may hold."""
    side = int(min(Limits().pixels_of(size, lossless=True), Limits().pixels) ** 0.5)
    header = ImageHeader(side, side, 0, False, True, NO_MODEL, 0, 12, lossless=True, deep=True)
    tile = np.full((1, 1, 4), 9, np.uint16)
    count = header.parts
    chunks = []
    for index in range(count):
        height, width = header.tile_size(index)
        chunks.append(Chunk(tile.tobytes() + b"\1", (), sample_hash(np.broadcast_to(tile, (height, width, 4)))))
    data = assemble(header, chunks)
    return assemble(header, chunks, [(FILLER, bytes(max(size - len(data), 1)))])


def long_silence(size: int, sample_rate: int) -> bytes:
    """As many seconds of silence as so many bytes may ask for: its chunks are empty."""
    codec = registry.load_audio_codec()
    length = codec.chunk_frames * codec.hop
    count = min(Limits().silence_of(size) * codec.core_rate // (length * sample_rate), size - 60)
    samples = (count * length - codec.hop) * sample_rate // codec.core_rate
    header = AudioHeader(sample_rate, 1, samples, _COARSEST, codec.model_id, codec.model_hint, codec.chunk_frames)
    return _filled(header, [Chunk(b"", (), 0)] * count, size)


def long_hush(size: int, sample_rate: int = 48_000, channels: int = 1) -> bytes:
    """As many seconds as so many bytes hold of the codes that cost least."""
    codec = registry.load_audio_codec()
    length = codec.chunk_frames * codec.hop
    one = AudioHeader(
        codec.core_rate, channels, length, _COARSEST, codec.model_id, codec.model_hint, codec.chunk_frames
    )
    chunk = made_stretch(one, likeliest, 1)
    count = max(min(size // (len(chunk.payload) + 8), _seconds(size - 40, sample_rate) // (4 * channels)), 1)
    samples = (count * length - codec.hop) * sample_rate // codec.core_rate  # so that the last chunk is whole
    header = AudioHeader(
        sample_rate, channels, samples, _COARSEST, codec.model_id, codec.model_hint, codec.chunk_frames
    )
    lacking = max(size - len(assemble(header, [chunk] * count)) - 9, 0)
    last = replace(chunk, payload=chunk.payload + b"\1" * lacking, stage_ends=())  # which nobody reads
    return assemble(header, [*[chunk] * (count - 1), last])


def wrong_sound(size: int, channels: int) -> bytes:
    """As many seconds as so many bytes may hold, of streams that are no codes: a concealing reader goes through all."""
    codec = registry.load_audio_codec()
    count = max(_seconds(size, codec.core_rate) // (4 * channels), 1)
    payload = np.random.default_rng(0).bytes(max((size - 40) // count - 8, 1)).rstrip(b"\0")
    samples = count * codec.chunk_frames * codec.hop - codec.hop
    header = AudioHeader(
        codec.core_rate, channels, samples, _COARSEST, codec.model_id, codec.model_hint, codec.chunk_frames
    )
    return _filled(header, [Chunk(payload, (), 0)] * count, size)


def _seconds(size: int, sample_rate: int) -> int:
    """Seconds of all channels together, beside silence, that a reader lets a file ask for (SPEC.md, Cost)."""
    return min(Limits().seconds_of(size), 20_480 * (size * 9 // 10) // sample_rate)  # a tenth is no payload


def _filled(header: ImageHeader | AudioHeader, chunks: Sequence[Chunk], size: int) -> bytes:
    """A file of this size, if it is not larger already."""
    lacking = size - len(assemble(header, chunks)) - 9
    return assemble(header, chunks, [(FILLER, bytes(lacking))] if lacking > 0 else [])


def measure(data: bytes, *, conceal: bool = False) -> Cost:
    """Decode in a process of its own, after a small file of the same kind."""
    with tempfile.NamedTemporaryFile(suffix=".vqc") as file:
        file.write(data)
        file.flush()
        command = [sys.executable, "-P", __file__, file.name, *[CONCEAL] * conceal]
        paths = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        result = subprocess.run(command, env=paths, capture_output=True, text=True, check=True, timeout=600)
    seconds, memory = result.stdout.split()
    return Cost(len(data), float(seconds), int(memory))


def _child(path: str) -> None:
    data = Path(path).read_bytes()
    small = flat_picture(100) if isinstance(read_header(data).header, ImageHeader) else None
    vqcodec.decompress(long_hush(100) if small is None else small)
    before, peak = time.process_time(), _most_memory()
    vqcodec.decompress(data, conceal=CONCEAL in sys.argv)
    print(time.process_time() - before, _most_memory() - peak)


def _most_memory() -> int:
    """Bytes at most so far; not by getrusage, which counts what the parent had before the program began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@click.command()
@click.option("--size", default=10_000, show_default=True, help="Bytes of the files.")
def main(size: int) -> None:
    """Measure the dearest files of a size."""
    made = {
        "flat gray picture": flat_picture(size),
        "flat picture of tokens": flat_tokens(size),
        "flat picture without loss": flat_exact(size),
        "silence at 48 kHz": long_silence(size, 48_000),
        "silence at 650,000 Hz": long_silence(size, 650_000),
        "near silence at 48 kHz": long_hush(size),
        "near silence at 50 Hz": long_hush(size, 50),
        "near silence at 650,000 Hz": long_hush(size, 650_000),
        "near silence in eight channels": long_hush(size, 48_000, 8),
        "no codes in eight channels": wrong_sound(size, 8),
    }
    for name, data in made.items():
        try:
            cost = measure(data, conceal="no codes" in name)
        except subprocess.CalledProcessError as error:
            click.echo(f"{name}: refused ({error.stderr.strip().splitlines()[-1]})")
            continue
        click.echo(f"{name}: {cost.size:,} bytes, {cost.seconds:.1f} s, {cost.memory / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main() if sys.argv[1:2] in ([], ["--size"]) else _child(sys.argv[1])
