"""A second decoder of pictures' codes, written from SPEC.md alone: plain, slow, sharing nothing with the package.

Integers of 64 bits throughout, so that it can tell whether float32 was exact. ``decode_file`` gives the codes of every
chunk and checks their hash; pixels are not its business.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open

LEVELS = 6
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
MASK = 2**64 - 1
Weights = dict[str, np.ndarray]
Symbols = Callable[[np.ndarray, np.ndarray, int, "np.ndarray | None"], np.ndarray]
"""Rows [h, w, g], the table [R, K], the code of zero, where codes are mirrored (or None) -> symbols [h, w, g]."""


def read_weights(path: Path) -> tuple[Weights, dict[str, str]]:
    """Tensors by name, those of the prior as 64-bit integers, and the facts in the metadata."""
    with safe_open(path, "numpy") as f:
        tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a dict
        facts = json.loads(f.metadata()["vqcodec"])
    return tensors, facts


def identity(tensors: Weights) -> bytes:
    """SHA-256 of a model (section Weights file, Identity)."""
    integers = [n for n in tensors if n.startswith(("prior.", "codebook."))]
    rest = [n for n in tensors if n not in integers]
    digest = hashlib.sha256()
    for name in sorted(integers) + sorted(rest):
        values = tensors[name]
        shape = ", ".join(str(n) for n in values.shape)
        digest.update(f"{name} {values.dtype} [{shape}]\n".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.digest()


class Stream:
    """The range decoder (section Range coder)."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.position = payload, 0
        self.low, self.range = 0, 2**64 - 1
        self.point = self.word() << 32 | self.word()

    def word(self) -> int:
        part = self.payload[self.position : self.position + 4]
        self.position += 4
        return int.from_bytes(part + bytes(4 - len(part)), "big")

    def symbol(self, cumulative: list[int]) -> int:
        q = self.range >> 24
        t = ((self.point - self.low) & MASK) // q
        assert t < 1 << 24, "no encoder writes this"
        s = bisect_right(cumulative, t) - 1
        self.low = (self.low + q * cumulative[s]) & MASK
        self.range = q * (cumulative[s + 1] - cumulative[s])
        if self.range < 1 << 32:
            self.low, self.range = self.low << 32 & MASK, self.range << 32
            self.point = (self.point << 32 & MASK) | self.word()
        return s

    def batch(self, rows: np.ndarray, table: np.ndarray, *_: object) -> np.ndarray:
        """One batch: sorted by row, in raster order within a row."""
        flat = rows.ravel()
        out = np.zeros(flat.size, np.int64)
        for row in sorted(set(flat.tolist())):
            weights = [int(w) for w in table[row] if w]
            sums = [0]
            for w in weights:
                sums.append(sums[-1] + w)
            cumulative = [(c << 24) // sums[-1] for c in sums]
            if len(weights) > 1:
                for i in np.flatnonzero(flat == row):
                    out[i] = self.symbol(cumulative)
        return out.reshape(rows.shape)


def stored_weights(v: np.ndarray) -> np.ndarray:
    """Stored 16-bit values to weights, rows last but one: [R, K]."""
    v = v.astype(np.int64).reshape(-1, v.shape[-1])
    e, m = v // 2048, v % 2048
    return np.where(v < 2048, v, (2048 + m) * 2 ** np.maximum(e - 1, 0))


def coder_check_holds(stored: np.ndarray, stream: bytes) -> bool:
    """Whether a stream decodes to the 64 fixed symbols of the section Weights file, coder check."""
    table, i = stored_weights(stored), np.arange(64)
    found = Stream(stream).batch(7 * i % len(table), table)
    return np.array_equal(found, 31 * i**2 % table.shape[1])


class Slice:
    """Tensors of one slice and what follows from their shapes."""

    def __init__(self, tensors: Weights, name: str) -> None:
        self.name, self.level, self.chroma = name, int(name[1:]), name[0] == "c"
        prefix = f"prior.{name}."
        self.t = {k.removeprefix(prefix): v.astype(np.int64) for k, v in tensors.items() if k.startswith(prefix)}
        self.groups, self.codewords, self.d = self.t["energy"].shape
        self.bins = self.t["sign_edges"].shape[1] + 1
        self.shared = self.t["table"].shape[0] == 1
        self.rows = self.t["table"].shape[1] // self.bins
        self.table = stored_weights(self.t["table"])
        self.width = 6 if self.level >= 4 else 4
        self.zero = (self.codewords - 1) // 2 if self.d == 1 else 0
        self.phases = 1 if self.level == LEVELS else 4

    def grid(self, h: int, w: int) -> tuple[int, int]:
        scale = 2 ** (LEVELS - self.level)
        return h * scale, w * scale // self.d

    def map(self, kind: str, codes: np.ndarray) -> np.ndarray:
        """[h, w, g] to [h, w, g d]."""
        parts = [self.t[kind][k, codes[..., k]] for k in range(self.groups)]
        return np.concatenate(parts, -1)


def aligned(m: np.ndarray, h: int, w: int) -> np.ndarray:
    fy, fx = max(m.shape[0] // h, 1), max(m.shape[1] // w, 1)
    blocks = [m[i::fy, j::fx] for i in range(fy) for j in range(fx)]
    folded = np.concatenate(blocks, -1)
    ys = np.arange(h) * folded.shape[0] // h
    xs = np.arange(w) * folded.shape[1] // w
    return folded[ys][:, xs]


def stacked(maps: list[np.ndarray]) -> np.ndarray:
    """Channels one after the other, one cell of copies around."""
    return np.pad(np.concatenate(maps, -1), ((1, 1), (1, 1), (0, 0)), mode="edge")


def conv(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    height, width = a.shape[0] - 2, a.shape[1] - 2
    return sum(a[t // 3 : t // 3 + height, t % 3 : t % 3 + width] @ w[t] for t in range(9))


def branch(t: Weights, p: int, step: int, a: np.ndarray) -> np.ndarray:
    """The hidden layers of a phase."""
    get = {k: t[f"{p}.hidden.{k}"] for k in ("first", "first_bias", "first_shift", "second", "second_bias")}
    u = (conv(a, get["first"]) + get["first_bias"][step]) // 2 ** get["first_shift"]
    v = (np.clip(u, 0, 255) @ get["second"] + get["second_bias"]) // 2 ** t[f"{p}.hidden.second_shift"]
    return np.clip(v, 0, 255) @ t[f"{p}.hidden.last"]


def added(target: np.ndarray, source: np.ndarray, weight: int, by: int) -> np.ndarray:
    """One step of a join, along rows: ``by`` says whether the other neighbour lies before or behind."""
    places = np.clip(np.arange(source.shape[1]) + by, 0, source.shape[1] - 1)
    return target + (weight * (source + source[:, places]) + 512) // 1024


def joined(e: np.ndarray, o: np.ndarray) -> np.ndarray:
    """Two arrays to one of twice the width (section Networks)."""
    e = added(e, o, -454, -1)
    o = added(o, e, -904, 1)
    e = added(e, o, 54, -1)
    o = added(o, e, 1624, 1)
    return np.dstack([e, o]).reshape(e.shape[0], -1)


def next_picture(low: np.ndarray, d: list[np.ndarray]) -> np.ndarray:
    """Picture in whole numbers of the next finer level."""
    top, bottom = (np.clip(joined(*pair), -65536, 65536) for pair in ((low, d[0]), (d[1], d[2])))
    return np.clip(joined(top.T, bottom.T).T, -32767, 32767)


def picture_maps(picture: np.ndarray, fine: int, edges: np.ndarray) -> np.ndarray:
    """Eight maps on half the grid."""
    four = [picture[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    cells = stacked([sum(four)[..., None]])
    around = conv(cells, np.ones((9, 1, 1), np.int64))[..., 0]
    d = [36 * samples - around for samples in four]
    plain = [np.clip((x + fine // 2) // fine, -127, 127) for x in d]
    companded = [np.sign(x) * (np.abs(x)[..., None] >= edges).sum(-1) for x in d]
    return np.stack(plain + companded, -1)


def layer(t: Weights, name: str, total: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """What follows the products of a network's layer."""
    return (total + bias) // 2 ** t[f"network.{name}.shift"]


def trunk(t: Weights, step: int, maps: np.ndarray) -> np.ndarray:
    """Features of a network, for all phases."""
    weight, bias = ([t[f"network.trunk.{i}.{kind}"] for i in range(3)] for kind in ("weight", "bias"))
    y = np.clip(layer(t, "trunk.0", conv(stacked([maps]), weight[0]), bias[0][step]), 0, 255)
    y = np.clip(layer(t, "trunk.1", conv(stacked([y]), weight[1]), bias[1]), 0, 255)
    return np.clip(layer(t, "trunk.2", y @ weight[2], bias[2]), 0, 255)


def head(t: Weights, p: int, step: int, own: list[np.ndarray], features: np.ndarray) -> np.ndarray:
    """What a network adds to energies, then to predicted values, in one phase."""
    get = {
        f"{k}.{kind}": t[f"network.{p}.{k}.{kind}"] for k in ("first", "second", "last") for kind in ("weight", "bias")
    }
    total = features @ get["first.weight"]
    if own:
        total = total + conv(stacked(own), t[f"network.{p}.own"])
    y = np.clip(layer(t, f"{p}.first", total, get["first.bias"][step]), 0, 255)
    y = np.clip(layer(t, f"{p}.second", y @ get["second.weight"], get["second.bias"]), 0, 255)
    return layer(t, f"{p}.last", y @ get["last.weight"], get["last.bias"][step])


class Tile:
    """Codes of one tile, as far as they are known."""

    def __init__(self, tensors: Weights, step: int, h: int, w: int, gray: bool) -> None:
        self.t, self.step, self.h, self.w, self.gray = tensors, step, h, w, gray
        names = [f"{plane}{level}" for level in range(LEVELS, 0, -1) for plane in "yc"]
        self.slices = [Slice(tensors, n) for n in names]
        self.low = np.zeros((h + h % 2, w + w % 2, 3), np.int64)
        self.codes = [np.full((*s.grid(h, w), s.groups), s.zero) for s in self.slices]

    def low_batches(self, symbols: Symbols) -> None:
        edges = self.t["prior.low.edges"].astype(np.int64)
        table = stored_weights(self.t["prior.low.table"])
        planes = 1 if self.gray else 3
        height, width = self.low.shape[:2]
        for p, (py, px) in enumerate(PHASES):
            prediction = np.zeros((height // 2, width // 2, planes), np.int64)
            row = np.zeros_like(prediction)
            for y, x, c in np.ndindex(prediction.shape) if p else ():
                near = self.neighbours(2 * y + py, 2 * x + px, c, p)
                prediction[y, x, c] = (sum(near) + 2) // 4
                row[y, x, c] = 1 + np.count_nonzero(edges <= max(near) - min(near))
            row += np.arange(planes) * (len(edges) + 2)
            half = (table.shape[1] - 1) // 2
            self.low[py::2, px::2, :planes] = prediction + symbols(row, table, half, None) - half

    def neighbours(self, y: int, x: int, c: int, p: int) -> list[int]:
        def mirrored(i: int, by: int, size: int) -> int:
            return i + by if 0 <= i + by < size else i - by

        steps = [(-1, -1), (-1, 1), (1, -1), (1, 1)] if p == 1 else [(-1, 0), (1, 0), (0, -1), (0, 1)]
        size = self.low.shape
        return [int(self.low[mirrored(y, dy, size[0]), mirrored(x, dx, size[1]), c]) for dy, dx in steps]

    def seen(self, index: int) -> list[np.ndarray]:
        """Energy maps of the other slices in a slice's context."""
        me = self.slices[index]
        maps = []
        for j, s in enumerate(self.slices[:index]):
            up = s.level - me.level
            if up == 0 or (up == 1 and (me.chroma or not s.chroma)) or (up == 2 and not s.chroma):
                maps.append(s.map("energy", self.codes[j]))
        return maps

    def picture(self, level: int) -> np.ndarray:
        """Luma of the low band of a level in whole numbers, from the codes of all coarser ones."""
        unit = self.t["prior.low.unit"].astype(np.int64)[self.step]
        out = np.clip((self.low[: self.h, : self.w, 0] * unit + 128) // 256, -32767, 32767)
        for s, codes in zip(self.slices, self.codes, strict=True):
            if s.level > level and not s.chroma:
                out = next_picture(out, [s.t["whole"][k, codes[..., k]] for k in range(3)])
        return out

    def features(self, s: Slice, h: int, w: int) -> np.ndarray:
        """Of a slice's network, on the grid of its phases."""
        known = {other.name: i for i, other in enumerate(self.slices)}
        luma = [f"y{s.level + 2}", f"y{s.level + 1}"]
        wanted = [("energy", n) for n in luma] + [("signed", n) for n in luma] + [("energy", f"c{s.level + 1}")]
        maps = [self.slices[known[n]].map(kind, self.codes[known[n]]) for kind, n in wanted]
        seen = picture_maps(self.picture(s.level), int(s.t["network.fine"][0]), s.t["network.edges"])
        return trunk(s.t, self.step, np.concatenate([*(aligned(m, h, w) for m in maps), seen], -1))

    def slice_batches(self, index: int, symbols: Symbols) -> None:
        s = self.slices[index]
        others = self.seen(index)
        height, width = s.grid(self.h, self.w)
        features = self.features(s, height // 2, width // 2) if "network.fine" in s.t else None
        done: list[np.ndarray] = []
        for p in range(s.phases):
            part = self.codes[index] if s.phases == 1 else self.codes[index][PHASES[p][0] :: 2, PHASES[p][1] :: 2]
            h, w = part.shape[:2]
            acc = np.zeros(part.shape, np.int64) + s.t[f"{p}.bias"][self.step]
            maps = [s.map("energy", d) for d in done] + [aligned(m, h, w) for m in others]
            if maps:
                a = stacked(maps)
                acc += conv(a, s.t[f"{p}.weight"])
                if f"{p}.hidden.first" in s.t:
                    acc += branch(s.t, p, self.step, a)
            energy = acc // 2 ** s.t[f"{p}.shift"]
            m = mirror = None
            signed = [s.map("signed", d) for d in done]
            if s.bins > 1 and signed and f"{p}.sign_weight" in s.t:
                m = conv(stacked(signed), s.t[f"{p}.sign_weight"])
            if features is not None:
                more = head(s.t, p, self.step, [s.map("energy", d) for d in done] + signed, features)
                energy = energy + more[..., : s.groups]
                m = 64 * more[..., s.groups :] + (0 if m is None else m)
            row = np.clip((energy + 73) // s.width, 0, s.rows - 1) * s.bins
            if m is not None:
                row += (np.abs(m)[..., None] >= s.t["sign_edges"]).sum(-1)
                mirror = m < 0
            if not s.shared:
                row += np.arange(s.groups) * (s.rows * s.bins)
            code = symbols(row, s.table, s.zero, mirror)
            if mirror is not None:
                code = np.where(mirror, s.codewords - 1 - code, code)
            part[...] = code
            done.append(code)

    def decode(self, symbols: Symbols, stages: int = 5) -> list[np.ndarray]:
        if stages:
            self.low_batches(symbols)
        for i, s in enumerate(self.slices):
            if s.level >= LEVELS - stages and stages and not (self.gray and s.chroma):
                self.slice_batches(i, symbols)
        return [self.low, *self.codes]

    def hash(self) -> int:
        size = self.t["prior.low.table"].shape[1]
        return code_hash([self.low + 3 * size, *self.codes])


def code_hash(arrays: list[np.ndarray]) -> int:
    crc = zlib.crc32(b"".join(a.astype("<u2").tobytes() for a in arrays))
    return (crc ^ crc >> 16) & 0xFFFF


class Reader:
    """Bytes one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        self.at += n
        assert self.at <= len(self.data)
        return self.data[self.at - n : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def check(self, covered: bytes) -> None:
        assert self.take(4) == zlib.crc32(covered).to_bytes(4, "little")


def read_flags(r: Reader) -> tuple[int, int]:
    """Signature, version, flags and more flags."""
    assert r.take(8) == bytes.fromhex("8956 5143 0D0A 1A0A")
    assert r.take(1)[0] >> 4 == 1
    flags = r.take(1)[0]
    assert not flags & 0b10010000, "directory in front only"
    more = r.take(1)[0] if flags & 64 else 0
    assert more < 8
    assert bool(more) == bool(flags & 64)
    return flags, more


def read_start(r: Reader, tensors: Weights) -> tuple[int, int]:
    """Signature and what headers of files with codes begin with: flags, more flags in bits 8 to 10, and step index."""
    flags, more = read_flags(r)
    assert not more & 2, "not a lossless file"
    assert r.take(4) == identity(tensors)[:4]
    r.varint()
    return flags | more << 8, r.take(1)[0]


def read_chunks(r: Reader, count: int, flags: int, *, sparse: bool) -> list[tuple[int, bytes]]:
    """Directory, sections (passed over) and chunks: code_hash and payload, both empty of one that is not there.

    ``sparse``: those without payload are not there.
    """
    sections = [(r.take(1), r.varint()) for _ in range(r.varint())] if flags & 8 else []
    sizes = []
    for _ in range(count):
        sizes.append(r.varint())
        for _ in range(max(r.take(1)[0] - 1, 0) if sizes[-1] >= 2048 else 0):
            r.varint()
    r.check(r.data[: r.at])
    for kind, size in sections:
        r.check(kind + r.take(size))
    out = []
    for i, size in enumerate(sizes):
        if not size and sparse:
            out.append((0, b""))
            continue
        code_hash, payload = r.take(2), r.take(size)
        r.check(i.to_bytes(4, "little") + code_hash + payload)
        out.append((int.from_bytes(code_hash, "little"), payload))
    assert r.data[r.at :] == b"\xed"
    return out


def decode_file(data: bytes, tensors: Weights) -> list[list[np.ndarray]]:
    """Codes of every chunk of an image: the low band's values [h', w', 3], then [h, w, g] of every slice."""
    r = Reader(data)
    flags, step = read_start(r, tensors)
    assert not flags & 1, "an image"
    width, height, tile = r.varint(), r.varint(), 2 ** r.take(1)[0]
    across, down = -(-width // tile), -(-height // tile)
    out = []
    chunks = read_chunks(r, across * down * (2 if flags & 256 else 1), flags, sparse=bool(flags & 256))[: across * down]
    for i, (code_hash, payload) in enumerate(chunks):
        y, x = i // across * tile, i % across * tile
        cells = [-(-min(tile, side - at) // 64) for side, at in ((height, y), (width, x))]
        one = Tile(tensors, step, *cells, gray=bool(flags & 2))
        out.append(one.decode(Stream(payload).batch))
        assert one.hash() == code_hash
    return out


def vp8l(body: bytes, h: int, w: int, c: int) -> np.ndarray:
    """One stream of an exact chunk: samples [h, w, c] of 8 bits. WebP's own format is left to its library."""
    bits = w - 1 | (h - 1) << 14 | (c in (2, 4)) << 28
    stream = b"\x2f" + bits.to_bytes(4, "little") + body
    padded = stream + b"\0" * (len(stream) & 1)
    size = len(stream).to_bytes(4, "little")
    content = b"RIFF" + (12 + len(padded)).to_bytes(4, "little") + b"WEBPVP8L" + size + padded
    rgba = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")).astype(np.int64)
    return rgba[:, :, {1: [1], 2: [1, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[c]]


def table_of_values(r: Reader, deep: bool) -> np.ndarray:
    """The values that occur (section Exact chunks of a picture)."""
    size = r.varint()
    if size == 0:
        return np.arange(65_536 if deep else 256)
    there = zlib.decompress(r.take(size), wbits=-15)
    assert len(there) == 8192
    return np.array([v for v in range(65_536) if there[v // 8] >> v % 8 & 1])


def predicted(r: Reader, h: int, w: int, c: int) -> np.ndarray:
    """Ranks [h, w, c], to the end of the bytes; pixel by pixel."""
    order = {1: [0], 2: [0, 1], 3: [1, 0, 2], 4: [1, 0, 2, 3]}[c]
    top = int.from_bytes(r.take(2), "little")
    weights = [np.frombuffer(r.take(2 * (6 + k)), "<i2").tolist() for k in range(c)]
    size = r.varint()
    classes = vp8l(r.take(size), h, w, c)[:, :, order].transpose(2, 0, 1)
    e = left_out(r, classes)
    ranks = np.zeros((c, h + 2, w + 3), np.int64)  # two rows above, two columns to the left, one to the right
    for y in range(h):
        if y:
            ranks[:, y + 2, :2] = ranks[:, y + 1, 2:3]
            ranks[:, y + 2, -1:] = ranks[:, y + 1, -2:-1]
        for x in range(w):
            for k in range(c):
                around = [(0, -1), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0)]
                known = [int(ranks[k, y + 2 - up, x + 2 + right]) for up, right in around]
                known += [int(e[j, y, x]) for j in range(k)]
                p = (512 + sum(a * b for a, b in zip(weights[k], known, strict=True))) // 1024
                ranks[k, y + 2, x + 2] = (min(max(p, 0), top) + int(e[k, y, x])) % 65_536
    out = np.zeros((h, w, c), np.int64)
    out[:, :, order] = ranks[:, 2:, 2:-1].transpose(1, 2, 0)
    return out


def left_out(r: Reader, classes: np.ndarray) -> np.ndarray:
    """Errors e of classes [c, h, w], and the bits that these leave out."""
    assert classes.max() < 60
    x = np.maximum(classes // 4 - 1, 0)
    n = np.where(classes < 8, classes, (4 + classes % 4) << x)
    for bits in range(1, 14):
        places = np.argwhere(x == bits).tolist()
        few = bits - 8 if bits > 8 else bits
        low = r.take(len(places)) if bits > 8 else bytes(len(places))
        rest = int.from_bytes(r.take(-(-len(places) * few // 8)), "little")
        for i, place in enumerate(places):
            high = rest >> few * i & (1 << few) - 1
            n[tuple(place)] += (high << bits - few) + low[i]
    assert r.at == len(r.data)
    return np.where(n % 2, -(n + 1) // 2, n // 2)


def with_pieces(r: Reader, h: int, w: int, c: int) -> np.ndarray:
    """Pieces on their ground (section Exact chunks of a picture)."""
    key = np.frombuffer(r.take(c), np.uint8)
    filters = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]
    items = Reader(lzma.decompress(r.take(r.varint()), lzma.FORMAT_RAW, filters=filters))

    def signed() -> int:
        n = items.varint()
        return -(n + 1) // 2 if n % 2 else n // 2

    count, lines = items.varint(), items.varint()
    pieces = [(*items.take(2), signed()) for _ in range(count)]
    starts = [(items.varint(), signed(), signed()) for _ in range(lines)]
    stream = r.take(r.varint())
    sheet = vp8l(stream, sum(piece[0] for piece in pieces), max(piece[1] for piece in pieces), c)
    out = exact_tile(r.data[r.at :], h, w, c, deep=False).copy()
    row = column = 0
    for places, right, down in starts:
        row, column = row + down, column + right
        end = column
        for _ in range(places):
            number, gap = items.varint(), items.take(1)[0] - 64
            height, width, offset = pieces[number]
            top = sum(piece[0] for piece in pieces[:number])
            piece = sheet[top : top + height, :width]
            differs = (piece != key).any(2)
            assert min(row + offset, end + gap) >= 0
            place = out[row + offset :, end + gap :][:height, :width]
            place[differs] = piece[differs]
            end += gap + width
    assert items.at == len(items.data)
    return out


def exact_tile(payload: bytes, h: int, w: int, c: int, deep: bool) -> np.ndarray:
    """Samples [h, w, c] (section Exact chunks of a picture)."""
    body, method = payload[:-1], payload[-1]
    if method == 1:
        return np.zeros((h, w, 1), np.int64) + np.frombuffer(body, "<u2" if deep else np.uint8)
    if method == 2:
        return vp8l(body, h, w, c) * (257 if deep else 1)
    r = Reader(body)
    if method == 7:
        return with_pieces(r, h, w, c) * (257 if deep else 1)
    if method in (5, 6):
        values = table_of_values(r, deep)
        assert deep or method == 5
        return values[predicted(r, h, w, c) if method == 5 else vp8l(body[r.at :], h, w, c)]
    assert deep
    size = r.varint()
    z = 256 * vp8l(r.take(size), h, w, c) + vp8l(body[r.at :], h, w, c)
    if method == 3:
        return z
    assert method == 4
    d = np.where(z % 2, -1 - z // 2, z // 2)
    for y in range(h):
        for x in range(1, w):
            d[y, x] += d[y, x - 1]
    for y in range(1, h):
        d[y] += d[y - 1]
    if c > 2:
        d[:, :, [0, 2]] += d[:, :, 1:2]
    return d % 65_536


def decode_exact(data: bytes) -> np.ndarray:
    """All samples of a lossless picture; of one with layers the exact ones and the mask, 0 where there is no layer."""
    r = Reader(data)
    flags, more = read_flags(r)
    if not more & 2:
        r.take(4)
        r.varint()
        r.take(1)
    width, height, tile = r.varint(), r.varint(), 2 ** r.take(1)[0]
    across, down = -(-width // tile), -(-height // tile)
    layers, deep = more & 1, bool(more & 4)
    c = (1 if flags & 2 else 3) + (1 if flags & 4 or layers else 0)
    chunks = read_chunks(r, across * down * (1 + layers), flags, sparse=layers)[-across * down :]
    out = np.zeros((height, width, c), np.int64)
    for i, (code_hash, payload) in enumerate(chunks):
        if payload:
            y, x = i // across * tile, i % across * tile
            part = out[y : y + tile, x : x + tile]
            part[...] = exact_tile(payload, *part.shape[:2], c, deep)
            crc = zlib.crc32(part.astype("<u2" if deep else np.uint8).tobytes())
            assert (crc ^ crc >> 16) & 0xFFFF == code_hash
    return out


def check_value(tensors: Weights) -> int:
    """The check vector. Symbols depend on their place in the batch only, so the tiles can go one after the other."""
    seen: list[list[bytes]] = []
    for number, step in enumerate((0, 100, 255)):
        log: list[bytes] = []
        x = 1

        def symbols(
            rows: np.ndarray, table: np.ndarray, zero: int, mirror: np.ndarray | None, number: int = number,
            log: list[bytes] = log,
        ) -> np.ndarray:  # fmt: skip
            nonlocal x
            log.append(rows.astype("<i4").tobytes())
            if mirror is not None:
                log.append(np.where(mirror, 0, 2).astype("<i4").tobytes())
            k = table.shape[1]
            out = []
            for i in range(number * rows.size, (number + 1) * rows.size):
                r = (i + x) * 2654435761 % 2**32
                j = (r >> 16) % (1 + (k - 1) // 2 ** (r % 8))
                out.append(j if zero == 0 else min(max(zero + (j if r & 8 else -j) // 2, 0), k - 1))
            x = (x * 1664525 + 1013904223) % 2**32
            return np.array(out).reshape(rows.shape)

        Tile(tensors, step, 1, 2, gray=False).decode(symbols)
        seen.append(log)
    digest = hashlib.sha256(b"".join(part for parts in zip(*seen, strict=True) for part in parts)).digest()
    return int.from_bytes(digest[:4], "little")
