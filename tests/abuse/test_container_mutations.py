"""Every single-bit flip and every cut of several small files is an error that names its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from abuse.mutate import bit_flips, check_mutations, truncations
from abuse.samples import audio, image, rich_image

from vqcodec.bitstream import VqcFile, read_header, read_vqc, write_vqc
from vqcodec.errors import ChecksumError, CorruptError, DecodeError, NotVqcError, UnsupportedVersionError

SAMPLES: list[Callable[[], VqcFile]] = [image, rich_image, audio]


@pytest.mark.parametrize("table_last", [False, True])
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_flip_and_cut_is_detected(sample: Callable[[], VqcFile], table_last: bool) -> None:
    data = write_vqc(sample(), table_last=table_last)
    assert check_mutations(data, read_vqc) == 9 * len(data)


@pytest.mark.parametrize("options", [{"allow_truncated": True}, {"conceal": True}, {"allow_trailing": True}])
@pytest.mark.parametrize("sample", SAMPLES)
def test_lenient_readers_fail_only_with_decode_errors(sample: Callable[[], VqcFile], options: dict[str, bool]) -> None:
    data = write_vqc(sample())
    whole = read_vqc(data)
    places = []
    for mutant in [*bit_flips(data), *truncations(data)]:
        try:
            file = read_vqc(mutant.data, **options)  # type: ignore[arg-type]
        except DecodeError as error:
            places.append(error.place)
        else:
            # What a lenient reader calls complete must be what was written.
            for got, wanted in zip(file.chunks, whole.chunks, strict=True):
                assert got is None or not got.complete or got == wanted, mutant.what
            assert all(whole.metadata[name] == value for name, value in file.metadata.items()), mutant.what
            assert file.alpha is None or (file.alpha == whole.alpha).all(), mutant.what
    assert places
    assert all(places)


def test_flips_in_header_and_directory_are_seen_by_read_header() -> None:
    """A wrong signature or version is named as such; any other bit is found by the CRC, or sooner by a field's rule."""
    data = write_vqc(image())
    seen: Counter[type[DecodeError]] = Counter()
    for bit, mutant in enumerate(bit_flips(data[:24])):
        with pytest.raises(DecodeError) as caught:
            read_header(mutant.data + data[24:])
        seen[type(caught.value)] += 1
        place = caught.value.place
        if bit < 64:
            assert (type(caught.value), place) == (NotVqcError, "signature")
        elif type(caught.value) is UnsupportedVersionError:
            assert place in ("header.version", "header.flags")
        elif type(caught.value) is ChecksumError:
            assert place == "header.crc"
        else:
            assert type(caught.value) is CorruptError
            assert place in ("header.tile_log2", "sections", "chunk 0")
    assert seen == {NotVqcError: 64, UnsupportedVersionError: 5, ChecksumError: 110, CorruptError: 13}


def test_a_chunk_in_another_ones_place_is_detected() -> None:
    file = rich_image()
    file.chunks[1:3] = [file.chunks[2], file.chunks[1]]
    swapped = bytearray(write_vqc(rich_image()))
    first, second = (write_vqc(rich_image()).index(bytes([n]) * 10 * (n - 1)) for n in (2, 3))
    # Both chunks are cut from a file in which they stand the other way round, check sums and all.
    other = write_vqc(file)
    swapped[first - 2 : second + 24] = other[first - 2 : second + 24]
    with pytest.raises(DecodeError, match="chunk 1"):
        read_vqc(bytes(swapped))


def test_the_helper_reports_what_it_should() -> None:
    with pytest.raises(AssertionError, match="bit 0 of byte 0 flipped: not detected"):
        check_mutations(b"ab", len)
    with pytest.raises(AssertionError, match="is not a DecodeError"):
        check_mutations(b"ab", lambda data: data.decode("no such codec"))
    assert len({mutant.data for mutant in bit_flips(bytes(50), 30)}) == 30
    assert len(list(truncations(bytes(50), 20))) == 20
