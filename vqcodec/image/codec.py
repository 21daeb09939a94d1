"""The image codec: pixels to chunks of codes and back. Joins transform, quantiser, prior and entropy coder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.bitstream.arrays import F32, I32, Samples
from vqcodec.bitstream.checks import check_written
from vqcodec.errors import ChecksumError, CorruptError
from vqcodec.image.bands import from_bands
from vqcodec.image.codes import CodeModel, CodeWriter, decode_codes, hash_codes, zero_code
from vqcodec.image.config import ImageConfig
from vqcodec.image.context import grid
from vqcodec.image.damage import whole_stages
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.model import ImageModel, model_id
from vqcodec.image.search import Search
from vqcodec.image.synthesis import BLOCK, Filter, windows
from vqcodec.image.tiles import Tile, check_tiles, decode_tiles, scaled, tiles_of
from vqcodec.image.units import low_steps, step_sizes, to_planes, to_units
from vqcodec.options import EFFORT
from vqcodec.prior.integer import planes_first, product
from vqcodec.prior.rate import bit_costs
from vqcodec.threads import Threaded

__all__ = ["ImageCodec"]


class CodeScale(CodeWriter):
    """Instead of writing symbols, adds up what they would take.

    Attributes:
        bits: so far.
    """

    def __init__(self, model: CodeModel, costs: Sequence[F32]) -> None:
        super().__init__(model)
        self._costs = costs
        self.bits = 0.0

    def write(self, index: int, rows: I32, symbols: I32) -> None:
        """One phase of a slice (-1: of the low band)."""
        cost = self._costs[index]
        self.bits += float(cost.reshape(-1).take(rows.astype(np.intp) * cost.shape[1] + symbols).sum(dtype=np.float64))


class ImageCodec(Threaded):
    """One model. Safe for concurrent encode and decode.

    Args:
        threads: at most so many, the calling one included; None for as many as there are processors.

    Attributes:
        model_id: first 4 bytes of the SHA-256 of the canonical weights.
        model_hint: number of the model in the registry.
    """

    def __init__(self, model: ImageModel, hint: int, threads: int | None = None) -> None:
        super().__init__(threads)
        self.model = model
        self.model_id = model_id(model)
        self.model_hint = hint
        self._searches: dict[tuple[str, int], Search] = {}  # by what they serve, made when first needed

    @property
    def cell(self) -> int:
        """Pixels per side of a cell of the coarsest level."""
        return 1 << self.model.config.levels

    def _search(self, tune: str, effort: int) -> Search:
        key = tune, effort
        if key not in self._searches:
            self._searches[key] = self._new_search(even=tune == "psnr", effort=effort)
        return self._searches[key]

    def _new_search(self, *, even: bool, effort: int) -> Search:
        return Search(self.model, even=even, effort=effort)

    def encode(
        self,
        pixels: Samples,
        step: int,
        *,
        tune: str = "visual",
        effort: int = EFFORT,
        progress: Callable[[float], object] | None = None,
        codes: list[I32] | None = None,
    ) -> list[Chunk]:
        """Code a picture.

        Args:
            pixels: [H, W, 3], or [H, W, 1] for gray; of 16 bits only if the header will say so.
            step: step index, 0 (finest) to 255.
            tune: ``visual``, or ``psnr``: steps are even, and the header must say so.
            effort: how thoroughly codes are searched, 1 to 9.
            progress: told which share of the tiles is done.
            codes: takes what :meth:`decode_codes` would make of the result.

        Returns:
            One chunk per tile of 1024 x 1024 pixels, row by row.
        """
        chunks: dict[int, Chunk] = {}

        def take(i: int, found: list[I32], writer: CodeWriter | None) -> None:
            if codes is not None:
                self._place(codes, self._tiles_of(pixels)[i], found)
            assert writer is not None
            chunks[i] = Chunk(*writer.finish(), hash_codes(found, self.model.codes.low_size))

        if codes is not None:
            codes[:] = self._blank(*self._grid(pixels))
        search = self._search(tune, effort)
        self._search_tiles(pixels, step, search, progress, lambda: CodeWriter(self.model.codes), take)
        return [chunks[i] for i in range(len(chunks))]

    def search(
        self,
        pixels: Samples,
        step: int,
        *,
        tune: str = "visual",
        effort: int = EFFORT,
        progress: Callable[[float], object] | None = None,
    ) -> list[I32]:
        """Codes of a picture as :meth:`decode_codes` would give them; they are not written, which takes a third."""
        codes = self._blank(*self._grid(pixels))
        tiles = self._tiles_of(pixels)
        search = self._search(tune, effort)
        self._search_tiles(
            pixels, step, search, progress, lambda: None, lambda i, found, _: self._place(codes, tiles[i], found)
        )
        return codes

    def weigh(
        self,
        pixels: Samples,
        step: int,
        *,
        tune: str = "visual",
        effort: int = EFFORT,
        progress: Callable[[float], object] | None = None,
    ) -> float:
        """About how many bytes the payloads of :meth:`encode` come to, in two thirds of its time."""
        bits: list[float] = []

        def take(i: int, found: list[I32], writer: CodeWriter | None) -> None:
            assert isinstance(writer, CodeScale)
            bits.append(writer.bits)

        search = self._search(tune, effort)
        self._search_tiles(pixels, step, search, progress, lambda: CodeScale(self.model.codes, self._costs), take)
        return sum(bits) / 8

    @cached_property
    def _costs(self) -> list[F32]:
        """Bits of every symbol under every row, by slice; of the low band last, where -1 finds it."""
        return [bit_costs(tables) for tables in (*self.model.codes.tables, self.model.codes.low_tables)]

    def _search_tiles(
        self,
        pixels: Samples,
        step: int,
        search: Search,
        progress: Callable[[float], object] | None,
        writers: Callable[[], CodeWriter | None],
        take: Callable[[int, list[I32], CodeWriter | None], object],
    ) -> None:
        """Find the codes of every tile and hand them over with the number of the tile and what was told of them."""
        low, vectors = self._analyse(pixels, step)
        gray, tiles = pixels.shape[2] == 1, self._tiles_of(pixels)
        done: list[int] = []

        def code(i: int) -> None:
            writer = writers()
            views = [v[:, :, *self._slice_tile(j, tiles[i], wide=True)] for j, v in enumerate(vectors)]
            take(i, search(low[:, *tiles[i]], views, np.array([step]), gray=gray, writer=writer), writer)
            done.append(i)
            if progress is not None:
                progress(len(done) / len(tiles))

        self.workers.each(code, range(len(tiles)))

    def _grid(self, pixels: Samples) -> tuple[int, int]:
        """Rows and columns of cells."""
        return -(-pixels.shape[0] // self.cell), -(-pixels.shape[1] // self.cell)

    def _tiles_of(self, pixels: Samples) -> list[Tile]:
        return list(self._tiles(*self._grid(pixels)))

    def _analyse(self, pixels: Samples, step: int) -> tuple[I32, list[F32]]:
        """Rounded low band, and vectors of all slices in steps."""
        planes = to_planes(pixels[None], self.model.colour, self.cell)
        return to_units(self.model.config, planes, np.array([step]), self.workers)

    def _blank(self, height: int, width: int) -> list[I32]:
        """Codes of a picture of so many cells in which there is nothing."""
        out = [np.zeros((1, height, width, 3), np.int32)]
        for s in self.model.codes.slices:
            shape = grid(s, self.model.config.levels, height, width)
            out.append(np.full((1, *shape, s.groups), zero_code(s), np.int32))
        return out

    def _place(self, codes: list[I32], tile: Tile, part: list[I32]) -> None:
        """Put the codes of a tile where they belong."""
        rows, columns = tile
        codes[0][:, rows, columns] = part[0][:, : rows.stop - rows.start, : columns.stop - columns.start]
        for i, code in enumerate(part[1:]):
            codes[1 + i][:, *self._slice_tile(i, tile)] = code

    def _tiles(self, height: int, width: int) -> Iterator[Tile]:
        return tiles_of(height, width, self.cell)

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
    ) -> Samples:
        """Decode a picture: [H, W, 3], or [H, W, 1] for gray; uint16 where the header says deep, else uint8.

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
        codes = self.decode_codes(header, chunks, failed, progress)
        if failed and len(failed) + sum(chunk is None for chunk in chunks) == len(chunks):
            raise ChecksumError("nothing of the pixels can be recovered", "chunk 0")
        return self.synthesise(header, codes, faithful=faithful)

    def decode_codes(
        self,
        header: ImageHeader,
        chunks: Sequence[Chunk | None],
        failed: list[int] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> list[I32]:
        """Codes of the whole picture: the low band's values, then every slice; errors as for :meth:`decode`."""
        check_tiles(header)
        height, width = -(-header.height // self.cell), -(-header.width // self.cell)
        out = self._blank(height, width)
        tiles = list(self._tiles(height, width))
        broken = decode_tiles(
            chunks,
            lambda i, chunk: self._decode_tile(header, chunk, tiles[i], i),
            lambda i, codes: self._place(out, tiles[i], codes),
            self.workers,
            failed,
            progress,
        )
        missing = [tiles[i] for i in broken]
        if missing and len(missing) < len(tiles):
            known = np.ones((height, width), bool)
            for tile in missing:
                known[tile] = False
            mean = np.round(out[0][0][known].mean(0)).astype(np.int32)
            for tile in missing:
                out[0][:, *tile] = mean
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
        if stages is None:
            check_written(hash_codes(codes, codes_model.low_size), chunk.code_hash, "codes", place)
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
                out[k][..., *scaled(tile, 1 << k)] = part
            factor[scaled(tile, blocks)] = known.activity(BLOCK.bit_length() - 1)[0]

        self.workers.each(dequantise, self._tiles(height, width))
        return out, factor

    def synthesise(
        self,
        header: ImageHeader,
        codes: list[I32],
        *,
        faithful: bool = False,
        filtered: bool = True,
        places: Sequence[Tile] | None = None,
    ) -> Samples:
        """Picture of codes; see :meth:`decode`. The codes are gone after it: they are as large as the picture.

        Args:
            filtered: False leaves out the filter, which takes most of the time and adds little to the PSNR.
            places: rows and columns, multiples of a block of the filter, that alone are made; None for all.
        """
        paint = self._painter(header, codes, self._restoring(faithful) if filtered else {})
        colours = 1 if header.gray else 3
        pixels: Samples = np.zeros((header.height, header.width, colours), np.uint16 if header.deep else np.uint8)
        top = np.iinfo(pixels.dtype).max

        def finish(place: Tile) -> None:
            samples = paint(place)
            samples += 128
            if header.deep:
                samples *= 257
            np.rint(samples, out=samples)
            np.clip(samples, 0, top, out=samples)
            pixels[place] = samples.transpose(1, 2, 0)

        self.workers.each(finish, windows(header.height, header.width) if places is None else places)
        return pixels

    def _painter(self, header: ImageHeader, codes: list[I32], tensors: Mapping[str, F32]) -> Callable[[Tile], F32]:
        """Makes samples [C, h, w] around 0, of 8 bits, of any rows and columns; takes the codes with it.

        Args:
            tensors: of the filter; none: without it.
        """
        # everything is in units of the step until the samples are made: so the filter wants it
        config, steps = self._config(even=header.even), np.array([header.step])
        unit = step_sizes(steps)[0]
        low = planes_first(codes[0]).astype(np.float32) * (low_steps(config, steps) / unit)
        details, factor = self._details(codes, header.step, config)
        codes.clear()
        planes = from_bands([low, *details], self.workers)[:, 0]
        back = self._back(header) * unit
        work = Filter(tensors, header.step, even=header.even) if tensors else None

        def paint(place: Tile) -> F32:
            part = planes[:, *place] if work is None else work.window(planes, factor, *place)
            return product(back, part.reshape(3, -1)).reshape(len(back), *part.shape[1:])

        return paint

    def _back(self, header: ImageHeader) -> F32:
        """From planes to colours, [C, 3]."""
        colour = self.model.colour
        # gray: the mean of luma alone; else the rotation is its own inverse's transpose
        return np.array([[1 / colour[0].sum(), 0, 0]], np.float32) if header.gray else colour.T

    def _config(self, *, even: bool) -> ImageConfig:
        return self.model.config.evened() if even else self.model.config

    def _restoring(self, faithful: bool) -> Mapping[str, F32]:
        """Tensors of the filter; none where the model has none."""
        return self.model.restore | (self.model.faithful if faithful else {})
