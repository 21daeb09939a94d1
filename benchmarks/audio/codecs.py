"""The audio codecs that the benchmark compares: how each is asked for a rate, how it is called, what it weighs.

Opus is opusenc and opusdec at complexity 10, without comments and padding: as small as its files get. Vorbis and MP3
come from libsndfile, for reference only: they were not made for these rates, and work at 24 kHz here (16 kHz for sounds
at that rate), where they do best at theirs. AAC is FFmpeg's own encoder, which chooses its band by the rate.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from vqcodec.benchmarks.audio.metrics import mono, resample
from vqcodec.benchmarks.audio.ogg import packet_sizes
from vqcodec.errors import UsageError

__all__ = [
    "ANCHORS",
    "OURS",
    "AudioCodec",
    "available_codecs",
    "codec_version",
    "decode",
    "encode",
    "is_ours",
    "payload_size",
    "select_codecs",
]

Samples = NDArray[np.float32]

OURS = "vqcodec"
ANCHORS = ("opus-vbr", "opus-vbr-60")  # what delta rates refer to
OPUS_RATE = 48000
LARGEST_SHIFT = 3000  # samples; MP3 decoders that ignore the encoder's delay are off by up to 2257


@dataclass(frozen=True)
class AudioCodec:
    """One codec with one set of options.

    Attributes:
        name: short name for the command line and for file names.
        label: what tables and plots print.
        family: "vqcodec", "opus", "vorbis", "mp3" or "aac".
        settings: what the encoder is asked for, rising: quality (vqcodec, vorbis) or kbit/s (opus, mp3).
        options: of opusenc.
        downmix: codes the mean of the channels instead of all of them.
    """

    name: str
    label: str
    family: str
    settings: tuple[float, ...]
    options: tuple[str, ...] = ()
    downmix: bool = False


# Ours: from some 2.5 kbit/s of speech on.
_OURS = (1, 8, 15, 22, 30, 38, 46, 56, 66, 78, 90)
_OPUS = (6, 8, 9, 10, 12, 16, 20, 24, 32, 48, 64)
_CBR = (6, 8, 10, 12, 16, 24, 32, 48, 64)
_VBR = ("--vbr", "--framesize", "20")


def available_codecs() -> list[AudioCodec]:
    """Every codec of the benchmark, ours first."""
    return [
        AudioCodec(OURS, "vqcodec", "vqcodec", _OURS),
        AudioCodec("vqcodec-mono", "vqcodec, mono downmix", "vqcodec", _OURS, downmix=True),
        AudioCodec("opus-vbr", "Opus VBR, 20 ms", "opus", _OPUS, _VBR),
        AudioCodec("opus-vbr-60", "Opus VBR, 60 ms", "opus", _OPUS, ("--vbr", "--framesize", "60")),
        AudioCodec("opus-cbr", "Opus hard CBR, 20 ms", "opus", _CBR, ("--hard-cbr", "--framesize", "20")),
        AudioCodec("opus-mono", "Opus VBR, 20 ms, mono downmix", "opus", _OPUS, _VBR, downmix=True),
        AudioCodec("vorbis", "Vorbis at 24 kHz", "vorbis", (0, 2, 5)),
        AudioCodec("mp3", "MP3 at 24 kHz", "mp3", (16, 24, 32, 48, 64)),
        AudioCodec("aac", "AAC (FFmpeg)", "aac", (16, 24, 32, 48, 64)),
    ]


def is_ours(codec: AudioCodec) -> bool:
    """Our own results are never cached: weights change while the version stays."""
    return codec.family == OURS


def select_codecs(
    names: Sequence[str], qualities: Sequence[float] = (), *, downmix: bool = False, opus: bool = True
) -> list[AudioCodec]:
    """The codecs of these names, the anchors too; all if there is no name, those of the downmix only if asked for.

    Raises:
        UsageError: an unknown name, or Opus or AAC is wanted and its tools are not installed.
    """
    known = {codec.name: codec for codec in available_codecs()}
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"no codec named {', '.join(missing)} here; choose from {', '.join(known)}")
    if "aac" in names and not shutil.which("ffmpeg"):
        raise UsageError("codec aac needs ffmpeg, which is not installed: apt install ffmpeg, or leave it out")
    wanted = set(names) if names else {name for name in known if not known[name].downmix}
    if not shutil.which("ffmpeg"):
        wanted -= {"aac"}
    wanted |= set(ANCHORS)
    if downmix:
        wanted |= {"vqcodec-mono"} if OURS in wanted else set()
    if downmix or "vqcodec-mono" in wanted:
        wanted.add("opus-mono")
    chosen = [codec for codec in known.values() if codec.name in wanted and (opus or codec.family != "opus")]
    if not chosen:
        raise UsageError("--no-opus leaves nothing to measure; name another codec")
    if any(codec.family == "opus" for codec in chosen):
        _need_opus()
    own = tuple(sorted(set(qualities)))
    return [replace(codec, settings=own) if is_ours(codec) and own else codec for codec in chosen]


def _need_opus() -> None:
    if not all(shutil.which(tool) for tool in ("opusenc", "opusdec")):
        raise UsageError("opusenc and opusdec are not installed: apt install opus-tools, or leave Opus out: --no-opus")


def _cpu_seconds() -> float:
    """Processor time of this process and of its finished children: what one core would need."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def encode(codec: AudioCodec, samples: Samples, rate: int, setting: float) -> tuple[bytes, float]:
    """The whole file that ``codec`` makes of samples [T, C], and the processor seconds it took."""
    if codec.downmix:
        samples = mono(samples)[:, None].astype(np.float32)
    if codec.family == "opus":
        return _encode_opus(codec, samples, rate, setting)
    if codec.family == "aac":
        return _encode_aac(samples, rate, setting)
    start = _cpu_seconds()
    if codec.family == OURS:
        import vqcodec

        data = vqcodec.compress(samples, sample_rate=rate, quality=setting, threads=1)
    else:
        data = _encode_sndfile(codec, samples, rate, setting)
    return data, _cpu_seconds() - start


def decode(codec: AudioCodec, data: bytes, like: Samples, rate: int) -> tuple[Samples, float]:
    """Samples of a file that ``encode`` made of ``like`` [T, C] at ``rate``, in its shape, and the processor seconds.

    What was coded as the downmix comes back as [T, 1].
    """
    start = _cpu_seconds()
    if codec.family == OURS:
        import vqcodec

        sound = vqcodec.decompress(data, kind="audio", threads=1)
        samples, own_rate = np.asarray(sound.samples, np.float32), int(sound.sample_rate)
    elif codec.family == "opus":
        samples, own_rate = _decode_opus(data)
    elif codec.family == "aac":
        samples, own_rate = _decode_aac(data)
    else:
        samples, own_rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    seconds = _cpu_seconds() - start
    if codec.family in ("mp3", "aac"):
        samples = _align(resample(mono(like), rate, own_rate), samples)
    return _fit(resample(samples, own_rate, rate), len(like)), seconds


def _fit(samples: Samples, length: int) -> Samples:
    """The first ``length`` samples; resampling may round to one more or less, and MP3 pads to whole frames."""
    return np.pad(samples[:length], ((0, max(0, length - len(samples))), (0, 0))).astype(np.float32)


def _align(reference: Samples, samples: Samples) -> Samples:
    """Shift samples [T, C] so that they fit reference [T] best."""
    size = 1 << (len(reference) + len(samples)).bit_length()
    spectrum = np.fft.rfft(mono(samples), size) * np.conj(np.fft.rfft(reference, size))
    likeness = np.fft.irfft(spectrum, size)
    shifts = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    shift = int(shifts[np.argmax(likeness[shifts])])
    return samples[shift:] if shift >= 0 else np.pad(samples, ((-shift, 0), (0, 0)))


def _encode_opus(codec: AudioCodec, samples: Samples, rate: int, setting: float) -> tuple[bytes, float]:
    with tempfile.TemporaryDirectory(prefix="vqcodec-bench-") as folder:
        source, target = Path(folder) / "a.wav", Path(folder) / "a.opus"
        # As sound is usually kept. At 24 bits libopus takes what a resampler leaves above 8 kHz for sound to code.
        soundfile.write(source, samples, rate, subtype="PCM_16")
        bare = ("--quiet", "--padding", "0", "--discard-comments", "--discard-pictures", "--comp", "10")
        start = _cpu_seconds()
        subprocess.run(["opusenc", *bare, "--bitrate", f"{setting:g}", *codec.options, source, target], check=True)
        return target.read_bytes(), _cpu_seconds() - start


def _decode_opus(data: bytes) -> tuple[Samples, int]:
    with tempfile.TemporaryDirectory(prefix="vqcodec-bench-") as folder:
        source, target = Path(folder) / "a.opus", Path(folder) / "a.wav"
        source.write_bytes(data)
        # Its own rate and floats: opusdec's resampler and rounding are not part of the comparison.
        options = ("--quiet", "--float", "--rate", str(OPUS_RATE))
        subprocess.run(["opusdec", *options, source, target], check=True)
        return soundfile.read(target, dtype="float32", always_2d=True)[0], OPUS_RATE


def _ffmpeg(*options: object) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", *map(str, options)], check=True)


def _encode_aac(samples: Samples, rate: int, setting: float) -> tuple[bytes, float]:
    with tempfile.TemporaryDirectory(prefix="vqcodec-bench-") as folder:
        source, target = Path(folder) / "a.wav", Path(folder) / "a.m4a"
        soundfile.write(source, samples, rate, subtype="PCM_16")
        start = _cpu_seconds()
        _ffmpeg(
            "-i", source, "-c:a", "aac", "-b:a", f"{setting:g}k", "-map_metadata", -1, "-fflags", "+bitexact", target
        )
        return target.read_bytes(), _cpu_seconds() - start


def _decode_aac(data: bytes) -> tuple[Samples, int]:
    with tempfile.TemporaryDirectory(prefix="vqcodec-bench-") as folder:
        source, target = Path(folder) / "a.m4a", Path(folder) / "a.wav"
        source.write_bytes(data)
        _ffmpeg("-i", source, "-c:a", "pcm_f32le", target)
        samples, rate = soundfile.read(target, dtype="float32", always_2d=True)
        return samples, int(rate)


def _aac_payload(data: bytes) -> int:
    """Bytes of an MP4 file's media data boxes (ISO/IEC 14496-12, 8.1.1)."""
    total = at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size < 8:  # 0: to the end of the file; 1: a length of 64 bits, which no clip needs
            size = len(data) - at
        total += (size - 8) * (kind == b"mdat")
        at += size
    return total


def _encode_sndfile(codec: AudioCodec, samples: Samples, rate: int, setting: float) -> bytes:
    own_rate = 24000 if rate > 16000 else 16000
    sound = resample(samples, rate, own_rate)
    buffer = io.BytesIO()
    if codec.family == "vorbis":
        soundfile.write(buffer, sound, own_rate, format="OGG", subtype="VORBIS", compression_level=1 - setting / 10)
    else:
        # libsndfile maps the level onto the bit rates of MPEG-2, 160 down to 8 kbit/s.
        options = {"compression_level": (160 - setting) / 152, "bitrate_mode": "CONSTANT"}
        soundfile.write(buffer, sound, own_rate, format="MP3", subtype="MPEG_LAYER_III", **options)
    return buffer.getvalue()


def payload_size(codec: AudioCodec, data: bytes) -> int:
    """Bytes of coded sound alone: our chunks' streams, packets without Ogg pages and headers, an MP4's media
    data, the whole of an MP3.
    """
    if codec.family == OURS:
        from vqcodec.bitstream import read_header

        return sum(read_header(data).payload_sizes)
    if codec.family == "mp3":
        return len(data)
    if codec.family == "aac":
        return _aac_payload(data)
    headers = {"opus": 2, "vorbis": 3}[codec.family]
    return sum(packet_sizes(data)[headers:])


@cache
def _opus_version() -> str:
    _need_opus()
    text = subprocess.run(["opusenc", "--version"], capture_output=True, text=True, check=True).stdout
    return text.splitlines()[0].strip()


@cache
def _ffmpeg_version() -> str:
    text = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    return " ".join(text.split()[:3])


def codec_version(codec: AudioCodec) -> str:
    """Name and version of the library behind a codec: another version may make other files."""
    if codec.family == "opus":
        return _opus_version()
    if codec.family == OURS:
        return f"vqcodec {version('vqcodec')}"
    if codec.family == "aac":
        return _ffmpeg_version()
    return f"libsndfile {soundfile.__libsndfile_version__}"
