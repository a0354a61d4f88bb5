"""What a file says of itself: EXIF, IPTC and XMP of a picture, a container's tags and XMP of sound and video."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.data.media.bounds import Bounds
from mainstem.data.media.iptc import read_iptc
from mainstem.data.media.opening import opened
from mainstem.data.media.opt_outs import directives_in, plain_words
from mainstem.data.media.pictures import opened_picture
from mainstem.data.media.said import Said, kept, kept_keywords, unread
from mainstem.data.media.signatures import MOV, demuxer, head_of
from mainstem.data.media.xmp import read_xmp

if TYPE_CHECKING:
    from PIL.Image import Image

DESCRIPTION, ARTIST, COPYRIGHT, EXIF_IFD, TAKEN, OFFSET = 0x010E, 0x013B, 0x8298, 0x8769, 0x9003, 0x9011  # Exif 2.32
XP = {"title": 0x9C9B, "caption": 0x9C9C, "creator": 0x9C9D, "keywords": 0x9C9E}  # Windows' own, UTF-16
PNG = {"title": "Title", "caption": "Description", "creator": "Author", "rights": "Copyright"}  # PNG 3rd ed., 11.3.3.2
EXIF_TIME = re.compile(r"^(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d:\d\d:\d\d)")
TAGS = {  # of containers, as FFmpeg names them, the first that is there
    "title": ("title", "com.apple.quicktime.title"),
    "caption": ("description", "comment", "synopsis", "com.apple.quicktime.description"),
    "creator": ("artist", "author", "com.apple.quicktime.author", "performer", "originator"),
    "credit": ("publisher", "network"),
    "rights": ("copyright", "com.apple.quicktime.copyright", "license"),
    "captured": ("com.apple.quicktime.creationdate", "creation_time", "date", "date_recorded"),
    "transcript": ("lyrics", "unsyncedlyrics"),
}
TELLING = ("xmp", "iptc")  # blocks that can tell of embargoes and of mining
NO_CLOCK = ("1904-", "1970-01-01")  # a creation time of 0, as QuickTime and Unix count
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # XMP, part 3, 2.1.7: its uuid in MP4 and QuickTime
MOST_BOXES = 10_000


def said_by_picture(path: Path, bounds: Bounds) -> list[Said]:
    """What a picture's blocks say, XMP before IPTC before EXIF; a block that is damaged says so in its notes.

    Raises:
        InputError: if the picture itself cannot be opened.
    """
    with opened_picture(path, bounds) as image:
        readers = {"xmp": _xmp_of_picture, "iptc": lambda image, _: read_iptc(image), "exif": _exif, "png": _png}
        found = []
        for name, read in readers.items():
            try:
                found.append(read(image, bounds))
            except Exception as error:  # a parser of damaged bytes raises anything
                words = str(error) if isinstance(error, InputError) else plain(one_line(error))
                note = f"its {name.upper()} cannot be read ({words})"
                found.append(unread(name, note) if name in TELLING else Said(origin=name, notes=(note,)))
        return [said for said in found if said is not None]


def _xmp_of_picture(image: "Image", bounds: Bounds) -> Said | None:
    data = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if data is None:
        return None
    return read_xmp(data.encode() if isinstance(data, str) else data, bounds.text_bytes)


def _exif(image: "Image", bounds: Bounds) -> Said | None:
    exif = image.getexif()
    if not exif:
        return None
    detail = exif.get_ifd(EXIF_IFD)
    windows = {name: _utf16(exif.get(tag)) for name, tag in XP.items()}
    taken = EXIF_TIME.match(str(detail.get(TAKEN, "")))
    offset = str(detail.get(OFFSET, "")).strip("\0 ")
    words = {
        "title": windows["title"],
        "caption": _letters(exif.get(DESCRIPTION)) or windows["caption"],
        "creator": _letters(exif.get(ARTIST)) or windows["creator"],
        "rights": _letters(exif.get(COPYRIGHT)),
        "captured": taken and "{}-{}-{}T{}".format(*taken.groups()) + (offset if re.match(r"^[+-]\d", offset) else ""),
    }
    keywords = kept_keywords((windows["keywords"] or "").split(";"))
    sayings = plain_words(words["rights"] or "", "exif copyright") + directives_in(keywords, "exif keyword")
    return Said(origin="exif", words=kept(words), keywords=keywords, sayings=tuple(sayings))


def _letters(value: object) -> str:
    """An EXIF text, which Pillow reads as Latin-1: UTF-8 where it is (Metadata Working Group 2.0, 5.1)."""
    text = str(value or "").replace("\0", " ")
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _utf16(value: object) -> str:
    data = bytes(value) if isinstance(value, (bytes, tuple)) else b""
    return data.decode("utf-16-le", "replace").rstrip("\0")


def _png(image: "Image", bounds: Bounds) -> Said | None:
    if image.format != "PNG":
        return None
    words = {name: str(image.info.get(key, "")) for name, key in PNG.items()}
    sayings = plain_words(words["rights"], "png copyright")
    return Said(origin="png", words=kept(words), sayings=tuple(sayings)) if any(words.values()) else None


def said_by_container(path: Path, bounds: Bounds) -> list[Said]:
    """What a file of sound or video says of itself, XMP first.

    Raises:
        InputError: if it cannot be opened.
    """
    with opened(path, bounds) as file:
        tags = {name.lower(): text for name, text in file.container.metadata.items()}
        for stream in (file.heard, file.shown):
            tags = {name.lower(): text for name, text in (stream.metadata if stream else {}).items()} | tags
    words = {name: next((tags[tag] for tag in known if tags.get(tag)), None) for name, known in TAGS.items()}
    if (words["captured"] or "").startswith(NO_CLOCK):
        words["captured"] = None
    keywords = kept_keywords(re.split(r"[;,]", tags.get("keywords", tags.get("com.apple.quicktime.keywords", ""))))
    sayings = plain_words(words["rights"] or "", "container copyright") + directives_in(keywords, "container keyword")
    said = Said(origin="container", words=kept(words), keywords=keywords, sayings=tuple(sayings))
    return [*_xmp_of_container(path, bounds), said]


def _xmp_of_container(path: Path, bounds: Bounds) -> list[Said]:
    if demuxer(head_of(path, bounds)) != MOV:
        return []
    with path.open("rb") as file:
        try:
            data = next(_boxes(file, XMP_BOX, bounds.text_bytes), None)
            return [] if data is None else [read_xmp(data, bounds.text_bytes)]
        except InputError as error:
            return [unread("xmp", f"its XMP cannot be read ({error})")]


def _boxes(file: BinaryIO, uuid: bytes, most: int) -> Iterator[bytes]:
    """Contents of a file's outer boxes of one uuid (ISO/IEC 14496-12, 4.2)."""
    end = file.seek(0, 2)
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        size, start = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), 16
        size = size or end - at  # 0: to the end of the file
        if len(head) < 8 or size < start:
            return
        if head[4:8] == b"uuid":
            file.seek(at + start)
            if file.read(16) == uuid:
                if size > most:
                    raise InputError(f"it has {size} bytes, want at most {most}")
                yield file.read(size - start - 16)
        at += size
