"""Pixels of one picture: as stored, and in rescaled units; runs in the worker.

Whole numbers come as int16 or uint16, colour as red, green and blue, palettes looked up. Rescale is the picture's own
(of its frame), a modality LUT goes before it, and padding (0028,0120) is NaN. Polarity is as in the file.
"""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_decoders import decode_frame
from mainstem.data.medical.dicom_header import Header, Picture
from mainstem.data.medical.dicom_jpeg import (
    JPEG,
    MENDED,
    check_jpeg,
    decode_twelve,
    frame_bytes,
    has_wrong_scan,
    is_twelve,
    mended,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

WIDEST = 16  # bits of whole numbers that are handed out as stored


def stored(dataset: "FileDataset", header: Header, picture: Picture) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """Values as stored, int16 or uint16 (row, column[, 3]), of a modality LUT what it gives; and what was mended.

    Raises:
        InputError: if they are no whole numbers of at most 16 bits, or cannot be decoded.
    """
    values, flags = _decoded(dataset, header, picture)
    if values.dtype.kind not in "iub" or values.dtype.itemsize * 8 > WIDEST:
        raise InputError(f"stored as {values.dtype.name}, which no screen shows as it is; take the rescaled values")
    return values.astype(np.int16 if values.dtype.kind == "i" else np.uint16), flags


def rescaled(dataset: "FileDataset", header: Header, picture: Picture) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Values in the header's unit, float32 (row, column[, 3]), NaN where padded; and what was mended.

    Raises:
        InputError: if they cannot be decoded.
    """
    values, flags = _decoded(dataset, header, picture)
    found = values.astype(np.float64)
    if picture.slope is not None and picture.intercept is not None:
        found = found * picture.slope + picture.intercept
    if header.samples == 1 and not header.has_lut:
        found[_padding(dataset, values)] = np.nan
    return found.astype(np.float32), flags


def _padding(dataset: "FileDataset", values: NDArray[Any]) -> NDArray[np.bool_]:
    """True where a pixel is padding, PS3.3 C.7.5.1.1.2; the limit, where there is one, may lie on either side."""
    padding = tags.number(dataset, "PixelPaddingValue")
    if padding is None:
        return np.zeros(values.shape, bool)
    limit = tags.number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    padded: NDArray[np.bool_] = (values >= low) & (values <= high)
    return padded


def _decoded(dataset: "FileDataset", header: Header, picture: Picture) -> tuple[NDArray[Any], tuple[str, ...]]:
    values, flags = _frame(dataset, header, picture.frame)
    if picture.tile is not None:
        rows, columns = header.rows // header.tiles, header.columns // header.tiles
        down, across = divmod(picture.tile, header.tiles)
        values = values[down * rows : (down + 1) * rows, across * columns : (across + 1) * columns]
    if header.photometric == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        values = apply_color_lut(values, _palette(dataset))
    elif header.has_lut:
        from pydicom.pixels.processing import apply_modality_lut

        values = apply_modality_lut(values, dataset)
    return values.astype(values.dtype.newbyteorder("=")), flags


def _palette(dataset: "FileDataset") -> "Dataset":
    """The colour tables of a file; those that pydicom would read in the wrong order of bytes are turned."""
    from pydicom.dataset import Dataset

    found = Dataset()
    found.set_original_encoding(*dataset.original_encoding)
    for name in (f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")):
        for keyword in (f"{name}Descriptor", f"{name}Data", f"Segmented{name}Data"):
            if keyword in dataset:
                found.add(deepcopy(dataset[keyword]))
        if not dataset.original_encoding[1] and isinstance(table := tags.value(found, f"{name}Data"), bytes):
            found[f"{name}Data"].value = np.frombuffer(table, ">u2").astype("<u2").tobytes()
    return found


def _frame(dataset: "FileDataset", header: Header, index: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    from pydicom.uid import UID

    data = frame_bytes(dataset, header, index) if UID(header.syntax).is_encapsulated else None
    if data is not None and header.syntax in JPEG:
        jpeg = check_jpeg(data, header)
        is_wrong = has_wrong_scan(data)
        if is_twelve(jpeg):
            return decode_twelve(mended(data, jpeg), header), (MENDED,) if is_wrong else ()
        if is_wrong:
            raise InputError("a JPEG of 8 bits with a wrong scan header; ask for the file again")
    values = decode_frame(dataset, header, index, data)
    is_colour = header.samples == 3 and header.photometric != "PALETTE COLOR"
    wanted = (header.rows, header.columns, *((3,) if is_colour else ()))
    if values.shape != wanted:
        raise InputError(f"pixels of shape {values.shape}, its header says {wanted}; the file is damaged")
    return values, ()
