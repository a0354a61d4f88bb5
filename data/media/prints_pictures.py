"""Fingerprints of pictures: PDQ of the whole in its eight orientations, and parts for crops, insets and overlays.

PDQ finds edits of the whole picture (colour, blur, size, proportions), and by its dihedral hashes turned and mirrored
ones. Parts find what PDQ cannot: a piece, a picture within a picture, any angle.

Source: Facebook, 2019, The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import MissingExtraError
from mainstem.data.media.prints_matches import Match
from mainstem.data.media.prints_parts import Fit, Parts, find_parts, fit_parts
from mainstem.data.media.prints_postings import Words, keys_of, sampled_bits

SIDE = 512  # pixels of the longer side that a picture is looked at with; PDQ's own advice
BITS = 256
NEAR_BITS = 31  # of 256 (PDQ, section "Matching"); unrelated pictures differ in about 128
PLAIN = 50  # quality below which a hash says nothing (PDQ, section "Quality metric"); of 100
TABLES, KEY_BITS = 64, 18  # two hashes 31 bits apart share a key with a chance of 0.999, unrelated ones of 0.0002
CHOSEN = sampled_bits(BITS, TABLES, KEY_BITS, seed=0)
FEWEST_PARTS = 8
LEAST_SPREAD, LEAST_SHARE = 0.1, 0.15
WHOLE, LEAST_SHARE_WHOLE = 0.95, 0.4  # where each shows all of the other: of charts of one template a third agree
ORIENTATIONS = 8
TURNED = (  # what a picture is of that which it becomes by each of pdqhash's orientations
    "not turned", "rotated by 90 degrees clockwise", "rotated by 180 degrees", "rotated by 270 degrees clockwise",
    "mirrored top to bottom", "mirrored left to right", "mirrored over its falling diagonal",
    "mirrored over its rising diagonal",
)  # fmt: skip
# tests/benchmarks/copies.py counts what these say
COUNTED = "none of 2,217 pairs of 68 held-out pictures"
TEMPLATES = "pages of one template (charts, forms, letters) may match by what is printed on all"
RATE_WHOLE = f"whole pictures: {COUNTED}, the nearest 96 bits apart; {TEMPLATES}"
RATE_PARTS = f"parts of pictures: {COUNTED}; {TEMPLATES}"


@dataclass(frozen=True, kw_only=True)
class PicturePrint:
    """Fingerprint of one picture.

    Attributes:
        hashes: uint8 (8, 32), PDQ of the picture in each of pdqhash's orientations; of one that was kept (1, 32).
        quality: 0-100, how much there is to tell it by.
        parts: its local features.
    """

    hashes: NDArray[np.uint8]
    quality: int
    parts: Parts


def print_picture(pixels: NDArray[np.uint8]) -> PicturePrint:
    """Fingerprint a picture (y, x, 3) of at most SIDE pixels."""
    hashes, quality = hash_picture(pixels)
    grey = np.round(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)  # luma, ITU-R BT.601
    return PicturePrint(hashes=hashes, quality=quality, parts=find_parts(grey))


def is_plain(picture: PicturePrint) -> bool:
    """Whether a picture has too little in it to be told from others."""
    return picture.quality < PLAIN and len(picture.parts.codes) < FEWEST_PARTS


def hash_picture(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """PDQ hashes (8, 32) in each of pdqhash's orientations, and the picture's quality."""
    try:
        import pdqhash
    except ImportError as error:
        raise MissingExtraError("pdqhash", "media") from error
    found, quality = pdqhash.compute_dihedral(np.ascontiguousarray(pixels))
    return np.packbits(np.asarray(found, np.uint8), axis=1), int(quality)


def hash_keys(hashes: NDArray[np.uint8]) -> Words:
    """Keys (n, TABLES) by which hashes (n, 32) are found."""
    return keys_of(np.unpackbits(hashes, axis=1).view(bool), CHOSEN)


def bits_apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number of bits in which hashes (..., 32) differ."""
    return np.asarray(np.bitwise_count(first ^ second).sum(-1, dtype=np.int64), np.int64)


def compare_pictures(first: PicturePrint, second: PicturePrint) -> Match | None:
    """Say how the second picture is a copy of the first, or of a part of it; None where it is none."""
    if min(first.quality, second.quality) >= PLAIN:
        match = compare_hashes(first.hashes[0], second.hashes)
        if match:
            return match
    return compare_parts(first.parts, second.parts)


def compare_hashes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Match | None:
    """Say how the second whole picture, by its hashes (8, 32), is the first one, by its hash (32,)."""
    apart = bits_apart(first, second)
    best = int(apart.argmin())
    if apart[best] > NEAR_BITS:
        return None
    return Match(
        what="whole picture (PDQ)",
        distance=float(apart[best]),
        unit=f"bits of {BITS}",
        threshold=NEAR_BITS,
        transform=TURNED[best],
        rate=RATE_WHOLE,
    )


def compare_parts(first: Parts, second: Parts) -> Match | None:
    """Say how the second picture holds a part of the first; None where it does not."""
    fits = [(fit_parts(first, second, is_mirrored), is_mirrored) for is_mirrored in (False, True)]
    fit, is_mirrored = max(fits, key=lambda found: -1 if found[0] is None else found[0].count)
    if fit is None or fit.count < FEWEST_PARTS or fit.spread < LEAST_SPREAD or not is_share_enough(fit):
        return None
    return Match(
        what="parts of the picture (local features)",
        distance=float(fit.count),
        unit="features that agree",
        threshold=FEWEST_PARTS,
        transform=_words(fit, is_mirrored),
        rate=RATE_PARTS,
    )


def is_share_enough(fit: Fit) -> bool:
    """Whether so many of the features agree as of a copy: more, where each picture shows all of the other."""
    return fit.share >= (LEAST_SHARE_WHOLE if min(fit.shown) >= WHOLE else LEAST_SHARE)


def _words(fit: Fit, is_mirrored: bool) -> str:
    """How the second picture lies in the first."""
    linear = fit.matrix[:, :2] @ np.diag([-1.0 if is_mirrored else 1.0, 1.0])
    angle_deg = round(np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))) % 360
    told = [f"shows {fit.shown[0]:.0%} of the first" if fit.shown[0] < 0.95 else "shows all of the first"]
    told += [f"which is {fit.shown[1]:.0%} of its own area"] if fit.shown[1] < 0.95 else []
    told += ["mirrored left to right"] if is_mirrored else []
    told += [f"rotated by {angle_deg} degrees clockwise"] if angle_deg else []
    return ", ".join(told)
