"""Decoders of compressed frames, the quick and well-tested ones first; in the worker.

pydicom tries its plugins by the alphabet, GDCM before OpenJPEG, and knows OpenJPEG only through a framework that is
not needed for it. Before anything is decoded, the size that the stream itself names has to be the header's.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_header import Header
from mainstem.data.medical.dicom_jpeg import check_jpeg

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
HTJ2K = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
LONGEST_HEADER = 1 << 16  # bytes of boxes before the codestream, which DICOM does not want and some files have
ORDER = ("openjpeg", "pyjpegls", "pylibjpeg", "pillow", "gdcm")  # those equal on the corpus, the quickest first
DECODER_DEPENDENCIES: Mapping[str, tuple[str, ...]] = dict.fromkeys((*JPEG_2000, *HTJ2K), ("pylibjpeg-openjpeg>=2.0",))


def is_available(uid: str) -> bool:
    """True where OpenJPEG can decode a transfer syntax; asked by pydicom."""
    from importlib.util import find_spec

    return uid in DECODER_DEPENDENCIES and find_spec("openjpeg") is not None


def decode_openjpeg(data: bytes, runner: "DecodeRunner") -> bytearray:
    """One frame of JPEG 2000, as pydicom's own plugin has it."""
    from openjpeg.utils import decode_pixel_data

    frame = bytearray(decode_pixel_data(data, version=2, **runner.options))
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    precision = runner.get_option("j2k_precision", runner.bits_stored)
    runner.set_option("bits_allocated", 8 if precision <= 8 else 16 if precision <= 16 else 32)
    return frame


def decode_frame(dataset: "FileDataset", header: Header, index: int, data: bytes | None) -> NDArray[Any]:
    """A frame by the first decoder that can; `data` is its stream, None where the frames are not compressed.

    Raises:
        InputError: if none can, or the stream is of another size than the header.
    """
    decoder = _decoder(header.syntax)
    if data is None or not decoder.is_encapsulated:
        values, _ = decoder.as_array(dataset, index=index)
        return np.asarray(values)
    if header.syntax in (*JPEG_2000, *HTJ2K):
        _check_jpeg_2000(data, header)
    elif header.syntax in JPEG_LS:
        check_jpeg(data, header)
    failed = []
    for name in [one for one in ORDER if one in decoder.available_plugins] or [""]:
        try:
            values, _ = decoder.as_array(dataset, index=index, decoding_plugin=name)
            return np.asarray(values)
        except (RuntimeError, ValueError, NotImplementedError, AttributeError) as error:
            failed.append(f"{name or 'pydicom'}: {type(error).__name__}")
    raise InputError(f"its pixels cannot be decoded ({', '.join(failed)}); ask for the file uncompressed")


def _decoder(syntax: str) -> "Decoder":
    from pydicom.pixels.decoders.base import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError("no decoder for its transfer syntax; ask for the file uncompressed") from error
    if syntax in DECODER_DEPENDENCIES and "openjpeg" not in decoder.available_plugins and is_available(syntax):
        decoder.add_plugin("openjpeg", ("mainstem.data.medical.dicom_decoders", "decode_openjpeg"))
    if not decoder.is_available:
        raise InputError('no decoder for its transfer syntax is installed; pip install "mainstem[medical]"')
    return decoder


def _check_jpeg_2000(data: bytes, header: Header) -> None:
    """Compare the codestream's own size (ISO 15444-1 A.5.1, SIZ) with the header's."""
    at = data.find(b"\xff\x4f\xff\x51")
    if not 0 <= at < LONGEST_HEADER or len(data) < at + 42:
        raise InputError("its JPEG 2000 is damaged or cut; ask for the file again")
    right, bottom, left, top = (int.from_bytes(data[at + 8 + 4 * k : at + 12 + 4 * k], "big") for k in range(4))
    components = int.from_bytes(data[at + 40 : at + 42], "big")
    size, wanted = (bottom - top, right - left), (header.rows, header.columns)
    if size != wanted or components not in (1, 3, 4):
        raise InputError(f"its JPEG 2000 is {size[0]} x {size[1]}, its header {wanted[0]} x {wanted[1]}; it is refused")
