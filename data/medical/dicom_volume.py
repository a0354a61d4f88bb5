"""Pictures to streams: an image with its millimetres where they are known, or a volume in patient LPS."""

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Geometry, Stream
from mainstem.data.medical.dicom_geometry import Placement, affine_of, is_orientation, normal_of, step_of
from mainstem.data.medical.dicom_header import Header, Picture

COLOURS = ("red", "green", "blue")
Pixels = NDArray[np.float32]


def brighter(values: Pixels, header: Header, picture: Picture) -> Pixels:
    """A picture whose larger values are brighter: of MONOCHROME1, turned over within the range that its bits hold."""
    if header.photometric != "MONOCHROME1":
        return values
    lowest_and_highest = -1 if header.is_signed else (1 << header.bits_stored) - 1
    slope = 1.0 if picture.slope is None else picture.slope
    return np.asarray(np.float32(lowest_and_highest * slope + 2 * (picture.intercept or 0.0)) - values)


def image_stream(values: Pixels, unit: str, picture: Picture) -> Stream:
    """One picture (row, column[, colour]) as an image (channel, y, x)."""
    pixels = np.moveaxis(np.atleast_3d(values), -1, 0)
    return Stream(kind="image", values=pixels, channels=_channels(len(pixels), unit), geometry=_of_picture(picture))


def volume_stream(values: Pixels, unit: str, geometry: Geometry) -> Stream:
    """Slices (z, row, column[, colour]) as a volume (channel, z, y, x)."""
    voxels = np.moveaxis(values if values.ndim == 4 else values[..., None], -1, 0)
    return Stream(kind="volume", values=voxels, channels=_channels(len(voxels), unit), geometry=geometry)


def _channels(num: int, unit: str) -> tuple[Channel, ...]:
    if num == 3:
        return tuple(Channel(name=name, unit="1") for name in COLOURS)
    return (Channel(name="grey", unit=unit),)


def _of_picture(picture: Picture) -> Geometry | None:
    """Where a picture lies, its third axis the normal of 1 mm: in the patient, else from its own corner, else None."""
    if picture.spacing_mm is None:
        return None
    if picture.position is None or picture.orientation is None or not is_orientation(picture.orientation):
        rows_mm, columns_mm = picture.spacing_mm
        affine = np.diag((columns_mm, rows_mm, 1.0, 1.0))
        affine[:2, 3] = columns_mm / 2, rows_mm / 2
        return Geometry(affine=affine, unit="mm")
    orientation, origin = np.asarray(picture.orientation), np.asarray(picture.position)
    return affine_of(orientation, picture.spacing_mm, origin, normal_of(orientation))


def volume_geometry(
    placement: Placement | None, spacing_mm: tuple[float, float] | None, resample_mm: float | None = None
) -> Geometry:
    """From index (x, y, z) of a volume to patient LPS mm; a gantry's tilt stays in it, as shear.

    Raises:
        InputError: naming what a volume lacks.
    """
    if placement is None:
        raise InputError(
            "no volume: places of slices are not known, or their orientations differ; take a picture, or parts()"
        )
    if spacing_mm is None:
        raise InputError("no volume: no pixel spacing is known, so that nothing is millimetres; take a picture")
    is_one = len(placement.positions) == 1
    step = normal_of(placement.orientation) if is_one else step_of(placement, resample_mm)
    return affine_of(placement.orientation, spacing_mm, placement.positions[0], step)
