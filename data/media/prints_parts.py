"""What parts of a picture look like, so that crops, insets and pictures under logos are found: local features.

SIFT of OpenCV, each descriptor cut to 128 signs; of a mirrored picture the same descriptors, reordered. Two pictures
agree where many features of one lie in the other as one affine map says.

Sources: D. Lowe, 2004, Distinctive image features from scale-invariant keypoints; R. Arandjelovic and A. Zisserman,
2012, Three things everyone should know (the square root); M. Fischler and R. Bolles, 1981, Random sample consensus.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import MissingExtraError
from mainstem.data.media.prints_postings import Words, keys_of, sampled_bits

MOST_PARTS = 300  # the strongest: 20 bytes each
CONTRAST = 0.02  # half of OpenCV's: plain pictures have parts, too
BITS = 128
NEAR_BITS = 20  # of 128: of a crop's true pairs half differ in 6 or fewer; of others one in 10,000 in 21
TABLES, KEY_BITS = 2, 26
MIRRORED = np.array([((3 - row) * 4 + column) * 8 + (8 - turn) % 8
                     for row in range(4) for column in range(4) for turn in range(8)])  # fmt: skip
ACROSS = np.linalg.qr(np.random.default_rng(15).normal(size=(BITS, BITS)))[0]  # signs of mixed bins are even odds
WITHIN_PX = 4.0  # of 512: how well a feature's place must fit the map
WITHIN_DEG, WITHIN_OCTAVES = 20.0, 0.6  # of a feature's own angle and size, which stretching moves
STRETCH = 3.0  # most that a copy is stretched along one side against the other
SIZES = (0.05, 20.0)  # of a copy's length against the other's
TRIES = 2000
CHOSEN = sampled_bits(BITS, TABLES, KEY_BITS, seed=1)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Local features of one picture.

    Attributes:
        places: float32 (n, 4): x, y and size in pixels of the picture that was looked at, angle in degrees clockwise.
        size: (width, height) of that picture.
        codes: uint8 (n, 16), 128 signs each.
        mirrored: uint8 (n, 16), the codes that the mirrored picture has; none of one that was kept.
    """

    places: NDArray[np.float32]
    size: tuple[int, int]
    codes: NDArray[np.uint8]
    mirrored: NDArray[np.uint8]


@dataclass(frozen=True)
class Fit:
    """How parts of one picture lie in another.

    Attributes:
        count: features that agree, each of its own place.
        matrix: (2, 3), from the first picture's pixels to the second's.
        shown: share of each picture's area that the other shows.
        spread: share of the area that both show which the features span: of two pictures under one logo next to none.
        share: of the features that the poorer picture has there: few where only dust on a lens is the same.
    """

    count: int
    matrix: NDArray[np.float64]
    shown: tuple[float, float]
    spread: float
    share: float


def find_parts(grey: NDArray[np.uint8]) -> Parts:
    """Find the parts of a grey picture (y, x)."""
    points, found = (
        _open_cv().SIFT_create(nfeatures=MOST_PARTS, contrastThreshold=CONTRAST).detectAndCompute(grey, None)
    )
    size = (grey.shape[1], grey.shape[0])
    if not points:
        return Parts(places=np.zeros((0, 4), np.float32), size=size, codes=_no_codes(), mirrored=_no_codes())
    roots = np.sqrt(found / np.maximum(found.sum(1, keepdims=True), 1.0))
    places = np.array([(*point.pt, point.size, point.angle) for point in points], np.float32)
    return Parts(places=places, size=size, codes=_code(roots), mirrored=_code(roots[:, MIRRORED]))


def part_keys(codes: NDArray[np.uint8]) -> Words:
    """Keys (n * TABLES,) by which parts (n, 16) are found."""
    return keys_of(np.unpackbits(codes, axis=1).view(bool), CHOSEN).ravel()


def fit_parts(first: Parts, second: Parts, is_mirrored: bool) -> Fit | None:
    """Find the map that most features agree with; None where there is none, or no picture could have made it."""
    rows, columns = _pairs(first.codes, second.mirrored if is_mirrored else second.codes)
    if len(rows) < 4:
        return None
    a, b = first.places[rows], second.places[columns]
    cv = _open_cv()
    cv.setRNGSeed(0)
    points = (np.ascontiguousarray(a[:, :2]), np.ascontiguousarray(b[:, :2]))
    matrix, inside = cv.estimateAffine2D(*points, method=cv.RANSAC, ransacReprojThreshold=WITHIN_PX, maxIters=TRIES)
    if matrix is None or not _is_sound(matrix, is_mirrored):
        return None
    kept = (inside[:, 0] > 0) & _agree(matrix[:, :2], a, b)
    count = min(len(np.unique(np.round(side[kept, :2] / WITHIN_PX), axis=0)) for side in (a, b))
    if not count:
        return None
    shared = _overlap(matrix, first.size, second.size)
    areas = (first.size[0] * first.size[1], second.size[0] * second.size[1])
    scale = abs(np.linalg.det(matrix[:, :2]))
    shown = (min(shared / scale / areas[0], 1.0), min(shared / areas[1], 1.0))
    poorer = min(
        _num_inside(first, second, matrix), _num_inside(second, first, _open_cv().invertAffineTransform(matrix))
    )
    return Fit(count, matrix, shown, _area(b[kept, :2]) / max(shared, 1.0), count / max(poorer, count))


def _pairs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of codes that are each other's nearest, and near."""
    if not len(first) or not len(second):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    halves = zip(first.view(np.uint64).T, second.view(np.uint64).T, strict=True)
    low, high = (np.bitwise_count(one[:, None] ^ other[None]) for one, other in halves)
    apart = low + high  # of 8 bits, which hold 128: a third axis to sum over takes ten times as long
    nearest, back = apart.argmin(1), apart.argmin(0)
    rows = np.arange(len(first))
    kept = (back[nearest] == rows) & (apart[rows, nearest] <= NEAR_BITS)
    return rows[kept], nearest[kept]


def _is_sound(matrix: NDArray[np.float64], is_mirrored: bool) -> bool:
    """Whether a map only turns, stretches a little, enlarges or makes smaller, and mirrors where it should."""
    linear = matrix[:, :2]
    large, small = np.linalg.svd(linear, compute_uv=False)
    is_turned_over = bool(np.linalg.det(linear) < 0)
    return is_turned_over == is_mirrored and large <= STRETCH * small and SIZES[0] < small and large < SIZES[1]


def _agree(linear: NDArray[np.float64], a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the features of pairs are turned and enlarged as the map says: few agree in that by chance."""
    angles = np.radians(a[:, 3])
    turned = np.stack([np.cos(angles), np.sin(angles)], 1) @ linear.T
    off = np.degrees(np.arctan2(turned[:, 1], turned[:, 0])) - b[:, 3]
    sizes = a[:, 2] * np.sqrt(abs(np.linalg.det(linear))) / b[:, 2]
    agree = (abs((off + 180) % 360 - 180) <= WITHIN_DEG) & (abs(np.log2(sizes)) <= WITHIN_OCTAVES)
    return np.asarray(agree, bool)


def _overlap(matrix: NDArray[np.float64], first: tuple[int, int], second: tuple[int, int]) -> float:
    """Area that both pictures show, in pixels of the second."""
    moved = _corners(first) @ matrix[:, :2].T + matrix[:, 2]
    area, _ = _open_cv().intersectConvexConvex(moved.astype(np.float32), _corners(second))
    return float(area)


def _num_inside(first: Parts, second: Parts, matrix: NDArray[np.float64]) -> int:
    """Number of the first picture's features that the map puts into the second."""
    moved = first.places[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return int(((moved >= 0) & (moved <= second.size)).all(1).sum())


def _corners(size: tuple[int, int]) -> NDArray[np.float32]:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def _area(places: NDArray[np.float32]) -> float:
    cv = _open_cv()
    return float(cv.contourArea(cv.convexHull(np.ascontiguousarray(places))))


def _code(roots: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.packbits((roots - roots.mean(1, keepdims=True)) @ ACROSS > 0, axis=1)


def _no_codes() -> NDArray[np.uint8]:
    return np.zeros((0, BITS // 8), np.uint8)


def _open_cv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("OpenCV", "media") from error
    cv2.setNumThreads(1)
    return cv2
