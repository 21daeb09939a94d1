"""A codec with the interface of the real one for sound, and nothing learned: 16-bit samples, deflated.

The step drops low bits, so that files get smaller as it rises.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from vqcodec.bitstream import AudioHeader, Chunk
from vqcodec.errors import ChecksumError


class FakeAudioCodec:
    core_rate = 24_000
    hop = 480
    chunk_frames = 200
    reach = 0
    model_id = b"fake"
    model_hint = 77

    def __init__(self) -> None:
        self.decoded: list[int] = []
        self.encodes = 0

    def encode(self, blocks: Iterable[np.ndarray], step: int, *, check: bool = True) -> Iterator[Chunk]:
        self.encodes += 1
        length = self.chunk_frames * self.hop
        waiting, total, made = [], 0, 0
        for block in blocks:
            assert block.dtype == np.float32
            assert block.ndim == 2
            waiting.append(block)
            total += len(block)
            while sum(map(len, waiting)) >= length:
                joined = np.concatenate(waiting)
                waiting = [joined[length:]]
                made += 1
                yield self._chunk(joined[:length], step)
        frames = -(-total // self.hop) + 1
        if made < -(-frames // self.chunk_frames):
            yield self._chunk(np.concatenate(waiting), step)

    def _chunk(self, samples: np.ndarray, step: int) -> Chunk:
        unit = 2.0 ** (step / 16)
        codes = np.rint(np.clip(samples * 32_768, -32_768, 32_767) / unit).astype("<i2").tobytes()
        return Chunk(zlib.compress(codes, 1) + b"\1", (), zlib.crc32(codes) & 0xFFFF)

    def decode(
        self,
        header: AudioHeader,
        chunks: Sequence[Chunk | None],
        *,
        first: int = 0,
        last: int | None = None,
        conceal: Callable[[int], None] | None = None,
    ) -> Iterator[np.ndarray]:
        core = -(-header.samples * self.core_rate // header.sample_rate)
        length = self.chunk_frames * self.hop
        for i in range(first, len(chunks) if last is None else min(last, len(chunks))):
            self.decoded.append(i)
            chunk = chunks[i]
            if chunk is None or not chunk.complete:
                yield np.zeros((min(length, core - i * length), header.channels), np.float32)
                continue
            codes = np.frombuffer(self._codes(i, chunk), "<i2").reshape(-1, header.channels)
            yield (codes * np.float32(2.0 ** (header.step / 16) / 32_768)).astype(np.float32)

    def _codes(self, i: int, chunk: Chunk) -> bytes:
        codes = zlib.decompress(chunk.payload[:-1])
        if zlib.crc32(codes) & 0xFFFF != chunk.code_hash:
            raise ChecksumError("codes differ", f"chunk {i}")
        return codes

    def decode_codes(self, header: AudioHeader, chunks: Sequence[Chunk | None]) -> Iterator[object]:
        for i, chunk in enumerate(chunks):
            yield self._codes(i, chunk)
