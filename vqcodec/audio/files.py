"""Sound in: whatever soundfile opens, or an array, as blocks of float32 samples that can be read again and again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from vqcodec.audio.check import SampleCheck, check_layout
from vqcodec.audio.chunks import View
from vqcodec.audio.ffmpeg import convert
from vqcodec.audio.layout import MASK_TAG, mask_of, mask_tags, wave_order
from vqcodec.audio.metadata import Metadata, read_metadata
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import METADATA_BYTES, Found, Tag, Tags, cover_image, pack_tags, tag_pairs
from vqcodec.errors import InputError, UsageError, VqcError
from vqcodec.kinds import foreign_sound
from vqcodec.sources import HEAD, Stream, dense, name_of, scratch_folder, spooling, warn_all

__all__ = [
    "BLOCK",
    "Float32",
    "Sound",
    "SoundSource",
    "array_source",
    "open_sound",
    "sound_source",
]

BLOCK = 65_536
"""Samples that are in memory at a time."""
_FINER = ("PCM_32", "DOUBLE", "ALAC_32")  # the library's names of samples that float32 does not hold
_UNKNOWN = 2**62  # the library's word for a length that a file does not tell is beyond this

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundSource:
    """A sound ready for the codec.

    Attributes:
        sample_rate: Hz.
        channels: how many.
        metadata: bytes under the keys ``tags`` and ``picture`` (see :mod:`vqcodec.audio.tags`).
        blocks: each call reads the sound anew, as float32 [n, channels], the channels in WAVE order; it raises
            InputError for samples that are no numbers, and LimitError once there are too many.
        notes: what was lost on the way, one sentence each, for the user to read.
        metadata_notes: those of them that are about metadata.
        expected: samples per channel as far as they are known beforehand; 0 where not.
        exact: whether float32 holds the samples as they are: those of up to 24 bits, or of that type.
    """

    sample_rate: int
    channels: int
    metadata: dict[str, bytes]
    blocks: Callable[[], Iterator[Float32]]
    notes: tuple[str, ...] = ()
    metadata_notes: tuple[str, ...] = ()
    expected: int = 0
    exact: bool = True

    def stripped(self) -> SoundSource:
        """The same without tags and cover; which speakers the channels are for stays."""
        lines = self.metadata.get("tags", b"").split(b"\n")
        speakers = b"".join(line + b"\n" for line in lines if line.startswith(MASK_TAG.encode() + b"="))
        notes = tuple(note for note in self.notes if note not in self.metadata_notes)
        return replace(self, metadata={"tags": speakers} if speakers else {}, notes=notes, metadata_notes=())


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound in memory.

    Attributes:
        samples: float32 [T, C], channels in WAVE order; full scale is 1, and a decoded sample may lie a little beyond.
        sample_rate: Hz.
        tags: texts by name (``TITLE``, ``ARTIST`` ...), each name's in a list.
        picture: the cover as the body of a FLAC PICTURE block, or None; ``cover`` is the image file in it.
        bits: per sample of a file that it is saved to, 16 or 24.
    """

    samples: Float32
    sample_rate: int
    tags: Tags = field(default_factory=dict)
    picture: bytes | None = field(default=None, repr=False)
    bits: int = 16

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def cover(self) -> bytes | None:
        """The cover as an image file, usually JPEG or PNG, or None."""
        return (cover_image(self.picture) or None) if self.picture else None

    @property
    def channel_mask(self) -> int:
        """The speakers that the channels are for, as in WAVE_FORMAT_EXTENSIBLE (3: left and right, 0: none)."""
        return mask_of(self.tags, self.samples.shape[1])

    def tensor(self) -> Any:
        """A torch tensor in torchaudio's convention, float32 [channels, time]; it shares no memory."""
        import torch

        return torch.from_numpy(self.samples.T.copy())

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write a .wav or .flac file, whole or not at all.

        Warns:
            VqcWarning: the format cannot hold a tag, or the cover.

        Raises:
            UsageError: another suffix.
            OutputError: the file exists and ``force`` is not set, or it cannot be written.
        """
        from vqcodec.audio.save import save_sound

        samples, channels = self.samples.shape
        blocks = iter([self.samples])
        stream = SoundStream(self.sample_rate, channels, samples, blocks, self.tags, self.picture, self.bits)
        warn_all(save_sound(stream, Path(path), force=force), os.fsdecode(path))


def array_source(samples: Any, sample_rate: int, *, max_seconds: int, repair: bool = False) -> SoundSource:
    """An array or a torch tensor as a source.

    Args:
        samples: an array [T] or [T, C], or a tensor [T] or [C, T] (torchaudio's convention); floats with full scale
            1, or int16 or int32 with their own.
        sample_rate: Hz.
        max_seconds: longer sounds are refused.
        repair: replace samples that are no finite numbers instead of refusing the sound.

    Raises:
        UsageError: another shape or type.
        LimitError: longer than ``max_seconds``, or more than 8 channels.
    """
    if hasattr(samples, "numpy"):
        array = dense(samples)
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
    check_layout(sample_rate, array.shape[1], UsageError)
    check = SampleCheck("the array", sample_rate, array.shape[1], max_seconds, repair)
    check.length(len(array))
    scale = 1.0 if array.dtype.kind == "f" else -1.0 / np.iinfo(array.dtype).min

    def blocks() -> Iterator[Float32]:
        parts = (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))
        return check.blocks(_scaled(part, scale) for part in parts)

    whole = array.dtype in (np.float16, np.float32, np.int16)
    exact = whole or all(
        np.array_equal(_scaled(array[at : at + BLOCK], scale) / scale, array[at : at + BLOCK])
        for at in range(0, len(array), BLOCK)
    )
    return SoundSource(sample_rate, array.shape[1], {}, blocks, expected=len(array), exact=exact)


def sound_source(sound: Sound, *, max_seconds: int, repair: bool = False) -> SoundSource:
    """A sound in memory as a source, with its tags and its cover; see :func:`array_source`."""
    found = Found()
    for key, value in tag_pairs(sound.tags):
        found.add(key, value)
    if sound.picture is not None:
        found.add_picture(sound.picture)
    metadata, notes = _metadata(found, [])
    plain = array_source(sound.samples, sound.sample_rate, max_seconds=max_seconds, repair=repair)
    return replace(plain, metadata=metadata, notes=tuple(notes), metadata_notes=tuple(notes))


def _scaled(part: npt.NDArray[Any], scale: float) -> Float32:
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused as such
        return (part * scale).astype(np.float32)


@contextmanager
def open_sound(
    source: str | os.PathLike[str] | bytes | BinaryIO, *, max_seconds: int, head: bytes = b"", repair: bool = False
) -> Iterator[SoundSource]:
    """Open a sound file.

    Args:
        source: a path, the bytes of a file, or an open file, which need not be seekable.
        max_seconds: longer sounds are refused.
        head: what was already read from an open file.
        repair: replace samples that are no finite numbers instead of refusing the sound.

    Raises:
        InputError: there is no such file, it is not a sound that can be read, or it needs ffmpeg and there is none.
        LimitError: longer than ``max_seconds``, or more than 8 channels.
    """
    # The library reads files faster and more safely than Python objects, and hours of sound do not fit in memory.
    with scratch_folder() as folder:
        if isinstance(source, (str, os.PathLike)):
            path, name = Path(source), str(os.fspath(source))
        else:
            path, name = folder / "sound", name_of(source) or "the input"
            with spooling(), path.open("wb") as file:
                file.write(source if isinstance(source, bytes) else head)
                if not isinstance(source, bytes):
                    shutil.copyfileobj(Stream(source), file, 2**20)
        yield _file_source(path, name, folder, max_seconds, repair)


def _file_source(path: Path, name: str, folder: Path, max_seconds: int, repair: bool) -> SoundSource:
    notes: list[str] = []
    with _reading(name):
        with path.open("rb") as raw:
            kind = foreign_sound(raw.read(HEAD))
        if kind:
            path, tagged, notes = convert(path, name, kind, folder, max_seconds)
            about = read_metadata(tagged) if tagged else Metadata()
        else:
            about = read_metadata(path)
        with _opened(path, about.view) as file:
            rate, channels, frames, flac = file.samplerate, file.channels, file.frames, file.format == "FLAC"
            exact = file.subtype not in _FINER
        check_layout(rate, channels, InputError)
    check = SampleCheck(name, rate, channels, max_seconds, repair)
    if frames < _UNKNOWN:
        check.length(frames)
    metadata, more = _metadata(about.found, mask_tags(about.mask, channels))
    notes += [note for note in (about.note, *more) if note]
    order = wave_order(channels) if about.vorbis_order else None
    wanted = frames if flac and frames < _UNKNOWN else 0

    def blocks() -> Iterator[Float32]:
        return check.blocks(_file_blocks(path, about.view, name, wanted, order))

    expected = frames if frames < _UNKNOWN else 0
    return SoundSource(rate, channels, metadata, blocks, tuple(notes), tuple(more), expected, exact)


def _metadata(found: Found, speakers: list[Tag]) -> tuple[dict[str, bytes], list[str]]:
    """Metadata of a source from what was found, with the tag for its speakers if it needs one; and what was lost."""
    notes: list[str] = []
    if found.pictures > 1:
        notes.append(f"only one of its {found.pictures} pictures is kept")
    if found.lost:
        names = list(found.lost)
        notes.append(f"not kept: {', '.join(names[:8])}" + (f" and {len(names) - 8} more" if len(names) > 8 else ""))
    text, cover = pack_tags([*speakers, *found.tags]), found.picture or b""
    if len(text) + len(cover) > METADATA_BYTES and cover:
        cover = b""
        notes.append("its picture was dropped: with the tags it is more than 16 MiB")
    if len(text) > METADATA_BYTES:
        text = pack_tags(speakers)
        notes.append("its tags were dropped: they are more than 16 MiB")
    return {key: value for key, value in (("tags", text), ("picture", cover)) if value}, notes


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound that is only read on. The library cannot seek in a FLAC of unknown length, and nothing here needs it."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path, view: View | None) -> Iterator[soundfile.SoundFile]:
    with path.open("rb"):  # Python's errors are clearer than the library's
        pass
    if view is None:
        with _Forward(os.fspath(path)) as file:
            yield file
        return
    with view.open(path) as shown, _Forward(shown) as file:
        yield file


def _file_blocks(
    path: Path, view: View | None, name: str, frames: int, order: tuple[int, ...] | None
) -> Iterator[Float32]:
    """Samples in WAVE order; fewer than ``frames`` (0: any number) are an error."""
    count = 0
    with _reading(name), _opened(path, view) as file:
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
            count += len(block)
            yield block if order is None else np.ascontiguousarray(block[:, order])
    if count < frames:
        raise InputError(f"{name}: ends after {count:,} of {frames:,} samples; is the file whole?")


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
