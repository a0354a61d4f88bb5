"""JPEG streams of DICOM: what they say of themselves, 12 bits by GDCM, and a wrong scan header mended; in the worker.

Some files of process 2 and 4 carry a spectral selection in their scan header that no sequential JPEG may have. It is
set to the one that T.81 asks for (table B.3: Ss 0, Se 63, Ah and Al 0), and what is mended is said. pydicom does not
ask GDCM for 12 bits, although GDCM decodes them: within one grey level of a decoder written from T.81.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_header import Header

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

JPEG = {f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70)}
EXTENDED = "1.2.840.10008.1.2.4.51"
SEQUENTIAL = (0xC0, 0xC1)  # start of frame of baseline and of extended sequential DCT, Huffman, T.81 table B.1
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # and of JPEG-LS, T.87 table C.1
SCAN = bytes((0, 63, 0))
MENDED = "a JPEG with a wrong scan header, mended: Ss 0, Se 63, Ah and Al 0"
GPL = 'GDCM cannot decode it; pip install "mainstem[medical-gpl]" brings a decoder under the GPL that may'


@dataclass(frozen=True, kw_only=True)
class Jpeg:
    """What a JPEG stream says: kind of frame, its size, and where the three bytes of its first scan's selection are."""

    frame: int
    precision: int
    rows: int
    columns: int
    components: int
    selection: int


def scan(data: bytes) -> Jpeg | None:
    """Walk a JPEG's segments up to its first scan; None where it is none, or is cut."""
    at, found = 2, None
    if data[:2] != b"\xff\xd8":
        return None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker == 0xFF:
            at += 1
            continue
        if marker in FRAMES and len(body) >= 6:
            found = (marker, body[0], int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"), body[5])
        if marker == 0xDA and found is not None and body:
            frame, precision, rows, columns, components = found
            selection = at + 5 + 2 * body[0]
            return Jpeg(
                frame=frame, precision=precision, rows=rows, columns=columns, components=components, selection=selection
            )
        at += 2 + length
    return None


def check_jpeg(data: bytes, header: Header) -> Jpeg:
    """What a frame's JPEG says, where that fits the header.

    Raises:
        InputError: if it is cut, or of another size than the header says.
    """
    found = scan(data)
    if found is None:
        raise InputError("its JPEG is damaged or cut; ask for the file again")
    if (found.rows, found.columns) != (header.rows, header.columns):
        raise InputError(
            f"its JPEG is {found.rows} x {found.columns}, its header {header.rows} x {header.columns}; mend the header"
        )
    return found


def is_twelve(jpeg: Jpeg) -> bool:
    """True for what pydicom hands to no decoder that this project asks for: sequential, more than 8 bits."""
    return jpeg.frame in SEQUENTIAL and jpeg.precision > 8


def has_wrong_scan(data: bytes) -> bool:
    """True where the beginning of a sequential JPEG carries a spectral selection that none may have."""
    jpeg = scan(data)
    return jpeg is not None and jpeg.frame in SEQUENTIAL and data[jpeg.selection : jpeg.selection + 3] != SCAN


def mended(data: bytes, jpeg: Jpeg) -> bytes:
    """The stream with the scan header that T.81 asks for."""
    return data[: jpeg.selection] + SCAN + data[jpeg.selection + 3 :]


def decode_twelve(data: bytes, header: Header) -> NDArray[np.uint16]:
    """Pixels (row, column) of a grey sequential JPEG of up to 12 bits, by GDCM.

    Raises:
        InputError: if GDCM is not there or does not decode it.
    """
    try:
        import gdcm
    except ImportError as error:
        raise InputError('12-bit JPEG needs GDCM; pip install "mainstem[medical]"') from error
    if header.samples != 1 or header.bits_allocated != 16:
        raise InputError("a 12-bit JPEG of colour or of odd bits; ask for the file uncompressed")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((header.columns, header.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(EXTENDED)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, int(header.is_signed)))
    # GDCM gives bytes as text, PEP 383
    decoded = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(decoded) != header.rows * header.columns * 2:
        raise InputError(GPL)
    return np.frombuffer(decoded, "<u2").reshape(header.rows, header.columns)


def frame_bytes(dataset: "Dataset", header: Header, index: int) -> bytes:
    """One frame's compressed stream."""
    from pydicom.encaps import get_frame

    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    found: bytes = get_frame(dataset.PixelData, index, number_of_frames=header.num_frames, extended_offsets=offsets)
    return found
