"""The image codec: pixels to chunks of codes and back. Joins transform, quantiser, prior and entropy coder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.bitstream.arrays import I32, U8
from vqcodec.errors import ChecksumError, CorruptError, DecodeError, VqcError
from vqcodec.image.bands import from_bands, pad, to_bands
from vqcodec.image.codes import CodeWriter, decode_codes, grid, hash_codes, zero_code
from vqcodec.image.config import step_size
from vqcodec.image.damage import whole_stages
from vqcodec.image.dequantise import Dequantiser
from vqcodec.image.masking import masking_levels
from vqcodec.image.model import ImageModel, model_id
from vqcodec.image.search import rate_tables, search
from vqcodec.image.synthesis import Restore, restore
from vqcodec.image.units import bands_to_vectors, low_steps, slice_units

__all__ = ["ImageCodec"]

Tile = tuple[slice, slice]  # rows and columns, in cells of the coarsest level

TILE_LOG2 = 10


class ImageCodec:
    """One model on one device. Not thread-safe for training, safe for concurrent encode and decode.

    Attributes:
        model_id: first 4 bytes of the SHA-256 of the canonical weights.
        model_hint: number of the model in the registry.
        perceptual: whether the search weighs bits as image.masking says; otherwise it serves PSNR alone.
    """

    def __init__(self, model: ImageModel, hint: int, device: torch.device, *, perceptual: bool = True) -> None:
        self.model = model
        self.model_id = model_id(model)
        self.model_hint = hint
        self.device = device
        self.perceptual = perceptual
        self._colour = model.colour.to(device)
        self._restore: Restore | None = None
        if model.restore:
            self._restore = Restore(model.config.restore_width, model.config.restore_layers).to(device).eval()
            self._restore.load_state_dict(model.restore)

    @property
    def cell(self) -> int:
        """U8 per side of a cell of the coarsest level."""
        return 1 << self.model.config.levels

    @cached_property
    def _rates(self) -> list[Tensor]:
        """Rate terms of the search; decoding needs none."""
        return rate_tables(self.model.codes, perceptual=self.perceptual)

    @torch.inference_mode()
    def encode(self, pixels: U8, step: int) -> list[Chunk]:
        """Code a picture.

        Args:
            pixels: [H, W, 3], or [H, W, 1] for gray.
            step: step index, 0 (finest) to 255.

        Returns:
            One chunk per tile of 1024 x 1024 pixels, row by row, each verified by decoding its codes.
        """
        gray = pixels.shape[2] == 1
        low, vectors, masking = self._analyse(pixels, step)
        tiles = self._tiles(low.shape[1], low.shape[2])
        return [self._encode_tile(low, vectors, masking, tile, step, gray) for tile in tiles]

    def _analyse(self, pixels: U8, step: int) -> tuple[I32, list[Tensor], Tensor | None]:
        """Rounded low band, vectors of all slices in units, and the masking of every pixel."""
        config = self.model.config
        x = torch.from_numpy(pixels.copy()).to(self.device)[None]
        planes = pad(x, self.cell).float() - 128.0
        planes = (planes.expand(-1, -1, -1, 3) if planes.shape[3] == 1 else planes) @ self._colour.T
        masking = masking_levels(planes[..., 0]).cpu() if self.perceptual else None
        bands = to_bands(planes, config.levels)
        del planes
        steps = torch.tensor([step])
        low = (bands[0] / low_steps(config, steps).to(self.device)).round().to(torch.int32).cpu().numpy()
        units = [slice_units(config, i, steps).to(self.device) for i in range(len(config.slices))]
        vectors = [(v / u).cpu() for v, u in zip(bands_to_vectors(config, bands), units, strict=True)]
        return low, vectors, masking

    def _encode_tile(
        self, low: I32, vectors: Sequence[Tensor], masking: Tensor | None, tile: Tile, step: int, gray: bool
    ) -> Chunk:
        codes_model = self.model.codes
        part = low[:, tile[0], tile[1]]
        height, width = part.shape[1:3]
        views = [v[:, *self._slice_tile(i, tile)].numpy() for i, v in enumerate(vectors)]
        rows, columns = (slice(t.start * self.cell, t.stop * self.cell) for t in tile)
        writer = CodeWriter(codes_model)
        codes = search(
            self.model.config,
            codes_model,
            self._rates,
            self.model.codebooks,
            self.model.trust,
            part,
            views,
            np.array([step]),
            gray=gray,
            masking=None if masking is None else masking[:, rows, columns],
            writer=writer,
        )
        payload, ends = writer.finish()
        again = decode_codes(codes_model, step, payload, height, width, gray=gray)
        if not all(np.array_equal(a, b) for a, b in zip(codes, again, strict=True)):
            raise VqcError(
                "the codes just written do not decode to themselves; please report this as a bug with the picture"
            )
        return Chunk(payload, ends, hash_codes(codes, codes_model.low_size))

    def _tiles(self, height: int, width: int) -> Iterator[Tile]:
        side = 2**TILE_LOG2 // self.cell
        for y in range(0, height, side):
            for x in range(0, width, side):
                yield slice(y, min(y + side, height)), slice(x, min(x + side, width))

    def _slice_tile(self, index: int, tile: Tile) -> Tile:
        """A tile on the grid of a slice."""
        config = self.model.config
        s = config.slices[index]
        scale = 2 ** (config.levels - s.level)
        rows, columns = tile
        return slice(rows.start * scale, rows.stop * scale), slice(
            columns.start * scale // s.d, columns.stop * scale // s.d
        )

    @torch.inference_mode()
    def decode(self, header: ImageHeader, chunks: Sequence[Chunk | None], failed: list[int] | None = None) -> U8:
        """Decode a picture: uint8 [H, W, 3], or [H, W, 1] for gray.

        A chunk that is None is concealed with the mean colour of the others; one that is not complete gives the stages
        it still holds.

        Args:
            failed: takes the numbers of chunks that do not decode, which are concealed too then; None: they are errors.

        Raises:
            CorruptError: a chunk's bytes are no stream of codes.
            ChecksumError: the codes are not those that were written.
        """
        codes = self.decode_codes(header, chunks, failed)
        if failed and len(failed) + sum(chunk is None for chunk in chunks) == len(chunks):
            raise ChecksumError("nothing of the pixels can be recovered", "chunk 0")
        return self._synthesise(header, codes)

    def decode_codes(
        self, header: ImageHeader, chunks: Sequence[Chunk | None], failed: list[int] | None = None
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
        missing = []
        tiles = list(self._tiles(height, width))
        for i, (tile, chunk) in enumerate(zip(tiles, chunks, strict=True)):
            try:
                codes = None if chunk is None else self._decode_tile(header, chunk, tile, i)
            except DecodeError:
                if failed is None:
                    raise
                failed.append(i)
                codes = None
            if codes is None:
                missing.append(tile)
                continue
            rows, columns = tile
            low[:, rows, columns] = codes[0][:, : rows.stop - rows.start, : columns.stop - columns.start]
            for j, code in enumerate(codes[1:]):
                out[1 + j][:, *self._slice_tile(j, tile)] = code
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

    def _details(self, codes: Sequence[I32]) -> list[Tensor]:
        """Details of every level in units of the step; tile by tile, as the encoder predicted them."""
        config = self.model.config
        height, width = codes[0].shape[1:3]
        out = [torch.empty(1, height << k, width << k, 3, 3) for k in range(config.levels)]
        for tile in self._tiles(height, width):
            known = Dequantiser(config, self.model.codebooks, self.model.trust)
            for i, code in enumerate(codes[1:]):
                known.add(i, code[:, *self._slice_tile(i, tile)])
            for k, part in enumerate(known.details):
                out[k][:, tile[0].start << k : tile[0].stop << k, tile[1].start << k : tile[1].stop << k] = part
        return out

    def _synthesise(self, header: ImageHeader, codes: Sequence[I32]) -> U8:
        config = self.model.config
        steps = torch.tensor([header.step])
        low = (torch.from_numpy(codes[0]) * low_steps(config, steps)).to(self.device)
        details = [d.to(self.device) * step_size(header.step) for d in self._details(codes)]
        planes = from_bands([low, *details])
        del details
        if self._restore is not None:
            planes = restore(self._restore, planes, header.step)
        planes = planes[:, : header.height, : header.width]
        rgb = planes[..., :1] / self._colour[0].sum() + 128.0 if header.gray else planes @ self._colour + 128.0
        pixels: U8 = rgb[0].round_().clamp_(0, 255).to(torch.uint8).cpu().numpy()
        return pixels
