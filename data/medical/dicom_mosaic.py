"""Siemens mosaics: the slices of one volume laid out as tiles of one picture; runs in the worker.

The number of slices and the direction in which they follow one another are in the CSA header (0029,1010), which
nibabel reads; the place of the file is that of the whole picture's corner, so that the first slice's lies further in.
Source: M. Brett, nibabel, "Siemens mosaic", https://nipy.org/nibabel/dicom/dicom_mosaic.html.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_header import Header, Picture

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

WHOLE = "a mosaic whose number of slices is not known: shown as one picture, no millimetres between slices"
PLACELESS = "a mosaic whose slices' places are not known"
MOST_SLICES = 1024


def mosaic_pictures(dataset: "Dataset", header: Header, whole: Picture) -> tuple[int, list[Picture], tuple[str, ...]]:
    """Tiles across and down, one picture a slice, and what is to be said of them."""
    count, normal = _slices(dataset)
    tiles = math.isqrt(count - 1) + 1 if count > 0 else 0
    if not 0 < count <= MOST_SLICES or header.rows % tiles or header.columns % tiles:
        return 1, [replace(whole, position=None)], (WHOLE,)
    step = tags.number(dataset, "SpacingBetweenSlices")
    if whole.position is None or whole.orientation is None or whole.spacing_mm is None or normal is None or not step:
        return tiles, [replace(whole, tile=tile, position=None) for tile in range(count)], (PLACELESS,)
    along_row, down_column = np.reshape(whole.orientation, (2, 3))
    rows_mm, columns_mm = whole.spacing_mm
    across = along_row * columns_mm * (header.columns - header.columns // tiles) / 2
    down = down_column * rows_mm * (header.rows - header.rows // tiles) / 2
    first = np.asarray(whole.position) + across + down
    places = first + step * np.arange(count)[:, None] * np.asarray(normal)
    return tiles, [replace(whole, tile=tile, position=tuple(place)) for tile, place in enumerate(places.tolist())], ()


def _slices(dataset: "Dataset") -> tuple[int, tuple[float, ...] | None]:
    """How many slices, 0 where not known, and the unit vector from one to the next."""
    from nibabel.nicom import csareader

    try:
        csa = csareader.get_csa_header(dataset, "image")
        told = csa["tags"] if csa else {}
        counts = told["NumberOfImagesInMosaic"]["items"]
        normal = tuple(float(value) for value in told["SliceNormalVector"]["items"])
    except Exception:  # a private header may hold anything, and what it lacks is said
        return 0, None
    is_unit = len(normal) == 3 and abs(math.hypot(*normal) - 1) < 1e-3
    return (int(counts[0]) if counts else 0), normal if is_unit else None
