"""Millimetres between pixels, where the file says them of the patient; everything else has none."""

from typing import TYPE_CHECKING

from mainstem.data.medical.dicom_values import number, numbers, word

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Spacing = tuple[float, float]  # between rows, between columns
PROJECTIONS = frozenset(
    {"CR", "DX", "MG", "IO", "PX", "RF", "XA", "RG", "RTIMAGE"}
)  # the body casts a larger shadow than itself
DETECTOR = "ImagerPixelSpacing is the detector's, not the patient's: no millimetres"
SAME = "PixelSpacing equals ImagerPixelSpacing, so it is the detector's (PS3.3 section 10.7.1.3): no millimetres"
UNSAID = "a projection whose PixelSpacing names no calibration: millimetres may be the detector's"
NONE = "no PixelSpacing: no millimetres"
BROKEN = "PixelSpacing is not two sizes above 0: no millimetres"


def spacing_of(dataset: "Dataset", modality: str | None) -> tuple[Spacing | None, tuple[str, ...]]:
    """Spacing in mm of the patient, or None, and what has to be said of it.

    Source: PS3.3 section 10.7.1.3, Pixel Spacing Value Order and Calibration.
    """
    told = numbers(dataset, "PixelSpacing")
    imager = numbers(dataset, "ImagerPixelSpacing", 2)
    if told is None:
        return None, ((DETECTOR,) if imager is not None else (NONE,))
    if len(told) != 2 or min(told) <= 0:
        return None, (BROKEN,)
    spacing = (told[0], told[1])
    if modality not in PROJECTIONS or word(dataset, "PixelSpacingCalibrationType", ("GEOMETRY", "FIDUCIAL")):
        return spacing, ()
    if imager == spacing:
        return None, (SAME,)
    magnification = number(dataset, "EstimatedRadiographicMagnificationFactor")
    is_said = imager is not None and magnification is not None
    return spacing, (() if is_said else (UNSAID,))
