"""Just enough of the Ogg container (RFC 3533) to weigh what is inside."""

from __future__ import annotations

from vqcodec.errors import InputError

__all__ = ["packet_sizes"]

HEADER = 27  # bytes of a page header before its segment table


def packet_sizes(data: bytes) -> list[int]:
    """Bytes of each packet of an Ogg file with one stream, header packets first, pages and their headers not counted.

    Raises:
        InputError: not such a file.
    """
    sizes = []
    packet = position = 0
    while position < len(data):
        if data[position : position + 4] != b"OggS" or len(data) < position + HEADER:
            raise InputError(f"not an Ogg file, or damaged at byte {position}; encode it again")
        count = data[position + 26]
        segments = data[position + HEADER : position + HEADER + count]
        for segment in segments:
            packet += segment
            # A full segment says that the packet goes on.
            if segment < 255:
                sizes.append(packet)
                packet = 0
        position += HEADER + count + sum(segments)
    return sizes
