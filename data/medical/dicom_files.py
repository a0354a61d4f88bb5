"""A file's bytes to a DICOM dataset, checked before pydicom reads them; runs in the worker of `dicom_worker`.

Refused: programs in the preamble (CVE-2019-11687), deflated data that grow beyond a limit, and what does not begin as
DICOM.
"""

import logging
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Literal

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.medical.archives import MOST_BYTES, MOST_RATIO, SMALLEST

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

PREAMBLE = 128  # bytes before "DICM", PS3.10 section 7.1
PROGRAMS = (  # first bytes of executables: Windows, Linux, macOS in either order and fat, and scripts
    b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe", b"#!",
)  # fmt: skip
BARE_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02")  # of a dataset without preamble, either byte order
DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage, PS3.4 annex B
PIXEL_TAGS = ((0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010))  # of floats, doubles and whole numbers
UNDEFINED = 0xFFFFFFFF
BEGINNING = 1 << 16  # bytes in which a JPEG's headers lie
NO_SYNTAX = "no transfer syntax: read as the dataset is written"


def import_pydicom() -> None:
    """Import pydicom, silent: its warnings and log quote the values that they are about.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pydicom", "medical") from error
    logging.getLogger("pydicom").disabled = True
    warnings.simplefilter("ignore")


def read_dataset(stream: BinaryIO, with_pixels: bool, needs_preamble: bool = False) -> "tuple[FileDataset, BinaryIO]":
    """The dataset of a file, without its pixels unless asked for, and the stream, which stands where they begin.

    Args:
        stream: of the file's bytes.
        with_pixels: read them, too.
        needs_preamble: refuse a dataset that is no file of DICOM's (PS3.10), as old devices wrote them.

    Raises:
        InputError: if it is refused before it is read.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    _check_beginning(stream, needs_preamble)
    stream, was_deflated = _inflated(stream)
    try:
        dataset = dcmread(stream, force=True, stop_before_pixels=not with_pixels)
    except InvalidDicomError as error:
        raise InputError("no DICOM file") from error
    if was_deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset, stream


def _check_beginning(stream: BinaryIO, needs_preamble: bool) -> None:
    beginning = stream.read(PREAMBLE + 4)
    stream.seek(0)
    is_whole = beginning[PREAMBLE:] == b"DICM"
    if needs_preamble and not is_whole:
        raise InputError("no DICOM file (no DICM at byte 128)")
    if beginning.startswith(PROGRAMS):
        raise InputError("begins as a program: a DICOM preamble can hide an executable; it is refused")
    if not is_whole and beginning[:2] not in BARE_GROUPS:
        raise InputError("no DICOM file")


def _inflated(stream: BinaryIO) -> tuple[BinaryIO, bool]:
    """The stream with its deflated part unpacked, up to a limit (PS3.5 section A.5), and whether there was one."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import _read_file_meta_info, read_preamble
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    preamble = read_preamble(stream, force=True)
    meta = _read_file_meta_info(stream)
    if str(meta.get("TransferSyntaxUID", "")) != "1.2.840.10008.1.2.1.99":
        stream.seek(0)
        return stream, False
    packed = stream.read(MOST_BYTES)
    most = min(MOST_BYTES, max(SMALLEST, MOST_RATIO * len(packed)))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = inflater.decompress(packed, most)
    except zlib.error as error:
        raise InputError("its deflated data are damaged; ask for the file again") from error
    if inflater.unconsumed_tail or (not inflater.eof and len(unpacked) >= most):
        raise InputError(f"its deflated data grow beyond {most} bytes; what inflates to more is refused")
    out = DicomBytesIO()
    out.write((preamble or bytes(PREAMBLE)) + b"DICM")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    write_file_meta_info(out, meta, enforce_standard=False)
    return BytesIO(out.getvalue() + unpacked), True


def is_directory(dataset: "FileDataset") -> bool:
    """True for a DICOMDIR, which names other files; to follow its names is to leave the folder (CVE-2026-32711)."""
    kind = str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) or str(dataset.get("SOPClassUID", ""))
    return kind == DIRECTORY or "DirectoryRecordSequence" in dataset


@dataclass(frozen=True)
class PixelElement:
    """Where the pixels are: the declared length (None: compressed, in fragments), and what the file has for them."""

    length: int | None
    begin: int
    held: int


def find_pixels(stream: BinaryIO, dataset: "FileDataset") -> PixelElement | None:
    """The element that the stream stands at; None where it is not one of pixels."""
    is_implicit, is_little = dataset.original_encoding
    order: Literal["little", "big"] = "little" if is_little else "big"
    head = stream.read(12)
    tag = (int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order))
    if len(head) < 8 or tag not in PIXEL_TAGS:
        return None
    written = head[4:8] if is_implicit else head[8:12]
    begin = stream.tell() - (4 if is_implicit else 0)
    length = int.from_bytes(written, order)
    held = max(0, stream.seek(0, 2) - begin)
    return PixelElement(None if length == UNDEFINED else length, begin, held)


def first_fragment(stream: BinaryIO, pixels: PixelElement) -> bytes:
    """The beginning of the first compressed frame, PS3.5 section A.4; empty where it is not there."""
    stream.seek(pixels.begin)
    for _ in range(2):  # the table of offsets, then the fragment
        head = stream.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"\xfe\xff\x00\xe0":
            return b""
        data = stream.read(min(length, BEGINNING))
        stream.seek(length - len(data), 1)
    return data
