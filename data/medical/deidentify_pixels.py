"""Pixel data without what hides in them: bytes behind the last pixel, overlays in spare bits, comments in JPEG."""

import re
import struct
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_decoders import HTJ2K
from mainstem.data.medical.dicom_values import OVERLAYS

JPEG = frozenset((*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes))
JPEG_2000 = frozenset((*JPEG2000TransferSyntaxes, *HTJ2K))
MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # after entropy-coded data: 00-7F are stuffed, D0-D7 restart it
EOI, SOS, COMMENT = 0xD9, 0xDA, 0xFE  # ISO 10918-1 table B.1
NO_LENGTH = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
KEPT_APP = {0xE0: b"JFIF\0", 0xE8: b"mrfx", 0xEE: b"Adobe"}  # of the application segments those that set colours
J2K_SOT, J2K_SOD, J2K_COM, J2K_EOC = 0x90, 0x93, 0x64, 0xD9  # ISO 15444-1 table A.2


def clean_pixels(clean: Dataset, old: Dataset) -> None:
    """Clean the pixel data of a dataset in place.

    Args:
        clean: de-identified, with file meta.
        old: what it was made of, which tells where overlays lie.

    Raises:
        InputError: if the pixels cannot be told apart.
    """
    syntax = clean.file_meta.TransferSyntaxUID
    try:
        _cut_floats(clean)
        if not clean.get("PixelData"):
            return
        if not syntax.is_encapsulated:
            _clean_native(clean, old)
        elif syntax in JPEG:
            _clean_frames(clean, strip_jpeg)
        elif syntax in JPEG_2000:
            _clean_frames(clean, strip_jpeg_2000)
        elif syntax == RLELossless:
            _clean_frames(clean, partial(strip_rle, size=clean.Rows * clean.Columns))
    except (ValueError, AttributeError, TypeError, IndexError, struct.error):
        raise InputError("its pixel data do not fit its header or are damaged; mend it first") from None


def _cut_floats(clean: Dataset) -> None:
    """Take away what lies behind the last pixel that is a float; fewer than are declared are damage."""
    for name in ("FloatPixelData", "DoubleFloatPixelData"):
        if clean.get(name):
            length = get_expected_length(clean)
            if len(clean[name].value) < length:
                raise ValueError("too few pixels")
            clean[name].value = clean[name].value[:length]


def _clean_frames(clean: Dataset, strip: Callable[[bytes], bytes]) -> None:
    """Put frames together anew, so that nothing is left between or behind them."""
    frames = generate_frames(clean.PixelData, number_of_frames=int(clean.get("NumberOfFrames") or 1))
    clean.PixelData = encapsulate([strip(frame) for frame in frames])
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        clean.pop(name, None)
    clean["PixelData"].is_undefined_length = True


def _clean_native(clean: Dataset, old: Dataset) -> None:
    expected = get_expected_length(clean)
    pixels = bytes(clean.PixelData[: expected + expected % 2])  # with padding, on either side where bytes are swapped
    spare = sum(1 << bit for bit in _overlay_bits(old))
    if spare:
        pixels = _without_bits(pixels, clean, spare)
    clean["PixelData"].value = pixels + bytes(len(pixels) % 2)


def _overlay_bits(old: Dataset) -> Iterator[int]:
    """Bits of a cell above the stored ones that an overlay uses (PS3.5 8.1.2, retired)."""
    high = int(old.HighBit)
    for group in OVERLAYS:
        if (group, 0x0010) in old and (group, 0x3000) not in old:
            bit = int(old[group, 0x0102].value) if (group, 0x0102) in old else 0
            if high < bit < int(old.BitsAllocated):
                yield bit


def _without_bits(pixels: bytes, clean: Dataset, spare: int) -> bytes:
    """Clear bits; of signed pixels they take the sign, as bits above the stored ones do."""
    order = "<" if clean.file_meta.TransferSyntaxUID.is_little_endian else ">"
    cells = np.frombuffer(pixels, f"{order}u{int(clean.BitsAllocated) // 8}")
    sign = np.where(cells >> int(clean.HighBit) & 1, spare, 0) if clean.PixelRepresentation else 0
    return bytes((cells & ~cells.dtype.type(spare) | np.asarray(sign, cells.dtype)).astype(cells.dtype).tobytes())


def strip_jpeg(frame: bytes) -> bytes:
    """A JPEG or JPEG-LS stream without comments, application data and what lies behind its end.

    Raises:
        ValueError: if it is none.
    """
    if frame[:2] != b"\xff\xd8":
        raise ValueError("no JPEG")
    kept, at = [b"\xff\xd8"], 2
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:
            raise ValueError("no marker")
        marker = frame[at + 1]
        if marker == EOI:
            break
        if marker == 0xFF or marker in NO_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(frame[at + 2 : at + 4])
        if marker == SOS:
            found = MARKER.search(frame, end)
            end = found.start() if found else len(frame)
        if marker != COMMENT and (not 0xE0 <= marker <= 0xEF or _is_colour(marker, frame[at + 4 : end])):
            kept.append(frame[at:end])
        at = end
    return b"".join([*kept, b"\xff\xd9"])


def _is_colour(marker: int, content: bytes) -> bool:
    return len(content) <= 16 and content.startswith(KEPT_APP.get(marker, b"\0none"))


def strip_rle(frame: bytes, size: int) -> bytes:
    """A frame of run lengths without what lies between and behind its segments; of `size` bytes each (PS3.5 annex G).

    Raises:
        ValueError: if a segment ends early.
    """
    starts = struct.unpack_from("<16L", frame)[1 : 1 + frame[0]]
    segments = [_packed(frame, start, size) for start in starts]
    offsets, at = [len(segments)], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    return struct.pack("<16L", *offsets, *[0] * (16 - len(offsets))) + b"".join(segments)


def _packed(frame: bytes, start: int, size: int) -> bytes:
    """The run lengths from a place on that give so many bytes, made even."""
    at, given = start, 0
    while given < size:
        control = frame[at]
        length = control + 1 if control < 128 else 257 - control  # literal, or one byte repeated; 128 does nothing
        given += length if control != 128 else 0
        at += 1 + (length if control < 128 else int(control != 128))
    packed = frame[start:at]
    if given != size or at > len(frame):
        raise ValueError("segment ends early")
    return packed + bytes(len(packed) % 2)


def strip_jpeg_2000(frame: bytes) -> bytes:
    """A JPEG 2000 codestream without comments, boxes about it and what lies behind its end.

    Raises:
        ValueError: if it is none.
    """
    start = frame.find(b"\xff\x4f\xff\x51")  # SOC, then SIZ at once
    if start < 0:
        raise ValueError("no JPEG 2000")
    header, at = _main_header(frame, start + 2)
    kept = [b"\xff\x4f", header]
    while frame[at : at + 2] == bytes((0xFF, J2K_SOT)):
        length = int.from_bytes(frame[at + 6 : at + 10])
        end = at + length if length else len(frame)
        kept.append(_tile_part(frame[at:end], has_length=length > 0))
        at = end
    return b"".join([*kept, bytes((0xFF, J2K_EOC))])


def _main_header(stream: bytes, at: int) -> tuple[bytes, int]:
    """Segments up to the first tile or its data, without comments, and where they end."""
    kept = []
    while stream[at] == 0xFF and stream[at + 1] not in (J2K_SOT, J2K_SOD, J2K_EOC):
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4])
        if stream[at + 1] != J2K_COM:
            kept.append(stream[at:end])
        at = end
    return b"".join(kept), at


def _tile_part(part: bytes, has_length: bool) -> bytes:
    """A tile part without comments; its length is put right. One that goes to the end loses what is behind it."""
    header, at = _main_header(part, 12)
    data = part[at:] if has_length else part[at : part.rindex(b"\xff\xd9")]
    length = 12 + len(header) + len(data)
    return part[:6] + (length if has_length else 0).to_bytes(4) + part[10:12] + header + data
