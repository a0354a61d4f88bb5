"""Whether a file has a manifest store in the place where its kind keeps one, which damage elsewhere leaves to be seen.

The mark of a store anywhere else says nothing of the file: it may be an attachment's, or have been planted.

Source: C2PA Technical Specification 2.2, appendix "Embedding manifests", for where each kind keeps its store.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO, Literal

# the box type of a manifest store, in every container that is not packed (C2PA 2.2, "Use of JUMBF")
MANIFEST_STORE = bytes.fromhex("6332706100110010800000aa00389b71")
BMFF_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
LEAD = 128  # bytes of a slot within which the store begins
MOST_PARTS = 100_000  # of a file that are looked at
FURTHEST = 1 << 62  # no file has a byte beyond
Part = tuple[bytes, int, int]  # its kind, where what it holds begins, and how many bytes that is


def holds_store(stream: BinaryIO) -> bool:
    """True where a picture, sound or video keeps a manifest store where files of its kind do; false of other kinds."""
    head = _read(stream, 0, 12)
    walk, slots = next((found for magic, found in WALKS.items() if head.startswith(magic)), (_boxes, BOXES))
    if walk is _boxes and head[4:8] not in (b"ftyp", b"JXL "):
        return False
    return any(
        MANIFEST_STORE in (lead := _read(stream, at, min(size, LEAD)))
        and (kind != b"uuid" or lead.startswith(BMFF_UUID))
        for kind, at, size in islice(walk(stream), MOST_PARTS)
        if kind in slots
    )


def _read(stream: BinaryIO, at: int, size: int) -> bytes:
    """Bytes of a file, fewer where it ends."""
    if at > FURTHEST:
        return b""
    stream.seek(at)
    return stream.read(size)


def _segments(stream: BinaryIO) -> Iterator[Part]:
    """Of a JPEG: those before the image data."""
    at = 2
    while len(head := _read(stream, at, 4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:
        size = int.from_bytes(head[2:])
        yield head[:2], at + 4, size - 2
        at += 2 + max(size, 2)


def _png_chunks(stream: BinaryIO) -> Iterator[Part]:
    at = 8
    while len(head := _read(stream, at, 8)) == 8 and head[4:] != b"IEND":
        size = int.from_bytes(head[:4])
        yield head[4:], at + 8, size
        at += 12 + size


def _riff_chunks(stream: BinaryIO) -> Iterator[Part]:
    at = 12
    while len(head := _read(stream, at, 8)) == 8:
        size = int.from_bytes(head[4:], "little")
        yield head[:4], at + 8, size
        at += 8 + size + size % 2


def _boxes(stream: BinaryIO) -> Iterator[Part]:
    """Of ISO base media files and JPEG XL: the boxes at the top."""
    at = 0
    while len(head := _read(stream, at, 16)) >= 8:
        size, before = int.from_bytes(head[:4]), 8
        if size == 1:
            size, before = int.from_bytes(head[8:]), 16
        if size < before:
            return  # a box that goes on to the file's end, or is none
        yield head[4:8], at + before, size - before
        at += size


def _gif_blocks(stream: BinaryIO) -> Iterator[Part]:
    """Of a GIF: the application extensions before the first picture; a store goes on in sub-blocks."""
    flags = _read(stream, 10, 1)
    at = 13 + (3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0)
    while (head := _read(stream, at, 14))[:1] == b"!":
        if head[1:3] == b"\xff\x0b":
            yield head[3:11], at + 14, LEAD
        at += 2
        while size := _read(stream, at, 1).rstrip(b"\0"):
            at += 1 + size[0]
        at += 1


def _tiff_entries(stream: BinaryIO) -> Iterator[Part]:
    """Of a TIFF, and of raw pictures made like one: the first directory's."""
    head = _read(stream, 0, 16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    wide, step, count = (8, 20, 8) if 43 in head[2:4] else (4, 12, 2)  # BigTIFF, TIFF
    at = int.from_bytes(head[wide : 2 * wide], order)
    for number in range(int.from_bytes(_read(stream, at, count), order)):
        entry = _read(stream, at + count + number * step, step)
        if len(entry) < step:
            return
        size, place = (int.from_bytes(entry[4 + wide * each :][:wide], order) for each in (0, 1))
        yield int.from_bytes(entry[:2], order).to_bytes(2), place, size


def _frames(stream: BinaryIO) -> Iterator[Part]:
    """Of the ID3 tag before an MP3 or FLAC (ID3v2.4, 3.1 and 4)."""
    head = _read(stream, 0, 10)
    bits, at, end = 7 if head[3:4] == b"\x04" else 8, 10, 10 + _packed(head[6:], 7)
    while at < end and len(frame := _read(stream, at, 10)) == 10:
        size = _packed(frame[4:8], bits)
        yield frame[:4], at + 10, size
        at += 10 + size


def _packed(data: bytes, bits: int) -> int:
    """A number of so many bits a byte."""
    return sum(byte << bits * place for place, byte in enumerate(reversed(data)))


BOXES = (b"uuid", b"jumb")
TIFF = (_tiff_entries, (b"\xcd\x41",))
WALKS: dict[bytes, tuple[Callable[[BinaryIO], Iterator[Part]], tuple[bytes, ...]]] = {
    b"\xff\xd8": (_segments, (b"\xff\xeb",)), b"\x89PNG": (_png_chunks, (b"caBX",)),
    b"RIFF": (_riff_chunks, (b"C2PA",)), b"GIF8": (_gif_blocks, (b"C2PA_GIF",)),
    b"ID3": (_frames, (b"GEOB",)), b"II*\0": TIFF, b"MM\0*": TIFF, b"II+\0": TIFF, b"MM\0+": TIFF,
}  # fmt: skip
