"""Make the golden files of a model: run by hand, once for every released model, never by a test.

    python tests/golden/make_golden.py image-4
    python tests/golden/make_golden.py image-4 layers
    python tests/golden/make_golden.py exact-1
    python tests/golden/make_golden.py audio-5 --moments

with names after the model only these cases, which are new. exact-1 is no model but the lossless files of this version
of the format. The model must be the one that new files are made with. They go into ``decode/image-4`` and
``reject/image-4``, and their hashes to the end of ``HASHES``. A file that is there is never written again: a golden
file says what was written in the past and must go on decoding for as long as its model ships. How codes become
samples of a sound is not normative: where that has changed, ``--moments`` notes in ``moments.json`` what a model's
sounds are like now.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import vqcodec
from vqcodec.audio.codec import AudioCodec
from vqcodec.bitstream import AudioHeader, Chunk, ImageHeader, VqcFile, read_vqc, sample_hash, write_vqc
from vqcodec.image.files import load_picture
from vqcodec.image.layers import lay_over, present
from vqcodec.image.predicted import encode_predicted
from vqcodec.registry import audio_codec_for, image_codec_for, load_image_codec
from vqcodec.target import step_of_quality
from vqcodec.threads import ALONE

HERE = Path(__file__).parent
DECODE, REJECT, HASHES = HERE / "decode", HERE / "reject", HERE / "HASHES"
NOTED = HERE / "moments.json"
EXAMPLES = HERE.parent.parent / "examples"
THUMBNAIL = 8
MOMENTS = 40  # samples of a sound that are kept, per channel


def waves(height: int, width: int) -> np.ndarray:
    """Smooth colours with an edge, uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    red = 128 + 90 * np.sin(x / 17 + y / 29)
    green = np.where(x * 2 > y, 200, 40) + 30 * np.cos(y / 7)
    return np.stack([red, green, 255 - red / 2], 2).astype(np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo(name: str, height: int, width: int) -> np.ndarray:
    with Image.open(EXAMPLES / f"{name}.png") as im:
        return np.asarray(im.convert("RGB"))[100 : 100 + height, 200 : 200 + width]


def everything() -> Image.Image:
    """Alpha and metadata."""
    alpha = np.add.outer(np.arange(50), 3 * np.arange(70)).astype(np.uint8)
    image = Image.fromarray(np.dstack([waves(50, 70), alpha]))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    image.info = {"exif": exif.tobytes(), "xmp": b"<x:xmpmeta/>"}
    return image


def melody(seconds: float, channels: int = 1, rate: int = 24_000) -> np.ndarray:
    """Notes with overtones that fade, another for each channel: float32 [T, C]."""
    t = np.arange(round(seconds * rate))[:, None] / rate
    note = 180 * 2 ** ((np.floor(4 * t) * 5 + 7 * np.arange(channels)) % 12 / 12)
    overtones = sum(np.sin(2 * np.pi * k * note * t) / k**1.5 for k in range(1, 9))
    return (0.15 * overtones * np.exp(-3 * (t % 0.25))).astype(np.float32)


def hiss(seconds: float) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.1, (round(seconds * 24_000), 1)).astype(np.float32)


def hits(seconds: float) -> np.ndarray:
    """Noise that starts at once and fades, at 48 kHz: float32 [T, 1]."""
    t = np.arange(round(seconds * 48_000))[:, None] / 48_000
    noise = np.random.default_rng(4).normal(0, 0.2, t.shape)
    return (noise * np.exp(-30 * (t % 0.31))).astype(np.float32)


def slope(height: int, width: int) -> np.ndarray:
    """Colours that rise evenly, at 16 bits."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 80 + y * 3, x * 40 + y * 30, 60_000 - x * 50], 2).astype(np.uint16)


def drawing(height: int, width: int) -> np.ndarray:
    """Lines and boxes of few colours."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for k in range(12):
        draw.line([(5 * k, 3 + 7 * k), (width - 9 * k, height - 4 * k)], fill="black", width=1 + k % 3)
        draw.rectangle([9 * k, height - 8 * k, 9 * k + 20, height - 8 * k + 9], fill=(20 * k, 255 - 20 * k, 90))
    return np.asarray(image)


def collage() -> np.ndarray:
    """A drawing with a photograph in it."""
    out = drawing(200, 300).copy()
    out[45:165, 75:235] = photo("otters", 120, 160)
    return out


def lossless(samples: np.ndarray) -> bytes:
    return vqcodec.compress(samples, kind="image", lossless=True, exact_alpha=True)


def wide_noise(channels: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 65_536, (20, 25, channels), dtype=np.uint16)


def wide_photo(channels: int, step: int = 1) -> np.ndarray:
    """Slopes with noise, in multiples of a step."""
    ramp = np.add.outer(np.arange(70) * 300, np.arange(90) * 200)[:, :, None] + 4000 * np.arange(channels)
    noisy = ramp + np.random.default_rng(4).normal(0, 900, (70, 90, channels))
    return (noisy.clip(0, 65_535) // step * step).astype(np.uint16)


def predicted(samples: np.ndarray) -> bytes:
    """8 bits, predicted whether or not that is the smallest."""
    file = read_vqc(lossless(samples))
    payload = b"\0" + encode_predicted(samples.astype(np.uint16)) + b"\5"
    return write_vqc(replace(file, chunks=[Chunk(payload, (), sample_hash(samples))]))


def letters() -> np.ndarray:
    """Text on two colours of ground, with letters at the edge."""
    image = Image.new("RGB", (400, 140), (250, 250, 245))
    draw = ImageDraw.Draw(image)
    draw.rectangle((200, 0, 400, 140), fill=(30, 60, 90))
    for y in range(-4, 140, 20):
        draw.text((2, y), "sphinx of black quartz judge"[y % 9 :], fill="black", font_size=14)
        draw.text((202, y), "my vow pack my box with dozen"[y % 7 :], fill="white", font_size=14)
    return np.asarray(image)


def whole(samples: np.ndarray, rate: int) -> bytes:
    return vqcodec.compress(samples, sample_rate=rate, lossless=True)


def sound(samples: np.ndarray, quality: float, rate: int = 24_000) -> bytes:
    return vqcodec.compress(samples, sample_rate=rate, quality=quality)


SOUND_CASES: dict[str, Callable[[], bytes]] = {
    "sound-short": lambda: sound(hiss(0.1), 60),  # of the smallest, whose samples are kept, exact-1 has files
    "sound-silence": lambda: sound(np.zeros((30_000, 2), np.float32), 100),
    "sound-melody": lambda: sound(melody(2.5), 40),
    "sound-finest": lambda: sound(melody(0.4), 100),
    "sound-coarsest": lambda: sound(melody(3), 1),
    "sound-hiss": lambda: sound(hiss(0.7), 60),
    "sound-stereo": lambda: sound(melody(1.3, 2), 50),
    "sound-three-channels": lambda: sound(melody(0.8, 3), 30),
    "sound-two-chunks": lambda: sound(melody(4.3), 20),
    "sound-last-frame": lambda: sound(melody(4), 20),
    "sound-attacks": lambda: sound(hits(1.5), 60, 48_000),
    "sound-places": lambda: sound(melody(1.2, 1, 48_000) * np.array([[0.9, -0.3]], np.float32), 45, 48_000),
    "sound-pause": lambda: sound(np.pad(melody(1, 1, 48_000), ((0, 450_000), (0, 0))), 30, 48_000),
    "sound-tags": lambda: vqcodec.compress(
        vqcodec.Sound(melody(1, 2, 44_100), 44_100, {"TITLE": "one two"}), quality=30
    ),
}


def to_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    return (np.round(samples * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)).astype(np.float32)


EXACT_CASES: dict[str, Callable[[], bytes]] = {
    "photo": lambda: lossless(photo("lake", 90, 120)),
    "gray": lambda: lossless(waves(50, 70)[..., 0]),
    "alpha": lambda: lossless(np.dstack([waves(50, 70), noise(50, 70)[..., 0]])),
    "one-pixel": lambda: lossless(np.array([[[200, 30, 90]]], np.uint8)),
    "flat": lambda: lossless(np.full((3000, 4000, 3), 250, np.uint8)),
    "drawing": lambda: vqcodec.compress(drawing(200, 300)),
    "wide-noise": lambda: lossless(wide_noise(4)),
    "wide-gray": lambda: lossless(wide_noise(1)),
    "wide-slope": lambda: lossless(slope(60, 80)),
    "wide-photo": lambda: lossless(wide_photo(4)),
    "wide-levels": lambda: lossless(wide_photo(3, 64)),
    "wide-few-levels": lambda: lossless(wide_photo(1, 1000)),
    "letters": lambda: lossless(letters()),
    "wide-letters": lambda: lossless(letters()[:, :, :1].astype(np.uint16) * 257),
    "predicted": lambda: predicted(photo("lake", 90, 120)),
    "wide-of-8-bits": lambda: lossless(waves(40, 50).astype(np.uint16) * 257),
    "sound-16": lambda: whole(to_bits(melody(0.2, 2), 16), 44_100),
    "sound-24": lambda: whole(to_bits(melody(0.1, 3), 24), 24_000),
    "sound-chunks": lambda: whole(to_bits(melody(9, 1, 1_000), 16), 1_000),
    "sound-silence": lambda: whole(np.zeros((30_000, 1), np.float32), 48_000),
}
PICTURE_CASES: dict[str, Callable[[], bytes]] = {
    "one-pixel": lambda: coded(np.array([[[200, 30, 90]]], np.uint8)),
    "one-gray-pixel": lambda: coded(np.array([[77]], np.uint8)),
    "black": lambda: coded(np.zeros((100, 100, 3), np.uint8), 100),
    "gray": lambda: vqcodec.compress(waves(130, 200)[..., 0], quality=70),
    "coarsest": lambda: vqcodec.compress(waves(130, 200), quality=1),
    "finest": lambda: vqcodec.compress(waves(64, 65), quality=100),
    "noise": lambda: vqcodec.compress(noise(90, 70), quality=60),
    "lake": lambda: vqcodec.compress(photo("lake", 192, 256), quality=60),
    "otters": lambda: vqcodec.compress(photo("otters", 120, 160), quality=90),
    "two-tiles": lambda: vqcodec.compress(waves(70, 1100), quality=40),
    "alpha-and-metadata": lambda: vqcodec.compress(everything(), quality=50),
    "layers": lambda: vqcodec.compress(collage()),
    "wide-layers": lambda: vqcodec.compress(collage().astype(np.uint16) * 257),
}


def of_tokens(pixels: np.ndarray, quality: float = 60) -> bytes:
    return vqcodec.compress(pixels, model="tokens", quality=quality)


TOKENS_CASES: dict[str, Callable[[], bytes]] = {
    "tokens-one-pixel": lambda: of_tokens(np.array([[[200, 30, 90]]], np.uint8)),
    "tokens-gray": lambda: of_tokens(waves(70, 130)[..., 0]),
    "tokens-coarsest": lambda: of_tokens(photo("lake", 192, 256), 1),
    "tokens-finest": lambda: of_tokens(photo("otters", 120, 160), 100),
    "tokens-lake": lambda: of_tokens(photo("lake", 192, 256)),
    "tokens-two-tiles": lambda: of_tokens(waves(70, 1100), 40),
    "tokens-alpha-and-metadata": lambda: vqcodec.compress(everything(), model="tokens"),
}


def facts(data: bytes) -> dict[str, object]:
    """What a decoder must find: codes exactly, pixels nearly, everything else exactly."""
    file = read_vqc(data)
    if file.header.lossless:
        return exact_facts(file, data)
    if isinstance(file.header, AudioHeader):
        return sound_facts(file, file.header, audio_codec_for(file.header))
    codec = image_codec_for(file.header)
    chunks = present(file.chunks, file.header)
    codes = codec.decode_codes(file.header, chunks)
    pixels = codec.decode(file.header, chunks)
    lay_over(pixels, file.layers, file.header, ALONE)
    alpha = b"" if file.alpha is None else file.alpha.tobytes()
    return {
        "codes": hashlib.sha256(b"".join(c.astype("<i4").tobytes() for c in codes)).hexdigest(),
        "shape": [file.header.height, file.header.width],
        "alpha": hashlib.sha256(alpha).hexdigest(),
        "metadata": digests(file.metadata),
        "thumbnail": thumbnail(pixels / 257 if file.header.deep else pixels).round(2).tolist(),
    }


def exact_facts(file: VqcFile, data: bytes) -> dict[str, object]:
    """Of a lossless file: every sample."""
    if isinstance(file.header, AudioHeader):
        decoded = vqcodec.decompress(data, kind="audio")
        shape, samples = [decoded.sample_rate, *decoded.samples.shape, decoded.bits], decoded.samples.astype("<f4")
    else:
        picture = vqcodec.decompress_samples(data)
        planes = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
        joined = np.dstack(planes)
        shape, samples = list(joined.shape), joined.astype(joined.dtype.newbyteorder("<"))
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    return {"samples": digest, "shape": shape, "metadata": digests(file.metadata)}


def sound_facts(file: VqcFile, header: AudioHeader, codec: AudioCodec) -> dict[str, object]:
    """The same of a sound: samples at the core rate."""
    digest = hashlib.sha256()
    for codes in codec.decode_codes(header, file.chunks):
        assert codes is not None
        for array in (np.array([codes.level]), codes.short, codes.angles, codes.envelope, codes.powers, codes.lines):
            digest.update(array.astype("<i4").tobytes())
    samples = np.concatenate(list(codec.decode(header, file.chunks)))
    return {
        "codes": digest.hexdigest(),
        "shape": [header.sample_rate, header.samples, header.channels],
        "metadata": digests(file.metadata),
        "moments": moments(samples).round(6).tolist(),
    }


def digests(metadata: dict[str, bytes]) -> dict[str, str]:
    return {key: hashlib.sha256(value).hexdigest() for key, value in sorted(metadata.items())}


def moments(samples: np.ndarray) -> np.ndarray:
    """Samples [<= 40, C] all over a sound."""
    return samples[np.unique(np.linspace(0, len(samples) - 1, MOMENTS).astype(int))].astype(float)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Means over 8 x 8 blocks, fewer where the picture is smaller: float [<= 8, <= 8, C]."""
    height, width = (min(THUMBNAIL, n) for n in pixels.shape[:2])
    rows = np.array_split(pixels.astype(float), height)
    return np.array([[cell.mean((0, 1)) for cell in np.array_split(row, width, 1)] for row in rows])


def picture_rejects() -> dict[str, bytes]:
    """Files that must be refused, by the name of the error and what is wrong."""
    good = vqcodec.compress(waves(20, 30), quality=30)
    file = read_vqc(good)
    chunk = file.chunks[0]
    assert chunk is not None
    flipped = bytearray(good)
    flipped[-8] ^= 4
    older = bytearray(good)
    older[8] = 0x20
    return {
        "NotVqcError-png": (EXAMPLES / "lake.png").read_bytes()[:100],
        "TruncatedError-half": good[: len(good) // 2],
        "TruncatedError-signature": good[:5],
        "ChecksumError-chunk": bytes(flipped),
        "ChecksumError-codes": write_vqc(replace(file, chunks=[replace(chunk, code_hash=chunk.code_hash ^ 1)])),
        "UnsupportedVersionError-major": bytes(older),
        "UnknownModelError-id": write_vqc(replace(file, header=replace(file.header, model_id=b"none"))),
        "CorruptError-trailing": good + b"x",
        "CorruptError-tiles": write_vqc(replace(file, header=replace(file.header, tile_log2=9))),
    }


def tokens_rejects() -> dict[str, bytes]:
    """The same of tokens."""
    good = of_tokens(waves(70, 90))
    file = read_vqc(good)
    chunk = file.chunks[0]
    assert chunk is not None
    return {
        "TruncatedError-tokens": good[: len(good) // 2],
        "ChecksumError-tokens": write_vqc(replace(file, chunks=[replace(chunk, code_hash=chunk.code_hash ^ 1)])),
        "CorruptError-tokens-tiles": write_vqc(replace(file, header=replace(file.header, tile_log2=9))),
        "CorruptError-tokens-flags": write_vqc(replace(file, header=replace(file.header, even=True))),
    }


def sound_rejects() -> dict[str, bytes]:
    """The same of sound."""
    heard = read_vqc(sound(melody(0.5), 40))
    assert isinstance(heard.header, AudioHeader)
    first = heard.chunks[0]
    assert first is not None
    return {
        "ChecksumError-sound": write_vqc(replace(heard, chunks=[replace(first, code_hash=first.code_hash ^ 1)])),
        "CorruptError-sound-frames": write_vqc(replace(heard, header=replace(heard.header, chunk_frames=150))),
        "CorruptError-sound-chunks": write_vqc(replace(heard, header=replace(heard.header, samples=100_000))),
    }


def exact_rejects() -> dict[str, bytes]:
    """The same of lossless files."""
    good = lossless(waves(20, 30))
    file = read_vqc(good)
    chunk = file.chunks[0]
    assert chunk is not None
    flipped = bytearray(good)
    flipped[-8] ^= 4
    heard = read_vqc(whole(to_bits(melody(0.5), 16), 24_000))
    first = heard.chunks[0]
    assert first is not None
    reserved = bytearray(good)
    reserved[10] |= 8
    return {
        "TruncatedError-half": good[: len(good) // 2],
        "ChecksumError-chunk": bytes(flipped),
        "ChecksumError-samples": write_vqc(replace(file, chunks=[replace(chunk, code_hash=chunk.code_hash ^ 1)])),
        "CorruptError-method": write_vqc(replace(file, chunks=[replace(chunk, payload=chunk.payload[:-1] + b"\x09")])),
        "CorruptError-stream": write_vqc(replace(file, chunks=[replace(chunk, payload=b"no stream\2")])),
        "UnsupportedVersionError-flags": bytes(reserved),
        "ChecksumError-sound": write_vqc(replace(heard, chunks=[replace(first, code_hash=first.code_hash ^ 1)])),
        "CorruptError-sound-chunks": write_vqc(replace(heard, chunks=[first, first])),
    }


KINDS = {
    "image": (PICTURE_CASES, picture_rejects),
    "tokens": (TOKENS_CASES, tokens_rejects),
    "audio": (SOUND_CASES, sound_rejects),
    "exact": (EXACT_CASES, exact_rejects),
}
"""Cases and files to refuse, by what the name of a model begins with."""


def coded(pixels: np.ndarray, quality: float = 60) -> bytes:
    """With codes, whatever would be smaller."""
    codec = load_image_codec()
    picture = load_picture(pixels)
    step = step_of_quality(quality)
    height, width, channels = picture.pixels.shape
    header = ImageHeader(width, height, step, channels == 1, False, codec.model_id, codec.model_hint)
    return write_vqc(VqcFile(header, list(codec.encode(picture.pixels, step))))


def make(model: str, here: Path = HERE, only: Sequence[str] = ()) -> list[Path]:
    """Write the golden files of a model below ``here``, all or none; their paths.

    Args:
        only: these cases, and no files to refuse; empty: everything.

    Raises:
        SystemExit: a file is there already, or new files are made with another model.
    """
    kind = model.split("-")[0]
    cases, rejects = KINDS[kind]
    good = {name: case() for name, case in cases.items() if not only or name in only}
    for name, data in good.items():
        used = vqcodec.info(data)["model_name"]
        if used != (None if kind == "exact" else model):
            raise SystemExit(f"{name}: new files are made with {used}, not with {model}")
    files = {here / "decode" / model / f"{name}.vqc": data for name, data in good.items()}
    files |= {path.with_suffix(".json"): _json(data) for path, data in files.items()}
    bad = rejects()
    files |= {here / "reject" / model / f"{name}.vqc": data for name, data in bad.items() if not only}
    for path in files:
        if path.exists():
            raise SystemExit(f"{path}: is there already; a golden file is never written again")
    for path, data in sorted(files.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        with (here / HASHES.name).open("a") as listed:
            listed.write(f"{hashlib.sha256(data).hexdigest()}  {path.relative_to(here).as_posix()}\n")
    return sorted(files)


def note_moments(model: str, here: Path = HERE) -> Path:
    """Note samples of a model's sounds as they are now, in place of those in its golden files; where."""
    paths = sorted((here / "decode" / model).glob("*.vqc"))
    if not paths:
        raise SystemExit(f"{model}: has no golden files")
    noted = {f"{model}/{path.stem}": facts(path.read_bytes())["moments"] for path in paths}
    (here / NOTED.name).write_text(json.dumps(noted) + "\n")
    return here / NOTED.name


def _json(data: bytes) -> bytes:
    return (json.dumps(facts(data), indent=1) + "\n").encode()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    name, *rest = sys.argv[1:]
    if "--moments" in rest and len(rest) > 1:
        raise SystemExit("--moments takes all cases of a model")
    written = [note_moments(name)] if rest == ["--moments"] else make(name, only=rest)
    sys.stdout.writelines(f"{path}\n" for path in written)
