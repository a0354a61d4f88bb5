"""Where slices lie: order along their normal, gaps, gantry tilt and the affine to patient LPS mm.

Nothing but positions and orientations (0020,0032 and 0020,0037) is asked; numbers of instances and names of files
say nothing of place. Sources: PS3.3 C.7.6.2.1.1 (equation of the image plane).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Geometry
from mainstem.data.medical.dicom_header import Picture

SAME_MM = 0.01  # two slices nearer than this are at one place; headers are written to a hundredth or finer
SAME_COSINE = 1e-3
UNEVEN = 0.01  # of the mean gap: what gaps of an even volume may differ by
ASTRAY_MM = 0.1  # that slices of one volume may lie off their common line
LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))  # towards lower and higher x, y and z of LPS, z of which grows upwards
PLANES = ("sagittal", "coronal", "axial")  # by the axis that the normal is nearest to
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Slices of one orientation along their normal.

    Attributes:
        positions: (slice, 3) mm, in order.
        distances_mm: along the normal from the first slice, growing.
        tilt_deg: between the normal and the line from the first slice to the last; 0 for one.
        astray_mm: what a slice lies off that line at the most.
    """

    orientation: Array
    positions: Array
    distances_mm: Array
    tilt_deg: float
    astray_mm: float

    @property
    def gaps_mm(self) -> Array:
        """Between neighbours, along the normal."""
        return np.diff(self.distances_mm)

    @property
    def num_repeated(self) -> int:
        """Slices that lie where the one before them lies."""
        return int((self.gaps_mm < SAME_MM).sum())

    @property
    def is_even(self) -> bool:
        """True where gaps differ by less than UNEVEN of their mean."""
        gaps = self.gaps_mm
        return not len(gaps) or bool(np.ptp(gaps) <= UNEVEN * gaps.mean())


def normal_of(orientation: Sequence[float] | Array) -> Array:
    """Unit vector across the plane of six direction cosines."""
    cosines = np.reshape(np.asarray(orientation, np.float64), (2, 3))
    crossed = np.cross(cosines[0], cosines[1])
    return np.asarray(crossed / np.linalg.norm(crossed))


def is_orientation(orientation: Sequence[float] | None) -> bool:
    """True for two unit vectors at a right angle."""
    if orientation is None:
        return False
    along, down = np.reshape(np.asarray(orientation, np.float64), (2, 3))
    off = [abs(math.hypot(*along) - 1), abs(math.hypot(*down) - 1), abs(float(along @ down))]
    return max(off) <= 10 * SAME_COSINE


def orientations(pictures: Sequence[Picture]) -> list[tuple[float, ...]]:
    """The different orientations of pictures, each once, in order of appearance."""
    found: list[tuple[float, ...]] = []
    for picture in pictures:
        own = picture.orientation
        if own is not None and not any(np.allclose(own, other, rtol=0, atol=SAME_COSINE) for other in found):
            found.append(own)
    return found


def sorted_along(pictures: Sequence[Picture]) -> NDArray[np.intp] | None:
    """Order of pictures along their common normal; None where a place is not known, or orientations differ."""
    if not pictures or any(p.position is None or not is_orientation(p.orientation) for p in pictures):
        return None
    if len(orientations(pictures)) > 1:
        return None
    normal = normal_of(pictures[0].orientation or ())
    return np.argsort([np.dot(picture.position or (), normal) for picture in pictures], kind="stable")


def place(pictures: Sequence[Picture]) -> Placement | None:
    """Placement of pictures in order; None where `sorted_along` gives none."""
    if sorted_along(pictures) is None:
        return None
    positions = np.asarray([picture.position for picture in pictures], np.float64)
    orientation = np.asarray(pictures[0].orientation, np.float64)
    normal = normal_of(orientation)
    distances = (positions - positions[0]) @ normal
    line, length = positions[-1] - positions[0], float(distances[-1])
    if length < SAME_MM:
        tilt, astray = 0.0, float(np.linalg.norm(positions - positions[0], axis=1).max())
    else:
        tilt = float(np.degrees(np.arctan2(np.linalg.norm(line - length * normal), length)))
        expected = positions[0] + distances[:, None] / length * line
        astray = float(np.linalg.norm(positions - expected, axis=1).max())
    return Placement(
        orientation=orientation, positions=positions, distances_mm=distances, tilt_deg=tilt, astray_mm=astray
    )


def step_of(placement: Placement, gap_mm: float | None = None) -> Array:
    """Vector from a slice to the next, mm; `gap_mm` along the normal where slices are made anew.

    Raises:
        InputError: naming why the slices make no even volume.
    """
    if placement.num_repeated:
        raise InputError(f"{placement.num_repeated} slices lie where another lies; take one of the series' parts()")
    if placement.astray_mm > ASTRAY_MM:
        raise InputError(f"slices lie up to {placement.astray_mm:.2f} mm off their line, so that they make no volume")
    gaps = placement.gaps_mm
    if gap_mm is None and not placement.is_even:
        raise InputError(
            f"gaps between slices are {gaps.min():.2f} to {gaps.max():.2f} mm, want the same within 1 %; "
            "ask for resampling, in mm"
        )
    whole = placement.positions[-1] - placement.positions[0]
    return np.asarray(whole / len(gaps) if gap_mm is None else whole * gap_mm / placement.distances_mm[-1])


def affine_of(orientation: Array, spacing_mm: tuple[float, float], origin: Array, step: Array) -> Geometry:
    """Geometry from index (x: along a row, y: down a column, z: slice) to patient LPS mm."""
    along, down = np.reshape(orientation, (2, 3))
    affine = np.eye(4)
    affine[:3, 0] = along * spacing_mm[1]
    affine[:3, 1] = down * spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return Geometry(affine=affine, unit="mm", frame="LPS")


def resampled(values: NDArray[np.float32], distances_mm: Array, gap_mm: float) -> NDArray[np.float32]:
    """Slices (z, y, x) at even distances, each on the straight line between its two neighbours; NaN stays NaN.

    Raises:
        InputError: if the gap is not above 0 or makes more than 4,096 slices.
    """
    num = int(np.floor(distances_mm[-1] / gap_mm + 1e-6)) + 1 if gap_mm > 0 else 0
    if not 1 < num <= 4096:
        raise InputError(f"got {gap_mm} mm between slices, which makes {num} of them; want 2 to 4096")
    wanted = np.minimum(np.arange(num) * gap_mm, distances_mm[-1])
    after = np.clip(np.searchsorted(distances_mm, wanted, side="right"), 1, len(distances_mm) - 1)
    before = after - 1
    share = ((wanted - distances_mm[before]) / (distances_mm[after] - distances_mm[before])).astype(np.float32)
    out = np.empty((num, *values.shape[1:]), np.float32)
    for index, (low, high, part) in enumerate(zip(before, after, share, strict=True)):
        between = values[low] + part * (values[high] - values[low])
        out[index] = values[low] if part == 0 else values[high] if part == 1 else between
    return out


def letters(direction: Sequence[float] | Array) -> str:
    """Where a direction points: L, R, A, P, S (up), I (down); two letters where it lies well between."""
    found = sorted(range(3), key=lambda axis: -abs(float(direction[axis])))
    kept = [axis for axis in found if abs(direction[axis]) > 0.3827][:2]  # sine of 22.5 degrees
    return "".join(LETTERS[axis][int(direction[axis] > 0)] for axis in kept)


def plane(orientation: Sequence[float] | Array) -> str:
    """The plane that slices lie nearest to; "oblique" before it where their normal is over 22.5 degrees off."""
    normal = np.abs(normal_of(orientation))
    name = PLANES[int(normal.argmax())]
    return name if normal.max() > 0.9239 else f"oblique {name}"  # cosine of 22.5 degrees
