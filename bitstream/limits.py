"""Limits that a reader checks before it allocates anything (SPEC.md)."""

from __future__ import annotations

from dataclasses import dataclass

from vqcodec.errors import LimitError

__all__ = ["FREE_PIXELS", "FREE_SECONDS", "PIXELS", "PIXELS_PER_BYTE", "SECONDS", "Limits"]

PIXELS = 100_000_000
# What a file may ask for at the default limit: 10 kB for 9 megapixels, which is what decodes in ten seconds and 1 GB.
# Pictures that are coded in less than this are flat; a writer fills their files up (SPEC.md, Cost).
FREE_PIXELS, PIXELS_PER_BYTE = 2**22, 500
SECONDS = 24 * 3600
# The same of sound that is not silence, all channels together: 10 kB for 260 s, which decode in ten seconds on a busy
# core. Less than 50 bytes a second of a channel are needed by what is nearly silence, whose files are filled up too.
FREE_SECONDS, _BYTES_PER_SECOND = 60, 50
# Chunks of silence need no decoding but memory and writing: an hour of one channel at 48 kHz for every file (0.7 GB as
# samples) and 1/50 s more for every byte.
_CORE_RATE = 48_000
_FREE_SILENCE, _SILENCE_PER_BYTE = 3600 * _CORE_RATE, _CORE_RATE // 50  # samples
# The same of what is lossless: 10 kB for 57 megapixels, which at 16 bits with alpha take 5 seconds and 0.8 GB.
FREE_EXACT_PIXELS, EXACT_PIXELS_PER_BYTE = 2**24, 4_096
_CELL = 64  # pixels a side of what is coded at least
# How the public functions, and the command line, name what sets a limit.
_RAISE_PIXELS = "raise the limit by --max-pixels (max_pixels)"
_RAISE_SECONDS = "raise the limit by --max-seconds (max_seconds)"
_VALUES_A_SECOND = 96_000  # of stereo at 48 kHz: more rate or more channels leave room for fewer seconds


def _coded(width: int, height: int, lossless: bool = False) -> int:
    """Pixels that are coded for an image, and cost: its sides are rounded up to cells unless it is lossless."""
    return width * height if lossless else -(-width // _CELL) * -(-height // _CELL) * _CELL**2


def _shares(lossless: bool) -> tuple[int, int]:
    """Pixels that every file may ask for, and those for each of its bytes."""
    return (FREE_EXACT_PIXELS, EXACT_PIXELS_PER_BYTE) if lossless else (FREE_PIXELS, PIXELS_PER_BYTE)


def _at_core_rate(samples: int, sample_rate: int) -> int:
    """Samples as many as decoding makes on the way: at 48 kHz at least."""
    return -(-samples * max(_CORE_RATE, sample_rate) // sample_rate)


@dataclass(frozen=True)
class Limits:
    """What a reader is willing to decode.

    Attributes:
        pixels: width x height of an image; less in a small file, see :meth:`pixels_of`.
        side: pixels of its longer side.
        seconds: length of a sound; also, all channels together, of what stereo at 48 kHz would have in samples; less
            in a small file, see :meth:`seconds_of`.
        channels: channels of a sound.
        metadata_bytes: all metadata of a file, after inflating.
    """

    pixels: int = PIXELS
    side: int = 65_535
    seconds: int = SECONDS
    channels: int = 8
    metadata_bytes: int = 16 * 2**20

    def pixels_of(self, size: int, *, lossless: bool = False) -> int:
        """Coded pixels that a file of so many bytes may ask for; a limit above the default raises this as well."""
        free, per_byte = _shares(lossless)
        return (free + per_byte * size) * max(self.pixels, PIXELS) // PIXELS

    @staticmethod
    def least_size(width: int, height: int, *, lossless: bool = False) -> int:
        """Bytes from which on a file may ask for an image of this size, where the limits do not speak against it."""
        free, per_byte = _shares(lossless)
        return -(-max(_coded(width, height, lossless) - free, 0) // per_byte)

    def seconds_of(self, size: int) -> int:
        """Seconds of all channels together that a file of so many bytes may ask for beside chunks of silence.

        A higher limit raises this too.
        """
        asked = FREE_SECONDS + size // _BYTES_PER_SECOND
        return asked * max(self.seconds, SECONDS) // SECONDS

    def silence_of(self, size: int) -> int:
        """The same of chunks of silence, in samples at 48 kHz or at the rate of the sound, if that is higher."""
        return (_FREE_SILENCE + size * _SILENCE_PER_BYTE) * max(self.seconds, SECONDS) // SECONDS

    @staticmethod
    def least_size_of_sound(sample_rate: int, channels: int, samples: int, coded: int) -> int:
        """Bytes from which on a file may ask for a sound of this length, where the limits do not speak against it."""
        of_coded = max(-(-coded * channels // sample_rate) - FREE_SECONDS, 0) * _BYTES_PER_SECOND
        silent = _at_core_rate((samples - coded) * channels, sample_rate)
        of_silence = -(-max(silent - _FREE_SILENCE, 0) // _SILENCE_PER_BYTE)
        return max(of_coded, of_silence)

    def check_image(self, width: int, height: int, size: int, *, lossless: bool = False) -> None:
        """Raise LimitError if an image of this size, in a file of so many bytes, is over the limits."""
        if max(width, height) > self.side:
            raise LimitError(f"{width} x {height} pixels: a side is over the limit of {self.side} (raise Limits.side)")
        if width * height > self.pixels:
            raise LimitError(f"{width} x {height} pixels: over the limit of {self.pixels:,}; {_RAISE_PIXELS}")
        most = self.pixels_of(size, lossless=lossless)
        if _coded(width, height, lossless) > most:
            raise LimitError(
                f"{width} x {height} pixels: over the limit of {most:,} for a file of {size:,} bytes; {_RAISE_PIXELS}"
            )

    def check_audio(self, sample_rate: int, channels: int, samples: int, held: tuple[int, int] | None = None) -> None:
        """Raise LimitError if a sound of this length (samples per channel) is over the limits.

        Args:
            held: bytes of the file that holds it coded, and how many of its samples, per channel, are not in chunks of
                silence; None for a source that holds every sample.
        """
        if channels > self.channels:
            raise LimitError(f"{channels} channels: over the limit of {self.channels} (raise Limits.channels)")
        if samples > self.seconds * sample_rate:
            seconds = samples // sample_rate
            raise LimitError(f"{seconds} s of sound: over the limit of {self.seconds:,} s; {_RAISE_SECONDS}")
        if samples * channels > self.seconds * _VALUES_A_SECOND:
            raise LimitError(
                f"{samples:,} samples of {channels} channels: over the limit of {self.seconds} s, which allows "
                f"{self.seconds * _VALUES_A_SECOND:,} in all channels together; {_RAISE_SECONDS}"
            )
        if held is None:
            return
        size, coded = held
        if coded * channels > self.seconds_of(size) * sample_rate:
            raise LimitError(
                f"{coded // sample_rate} s of sound in {channels} channels: over the limit of "
                f"{self.seconds_of(size):,} s in all channels together for a file of {size:,} bytes; {_RAISE_SECONDS}"
            )
        silent = _at_core_rate((samples - coded) * channels, sample_rate)
        if silent > self.silence_of(size):
            raise LimitError(
                f"{silent:,} samples of silence, counted at 48 kHz or more: over the limit of "
                f"{self.silence_of(size):,} in all channels together for a file of {size:,} bytes; {_RAISE_SECONDS}"
            )

    def check_metadata(self, size: int) -> None:
        """Raise LimitError if this many bytes of metadata (inflated) are over the limit."""
        if size > self.metadata_bytes:
            raise LimitError(
                f"{size} bytes of metadata: over the limit of {self.metadata_bytes} (raise Limits.metadata_bytes)"
            )
