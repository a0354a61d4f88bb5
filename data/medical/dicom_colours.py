"""Colours that files recommend for their structures, as #rrggbb; "" where they name none; runs in the worker."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.data.medical import dicom_values as tags

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

WHITE = np.array([0.9642, 1.0, 0.8249])  # D50, of the profile connection space (PS3.3 C.10.7.1.1)
TO_RED_GREEN_BLUE = np.array(  # linear sRGB of XYZ at D50 (Lindbloom, Bradford-adapted)
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)
MOST = 65535


def colour_of_region(one: "Dataset") -> str:
    """ROIDisplayColor, red, green and blue of 0 to 255."""
    told = tags.numbers(one, "ROIDisplayColor")
    return _hex(np.array(told)) if told is not None and len(told) == 3 else ""


def colour_of_segment(one: "Dataset") -> str:
    """RecommendedDisplayCIELabValue: L* of 0 to 100, a* and b* of -128 to 127, each as 16 bits."""
    told = tags.numbers(one, "RecommendedDisplayCIELabValue")
    if told is None or len(told) != 3:
        return ""
    light, a, b = np.array(told) / MOST * (100, 255, 255) - (0, 128, 128)
    middle = (light + 16) / 116
    roots = np.array([middle + a / 500, middle, middle - b / 200])
    xyz = WHITE * np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = np.clip(TO_RED_GREEN_BLUE @ xyz, 0, 1)
    curved = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)  # IEC 61966-2-1
    return _hex(255 * curved)


def _hex(parts: NDArray[np.float64]) -> str:
    if not np.isfinite(parts).all():
        return ""
    return "#" + "".join(f"{int(part):02x}" for part in np.clip(np.rint(parts), 0, 255))
