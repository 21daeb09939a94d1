"""Tags of MPEG audio, which other containers borrow: ID3v2.2 to 2.4 (id3.org), ID3v1, and APEv2."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from vqcodec.audio.tags import METADATA_BYTES, Found, decode_text, flac_picture

__all__ = ["id3v2_length", "read_id3v2", "read_tail"]

_MOST = 2**25  # bytes of one tag: twice what is kept of it

# Names of text and address frames as Vorbis comments; frames that are not here keep their own name.
_NAMES = {
    "COMM": "COMMENT", "GRP1": "GROUPING", "MVIN": "MOVEMENT", "MVNM": "MOVEMENTNAME", "TALB": "ALBUM", "TBPM": "BPM",
    "TCMP": "COMPILATION", "TCOM": "COMPOSER", "TCON": "GENRE", "TCOP": "COPYRIGHT", "TDOR": "ORIGINALDATE",
    "TDRC": "DATE", "TENC": "ENCODEDBY", "TEXT": "LYRICIST", "TIT1": "GROUPING", "TIT2": "TITLE", "TIT3": "SUBTITLE",
    "TKEY": "KEY", "TLAN": "LANGUAGE", "TLEN": "LENGTH", "TMED": "MEDIA", "TMOO": "MOOD", "TOAL": "ORIGINALALBUM",
    "TOFN": "ORIGINALFILENAME", "TOLY": "ORIGINALLYRICIST", "TOPE": "ORIGINALARTIST", "TORY": "ORIGINALDATE",
    "TPE1": "ARTIST", "TPE2": "ALBUMARTIST", "TPE3": "CONDUCTOR", "TPE4": "REMIXER", "TPOS": "DISCNUMBER",
    "TPUB": "LABEL", "TRCK": "TRACKNUMBER", "TSO2": "ALBUMARTISTSORT", "TSOA": "ALBUMSORT", "TSOC": "COMPOSERSORT",
    "TSOP": "ARTISTSORT", "TSOT": "TITLESORT", "TSRC": "ISRC", "TSSE": "ENCODERSETTINGS", "TSST": "DISCSUBTITLE",
    "TYER": "DATE", "USLT": "LYRICS", "WCOP": "LICENSE", "WOAR": "WEBSITE", "WXXX": "URL",
}  # fmt: skip
# Version 2.2 has names of three letters; those that are not here do not occur in later versions.
_OLD_NAMES = {
    "COM": "COMM", "PIC": "APIC", "TAL": "TALB", "TBP": "TBPM", "TCM": "TCOM", "TCO": "TCON", "TCP": "TCMP",
    "TCR": "TCOP", "TDA": "TDAT", "TDY": "TDLY", "TEN": "TENC", "TFT": "TFLT", "TIM": "TIME", "TKE": "TKEY",
    "TLA": "TLAN", "TLE": "TLEN", "TMT": "TMED", "TOA": "TOPE", "TOF": "TOFN", "TOL": "TOLY", "TOR": "TORY",
    "TOT": "TOAL", "TP1": "TPE1", "TP2": "TPE2", "TP3": "TPE3", "TP4": "TPE4", "TPA": "TPOS", "TPB": "TPUB",
    "TRC": "TSRC", "TRD": "TRDA", "TRK": "TRCK", "TS2": "TSO2", "TSA": "TSOA", "TSC": "TSOC", "TSI": "TSIZ",
    "TSP": "TSOP", "TSS": "TSSE", "TST": "TSOT", "TT1": "TIT1", "TT2": "TIT2", "TT3": "TIT3", "TXT": "TEXT",
    "TXX": "TXXX", "TYE": "TYER", "ULT": "USLT", "WAF": "WOAF", "WAR": "WOAR", "WAS": "WOAS", "WCM": "WCOM",
    "WCP": "WCOP", "WPB": "WPUB", "WXX": "WXXX",
}  # fmt: skip
_OLD_MIMES = {b"JPG": "image/jpeg", b"PNG": "image/png"}
# Genres by number: ID3v1, and from 80 on as Winamp went on.
_GENRES = (
    "Blues", "Classic Rock", "Country", "Dance", "Disco", "Funk", "Grunge", "Hip-Hop", "Jazz", "Metal", "New Age",
    "Oldies", "Other", "Pop", "R&B", "Rap", "Reggae", "Rock", "Techno", "Industrial", "Alternative", "Ska",
    "Death Metal", "Pranks", "Soundtrack", "Euro-Techno", "Ambient", "Trip-Hop", "Vocal", "Jazz+Funk", "Fusion",
    "Trance", "Classical", "Instrumental", "Acid", "House", "Game", "Sound Clip", "Gospel", "Noise", "AlternRock",
    "Bass", "Soul", "Punk", "Space", "Meditative", "Instrumental Pop", "Instrumental Rock", "Ethnic", "Gothic",
    "Darkwave", "Techno-Industrial", "Electronic", "Pop-Folk", "Eurodance", "Dream", "Southern Rock", "Comedy",
    "Cult", "Gangsta", "Top 40", "Christian Rap", "Pop/Funk", "Jungle", "Native American", "Cabaret", "New Wave",
    "Psychedelic", "Rave", "Showtunes", "Trailer", "Lo-Fi", "Tribal", "Acid Punk", "Acid Jazz", "Polka", "Retro",
    "Musical", "Rock & Roll", "Hard Rock", "Folk", "Folk-Rock", "National Folk", "Swing", "Fast Fusion", "Bebop",
    "Latin", "Revival", "Celtic", "Bluegrass", "Avantgarde", "Gothic Rock", "Progressive Rock", "Psychedelic Rock",
    "Symphonic Rock", "Slow Rock", "Big Band", "Chorus", "Easy Listening", "Acoustic", "Humour", "Speech", "Chanson",
    "Opera", "Chamber Music", "Sonata", "Symphony", "Booty Bass", "Primus", "Porn Groove", "Satire", "Slow Jam",
    "Club", "Tango", "Samba", "Folklore", "Ballad", "Power Ballad", "Rhythmic Soul", "Freestyle", "Duet", "Punk Rock",
    "Drum Solo", "A Cappella", "Euro-House", "Dance Hall",
)  # fmt: skip
_SHORT_GENRES = {"RX": "Remix", "CR": "Cover"}


def id3v2_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins with these 10, 0 if none does."""
    if len(head) < 10 or head[:3] != b"ID3" or 0xFF in head[3:5]:
        return 0
    footer = 10 if head[3] == 4 and head[5] & 0x10 else 0
    return 10 + _synchsafe(head[6:10]) + footer


def read_id3v2(file: BinaryIO, found: Found) -> int:
    """Collect the ID3v2 tag at the file's position; returns its length, 0 if there is none."""
    head = file.read(10)
    length = id3v2_length(head)
    if not length:
        return 0
    version, flags = head[3], head[5]
    size = _synchsafe(head[6:10])
    tag = file.read(min(size, _MOST))
    if size > _MOST:
        found.drop("what an ID3 tag holds beyond 32 MiB")
    if version not in (2, 3, 4):
        found.drop(f"an ID3 tag of version 2.{version}")
        return length
    if flags & 0x80 and version < 4:
        tag = tag.replace(b"\xff\0", b"\xff")
    pos = 0
    if flags & 0x40 and version > 2:
        pos = _synchsafe(tag[:4]) if version == 4 else 4 + int.from_bytes(tag[:4], "big")
    for name, body in _frames(tag, pos, version, flags, found):
        _frame(name, body, version, found)
    return length


def _frames(tag: bytes, pos: int, version: int, flags: int, found: Found) -> Iterator[tuple[str, bytes]]:
    """Name (of version 2.3 on) and plain body of each whole frame."""
    head = 6 if version == 2 else 10
    room = METADATA_BYTES
    while pos + head <= len(tag) and tag[pos]:
        raw = tag[pos : pos + (3 if version == 2 else 4)]
        size = _frame_size(tag, pos, version)
        body = tag[pos + head : pos + head + size]
        marks = 0 if version == 2 else tag[pos + 9]
        pos += head + size
        name = raw.decode("latin-1")
        name = _OLD_NAMES.get(name, name) if version == 2 else name
        if len(body) != size or not re.fullmatch("[A-Z0-9]{3,4}", name):
            found.drop("what an ID3 tag holds after damage")
            return
        plain = body if version == 2 else _plain(body, marks | (2 if flags & 0x80 else 0), version, room)
        # All that is inflated counts, so that no tag costs more than 16 MiB of it.
        room = 0 if plain is None else room - max(0, len(plain) - len(body))
        if plain is None:
            found.drop(f"an ID3 frame {name} that is encrypted or damaged")
        else:
            yield name, plain


def _frame_size(tag: bytes, pos: int, version: int) -> int:
    if version == 2:
        return int.from_bytes(tag[pos + 3 : pos + 6], "big")
    raw = tag[pos + 4 : pos + 8]
    plain, safe = int.from_bytes(raw, "big"), _synchsafe(raw)
    if version == 3 or plain == safe:
        return plain
    # iTunes wrote plain sizes into version 2.4: those that lead to another frame, or to the end, are right.
    after = (pos + 10 + size for size in (safe, plain))
    fits = [end == len(tag) or (end < len(tag) and _starts_frame(tag[end : end + 4])) for end in after]
    return plain if fits == [False, True] else safe


def _starts_frame(name: bytes) -> bool:
    return name[:1] == b"\0" or bool(re.fullmatch(b"[A-Z][A-Z0-9]{3}", name))


def _plain(body: bytes, marks: int, version: int, room: int) -> bytes | None:
    """A frame without compression and the like; None if it is encrypted or does not inflate within ``room`` bytes."""
    if version == 3:
        packed, secret, grouped, length, unsynched = marks & 0x80, marks & 0x40, marks & 0x20, marks & 0x80, 0
    else:
        packed, secret, grouped, length, unsynched = (marks & bit for bit in (8, 4, 0x40, 1, 2))
    if secret:
        return None
    skip = (4 if length else 0) + (1 if grouped else 0)
    body = body[skip:]
    if unsynched:
        body = body.replace(b"\xff\0", b"\xff")
    if not packed:
        return body
    if room <= 0:
        return None
    try:
        inflater = zlib.decompressobj()
        plain = inflater.decompress(body, room)
    except zlib.error:
        return None
    return plain if inflater.eof else None


def _frame(name: str, body: bytes, version: int, found: Found) -> None:
    if name == "APIC":
        _picture(body, version, found)
    elif name in ("COMM", "USLT"):  # encoding, language, description, text
        about, *texts = _texts(body[:1] + body[4:])
        key = _NAMES[name] + (f":{about}" if about else "")
        _add_all(found, key, texts)
    elif name in ("TXXX", "WXXX"):
        about, *texts = _texts(body)
        if name == "WXXX":
            texts = [decode_text(body[1:].rstrip(b"\0").rpartition(b"\0")[2])]
        _add_all(found, about or _NAMES.get(name, name), texts)
    elif name == "TCON":
        _add_all(found, "GENRE", [_genre(text) for text in _texts(body)])
    elif name[0] == "T" or name in ("GRP1", "MVIN", "MVNM"):
        _add_all(found, _NAMES.get(name, name), _texts(body))
    elif name[0] == "W":
        found.add(_NAMES.get(name, name), decode_text(body))
    else:
        found.drop(f"ID3 {name}")


def _add_all(found: Found, key: str, texts: list[str]) -> None:
    """Add texts under a key, which may come again; trailing NULs make no empty ones, two frames no duplicates."""
    for text in texts:
        if text and (not found.tags or found.tags[-1] != (key.upper(), text)):
            found.add(key, text)


def _texts(body: bytes) -> list[str]:
    """The texts of a frame that begins with their encoding, at least one."""
    encoding, raw = body[:1], body[1:]
    if encoding in (b"\1", b"\2"):
        raw = raw[: len(raw) & ~1]
        codec = "utf-16-be" if encoding == b"\2" or raw[:2] == b"\xfe\xff" else "utf-16-le"
        return [text.lstrip("\ufeff") for text in raw.decode(codec, "replace").split("\0")]
    return [decode_text(text) for text in raw.split(b"\0")]


def _genre(text: str) -> str:
    """A genre in words: 17, (17), (17)Rock and (RX) stand for names."""
    number, _, words = text[1:].partition(")") if text.startswith("(") else (text, "", "")
    if number.isascii() and number.isdecimal() and int(number[:4]) < len(_GENRES):
        return words or _GENRES[int(number[:4])]
    return words or _SHORT_GENRES.get(number, text)


def _picture(body: bytes, version: int, found: Found) -> None:
    """APIC: encoding, type, kind, description, image; in version 2.2 the type has three letters."""
    encoding = body[:1]
    if version == 2:
        mime, rest = _OLD_MIMES.get(body[1:4].upper(), "image/" + body[1:4].decode("latin-1").lower()), body[4:]
    else:
        name, _, rest = body[1:].partition(b"\0")
        mime = name.decode("latin-1")
    end, width = (_wide_end(rest), 2) if encoding in (b"\1", b"\2") else (rest.find(b"\0", 1), 1)
    if end < 1 or not rest[end + width :]:
        found.drop("a picture that is damaged")
        return
    about = _texts(encoding + rest[1:end])[0]
    found.add_picture(flac_picture(rest[0], mime, about, rest[end + width :]))


def _wide_end(rest: bytes) -> int:
    """Where the two NULs lie that end a description of 16-bit units, which begins at 1; -1 without."""
    end = rest.find(b"\0\0", 1)
    while end > 0 and end % 2 == 0:
        end = rest.find(b"\0\0", end + 1)
    return end


def _synchsafe(data: bytes) -> int:
    """A number in seven bits of each byte."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def read_tail(file: BinaryIO, found: Found) -> None:
    """Collect what lies at the end of a file: an APEv2 tag, then an ID3v1 tag for what is not known by then."""
    end = file.seek(0, 2)
    last = _at(file, end - 128, 128)
    old = Found()
    if last[:3] == b"TAG":
        end -= 128
        _read_id3v1(last, old)
    footer = _at(file, end - 32, 32)
    if footer[:8] == b"APETAGEX":
        version, size, count = struct.unpack_from("<3I", footer, 8)
        if version in (1000, 2000) and 32 <= size <= min(end, _MOST):
            ape = Found()
            _read_ape(_at(file, end - size, size - 32), count, ape)
            found.merge(ape)
        else:
            found.drop("an APE tag that is damaged")
    # A value that ID3v1 had to cut to 30 bytes is there in full wherever another tag is.
    found.merge(old)


def _at(file: BinaryIO, pos: int, size: int) -> bytes:
    if pos < 0:
        return b""
    file.seek(pos)
    return file.read(size)


def _read_id3v1(tag: bytes, found: Found) -> None:
    for key, start, end in (("TITLE", 3, 33), ("ARTIST", 33, 63), ("ALBUM", 63, 93), ("DATE", 93, 97)):
        found.add(key, decode_text(tag[start:end]).rstrip())
    found.add("COMMENT", decode_text(tag[97:127]).rstrip())
    if tag[125] == 0 and tag[126]:
        found.add("TRACKNUMBER", str(tag[126]))
    if tag[127] < len(_GENRES):
        found.add("GENRE", _GENRES[tag[127]])


_APE_NAMES = {"YEAR": "DATE", "TRACK": "TRACKNUMBER", "DISC": "DISCNUMBER", "ALBUM ARTIST": "ALBUMARTIST"}


def _read_ape(tag: bytes, count: int, found: Found) -> None:
    """Items of an APEv2 tag: size, flags, key, value; several values are told apart by NULs."""
    pos = 0
    for _ in range(min(count, len(tag) // 9)):
        size, flags = struct.unpack_from("<II", tag, pos) if pos + 8 <= len(tag) else (0, 0)
        stop = tag.find(b"\0", pos + 8, pos + 8 + 256)
        value = tag[stop + 1 : stop + 1 + size]
        if stop < 0 or len(value) != size:
            found.drop("what an APE tag holds after damage")
            return
        key = tag[pos + 8 : stop].decode("latin-1").upper()
        pos = stop + 1 + size
        if flags >> 1 & 3 == 1:  # binary
            name, _, image = value.partition(b"\0")
            if key.startswith("COVER ART"):
                kind = "image/png" if name.lower().endswith(b".png") else "image/jpeg"
                found.add_picture(flac_picture(3 if "FRONT" in key else 0, kind, "", image))
            else:
                found.drop(f"APE {key}")
        else:
            _add_all(found, _APE_NAMES.get(key, key), [decode_text(text) for text in value.split(b"\0")])
