"""Sound in: whatever soundfile opens, or an array, as blocks of float32 samples that can be read again and again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from vqcodec.audio.metadata import read_metadata
from vqcodec.audio.tags import Tag, cover_image, pack_tags
from vqcodec.errors import InputError, LimitError, UsageError, VqcError

__all__ = [
    "BLOCK",
    "METADATA_BYTES",
    "Float32",
    "Sound",
    "SoundSource",
    "SoundStream",
    "array_source",
    "open_sound",
    "sound_source",
]

BLOCK = 65_536
"""Samples that are in memory at a time."""
_LOUDEST = 64.0  # 36 dB above full scale: beyond, it is not a loud sound but integers that were not divided
_MAX_CHANNELS = 8
_MAX_RATE = 2**20 - 1
_MIN_RATE = 1_000
METADATA_BYTES = 2**24 - 1
"""Of tags and picture together; what a FLAC block can hold, and what a .vqc file may by default."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundSource:
    """A sound ready for the codec.

    Attributes:
        sample_rate: Hz.
        channels: how many.
        metadata: bytes under the keys ``tags`` and ``picture`` (see :mod:`vqcodec.audio.tags`).
        blocks: each call reads the sound anew, as float32 [n, channels]; it raises InputError for samples that are no
            numbers, and LimitError once there are too many.
        notes: what was lost on the way, one sentence each, for the user to read.
    """

    sample_rate: int
    channels: int
    metadata: dict[str, bytes]
    blocks: Callable[[], Iterator[Float32]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SoundStream:
    """A sound that is decoded while it is read.

    Attributes:
        sample_rate: Hz.
        channels: how many.
        samples: how many per channel all blocks have together.
        blocks: float32 [n, channels], once; full scale is 1, and a sample may lie beyond.
        tags: text by name (``TITLE``, ``ARTIST`` ...).
        picture: the cover as the body of a FLAC PICTURE block, or None.
    """

    sample_rate: int
    channels: int
    samples: int
    blocks: Iterator[Float32]
    tags: dict[str, str] = field(default_factory=dict)
    picture: bytes | None = None


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound in memory.

    Attributes:
        samples: float32 [T, C]; full scale is 1, and a decoded sample may lie a little beyond.
        sample_rate: Hz.
        tags: text by name (``TITLE``, ``ARTIST`` ...).
        picture: the cover as the body of a FLAC PICTURE block, or None; ``cover`` is the image file in it.
    """

    samples: Float32
    sample_rate: int
    tags: dict[str, str] = field(default_factory=dict)
    picture: bytes | None = field(default=None, repr=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def cover(self) -> bytes | None:
        """The cover as an image file, usually JPEG or PNG, or None."""
        return (cover_image(self.picture) or None) if self.picture else None

    def tensor(self) -> Any:
        """A torch tensor in torchaudio's convention, float32 [channels, time]; it shares no memory."""
        import torch

        return torch.from_numpy(self.samples.T.copy())

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> list[str]:
        """Write a 16-bit .wav or .flac file, whole or not at all; returns what was lost, one sentence each.

        Raises:
            UsageError: another suffix.
            OutputError: the file exists and ``force`` is not set, or it cannot be written.
        """
        from vqcodec.audio.save import save_sound

        samples, channels = self.samples.shape
        stream = SoundStream(self.sample_rate, channels, samples, iter([self.samples]), self.tags, self.picture)
        return save_sound(stream, Path(path), force=force)


def array_source(samples: Any, sample_rate: int, *, max_seconds: int) -> SoundSource:
    """An array or a torch tensor as a source.

    Args:
        samples: an array [T] or [T, C], or a tensor [T] or [C, T] (torchaudio's convention); floats with full scale
            1, or int16 or int32 with their own.
        sample_rate: Hz.

    Raises:
        UsageError: another shape or type.
        LimitError: longer than ``max_seconds``, or more than 8 channels.
    """
    if hasattr(samples, "numpy"):
        array = samples.detach().cpu().numpy()
        array = array.T if array.ndim == 2 else array
    else:
        array = np.asarray(samples)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise UsageError(
            f"the array has shape {array.shape}; give [time] or [time, channels], or a tensor [channels, time]"
        )
    if array.dtype.kind != "f" and array.dtype not in (np.int16, np.int32):
        raise UsageError(f"the array has type {array.dtype}; give floats from -1 to 1, int16 or int32")
    _check_layout(sample_rate, array.shape[1], UsageError)
    check = _Checker("the array", sample_rate, max_seconds)
    check.length(len(array))
    scale = 1.0 if array.dtype.kind == "f" else -1.0 / np.iinfo(array.dtype).min

    def blocks() -> Iterator[Float32]:
        parts = (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))
        return check.blocks(_scaled(part, scale) for part in parts)

    return SoundSource(sample_rate, array.shape[1], {}, blocks)


def sound_source(sound: Sound, *, max_seconds: int) -> SoundSource:
    """A sound in memory as a source, with its tags and its cover."""
    notes: list[str] = []
    metadata = _metadata(sound.tags.items(), sound.picture, notes)
    plain = array_source(sound.samples, sound.sample_rate, max_seconds=max_seconds)
    return replace(plain, metadata=metadata, notes=tuple(notes))


def _scaled(part: npt.NDArray[Any], scale: float) -> Float32:
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused as such
        return (part * scale).astype(np.float32)


@contextmanager
def open_sound(
    source: str | os.PathLike[str] | bytes | BinaryIO, *, max_seconds: int, head: bytes = b""
) -> Iterator[SoundSource]:
    """Open a sound file.

    Args:
        source: a path, the bytes of a file, or an open file, which need not be seekable.
        max_seconds: longer sounds are refused.
        head: what was already read from an open file.

    Raises:
        InputError: there is no such file, or it is not a sound that can be read.
        LimitError: longer than ``max_seconds``, or more than 8 channels.
    """
    if isinstance(source, (str, os.PathLike)):
        yield _file_source(Path(source), str(os.fspath(source)), max_seconds)
        return
    # The library reads files faster and more safely than Python objects, and hours of sound do not fit in memory.
    with tempfile.TemporaryDirectory(prefix="vqcodec-") as folder:
        path = Path(folder) / "sound"
        with path.open("wb") as file:
            file.write(source if isinstance(source, bytes) else head)
            if not isinstance(source, bytes):
                shutil.copyfileobj(source, file, 2**20)
        yield _file_source(path, "the input", max_seconds)


def _file_source(path: Path, name: str, max_seconds: int) -> SoundSource:
    notes: list[str] = []
    with _reading(name):
        with soundfile.SoundFile(_checked(path)) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            common = list(file.copy_metadata().items())
        comments, pictures = read_metadata(path)
        _check_layout(rate, channels, InputError)
    check = _Checker(name, rate, max_seconds)
    if frames < 2**62:  # the library's word for unknown
        check.length(frames)
    if len(pictures) > 1:
        notes.append(f"only one of its {len(pictures)} pictures is kept")
    metadata = _metadata(common if comments is None else comments, pictures[0] if pictures else None, notes)
    return SoundSource(rate, channels, metadata, lambda: check.blocks(_file_blocks(path, name)), tuple(notes))


def _metadata(tags: Iterable[Tag], picture: bytes | None, notes: list[str]) -> dict[str, bytes]:
    text, cover = pack_tags(tags), picture or b""
    if len(text) + len(cover) > METADATA_BYTES:
        cover = b""
        notes.append("its picture was dropped: with the tags it is more than 16 MiB")
    if len(text) > METADATA_BYTES:
        text = b""
        notes.append("its tags were dropped: they are more than 16 MiB")
    return {key: value for key, value in (("tags", text), ("picture", cover)) if value}


def _checked(path: Path) -> str:
    """The path, once Python could open it: its errors are clearer than the library's."""
    with path.open("rb"):
        return os.fspath(path)


def _file_blocks(path: Path, name: str) -> Iterator[Float32]:
    with _reading(name), soundfile.SoundFile(_checked(path)) as file:
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
            yield block


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Everything that reading a sound file can raise, as one error of our tree that names the file."""
    try:
        yield
    except (VqcError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder; name a sound file") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read; check its permissions") from error
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: headerless samples
        detail = getattr(error, "error_string", None) or str(error)
        raise InputError(
            f"{name}: cannot be read as sound ({detail.strip().rstrip('.')}); is the file whole? "
            "WAV, FLAC, OGG, Opus and MP3 can be read"
        ) from error


def _check_layout(sample_rate: int, channels: int, kind: type[VqcError]) -> None:
    if not _MIN_RATE <= sample_rate <= _MAX_RATE:
        raise kind(f"a sample rate of {sample_rate} Hz is out of range; {_MIN_RATE:,} to {_MAX_RATE:,} can be kept")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise LimitError(
            f"{channels:,} channels are more than {_MAX_CHANNELS}; split them (arrays are [time, channels])"
        )


@dataclass(frozen=True)
class _Checker:
    """Refuses sounds that are empty or too long, and samples that are no samples."""

    name: str
    sample_rate: int
    max_seconds: int

    def length(self, samples: int) -> None:
        if samples > self.max_seconds * self.sample_rate:
            raise LimitError(
                f"{self.name}: {samples / self.sample_rate:,.0f} s are longer than {self.max_seconds:,} s; "
                "raise the limit by --max-seconds (max_seconds)"
            )

    def blocks(self, blocks: Iterator[Float32]) -> Iterator[Float32]:
        count = 0
        for block in blocks:
            self._samples(block, count)
            count += len(block)
            self.length(count)
            yield block
        if not count:
            raise InputError(f"{self.name}: holds no samples")

    def _samples(self, block: Float32, before: int) -> None:
        if max(-float(block.min()), float(block.max())) <= _LOUDEST:  # false for NaN
            return
        place, channel = np.argwhere(~(np.abs(block) <= _LOUDEST))[0]
        value = block[place, channel]
        seconds = (before + int(place)) / self.sample_rate
        what = f"is {value:g}" if np.isfinite(value) else "is not a finite number"
        raise InputError(
            f"{self.name}: the sample at {seconds:.3f} s {what}; full scale is 1, so clean or scale the samples first"
        )
