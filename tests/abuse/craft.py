"""Files whose check sums are right and whose content is not: fields, streams, codes and metadata made up.

A writer of its own that checks nothing; it takes the format's own functions for header, directory and check sums, and
so follows them when they change.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from abuse.bases import Base
from abuse.mutate import Mutant, bit_flips, truncations

from vqcodec import registry
from vqcodec.audio.codes import AudioCodes, AudioCodeWriter, hash_audio_codes
from vqcodec.audio.stereo import ANGLES, groups_of, pairs_of
from vqcodec.audio.walk import ENVELOPE_LIMIT, RESIDUAL_LIMIT, channel_steps, walk_envelope, walk_lines, walk_powers
from vqcodec.bitstream import AudioHeader, Chunk, ImageHeader, RangeEncoder, VqcFile
from vqcodec.bitstream.alpha import encode_alpha
from vqcodec.bitstream.checks import crc32
from vqcodec.bitstream.coder import Tables
from vqcodec.bitstream.directory import ChunkEntry, Directory, pack_directory
from vqcodec.bitstream.header import MAX_CHUNKS, SECTIONS, pack_header
from vqcodec.bitstream.metadata import ALPHA, METADATA, encode_metadata
from vqcodec.bitstream.varint import VARINT_MAX, write_varint
from vqcodec.image.codes import hash_codes, walk
from vqcodec.image.tokens.codes import TileWriter, Walk
from vqcodec.image.tokens.codes import hash_codes as hash_tokens
from vqcodec.image.tokens.config import LEVELS
from vqcodec.image.tokens.prior import Step

__all__ = ["assemble", "crafted", "likeliest", "made_stretch", "made_tokens", "mended", "sections_of"]

Section = tuple[int, bytes]
Pick = Callable[[np.ndarray, Tables], np.ndarray]
_MOST = 200_000  # bytes of a file that many chunks are put into
KINDS = {name: kind for kind, name in METADATA.items()}


def assemble(header: ImageHeader | AudioHeader, chunks: Sequence[Chunk], sections: Sequence[Section] = ()) -> bytes:
    """A file of these parts with right check sums, plausible or not."""
    entries = [ChunkEntry(len(c.payload), c.stage_ends) for c in chunks]
    directory = Directory(entries, [(k, len(b)) for k, b in sections], header.sparse)
    head = pack_header(header, len(chunks), SECTIONS * bool(sections)) + pack_directory(directory)
    bodies = [body + crc32(bytes([kind]), body) for kind, body in sections]
    for index, chunk in enumerate(chunks):
        if header.sparse and not chunk.payload:
            continue
        body = chunk.code_hash.to_bytes(2, "little") + chunk.payload
        bodies.append(body + crc32(index.to_bytes(4, "little"), body))
    return b"".join([head, crc32(head), *bodies, b"\xed"])


def sections_of(file: VqcFile) -> list[Section]:
    """Bodies by kind, rising."""
    found = [(KINDS[name], encode_metadata(value)) for name, value in file.metadata.items()]
    if file.alpha is not None:
        found.append((ALPHA, encode_alpha(file.alpha)))
    return sorted(found)


def _chunks(file: VqcFile) -> list[Chunk]:
    return [chunk for chunk in (*file.chunks, *file.layers) if chunk is not None]


def mended(base: Base, rng: np.random.Generator) -> Iterator[Mutant]:
    """The base with one thing changed and every CRC mended: a field, a stream, the body of a section."""
    file, sections = base.file, sections_of(base.file)
    chunks = _chunks(file)
    while True:
        place = int(rng.integers(len(chunks)))
        chunk, before, after = chunks[place], chunks[:place], chunks[place + 1 :]
        yield _other_field(base, rng)
        source = bit_flips if rng.integers(2) else truncations
        for _ in range(3):
            payload = next(source(chunk.payload, 1, int(rng.integers(2**31)))).data.rstrip(b"\0")
            ends = (*(min(e, len(payload)) for e in chunk.stage_ends[:-1]), len(payload)) if chunk.stage_ends else ()
            changed = replace(chunk, payload=payload, stage_ends=ends)
            yield Mutant("stream changed", assemble(file.header, [*before, changed, *after], sections), same_codes=True)
        wrong = replace(chunk, code_hash=chunk.code_hash ^ 1)
        yield Mutant("hash changed", assemble(file.header, [*before, wrong, *after], sections))
        if sections:
            at = int(rng.integers(len(sections)))
            kind, body = sections[at]
            spoilt = next(bit_flips(body, 1, int(rng.integers(2**31)))).data
            others = [*sections[:at], (kind, spoilt), *sections[at + 1 :]]
            yield Mutant(f"section {kind:#x} changed", assemble(file.header, chunks, others), metadata=True)


def _other_field(base: Base, rng: np.random.Generator) -> Mutant:
    header = base.file.header
    large = int(2 ** rng.uniform(0, 31))
    if isinstance(header, ImageHeader):
        choices = {"width": large, "height": large, "step": int(rng.integers(256)), "gray": not header.gray}
        choices |= {"tile_log2": int(rng.integers(6, 13)), "model_id": rng.bytes(4)}
    else:
        choices = {"sample_rate": int(2 ** rng.uniform(0, 19.9)), "channels": int(rng.integers(1, 256))}
        choices |= {"samples": large, "step": int(rng.integers(256)), "chunk_frames": int(2 ** rng.uniform(0, 20))}
        choices |= {"model_id": rng.bytes(4)}
    name = str(rng.choice(list(choices)))
    other = replace(header, **{name: choices[name]})
    count = other.parts if isinstance(other, ImageHeader) else int(rng.integers(1, 4))
    chunk = _chunks(base.file)[0]
    chunks = [chunk] * count if count * len(chunk.payload) < _MOST else [Chunk(b"\1", (), 0)] * min(count, 65_536)
    try:
        data = assemble(other, chunks, sections_of(base.file))
    except ValueError:  # more chunks than a header can say
        data = base.data
    return Mutant(f"{name} {choices[name]}", data)


def crafted(base: Base, rng: np.random.Generator) -> Iterator[Mutant]:
    """Files made from nothing: codes drawn at random, extreme ones, cost attacks, hostile metadata."""
    while True:
        yield _random_codes(base, rng)
        yield _costly(base, rng)
        yield _hostile_metadata(base, rng)


def _random_codes(base: Base, rng: np.random.Generator) -> Mutant:
    """A valid stream of codes that no encoder chooses: uniform, at the ends of the tables, or mixed."""
    header = base.file.header
    if header.lossless or (isinstance(header, ImageHeader) and header.layers):
        junk = [replace(c, payload=rng.bytes(40) + bytes([rng.integers(1, 6)])) for c in _chunks(base.file)]
        return Mutant("exact chunks at random", assemble(header, junk, sections_of(base.file)))
    header = replace(header, step=int(rng.choice(np.array([0, 80, 160, 255]))))
    draw = _drawer(rng)
    if isinstance(header, ImageHeader) and header.model_id == registry.load_tokens_codec().model_id:
        chunk = made_tokens(header, draw)
    elif isinstance(header, ImageHeader):
        chunk = random_tile(header, draw)
    else:
        chunk = made_stretch(header, _picker(draw), int(rng.integers(1, 128)))
    return Mutant("codes at random", assemble(header, [chunk], sections_of(base.file)))


def _drawer(rng: np.random.Generator):  # type: ignore[no-untyped-def]
    way = rng.integers(3)

    def draw(shape: tuple[int, ...], size: int) -> np.ndarray:
        ends = rng.choice(np.array([0, size - 1]), shape)
        return [rng.integers(0, size, shape), ends, np.full(shape, ends.flat[0])][way].astype(np.int32)

    return draw


def random_tile(header: ImageHeader, draw) -> Chunk:  # type: ignore[no-untyped-def]
    """One tile whose symbols are drawn; absent ones become the last that is there."""
    model = registry.load_image_codec().model.codes
    coder = RangeEncoder()

    def choose(index: int, p: int, rows: np.ndarray, sign: np.ndarray | None) -> np.ndarray:
        tables = model.low_tables if index < 0 else model.tables[index]
        symbols = _present(draw(rows.shape, tables.weights.shape[1]), rows, tables.weights)
        coder.encode(symbols.ravel(), rows.ravel(), tables)
        return symbols

    height, width = -(-header.height // 64), -(-header.width // 64)
    codes = walk(model, np.array([header.step]), height, width, choose, gray=header.gray)
    payload = coder.finish()
    return Chunk(payload, (), _hash(lambda: hash_codes(codes, model.low_size)))


def made_tokens(header: ImageHeader, draw) -> Chunk:  # type: ignore[no-untyped-def]
    """One tile of tokens whose codes are drawn."""
    model = registry.load_tokens_codec().model.codes
    cells = (min(-(-side // 64), 16) for side in (header.height, header.width))
    walk = Walk(model, header.step, 1, *cells)
    writer = TileWriter()

    def choose(batch: Step, weights: np.ndarray) -> np.ndarray:
        symbols = draw(weights.shape[:1], weights.shape[1])
        writer.write(batch, weights, symbols)
        return symbols

    for level in range(len(LEVELS)):
        walk.level(level, choose)
    payload, ends = writer.finish()
    return Chunk(payload, ends, hash_tokens(walk.codes))


def _present(symbols: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.minimum(symbols, np.count_nonzero(weights, axis=1)[rows] - 1).astype(np.int32)


def _hash(make) -> int:  # type: ignore[no-untyped-def]
    try:
        return int(make())
    except ValueError:  # codes that cannot be hashed
        return 0


def _picker(draw) -> Pick:  # type: ignore[no-untyped-def]
    return lambda rows, tables: _present(draw(rows.shape, tables.weights.shape[1]), rows, tables.weights)


def likeliest(rows: np.ndarray, tables: Tables) -> np.ndarray:
    """Of every row the symbol that costs least."""
    return tables.weights.argmax(1)[rows].astype(np.int32)


def made_stretch(header: AudioHeader, pick: Pick, level: int) -> Chunk:
    """One chunk of sound whose symbols are picked by row and tables."""
    codec = registry.load_audio_codec()
    model, steps = codec.model.codes, channel_steps(header.step, header.channels)
    frames = min(codec.frames_of(header), codec.chunk_frames)
    pairs = len(pairs_of(header.channels))
    short = pick(np.zeros(frames, np.int32), model.short_tables) > 0
    angles = np.full((pairs, groups_of(frames), model.bands), ANGLES, np.int32)
    for group in range(angles.shape[1] if pairs else 0):
        angles[:, group] = pick(angles[:, group - 1], model.angle_tables)
    writer = AudioCodeWriter(model, level, short, angles)

    def envelope(t: int, half: int, rows: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        symbols = pick(rows, model.envelope_tables)
        values = np.clip(prediction + symbols - RESIDUAL_LIMIT, -ENVELOPE_LIMIT, ENVELOPE_LIMIT)
        writer.envelope(rows, prediction, values)
        return values

    def lines(p: int, rows: np.ndarray) -> np.ndarray:
        symbols = pick(rows, model.line_tables)
        writer.lines(rows, symbols)
        return symbols

    def moments(_half: int, rows: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        symbols = pick(rows, model.power_tables)
        values = np.clip(prediction + symbols - RESIDUAL_LIMIT, -ENVELOPE_LIMIT, ENVELOPE_LIMIT)
        writer.powers(rows, prediction, values)
        return values

    coded = walk_envelope(model, steps, frames, envelope)
    powers = walk_powers(model, header.step, coded, moments)
    codes = AudioCodes(level, short, angles, coded, powers, walk_lines(model, steps, coded, lines))
    payload, _ = writer.finish()
    return Chunk(payload, (), hash_audio_codes(codes))


def _costly(base: Base, rng: np.random.Generator) -> Mutant:
    """A few bytes that ask for much: many empty or short chunks, long sounds at low and high rates, bombs."""
    header = base.file.header
    payload = rng.bytes(int(rng.choice(np.array([0, 1, 8, 113])))).rstrip(b"\0")
    chunk = Chunk(payload, (), int(rng.integers(65_536)))
    if header.lossless and rng.integers(2):
        chunk = replace(chunk, payload=bytes([7] * int(rng.integers(1, 9)) + [1]))  # one colour at no cost
    if isinstance(header, ImageHeader):
        side = int(rng.choice(np.array([1_000, 8_000, 10_000, 60_000])))
        large = replace(header, width=side, height=int(rng.choice(np.array([1, 1_000, side]))), alpha=False)
        if large.parts > MAX_CHUNKS:  # more than a header can say: small tiles of a small lossless picture
            large = replace(large, tile_log2=10)
        return Mutant(f"{side} pixels of nothing", assemble(large, [chunk] * large.parts))
    rate = int(rng.choice(np.array([1, 8_000, 1_048_575])))
    seconds, channels = int(rng.choice(np.array([1, 60, 86_400]))), int(rng.choice(np.array([1, 2, 8])))
    long = replace(header, sample_rate=rate, samples=min(rate * seconds, VARINT_MAX), channels=channels)
    chunks = -(-(-(-long.samples * 24_000 // rate // 480) + 1) // 200)
    return Mutant(f"{seconds} s at {rate} Hz of nothing", assemble(long, [chunk] * chunks))


def _hostile_metadata(base: Base, rng: np.random.Generator) -> Mutant:
    """The base with other metadata: junk, bombs, many tags, numbers that lie, in every section of its kind."""
    names = ("icc", "exif", "xmp") if isinstance(base.file.header, ImageHeader) else ("tags", "picture")
    sections = dict(sections_of(base.file))
    for name in names:
        sections[KINDS[name]] = METADATA_MAKERS[int(rng.integers(len(METADATA_MAKERS)))](rng)
    data = assemble(base.file.header, _chunks(base.file), sorted(sections.items()))
    return Mutant("metadata made up", data, metadata=True)


def _bomb(rng: np.random.Generator) -> bytes:
    size = int(rng.choice(np.array([10**5, 10**6, 10**7])))
    packed = zlib.compress(bytes(size), 9)
    return b"\1" + write_varint(size) + packed


def _exif(rng: np.random.Generator) -> bytes:
    """A directory of entries with made-up tags, types, counts and places (TIFF 6.0, 2)."""
    order = str(rng.choice(np.array(["<", ">"])))
    count = int(rng.integers(0, 8))
    tags = rng.choice(np.array([0x0112, 0x010F, 0x8769, 0x8825, 0x011A, 0x0100, 0x0111, 0x02BC, 0x927C]), count)
    entries = b""
    for tag in tags:
        number, place = int(2 ** rng.uniform(0, 32)), int(rng.integers(2**32))
        entries += struct.pack(order + "HHII", int(tag), int(rng.integers(0, 16)), number, place)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, count)
    return encode_metadata(head + entries + struct.pack(order + "I", int(rng.integers(2**32))))


def _icc(rng: np.random.Generator) -> bytes:
    body = bytearray(rng.bytes(int(rng.integers(128, 400))))
    body[:4] = struct.pack(">I", len(body))
    body[16:20] = rng.choice(np.array([b"RGB ", b"GRAY", b"CMYK", b"Lab "]))
    body[36:40] = b"acsp"
    return encode_metadata(bytes(body))


def _tags(rng: np.random.Generator) -> bytes:
    key = rng.choice(np.array(["TITLE", "A", "X" * 300, "TRACK NUMBER", "\xe9"]))
    value = rng.choice(np.array(["", "v", "\\n\\r\\\\\\", "\0", "\ufffd" * 50, "=" * 9]))
    return encode_metadata((f"{key}={value}\n" * int(2 ** rng.uniform(0, 16))).encode())


def _picture(rng: np.random.Generator) -> bytes:
    """A PICTURE block (RFC 9639, 8.8) whose lengths are made up."""
    parts = [int(x) for x in rng.choice(np.array([0, 3, 9, 2**31, 2**32 - 1]), 8)]
    return encode_metadata(struct.pack(">8I", *parts) + rng.bytes(int(rng.integers(0, 60))))


METADATA_MAKERS = [
    _bomb,
    _exif,
    _icc,
    _tags,
    _picture,
    lambda rng: encode_metadata(rng.bytes(int(rng.integers(1, 300)))),
    lambda rng: b"\1" + rng.bytes(int(rng.integers(1, 60))),
    lambda rng: b"\2junk",
    lambda rng: encode_metadata(b"II*\0\xff\xff\xff\xff" + bytes(9)),
    lambda rng: encode_metadata(b"<?xpacket " + rng.bytes(40)),
    lambda rng: encode_metadata(b"\n" * int(2 ** rng.uniform(0, 20)) + b"X"),
]
