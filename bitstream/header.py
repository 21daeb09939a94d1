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
AUDIO, GRAY, ALPHA, SECTIONS, TABLE_LAST, EVEN, MORE = 1, 2, 4, 8, 16, 32, 64
_KNOWN_FLAGS = 127
LAYERS, LOSSLESS, DEEP = 1, 2, 4  # of the second byte of flags
_KNOWN_MORE = 7
NO_MODEL = bytes(4)
"""Stands in place of a model's identity where no model is needed."""
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
        layers: over some tiles lies a layer of exact pixels.
        lossless: all is exact; step and model are 0 then, and not stored.
        deep: 16 bits per sample, else 8.
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
    layers: bool = False
    lossless: bool = False
    deep: bool = False

    @property
    def parts(self) -> int:
        """Chunks of the file: one for each tile, and one for the layer of each."""
        rows, columns = self.grid
        return rows * columns * (2 if self.layers else 1)

    @property
    def sparse(self) -> bool:
        """Whether a chunk without payload is not there: a tile that is hidden by its layer, or one without layer."""
        return self.layers

    @property
    def channels(self) -> int:
        """Samples of a pixel in an exact tile: colours, and alpha or, in a layer, the mask."""
        return (1 if self.gray else 3) + (self.alpha or self.layers)

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
        chunk_frames: code frames per chunk, 1 to 2^20; where lossless, of ``EXACT_FRAME`` samples each.
        lossless: all is exact; step and model are 0 then, and not stored.
        deep: 24 bits per sample, else 16; of lossless sound only.
    """

    sample_rate: int
    channels: int
    samples: int
    step: int
    model_id: bytes
    model_hint: int
    chunk_frames: int
    lossless: bool = False
    deep: bool = False

    @property
    def sparse(self) -> bool:
        """Whether a chunk without payload is not there, and silence."""
        return not self.lossless


@dataclass(frozen=True)
class Fields:
    """A header as parsed: ``end`` is the offset after it."""

    header: ImageHeader | AudioHeader
    version: tuple[int, int]
    flags: int
    chunks: int
    end: int

    def check_limits(self, limits: Limits, size: int, coded: int) -> None:
        """Raise LimitError if the picture or sound, in a file of so many bytes, is over the limits; after the CRC.

        Args:
            coded: samples of each channel of a sound that are in chunks that are there.
        """
        h = self.header
        if isinstance(h, ImageHeader):
            limits.check_image(h.width, h.height, size, lossless=h.lossless)
        else:
            limits.check_audio(h.sample_rate, h.channels, h.samples, None if h.lossless else (size, coded))


def pack_header(header: ImageHeader | AudioHeader, chunks: int, flags: int) -> bytes:
    """Signature and header bytes; ``flags`` holds SECTIONS and TABLE_LAST only.

    Raises:
        ValueError: a field is outside its range.
    """
    if len(header.model_id) != 4 or not 0 <= header.step <= 255:
        raise ValueError("model_id must be 4 bytes and step 0..255")
    more = LOSSLESS * header.lossless | DEEP * header.deep
    common = header.model_id + write_varint(_ranged("model_hint", header.model_hint, 0, 65_535)) + bytes([header.step])
    if header.lossless:
        if common != NO_MODEL + b"\0\0":
            raise ValueError("what is lossless has no model and no step")
        common = b""
    if isinstance(header, ImageHeader):
        flags |= GRAY * header.gray | ALPHA * header.alpha | EVEN * header.even
        more |= LAYERS * header.layers
        body = write_varint(_ranged("width", header.width, 1, _MAX_SIDE))
        body += write_varint(_ranged("height", header.height, 1, _MAX_SIDE))
        body += bytes([_ranged("tile_log2", header.tile_log2, 6, 12)])
        rows, columns = header.grid
        if chunks != header.parts or rows * columns > MAX_CHUNKS:
            raise ValueError(f"{chunks} chunks for {rows} x {columns} tiles (at most {MAX_CHUNKS})")
    else:
        flags |= AUDIO
        ranges = _audio_ranges()
        values = [header.sample_rate, header.channels, header.samples, header.chunk_frames, chunks]
        body = b"".join(write_varint(_ranged(name, v, 1, top)) for (name, top), v in zip(ranges, values, strict=True))
    version = VERSION[0] << 4 | VERSION[1]
    fault = _contradiction(flags, more)
    if fault:
        raise ValueError(fault)
    extra = bytes([more]) if more else b""
    return SIGNATURE + bytes([version, flags | MORE * bool(more)]) + extra + common + body


def _contradiction(flags: int, more: int) -> str:
    """What is wrong with two bytes of flags that are all known; nothing where they fit together."""
    if flags & AUDIO and flags & (GRAY | ALPHA | EVEN):
        return "gray, alpha or even on a sound"
    if flags & AUDIO and (more & LAYERS or more == DEEP):
        return "layers, or more bits without being lossless, on a sound"
    if more & LAYERS and more & LOSSLESS:
        return "layers in a picture that is lossless"
    if more & LOSSLESS and flags & EVEN:
        return "even where nothing is quantised"
    return ""


def parse_header(data: bytes) -> Fields:
    """Signature and header of a file, every field in its range; the CRC and the limits are the caller's to check.

    Raises:
        NotVqcError, UnsupportedVersionError, TruncatedError, CorruptError: see SPEC.md.
    """
    if data[:8] != SIGNATURE:
        if data and SIGNATURE.startswith(data):
            raise TruncatedError("the file ends inside the signature", "signature")
        raise NotVqcError("not a .vqc file", "signature")
    if len(data) < 14:  # no header is shorter, whatever its flags
        raise TruncatedError("the file ends inside the header", "header")
    version, flags = (data[8] >> 4, data[8] & 15), data[9]
    if version[0] != VERSION[0]:
        raise UnsupportedVersionError(f"format {version[0]}.{version[1]}; this program reads 1.x", "header.version")
    if flags & ~_KNOWN_FLAGS:
        raise UnsupportedVersionError("flags of a newer format", "header.flags")
    more, pos = _parse_more(data, flags)
    fault = _contradiction(flags, more)
    if fault:
        raise CorruptError(fault, "header.flags")
    step, model = 0, (NO_MODEL, 0)
    if not more & LOSSLESS:
        identity = data[pos : pos + 4]
        hint, pos = _read(data, pos + 4, "model_hint", 0, 65_535)
        if pos >= len(data):
            raise TruncatedError("the file ends inside the header", "header.step")
        model, step, pos = (identity, hint), data[pos], pos + 1
    parse = _parse_audio if flags & AUDIO else _parse_image
    header, chunks, end = parse(data, pos, (flags, more), step, model)
    return Fields(header, version, flags, chunks, end)


def _parse_more(data: bytes, flags: int) -> tuple[int, int]:
    """The second byte of flags, 0 where there is none, and the offset after it."""
    if not flags & MORE:
        return 0, 10
    more = data[10]
    if not more:
        raise CorruptError("a second byte of flags without any", "header.flags")
    if more & ~_KNOWN_MORE:
        raise UnsupportedVersionError("flags of a newer format", "header.flags")
    return more, 11


def _parse_image(
    data: bytes, pos: int, flags: tuple[int, int], step: int, model: tuple[bytes, int]
) -> tuple[ImageHeader, int, int]:
    first, more = flags
    width, pos = _read(data, pos, "width", 1, _MAX_SIDE)
    height, pos = _read(data, pos, "height", 1, _MAX_SIDE)
    tile, pos = _read(data, pos, "tile_log2", 6, 12)
    colours = bool(first & GRAY), bool(first & ALPHA)
    exact = bool(more & LAYERS), bool(more & LOSSLESS), bool(more & DEEP)
    header = ImageHeader(width, height, step, *colours, *model, tile, bool(first & EVEN), *exact)
    tiles = header.grid[0] * header.grid[1]
    if tiles > MAX_CHUNKS:
        raise CorruptError(f"{tiles} tiles, at most {MAX_CHUNKS} are allowed", "header.chunks")
    return header, header.parts, pos


def _parse_audio(
    data: bytes, pos: int, flags: tuple[int, int], step: int, model: tuple[bytes, int]
) -> tuple[AudioHeader, int, int]:
    values = []
    for name, top in _audio_ranges():
        value, pos = _read(data, pos, name, 1, top)
        values.append(value)
    rate, channels, samples, frames, chunks = values
    exact = bool(flags[1] & LOSSLESS), bool(flags[1] & DEEP)
    return AudioHeader(rate, channels, samples, step, *model, frames, *exact), chunks, pos


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
