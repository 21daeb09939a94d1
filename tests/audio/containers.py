"""Sound files made by hand, with whatever is wrong in them."""

from __future__ import annotations

import struct

import numpy as np

RATE = 16_000
PCM = np.rint(9_000 * np.sin(np.arange(1_000) / 5)).astype("<i2")


def chunk(kind: bytes, body: bytes, *, size: int | None = None, pad: bool = True, order: str = "<") -> bytes:
    """A chunk of RIFF or AIFF; ``size`` is what it claims."""
    head = struct.pack(order + "4sI", kind, len(body) if size is None else size)
    return head + body + b"\0" * (len(body) % 2 if pad else 0)


def fmt(channels: int = 1, mask: int | None = None, bits: int = 16, order: str = "<", tag: int = 1) -> bytes:
    """Body of a ``fmt `` chunk; WAVE_FORMAT_EXTENSIBLE with a mask."""
    width = channels * bits // 8
    body = struct.pack(order + "HHIIHH", tag if mask is None else 0xFFFE, channels, RATE, RATE * width, width, bits)
    if mask is None:
        return body
    return body + struct.pack(order + "HHI", 22, bits, mask) + bytes.fromhex("0100000000001000800000aa00389b71")


def wav(*chunks: bytes, family: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    order = ">" if family == b"RIFX" else "<"
    return struct.pack(order + "4sI", family, len(body) if size is None else size) + body


FMT = chunk(b"fmt ", fmt())
DATA = chunk(b"data", PCM.tobytes())


def info(*entries: tuple[bytes, bytes], pad: bool = True) -> bytes:
    return chunk(b"LIST", b"INFO" + b"".join(chunk(kind, text, pad=pad) for kind, text in entries), pad=pad)


def w64(*parts: tuple[bytes, bytes, int | None]) -> bytes:
    """Sony Wave64: name, body and claimed size of each chunk."""
    tail = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
    out = b"wave" + tail
    for kind, body, size in parts:
        out += kind + tail + struct.pack("<Q", 24 + (len(body) if size is None else size)) + body
        out += bytes(-len(body) % 8)
    head = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
    return head + struct.pack("<Q", 24 + len(out)) + out


def aiff(*chunks: bytes) -> bytes:
    body = b"AIFF" + b"".join(chunks)
    return struct.pack(">4sI", b"FORM", len(body)) + body


COMM = chunk(
    b"COMM", struct.pack(">HIH", 1, len(PCM), 16) + bytes.fromhex("400cfa00000000000000"), order=">"
)  # 16 kHz as an 80-bit float
SSND = bytes(8) + PCM.astype(">i2").tobytes()


def flac(*blocks: tuple[int, bytes]) -> bytes:
    """Metadata blocks in front of no frames; the first is a stream info."""
    out = b"fLaC"
    for i, (kind, body) in enumerate(((0, bytes(34)), *blocks)):
        out += bytes([kind | 0x80 * (i == len(blocks))]) + len(body).to_bytes(3, "big") + body
    return out


def synchsafe(n: int) -> bytes:
    return bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])


def id3(version: int, *frames: bytes, flags: int = 0) -> bytes:
    body = b"".join(frames)
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body


def frame(version: int, kind: bytes, body: bytes, flags: int = 0) -> bytes:
    if version == 2:
        return kind + len(body).to_bytes(3, "big") + body
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    return kind + size + bytes([0, flags]) + body


def ape(*items: tuple[str, bytes, int]) -> bytes:
    """An APEv2 tag without header: key, value and kind (0 text, 1 binary) of each item."""
    body = b"".join(
        struct.pack("<II", len(value), kind << 1) + key.encode() + b"\0" + value for key, value, kind in items
    )
    return body + b"APETAGEX" + struct.pack("<4I", 2000, len(body) + 32, len(items), 0) + bytes(8)


def ogg(*packets: bytes, serial: bytes = b"1234") -> bytes:
    """Pages of at most 255 lacing values."""
    lacing, body = [], b"".join(packets)
    for packet in packets:
        lacing += [255] * (len(packet) // 255) + [len(packet) % 255]
    pages, pos = [], 0
    for start in range(0, len(lacing), 255):
        part = bytes(lacing[start : start + 255])
        size = sum(part)
        pages.append(b"OggS" + bytes(10) + serial + bytes(8) + bytes([len(part)]) + part + body[pos : pos + size])
        pos += size
    return b"".join(pages)
