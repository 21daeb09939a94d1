"""The tokens codec: pixels to chunks of codes and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.bitstream.arrays import F32, I32, U8
from vqcodec.bitstream.checks import check_written
from vqcodec.errors import ChecksumError, CorruptError, UsageError
from vqcodec.image.damage import whole_stages
from vqcodec.image.tiles import Tile, check_tiles, decode_tiles, scaled, tiles_of
from vqcodec.image.tokens.codes import SCALES, Codes, TileWriter, Walk, decode_tile, hash_codes, likeliest, no_codes
from vqcodec.image.tokens.config import LEVELS, TOP
from vqcodec.image.tokens.masking import TOP_SHARE
from vqcodec.image.tokens.model import TokensModel, model_id
from vqcodec.image.tokens.network import CELL, Networks
from vqcodec.image.tokens.prior import Step
from vqcodec.image.tokens.vectors import bit_weight, choose_codes, expanded, rows_of, shrunk
from vqcodec.threads import Threaded

__all__ = ["Memory", "TokensCodec"]

# Of films: share that a mean keeps in a frame without change, and by how much of the usual squared distance another
# code must be better before it replaces the one of the frame before.
_KEPT, _INERTIA = 0.8, 0.5
_NO_WEIGHTS = np.ones((1, 1), np.int32)


class Memory:
    """What the frames of a film before this one were: so that the top's codes do not flicker.

    Attributes:
        codes: of the top of the frame before, [1, H / 16, W / 16].
        filled: codes of the surroundings of a hole that was filled in the frame before (see :mod:`use`).
    """

    def __init__(self) -> None:
        self.codes: I32 | None = None
        self.filled: Codes | None = None
        self._mean: F32 | None = None

    def smoothed(self, vectors: F32, words: F32, error: float) -> F32:
        """Vectors of the top [h, w, d] averaged over time where they hardly change, which keep to the code they had.

        Args:
            words: codewords [K, d].
            error: their usual squared distance: a vector that moved by less is taken for noise.
        """
        if self._mean is None or self._mean.shape != vectors.shape or self.codes is None:
            self._mean = vectors
            return vectors
        change = np.square(vectors - self._mean).sum(2, keepdims=True)
        self._mean = vectors + (self._mean - vectors) * (_KEPT * np.exp(-change / (2 * error)))
        before = words[self.codes[0]]
        distance = np.square(self._mean - before).sum(2, keepdims=True)
        nearest = words[choose_codes(self._mean.reshape(-1, words.shape[1]), words, _NO_WEIGHTS, 0.0)]
        best = np.square(self._mean - nearest.reshape(vectors.shape)).sum(2, keepdims=True)
        return np.where(distance < best + _INERTIA * error, before, self._mean)


class TokensCodec(Threaded):
    """One model. Safe for concurrent encode and decode.

    Args:
        threads: at most so many, the calling one included; None for as many as there are processors.

    Attributes:
        model_id: first 4 bytes of the SHA-256 of the canonical weights.
        model_hint: number of the model in the registry.
    """

    def __init__(self, model: TokensModel, hint: int, threads: int | None = None) -> None:
        super().__init__(threads)
        self.model = model
        self.model_id = model_id(model)
        self.model_hint = hint
        self.networks = Networks(model.config, model.network, model.colour)

    @cached_property
    def top_words(self) -> F32:
        """Codewords of the top as the networks see them, [K, d]."""
        return expanded(self.model.words[0], 0)

    def encode(
        self, pixels: U8, step: int, *, tune: str = "visual", progress: Callable[[float], object] | None = None
    ) -> list[Chunk]:
        """Code a picture.

        Args:
            pixels: [H, W, 3], or [H, W, 1] for gray.
            step: what a bit weighs, 0 (nothing) to 255; see :func:`bit_weight`.
            tune: ``visual``; there is no other for tokens.
            progress: told which share of the tiles is done.

        Returns:
            One chunk per tile of 1024 x 1024 pixels, row by row.

        Raises:
            UsageError: another tune.
        """
        if tune != "visual":
            raise UsageError(f"tune {tune!r} is for the model of transforms; leave it out with model 'tokens'")
        return self._write(pixels, step, progress)

    def codes_of(self, pixels: U8, step: int = 0, memory: Memory | None = None) -> Codes:
        """Codes of a picture [1, H / 16, W / 16] and twice [1, H / 8, W / 8], sides rounded up to whole cells of 64.

        Args:
            step: what a bit weighs; see :func:`bit_weight`.
            memory: of the frames before, if the picture is one of a film.
        """
        height, width = (-(-side // CELL) for side in pixels.shape[:2])
        walks = self._walks(pixels, step, None, memory=memory)
        codes = no_codes(1, height, width)
        for walk, tile in zip(walks, self.tiles(height, width), strict=True):
            _place(codes, walk.codes, tile)
        return codes

    def _write(self, pixels: U8, step: int, progress: Callable[[float], object] | None) -> list[Chunk]:
        height, width = (-(-side // CELL) for side in pixels.shape[:2])
        writers = [TileWriter() for _ in self.tiles(height, width)]
        walks = self._walks(pixels, step, writers, progress)
        return [Chunk(*writer.finish(), hash_codes(walk.codes)) for writer, walk in zip(writers, walks, strict=True)]

    def _walks(
        self,
        pixels: U8,
        step: int,
        writers: Sequence[TileWriter] | None,
        progress: Callable[[float], object] | None = None,
        memory: Memory | None = None,
    ) -> list[Walk]:
        """Every tile's codes, chosen by distance and bits; the others' when all of the top is known."""
        model = self.model
        top, bottom, fine_rate = self.networks.analyse(pixels, self.workers)
        fine_rate *= bit_weight(step)
        # the top's cells hold four of the bottom's
        coarse_rate = TOP_SHARE * fine_rate.reshape(top.shape[1], 2, top.shape[2], 2).mean((1, 3))
        height, width = top.shape[1] * TOP // CELL, top.shape[2] * TOP // CELL
        tiles = list(self.tiles(height, width))
        walks = [Walk(model.codes, step, 1, t[0].stop - t[0].start, t[1].stop - t[1].start) for t in tiles]
        done: list[int] = []

        def find(level: int, x: F32, i: int) -> None:
            rate = (coarse_rate if level == 0 else fine_rate)[scaled(tiles[i], SCALES[level])][None]
            rate = rate * model.error[min(level, 1)]

            def choose(batch: Step, weights: I32) -> I32:
                part = np.ascontiguousarray(batch.of(x)).reshape(len(weights), -1)
                symbols = choose_codes(part, model.words[level], weights, batch.of(rate).ravel())
                if writers is not None:
                    writers[i].write(batch, weights, symbols)
                return symbols

            walks[i].level(level, choose)
            done.append(i)
            if progress is not None:
                progress(len(done) / (len(LEVELS) * len(tiles)))

        coarse = shrunk(rows_of(top), 0)
        if memory is not None:
            coarse = memory.smoothed(coarse, model.words[0], float(model.error[0]))
        self.workers.each(lambda i: find(0, coarse[scaled(tiles[i], 4)][None], i), range(len(tiles)))
        known = self._join([walk.codes[0] for walk in walks], tiles, 4, height, width)
        if memory is not None:
            memory.codes = known
        bottom -= self.networks.expected(self.top_words[known[0]].transpose(2, 0, 1))
        fine = shrunk(rows_of(bottom), 1)

        def find_fine(i: int) -> None:
            x = fine[scaled(tiles[i], 8)][None]
            find(1, x, i)
            find(2, x - model.words[1][walks[i].codes[1]], i)

        self.workers.each(find_fine, range(len(tiles)))
        return walks

    @staticmethod
    def _join(parts: Sequence[I32], tiles: Sequence[Tile], scale: int, height: int, width: int) -> I32:
        out = np.zeros((1, height * scale, width * scale), np.int32)
        for part, tile in zip(parts, tiles, strict=True):
            out[:, *scaled(tile, scale)] = part
        return out

    @staticmethod
    def tiles(height: int, width: int) -> Iterator[Tile]:
        """Tiles of a picture of so many cells, row by row."""
        return tiles_of(height, width, CELL)

    def decode(
        self,
        header: ImageHeader,
        chunks: Sequence[Chunk | None],
        failed: list[int] | None = None,
        *,
        faithful: bool = False,
        progress: Callable[[float], object] | None = None,
    ) -> U8:
        """Decode a picture: uint8 [H, W, 3], or [H, W, 1] for gray.

        A chunk that is None is concealed with the mean colour of the others; of one that is not complete, what
        is missing of the levels is what is likeliest.

        Args:
            failed: takes the numbers of chunks that do not decode, which are concealed too then; None: they are errors.
            faithful: refused; these codes decode to one picture only.
            progress: told which share of the tiles is done.

        Raises:
            CorruptError: a chunk's bytes are no stream of codes.
            ChecksumError: the codes are not those that were written.
            UsageError: ``faithful`` is asked for.
        """
        if faithful:
            raise UsageError(
                "faithful is for pictures of the model of transforms, and this one is of tokens; leave it out"
            )
        codes = self.decode_codes(header, chunks, failed, progress)
        if failed and len(failed) + sum(chunk is None for chunk in chunks) == len(chunks):
            raise ChecksumError("nothing of the pixels can be recovered", "chunk 0")
        pixels = self.paint(codes, header.height, header.width)
        return _gray(pixels) if header.gray else pixels

    def paint(self, codes: Codes, height: int, width: int) -> U8:
        """Pixels [height, width, 3] of codes as of :meth:`codes_of`."""
        words = self.model.words
        top = self.top_words[codes[0][0]].transpose(2, 0, 1)
        fine = expanded(words[1][codes[1][0]] + words[2][codes[2][0]], 1)
        bottom = fine.transpose(2, 0, 1) + self.networks.expected(top)
        return self.networks.synthesise(top, bottom, height, width, self.workers)

    def decode_codes(
        self,
        header: ImageHeader,
        chunks: Sequence[Chunk | None],
        failed: list[int] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> Codes:
        """Codes of the whole picture as of :meth:`codes_of`; errors as for :meth:`decode`."""
        check_tiles(header)
        if header.even or header.deep or header.layers:
            raise CorruptError("even steps, 16 bits or layers on a picture of tokens, which has none", "header.flags")
        height, width = -(-header.height // CELL), -(-header.width // CELL)
        codes = no_codes(1, height, width)
        tiles = list(self.tiles(height, width))
        broken = decode_tiles(
            chunks,
            lambda i, chunk: self._decode_tile(header, chunk, tiles[i], i),
            lambda i, found: _place(codes, found, tiles[i]),
            self.workers,
            failed,
            progress,
        )
        if broken and len(broken) < len(tiles):
            self._conceal(codes, header.step, [tiles[i] for i in broken], height, width)
        return codes

    def _decode_tile(self, header: ImageHeader, chunk: Chunk, tile: Tile, index: int) -> Codes:
        height, width = tile[0].stop - tile[0].start, tile[1].stop - tile[1].start
        stages, place = whole_stages(chunk), f"chunk {index}"
        try:
            codes = decode_tile(self.model.codes, header.step, chunk.payload, height, width, stages=stages)
        except CorruptError as e:
            raise CorruptError(str(e), place) from e
        if stages is None:
            check_written(hash_codes(codes), chunk.code_hash, "codes", place)
        return codes

    def _conceal(self, codes: Codes, step: int, missing: Sequence[Tile], height: int, width: int) -> None:
        """The mean of the known top in place of what is missing, and of the other levels what is likeliest then."""
        known = np.ones((1, 4 * height, 4 * width), bool)
        for tile in missing:
            known[:, *scaled(tile, 4)] = False
        mean = self.model.words[0][codes[0][known]].mean(0, keepdims=True)
        code = choose_codes(mean, self.model.words[0], _NO_WEIGHTS, 0.0)[0]
        for tile in missing:
            walk = Walk(self.model.codes, step, 1, tile[0].stop - tile[0].start, tile[1].stop - tile[1].start)
            walk.codes[0][...] = code
            for level in range(1, len(LEVELS)):
                walk.level(level, likeliest)
            _place(codes, walk.codes, tile)


def _place(codes: Codes, found: Codes, tile: Tile) -> None:
    """Put a tile's codes where they belong in those of the picture."""
    for whole, part, scale in zip(codes, found, SCALES, strict=True):
        whole[:, *scaled(tile, scale)] = part


def _gray(pixels: U8) -> U8:
    """Mean of the three colours, [H, W, 1]."""
    gray: U8 = np.rint(pixels.mean(2, keepdims=True, dtype=np.float32)).astype(np.uint8)
    return gray
