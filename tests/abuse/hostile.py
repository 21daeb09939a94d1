"""Hostile files made by a script, so that they follow the format; what they must not do; and the run that finds out.

    cd tests && python -m abuse.hostile --count 20000 --seed 1

tries so many files, half of them with check sums mended, through every public function, strictly and leniently, and
every hundredth through every output format. Not one may raise an error that is not ours, take more than 20 seconds of
processor time, or decode to something else than was written while the check of its codes still fits.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from abuse.bases import Base, bases
from abuse.craft import crafted, mended
from abuse.mutate import Mutant, bit_flips, truncations
from PIL import Image

import vqcodec
from vqcodec.errors import VqcError

__all__ = ["Tally", "damaged", "judge", "run"]

SLOWEST = 20.0  # seconds of processor time for one call
STUCK = 200.0  # seconds by the clock, of a call that waits rather than works; a busy machine may take long for the rest
PICTURES = (".png", ".webp", ".tiff", ".jpg", ".bmp", ".ppm", ".tga")
SOUNDS = (".wav", ".flac")


@dataclass
class Tally:
    """What a run found: how often which kind of file ended how, and the faults in full."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def fault(self, mutant: Mutant, words: str) -> None:
        self.faults.append(f"{mutant.what}: {words}")
        print(self.faults[-1], file=sys.stderr, flush=True)


def damaged(base: Base, rng: np.random.Generator) -> Iterator[Mutant]:
    """Damage that every check sum must see: bits, cuts, bytes set, moved, doubled, left out, added."""
    data, size = base.data, len(base.data)
    while True:
        seed = int(rng.integers(2**31))
        yield next(bit_flips(data, 1, seed))
        yield next(truncations(data, 1, seed))
        start, stop = sorted(rng.integers(0, size + 1, 2).tolist())
        part = data[start:stop]
        yield Mutant(f"bytes {start} to {stop} left out", data[:start] + data[stop:])
        yield Mutant(f"bytes {start} to {stop} doubled", data[:stop] + part + data[stop:])
        yield Mutant(f"bytes {start} to {stop} reversed", data[:start] + part[::-1] + data[stop:])
        yield Mutant(f"bytes {start} to {stop} random", data[:start] + rng.bytes(stop - start) + data[stop:])
        yield Mutant(f"bytes {start} to {stop} all ones", data[:start] + b"\xff" * (stop - start) + data[stop:])
        yield Mutant(f"{stop - start} bytes added", data + rng.bytes(stop - start))


def judge(base: Base, mutant: Mutant, tally: Tally, *, mended: bool, outputs: bool = False) -> None:
    """Try one file through the public functions and note how it ends."""
    if mutant.data == base.data:
        return
    whole = _call(tally, mutant, "strict", lambda: vqcodec.decompress(mutant.data))
    lenient = _call(
        tally, mutant, "lenient", lambda: vqcodec.decompress(mutant.data, conceal=True, allow_truncated=True)
    )
    _call(tally, mutant, "info", lambda: vqcodec.info(mutant.data))
    if whole is not None:
        _call(tally, mutant, "verify", lambda: vqcodec.verify(mutant.data))
        if not mended:
            tally.fault(mutant, "not detected")
        elif mutant.same_codes and not base.same(whole):
            tally.fault(mutant, "other codes under a check that fits")
    for result in (whole, lenient):
        if isinstance(result, vqcodec.Sound) and not np.isfinite(result.samples).all():
            tally.fault(mutant, "samples that are no numbers")
    found = whole if whole is not None else lenient
    if outputs and found is not None:
        _save(tally, mutant, found)


def _call(tally: Tally, mutant: Mutant, what: str, function):  # type: ignore[no-untyped-def]
    """The result, or None where it is an error of ours."""
    before, started = time.process_time(), time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # warnings of others are none of the user's business
            warnings.simplefilter("ignore", vqcodec.errors.VqcWarning)
            result = function()
    except VqcError as error:
        tally.ends[f"{what}: {type(error).__name__}"] += 1
        if "\n" in str(error):
            tally.fault(mutant, f"{what}: more than one line: {error!r}")
        result = None
    except Exception:
        tally.fault(mutant, f"{what}: {traceback.format_exc(limit=-4)}")
        result = None
    else:
        tally.ends[f"{what}: fine"] += 1
    took, waited = time.process_time() - before, time.perf_counter() - started
    tally.slowest = max(tally.slowest, (took, f"{what}: {mutant.what}"))
    if took > SLOWEST or waited > STUCK:
        tally.fault(mutant, f"{what}: {took:.0f} s of processor time, {waited:.0f} s by the clock")
    return result


def _save(tally: Tally, mutant: Mutant, found: object) -> None:
    """Every output format takes it, or says why not; what was written opens again."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in SOUNDS if isinstance(found, vqcodec.Sound) else PICTURES:
            path = Path(folder) / f"out{suffix}"

            _call(tally, mutant, f"to {suffix}", lambda path=path: _written(found, path))
            if path.exists():
                _call(tally, mutant, f"{suffix} again", lambda path=path: _opens(path))


def _written(found: object, path: Path) -> bool:
    from vqcodec.image.save import save_picture

    if isinstance(found, vqcodec.Sound):
        found.save(path)
    elif isinstance(found, Image.Image):
        save_picture(found, path, force=False)
    return True


def _opens(path: Path) -> bool:
    """Other programs read it; Pillow may warn of values in EXIF that point nowhere."""
    import soundfile

    warnings.simplefilter("ignore", UserWarning)
    if path.suffix in SOUNDS:
        soundfile.read(path)
    else:
        with Image.open(path) as image:
            image.load()
    return True


def run(count: int, seed: int, *, outputs_each: int = 100, seconds: float = float("inf")) -> Tally:
    """Try ``count`` files, half damaged and half with check sums mended, taking turns among all small bases.

    Args:
        outputs_each: one in so many goes through every output format; crafted metadata always does.
        seconds: stop after so long.
    """
    rng = np.random.default_rng(seed)
    tally = Tally()
    sources = [(base, damaged(base, rng), mended(base, rng), crafted(base, rng)) for base in bases()]
    before = time.perf_counter()
    for number in range(count):
        if time.perf_counter() - before > seconds:
            break
        base, plain, repaired, made = sources[number % len(sources)]
        turn = number // len(sources) % 4
        mutant = next(plain if turn < 2 else repaired if turn == 2 else made)
        outputs = mutant.metadata or number % outputs_each == 0
        judge(base, mutant, tally, mended=turn >= 2, outputs=outputs)
        tally.ends["files"] += 1
        tally.ends["files with check sums mended"] += turn >= 2
        if number % 500 == 499:
            print(f"{number + 1} files, {len(tally.faults)} faults", file=sys.stderr, flush=True)
    return tally


@click.command()
@click.option("--count", default=20_000, show_default=True, help="Files to try.")
@click.option("--seed", default=1, show_default=True)
@click.option("--seconds", default=float("inf"), help="Stop after so long.")
def main(count: int, seed: int, seconds: float) -> None:
    """Try hostile files and tell how they end; exit code 1 where one does what it must not."""
    tally = run(count, seed, seconds=seconds)
    for end, times in sorted(tally.ends.items()):
        click.echo(f"{times:8,}  {end}")
    click.echo(f"slowest {tally.slowest[0]:.2f} s ({tally.slowest[1]})\n{len(tally.faults)} faults")
    for fault in tally.faults[:50]:
        click.echo(fault)
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
