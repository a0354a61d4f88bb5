"""Millimetres between pixels, where the file says them of the patient; everything else has none."""

import math
from typing import TYPE_CHECKING

from mainstem.data.medical.dicom_values import number, numbers, word

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Spacing = tuple[float, float]  # between rows, between columns
# Pixels of these lie in the patient: sections, sound, doses, and what a parallel collimator shows in its own size.
# Of every other modality, known or not, the body may have cast a larger shadow than itself.
SECTIONS = frozenset({"CT", "MR", "MA", "PT", "NM", "ST", "US", "BDUS", "IVUS", "IVOCT", "OCT", "OPT", "RTDOSE", "SEG"})
RECONSTRUCTED = frozenset(  # sections by modalities of projection
    {"X-Ray 3D Angiographic Image", "X-Ray 3D Craniofacial Image", "Breast Tomosynthesis Image"}
)
# Bounds of this reader, no standard's: optical coherence tomography, the finest inside a patient, resolves some
# micrometres (a slide of tissue has finer pixels, but none in a patient), and of pixels of 100 mm a chest has four.
LEAST_MM, MOST_MM = 0.001, 100.0
SAME_SHARE = 1e-3  # of a size: nearer than any magnification, and as near as two writings of one number may round
DETECTOR = "ImagerPixelSpacing is the detector's, not the patient's: no millimetres"
SAME = "PixelSpacing equals ImagerPixelSpacing, so it is the detector's (PS3.3 section 10.7.1.3): no millimetres"
UNSAID = "no section, and PixelSpacing names no calibration: millimetres may be the detector's"
NONE = "no PixelSpacing: no millimetres"
BOUNDS = f"PixelSpacing is not two sizes of {LEAST_MM:g} to {MOST_MM:g} mm: no millimetres"


def spacing_of(
    dataset: "Dataset", modality: str | None, sop_class: str, measures: "Dataset | None" = None
) -> tuple[Spacing | None, tuple[str, ...]]:
    """Spacing in mm of the patient, or None, and what has to be said of it.

    Args:
        dataset: the file.
        modality: of the standard's, None of any other.
        sop_class: the standard's name of the kind of object.
        measures: of a frame, where it has its own; they go before the file's, which says nothing of frames.

    Source: PS3.3 section 10.7.1.3, Pixel Spacing Value Order and Calibration.
    """
    told = numbers(dataset if measures is None else measures, "PixelSpacing")
    imager = numbers(dataset, "ImagerPixelSpacing", 2)
    if told is None:
        return None, ((DETECTOR,) if imager is not None else (NONE,))
    if len(told) != 2 or not all(LEAST_MM <= size <= MOST_MM for size in told):
        return None, (BOUNDS,)
    spacing = (told[0], told[1])
    is_calibrated = word(dataset, "PixelSpacingCalibrationType", ("GEOMETRY", "FIDUCIAL")) is not None
    if modality in SECTIONS or sop_class in RECONSTRUCTED or is_calibrated:
        return spacing, ()
    if imager is not None and all(map(_is_same, spacing, imager)):
        return None, (SAME,)
    magnification = number(dataset, "EstimatedRadiographicMagnificationFactor")
    is_said = imager is not None and magnification is not None
    return spacing, (() if is_said else (UNSAID,))


def _is_same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME_SHARE)
