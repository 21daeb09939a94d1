"""Sounds that the library cannot read (AAC, WMA and more), decoded by the program ffmpeg if it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from vqcodec.errors import InputError
from vqcodec.kinds import Foreign

__all__ = ["convert"]

_PART = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\] ")  # of ffmpeg that speaks, with its address
_REASON = re.compile("[Ee]rror|[Ii]nvalid|matches no")
_CUT = re.compile("ended prematurely|[Cc]orrupt|[Tt]runcated|Input/output error|too small|exhausted")
_VIDEO = re.compile(r"Stream #0:\d+.*: Video: (?!.*\(attached pic\))")


def convert(
    path: Path, name: str, kind: Foreign, folder: Path, max_seconds: int
) -> tuple[Path, Path | None, list[str]]:
    """Decode a file into a folder.

    Args:
        path: of the file.
        name: of the file, for messages.
        kind: what it is.
        folder: where files may be made.
        max_seconds: a little more than this is decoded, so that a longer sound is seen to be longer.

    Returns:
        The samples as a W64 file of floats; a FLAC file with its tags and cover, or None; what was lost.

    Raises:
        InputError: there is no ffmpeg, or it finds no sound in the file.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(
            f"{name}: is {kind.what}, for which the program ffmpeg is needed; install it here, "
            f"or convert the file elsewhere: ffmpeg -i {path.name} -vn {path.stem}.flac"
        )
    # The kind is given, so that nothing that merely looks like it (a playlist) makes ffmpeg open other files.
    common = [program, "-nostdin", "-hide_banner", "-nostats", "-y", "-protocol_whitelist", "file"]
    common += ["-f", kind.demuxer, "-i", f"file:{path.absolute()}", "-map", "0:a:0"]
    samples, tags = folder / "samples.w64", folder / "tags.flac"
    done = _run([*common, "-t", str(max_seconds + 1), "-c:a", "pcm_f32le", "-f", "w64", f"file:{samples}"])
    if done.returncode or not samples.exists():
        lines = (_PART.sub("", line).strip() for line in done.stderr.splitlines() if _REASON.search(line))
        why = next((line[:120] for line in lines), "ffmpeg failed")
        raise InputError(f"{name}: cannot be read as {kind.what} ({why}); is the file whole, and does it hold sound?")
    notes = ["only its sound is kept, the video is left out"] if _VIDEO.search(done.stderr) else []
    broken = next((_PART.sub("", line).strip()[:120] for line in done.stderr.splitlines() if _CUT.search(line)), "")
    if broken:
        notes.append(f"it is damaged, and what is left is read ({broken.rstrip('.')}); was it cut?")
    # What the container says about itself is no tag, nor is ffmpeg's own name.
    ours = [word for key in ("major_brand", "minor_version", "compatible_brands") for word in ("-metadata", f"{key}=")]
    short = [*ours, "-fflags", "+bitexact", "-t", "0.1", "-c:a", "flac", "-f", "flac", f"file:{tags}"]
    for pictures in (["-map", "0:v?", "-c:v", "copy"], []):  # a video as picture is refused
        if not _run([*common, *pictures, *short]).returncode:
            return samples, tags, notes
    return samples, None, [*notes, "its tags and cover were dropped: ffmpeg cannot read them"]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
