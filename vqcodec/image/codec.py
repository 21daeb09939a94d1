"""The image codec: pixels to chunks of codes and back. Joins transform, quantiser, prior and entropy coder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.bitstream.arrays import F32, I32, U8
from vqcodec.errors import ChecksumError, CorruptError, DecodeError
from vqcodec.image.bands import from_bands
from vqcodec.image.codes import CodeWriter, decode_codes, grid, hash_codes, zero_code
from vqcodec.image.config import ImageConfig
from vqcodec.image.damage import whole_stages
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.model import ImageModel, model_id
from vqcodec.image.search import Search
from vqcodec.image.synthesis import BLOCK, Filter, windows
from vqcodec.image.units import low_steps, step_sizes, to_planes, to_units
from vqcodec.prior.integer import planes_first, product
from vqcodec.threads import Workers

__all__ = ["ImageCodec"]

Tile = tuple[slice, slice]  # rows and columns, in cells of the coarsest level

TILE_LOG2 = 10


class ImageCodec:
    """One model. Safe for concurrent encode and decode.

    Args:
        threads: at most so many, the calling one included; None for as many as there are processors.

    Attributes:
        model_id: first 4 bytes of the SHA-256 of the canonical weights.
        model_hint: number of the model in the registry.
    """

    def __init__(self, model: ImageModel, hint: int, threads: int | None = None) -> None:
        self.threads = threads
        self.model = model
        self.model_id = model_id(model)
        self.model_hint = hint

    @property
    def threads(self) -> int | None:
        """Threads that a call may use, the calling one included; None: as many as there are processors."""
        return self._threads

    @threads.setter
    def threads(self, count: int | None) -> None:
        self._threads, self._workers = count, Workers(count)

    @property
    def cell(self) -> int:
        """Pixels per side of a cell of the coarsest level."""
        return 1 << self.model.config.levels

    @cached_property
    def _searches(self) -> dict[str, Search]:
        """By what they serve, made when first needed."""
        return {}

    def _search(self, tune: str) -> Search:
        if tune not in self._searches:
            self._searches[tune] = Search(self.model, even=tune == "psnr")
        return self._searches[tune]

    def encode(
        self, pixels: U8, step: int, *, tune: str = "visual", progress: Callable[[float], object] | None = None
    ) -> list[Chunk]:
        """Code a picture.

        Args:
            pixels: [H, W, 3], or [H, W, 1] for gray.
            step: step index, 0 (finest) to 255.
            tune: ``visual``, or ``psnr``: steps are even, and the header must say so.
            progress: told which share of the tiles is done.

        Returns:
            One chunk per tile of 1024 x 1024 pixels, row by row.
        """
        gray = pixels.shape[2] == 1
        low, vectors = self._analyse(pixels, step)
        search = self._search(tune)
        tiles = list(self._tiles(low.shape[1], low.shape[2]))
        chunks: dict[int, Chunk] = {}

        def encode(i: int) -> None:
            chunks[i] = self._encode_tile(search, low, vectors, tiles[i], step, gray=gray)
            if progress is not None:
                progress(len(chunks) / len(tiles))

        self._workers.each(encode, range(len(tiles)))
        return [chunks[i] for i in range(len(tiles))]

    def _analyse(self, pixels: U8, step: int) -> tuple[I32, list[F32]]:
        """Rounded low band, and vectors of all slices in steps."""
        planes = to_planes(pixels[None], self.model.colour, self.cell)
        return to_units(self.model.config, planes, np.array([step]), self._workers)

    def _encode_tile(
        self, search: Search, low: I32, vectors: Sequence[F32], tile: Tile, step: int, *, gray: bool
    ) -> Chunk:
        codes_model = self.model.codes
        views = [v[:, :, *self._slice_tile(i, tile, wide=True)] for i, v in enumerate(vectors)]
        writer = CodeWriter(codes_model)
        codes = search(low[:, *tile], views, np.array([step]), gray=gray, writer=writer)
        payload, ends = writer.finish()
        return Chunk(payload, ends, hash_codes(codes, codes_model.low_size))

    def _tiles(self, height: int, width: int) -> Iterator[Tile]:
        side = 2**TILE_LOG2 // self.cell
        for y in range(0, height, side):
            for x in range(0, width, side):
                yield slice(y, min(y + side, height)), slice(x, min(x + side, width))

    def _slice_tile(self, index: int, tile: Tile, *, wide: bool = False) -> Tile:
        """A tile on the grid of a slice, or of its coefficients (``wide``)."""
        config = self.model.config
        s = config.slices[index]
        scale = 2 ** (config.levels - s.level)
        d = 1 if wide else s.d
        rows, columns = tile
        return slice(rows.start * scale, rows.stop * scale), slice(
            columns.start * scale // d, columns.stop * scale // d
        )

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

        A chunk that is None is concealed with the mean colour of the others; one that is not complete gives the stages
        it still holds.

        Args:
            failed: takes the numbers of chunks that do not decode, which are concealed too then; None: they are errors.
            faithful: the picture of the least squared error, where by default it is the one that looks best.
            progress: told which share of the tiles is done.

        Raises:
            CorruptError: a chunk's bytes are no stream of codes.
            ChecksumError: the codes are not those that were written.
        """
        return self._synthesise(header, self.decode_codes(header, chunks, failed, progress), faithful)

    def decode_codes(
        self,
        header: ImageHeader,
        chunks: Sequence[Chunk | None],
        failed: list[int] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> list[I32]:
        """Codes of the whole picture: the low band's values, then every slice; errors as for :meth:`decode`."""
        codes_model, config = self.model.codes, self.model.config
        if header.tile_log2 != TILE_LOG2:
            raise CorruptError(
                f"tiles of 2^{header.tile_log2} pixels, this model has 2^{TILE_LOG2}", "header.tile_log2"
            )
        height, width = -(-header.height // self.cell), -(-header.width // self.cell)
        low = np.zeros((1, height, width, 3), np.int32)
        out = [low]
        for s in codes_model.slices:
            shape = grid(s, config.levels, height, width)
            out.append(np.full((1, *shape, s.groups), zero_code(s), np.int32))
        tiles = list(self._tiles(height, width))
        broken: list[int] = []
        done: list[int] = []

        def decode(i: int) -> None:
            chunk, tile = chunks[i], tiles[i]
            done.append(i)
            if progress is not None:
                progress(len(done) / len(tiles))
            try:
                codes = None if chunk is None else self._decode_tile(header, chunk, tile, i)
            except DecodeError:
                if failed is None:
                    raise
                failed.append(i)
                codes = None
            if codes is None:
                broken.append(i)
                return
            rows, columns = tile
            low[:, rows, columns] = codes[0][:, : rows.stop - rows.start, : columns.stop - columns.start]
            for j, code in enumerate(codes[1:]):
                out[1 + j][:, *self._slice_tile(j, tile)] = code

        self._workers.each(decode, range(len(tiles)))
        missing = [tiles[i] for i in broken]
        if missing and len(missing) < len(tiles):
            known = np.ones((height, width), bool)
            for tile in missing:
                known[tile] = False
            mean = np.round(low[0][known].mean(0)).astype(np.int32)
            for tile in missing:
                low[:, *tile] = mean
        return out

    def _decode_tile(self, header: ImageHeader, chunk: Chunk, tile: Tile, index: int) -> list[I32]:
        codes_model = self.model.codes
        height, width = tile[0].stop - tile[0].start, tile[1].stop - tile[1].start
        stages = whole_stages(chunk)
        place = f"chunk {index}"
        try:
            codes = decode_codes(
                codes_model, header.step, chunk.payload, height, width, gray=header.gray, stages=stages
            )  # fmt: skip
        except CorruptError as e:
            raise CorruptError(str(e), place) from e
        if stages is None and hash_codes(codes, codes_model.low_size) != chunk.code_hash:
            raise ChecksumError(
                "the decoded codes are not those that were written; the file was made by other software or is damaged",
                place,
            )
        return codes

    def _details(self, codes: Sequence[I32], step: int, config: ImageConfig) -> tuple[list[F32], F32]:
        """Details of every level in units of the step, and the factor of the activity by block of the filter.

        Tile by tile, as the encoder had them.
        """
        height, width = codes[0].shape[1:3]
        out = [np.empty((3, 3, 1, height << k, width << k), np.float32) for k in range(config.levels)]
        blocks = self.cell // BLOCK
        factor = np.empty((height * blocks, width * blocks), np.float32)

        def dequantise(tile: Tile) -> None:
            low = codes[0][:, *tile]
            known = Dequantiser(config, self.model.codebooks, self.model.trust, low, np.array([step]))
            for i, code in enumerate(codes[1:]):
                known.add(i, code[:, *self._slice_tile(i, tile)])
            for k, part in enumerate(known.details):
                out[k][..., *_scaled(tile, 1 << k)] = part
            factor[_scaled(tile, blocks)] = known.activity(BLOCK.bit_length() - 1)[0]

        self._workers.each(dequantise, self._tiles(height, width))
        return out, factor

    def _synthesise(self, header: ImageHeader, codes: list[I32], faithful: bool) -> U8:
        """Everything is in units of the step until the samples are made: so the filter wants it.

        The codes are gone after it: they are as large as the picture.
        """
        config, steps = self._config(even=header.even), np.array([header.step])
        unit = step_sizes(steps)[0]
        low = planes_first(codes[0]).astype(np.float32) * (low_steps(config, steps) / unit)
        details, factor = self._details(codes, header.step, config)
        codes.clear()
        planes = from_bands([low, *details], self._workers)[:, 0]
        del details
        colour, colours = self.model.colour, 1 if header.gray else 3
        # gray: the mean of luma alone; else the rotation is its own inverse's transpose
        back = np.array([[1 / colour[0].sum(), 0, 0]], np.float32) if header.gray else colour.T
        pixels = np.empty((header.height, header.width, colours), np.uint8)
        work = self._filter(header, faithful)

        def finish(place: Tile) -> None:
            rows, columns = place
            part = planes[:, rows, columns] if work is None else work.window(planes, factor, rows, columns)
            samples = product(back * unit, part.reshape(3, -1)).reshape(colours, *part.shape[1:])
            samples += 128
            np.rint(samples, out=samples)
            np.clip(samples, 0, 255, out=samples)
            pixels[place] = samples.transpose(1, 2, 0)

        self._workers.each(finish, windows(header.height, header.width))
        return pixels

    def _config(self, *, even: bool) -> ImageConfig:
        return self.model.config.evened() if even else self.model.config

    def _filter(self, header: ImageHeader, faithful: bool) -> Filter | None:
        tensors = self.model.restore | (self.model.faithful if faithful else {})
        return Filter(tensors, header.step, even=header.even) if tensors else None


def _scaled(tile: Tile, scale: int) -> Tile:
    """A tile on a grid that is so many times finer."""
    rows, columns = tile
    return slice(rows.start * scale, rows.stop * scale), slice(columns.start * scale, columns.stop * scale)
