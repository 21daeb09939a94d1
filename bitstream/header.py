"""Signature and header: what a file is, in 21 bytes for a small image (SPEC.md, Header)."""

from __future__ import annotations

from dataclasses import dataclass

from vqcodec.bitstream.limits import Limits
from vqcodec.bitstream.varint import VARINT_MAX, read_varint, write_varint
from vqcodec.errors import CorruptError, NotVqcError, TruncatedError, UnsupportedVersionError

__all__ = [
    "AUDIO",
    "MAX_CHUNKS",
    "SECTIONS",
    "SIGNATURE",
    "TABLE_LAST",
    "VERSION",
    "AudioHeader",
    "Fields",
    "ImageHeader",
    "pack_header",
    "parse_header",
]

SIGNATURE = b"\x89VQC\r\n\x1a\n"
VERSION = (1, 0)
AUDIO, GRAY, ALPHA, SECTIONS, TABLE_LAST, EVEN = 1, 2, 4, 8, 16, 32
_KNOWN_FLAGS = 63
MAX_CHUNKS = 65_536
_MAX_SIDE = 2**31 - 1


@dataclass(frozen=True)
class ImageHeader:
    """Facts of an image.

    Attributes:
        width, height: pixels, 1 to 2^31-1.
        step: quantiser step index, 0 (finest) to 255.
        gray: one colour plane.
        alpha: the file holds an alpha plane.
        model_id: first four bytes of the model's SHA-256 identity.
        model_hint: index in the registry of models, 0 to 65535.
        tile_log2: log2 of the tile side in pixels, 6 to 12.
        even: steps are the same for all bands and places; values depend on it, codes do not.
    """

    width: int
    height: int
    step: int
    gray: bool
    alpha: bool
    model_id: bytes
    model_hint: int
    tile_log2: int = 10
    even: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Tile rows and columns."""
        return -(-self.height >> self.tile_log2), -(-self.width >> self.tile_log2)

    def tile_size(self, index: int) -> tuple[int, int]:
        """Height and width in pixels of a tile, row-major."""
        row, column = divmod(index, self.grid[1])
        side = 1 << self.tile_log2
        return min(side, self.height - row * side), min(side, self.width - column * side)


@dataclass(frozen=True)
class AudioHeader:
    """Facts of a sound.

    Attributes:
        sample_rate: Hz, 1 to 1048575.
        channels: 1 to 255.
        samples: per channel, 1 to 2^35-1.
        step: quantiser step index, 0 (finest) to 255.
        model_id, model_hint: as in ImageHeader.
        chunk_frames: code frames per chunk, 1 to 2^20.
    """

    sample_rate: int
    channels: int
    samples: int
    step: int
    model_id: bytes
    model_hint: int
    chunk_frames: int


@dataclass(frozen=True)
class Fields:
    """A header as parsed: ``end`` is the offset after it."""

    header: ImageHeader | AudioHeader
    version: tuple[int, int]
    flags: int
    chunks: int
    end: int

    def check_limits(self, limits: Limits, size: int) -> None:
        """Raise LimitError if the picture or sound, in a file of so many bytes, is over the limits; after the CRC."""
        h = self.header
        if isinstance(h, ImageHeader):
            limits.check_image(h.width, h.height, size)
        else:
            limits.check_audio(h.sample_rate, h.channels, h.samples, size)


def pack_header(header: ImageHeader | AudioHeader, chunks: int, flags: int) -> bytes:
    """Signature and header bytes; ``flags`` holds SECTIONS and TABLE_LAST only.

    Raises:
        ValueError: a field is outside its range.
    """
    if len(header.model_id) != 4 or not 0 <= header.step <= 255:
        raise ValueError("model_id must be 4 bytes and step 0..255")
    common = write_varint(_ranged("model_hint", header.model_hint, 0, 65_535)) + bytes([header.step])
    if isinstance(header, ImageHeader):
        flags |= GRAY * header.gray | ALPHA * header.alpha | EVEN * header.even
        body = write_varint(_ranged("width", header.width, 1, _MAX_SIDE))
        body += write_varint(_ranged("height", header.height, 1, _MAX_SIDE))
        body += bytes([_ranged("tile_log2", header.tile_log2, 6, 12)])
        rows, columns = header.grid
        if chunks != rows * columns or chunks > MAX_CHUNKS:
            raise ValueError(f"{chunks} chunks for {rows} x {columns} tiles (at most {MAX_CHUNKS})")
    else:
        flags |= AUDIO
        ranges = _audio_ranges()
        values = [header.sample_rate, header.channels, header.samples, header.chunk_frames, chunks]
        body = b"".join(write_varint(_ranged(name, v, 1, top)) for (name, top), v in zip(ranges, values, strict=True))
    version = VERSION[0] << 4 | VERSION[1]
    return SIGNATURE + bytes([version, flags]) + header.model_id + common + body


def parse_header(data: bytes) -> Fields:
    """Signature and header of a file, every field in its range; the CRC and the limits are the caller's to check.

    Raises:
        NotVqcError, UnsupportedVersionError, TruncatedError, CorruptError: see SPEC.md.
    """
    if data[:8] != SIGNATURE:
        if data and SIGNATURE.startswith(data):
            raise TruncatedError("the file ends inside the signature", "signature")
        raise NotVqcError("not a .vqc file", "signature")
    if len(data) < 14:
        raise TruncatedError("the file ends inside the header", "header")
    version, flags = (data[8] >> 4, data[8] & 15), data[9]
    if version[0] != VERSION[0]:
        raise UnsupportedVersionError(f"format {version[0]}.{version[1]}; this program reads 1.x", "header.version")
    if flags & ~_KNOWN_FLAGS:
        raise UnsupportedVersionError("flags of a newer format", "header.flags")
    if flags & AUDIO and flags & (GRAY | ALPHA | EVEN):
        raise CorruptError("gray, alpha or even on a sound", "header.flags")
    hint, pos = _read(data, 14, "model_hint", 0, 65_535)
    if pos >= len(data):
        raise TruncatedError("the file ends inside the header", "header.step")
    model = (data[10:14], hint)
    parse = _parse_audio if flags & AUDIO else _parse_image
    header, chunks, end = parse(data, pos + 1, flags, data[pos], model)
    return Fields(header, version, flags, chunks, end)


def _parse_image(
    data: bytes, pos: int, flags: int, step: int, model: tuple[bytes, int]
) -> tuple[ImageHeader, int, int]:
    width, pos = _read(data, pos, "width", 1, _MAX_SIDE)
    height, pos = _read(data, pos, "height", 1, _MAX_SIDE)
    tile, pos = _read(data, pos, "tile_log2", 6, 12)
    header = ImageHeader(width, height, step, bool(flags & GRAY), bool(flags & ALPHA), *model, tile, bool(flags & EVEN))
    chunks = header.grid[0] * header.grid[1]
    if chunks > MAX_CHUNKS:
        raise CorruptError(f"{chunks} tiles, at most {MAX_CHUNKS} are allowed", "header.chunks")
    return header, chunks, pos


def _parse_audio(
    data: bytes, pos: int, _flags: int, step: int, model: tuple[bytes, int]
) -> tuple[AudioHeader, int, int]:
    values = []
    for name, top in _audio_ranges():
        value, pos = _read(data, pos, name, 1, top)
        values.append(value)
    rate, channels, samples, frames, chunks = values
    return AudioHeader(rate, channels, samples, step, *model, frames), chunks, pos


def _audio_ranges() -> list[tuple[str, int]]:
    return [
        ("sample_rate", 2**20 - 1),
        ("channels", 255),
        ("samples", VARINT_MAX),
        ("chunk_frames", 2**20),
        ("chunks", MAX_CHUNKS),
    ]


def _read(data: bytes, pos: int, name: str, low: int, high: int) -> tuple[int, int]:
    value, pos = read_varint(data, pos, f"header.{name}")
    if not low <= value <= high:
        raise CorruptError(f"{value} is outside {low}..{high}", f"header.{name}")
    return value, pos


def _ranged(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError(f"{name} {value} is outside {low}..{high}")
    return value
