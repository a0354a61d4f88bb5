"""Formats by a file's first bytes, whatever its name says, and which decoder alone may then open it.

The signatures are those of the formats' own specifications, as Debian's `file` and FFmpeg's probes list them, too.
FFmpeg is told the demuxer by name, so that no playlist (HLS, DASH, concat), which names other files and addresses, is
ever recognised in a file's bytes.
"""

import re
from pathlib import Path

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, check_file

HEAD = 4096  # bytes that are looked at
ISO_PICTURES = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"mif2"}
PICTURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG2000", b"\xff\x4f\xff\x51": "JPEG2000",
}  # fmt: skip
MOV = "mov,mp4,m4a,3gp,3g2,mj2"
DEMUXERS = {
    b"\x1aE\xdf\xa3": "matroska,webm", b"OggS": "ogg", b"fLaC": "flac", b"ID3": "mp3", b"#!AMR": "amr",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf", b"FLV\x01": "flv", b".snd": "au", b"caff": "caf", b"riff": "w64",
    b"\0\0\x01\xba": "mpeg", b"\x06\x0e\x2b\x34": "mxf", b"RF64": "wav", b"MAC ": "ape", b"wvpk": "wv",
}  # fmt: skip
RIFF = {b"WAVE": "wav", b"AVI ": "avi"}
ISO_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot"}  # that a QuickTime file may begin with
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MPEG_TS = 188  # bytes of a packet, each of which begins with 0x47 (ISO/IEC 13818-1, 2.4.3.2)


def head_of(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> bytes:
    """A file's first bytes; of FLAC those behind an ID3 tag before it, as signed copies have it (C2PA 2.2, A.3.5).

    Raises:
        InputError: if it is no file, empty, or too large.
    """
    check_file(path, bounds.bytes)
    with path.open("rb") as file:
        head = file.read(HEAD)
        if head[:3] != b"ID3" or len(head) < 10:
            return head
        file.seek(10 + sum((size & 127) << shift for size, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
        behind = file.read(HEAD)
        return behind if behind[:4] == b"fLaC" else head


def picture_format(head: bytes) -> str | None:
    """Pillow's name of a picture's format."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in ISO_PICTURES:
        return "AVIF" if b"avif" in head[8:64] or b"avis" in head[8:64] else "HEIF"
    return next((name for magic, name in PICTURES.items() if head.startswith(magic)), None)


def demuxer(head: bytes) -> str | None:
    """FFmpeg's name of the demuxer of a file of sound or video."""
    if head[:4] == b"RIFF":
        return RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] in ISO_BOXES:
        return MOV
    if len(head) > 2 * MPEG_TS and all(head[place] == 0x47 for place in range(0, min(len(head), 8 * MPEG_TS), MPEG_TS)):
        return "mpegts"
    return next((name for magic, name in DEMUXERS.items() if head.startswith(magic)), _by_sync(head))


def _by_sync(head: bytes) -> str | None:
    """Demuxer of a bare stream of MPEG audio, by its first frame's sync word (ISO/IEC 11172-3; 13818-7).

    Layer I, which nobody keeps, would look like the mark of a text in UTF-16.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer, version = head[1] >> 1 & 3, head[1] >> 3 & 3
    if layer == 0:  # reserved in MPEG audio, and what ADTS has there
        return "aac" if head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13 else None
    return "mp3" if layer != 3 and version != 1 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3 else None


def is_text(head: bytes) -> bool:
    """True where bytes can be a text: no control character of a binary file is among them, or it is UTF-16 by mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return len(head) > 2 and b"\0" in head
    return not head.startswith(b"%PDF") and CONTROLS.search(head) is None
