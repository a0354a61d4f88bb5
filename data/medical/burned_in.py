"""Whether the pixels of an object may show text: what its header says, and a search for rows of drawn letters.

The search is for letters as devices draw them: small connected shapes of one value, the brightest or darkest of the
picture, that differ sharply from what is around them and stand in a row. It finds no handwriting, no lettering of lead
that was X-rayed with the patient, and no faces; docs/deidentification.md gives its measured rates.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from mainstem.data.medical.dicom_values import SEGMENTATIONS

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and those under it, of several frames
CLASSES = {  # PS3.4 table B.5-1, by what their pictures tend to show
    "1.2.840.10008.5.1.4.1.1.6.": "ultrasound",
    "1.2.840.10008.5.1.4.1.1.3.": "ultrasound",
    "1.2.840.10008.5.1.4.1.1.104.": "an encapsulated document",
    "1.2.840.10008.5.1.4.1.1.77.1.": "a photograph or video",
}
MODALITIES = {"US": "ultrasound", "OT": "a modality not told", "XC": "a photograph", "DOC": "a document"}
SCREEN = ("SCREEN", "CAPTURE")
VIDEO = "1.2.840.10008.1.2.4.10"  # MPEG-2, MPEG-4 and HEVC: PS3.5 10.5 to 10.9
FLOATS = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}  # PS3.3 C.7.6.24, C.7.6.25
LOWEST, TALLEST = 5, 64  # pixels of a letter; of pictures of many pixels the tallest is a sixteenth
WIDEST = 1.6  # of a letter, in its height
FILLS = (0.12, 0.95)  # of its box
LETTERS = 4  # in a row
# How far from the extreme, and how much contrast to what is around, in the range: drawn sharp; over noise; soft edges.
WAYS = ((0.0, 0.05), (0.12, 0.2), (0.4, 0.2))
MOST_SHAPES = 4000  # noise at full scale has more
Boxes = NDArray[np.int64]


def told_by_header(dataset: Dataset) -> str:
    """Why its header makes text in the pixels likely; empty where it does not."""
    kind, modality = str(dataset.get("SOPClassUID", "")), str(dataset.get("Modality", "")).upper()
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        return "burned-in annotation"
    if str(dataset.get("RecognizableVisualFeatures", "")).upper() == "YES":
        return "recognizable visual features"
    if kind == SECONDARY_CAPTURE or kind.startswith(f"{SECONDARY_CAPTURE}.") or dataset.get("ConversionType"):
        return "secondary capture"
    image_type = " ".join(map(str, np.atleast_1d(dataset.get("ImageType") or "")))
    if any(word in image_type.upper() for word in SCREEN):
        return "screenshot"
    if (named := next((text for start, text in CLASSES.items() if f"{kind}.".startswith(start)), None)) is not None:
        return named
    return MODALITIES.get(modality, "")


def text_in(frame: NDArray[np.generic]) -> bool:
    """True where a picture shows a row of drawn letters.

    Args:
        frame: (y, x), or (y, x, channel) in colour.
    """
    planes = [frame] if frame.ndim == 2 else [frame[..., channel] for channel in range(frame.shape[-1])]
    with np.errstate(over="ignore"):
        numbers = [plane.astype(np.float32) for plane in planes]
    return any(_shows_letters(_filled(plane)) or _shows_letters(_is_number(plane)) for plane in numbers)


def _is_number(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 where a picture has a number, 0 where it has none: letters may be drawn in what is none."""
    return np.isfinite(plane).astype(np.float32)


def _filled(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture whose lowest number stands where it has none."""
    is_number = np.isfinite(plane)
    return plane if is_number.all() else np.where(is_number, plane, plane[is_number].min(initial=np.inf))


def _shows_letters(plane: NDArray[np.float32]) -> bool:
    low, high = float(plane.min()), float(plane.max())
    if not low < high:
        return False
    bright = (plane - low) / (high - low)  # 0 to 1
    return any(_has_row(_letters(level, *way)) for level in (bright, 1 - bright) for way in WAYS)


def _letters(plane: NDArray[np.float32], slack: float, contrast: float) -> Boxes:
    """Boxes (shape, 4) of connected shapes that may be letters, as top, left, bottom, right; from left to right."""
    labels, num = ndimage.label(plane >= 1 - slack, np.ones((3, 3)))
    if not 0 < num <= MOST_SHAPES:
        return np.zeros((0, 4), np.int64)
    found = ndimage.find_objects(labels)
    boxes = np.array([[y.start, x.start, y.stop, x.stop] for y, x in found], np.int64)
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    fill = np.bincount(labels.ravel())[1:] / (height * width)
    is_letter = (height >= LOWEST) & (height <= max(TALLEST, len(plane) // 16)) & (width <= WIDEST * height)
    is_letter &= ((fill >= FILLS[0]) & (fill <= FILLS[1])) | (width <= height / 3)  # I, l and 1 fill their box
    kept = [i for i in map(int, np.flatnonzero(is_letter)) if _contrast(plane, labels, found[i], i + 1) >= contrast]
    return boxes[kept][np.argsort(boxes[kept, 1])]


def _contrast(plane: NDArray[np.float32], labels: NDArray[np.int32], box: tuple[slice, ...], label: int) -> float:
    """How much brighter a shape is than what lies two or three pixels from it; 0 where others are all around."""
    around = tuple(slice(max(0, side.start - 3), side.stop + 3) for side in box)
    shape = labels[around] == label
    ring = ndimage.binary_dilation(shape, iterations=3) & ~ndimage.binary_dilation(shape) & (labels[around] == 0)
    return float(plane[around][shape].mean() - np.median(plane[around][ring])) if ring.any() else 0.0


def _has_row(boxes: Boxes) -> bool:
    """True where enough shapes of like height stand on one line, close together."""
    top, left, bottom, right = boxes.T
    length = np.ones(len(boxes), np.int64)
    for i in range(1, len(boxes)):
        height, others = bottom[i] - top[i], bottom[:i] - top[:i]
        smaller, taller = np.minimum(height, others), np.maximum(height, others)
        overlap = np.minimum(bottom[i], bottom[:i]) - np.maximum(top[i], top[:i])
        gap = left[i] - right[:i]
        follows = (
            (overlap >= 0.6 * smaller) & (taller <= 1.7 * smaller) & (gap >= -0.2 * taller) & (gap <= 1.2 * taller)
        )
        length[i] = 1 + max(length[:i][follows], default=0)
        if length[i] >= LETTERS:
            return True
    return False


def frames_of(dataset: Dataset) -> Iterator[NDArray[np.generic]]:
    """The frames that are searched: decoded as they are stored; none of segmentations of one bit, which are drawn."""
    from pydicom.pixels.utils import iter_pixels

    is_mask = str(dataset.SOPClassUID) in SEGMENTATIONS and dataset.get("BitsAllocated") == 1
    if dataset.get("PixelData") and not is_mask:
        yield from iter_pixels(dataset)
    for name, kind in FLOATS.items():
        if dataset.get(name):
            order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
            yield from np.frombuffer(dataset[name].value, order + kind).reshape(-1, dataset.Rows, dataset.Columns)
