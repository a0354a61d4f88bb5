"""Fingerprints of video: PDQ of its frames, eight a second, and where two videos run side by side.

Source: Facebook, 2019, The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm (frames' hashes, their
quality; the order of time is kept here by offsets that agree).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.prints_matches import Match
from mainstem.data.media.prints_pictures import (
    BITS,
    NEAR_BITS,
    ORIENTATIONS,
    PLAIN,
    SIDE,
    TURNED,
    bits_apart,
    hash_keys,
    hash_picture,
)
from mainstem.data.media.prints_postings import Postings
from mainstem.data.media.prints_shelf import Shelf
from mainstem.data.media.videos import read_frames

EVERY_S = 0.125
STILL_BITS = 8  # a frame this near to the last one that was looked for tells nothing more
KEYS = 8  # of 64 keys a hash: the frames are many
CANDIDATES = 24
FEWEST_FRAMES = 4  # that are near, of which no two follow one another unchanged
LEAST_SHARE = 0.5  # near, of the frames that run side by side
SLACK = 2  # frames to either side that one may lie: rates differ, and copies begin between two frames
RATE = "video: none of 5 pairs of 4 clips: too few to tell"


@dataclass(frozen=True, kw_only=True)
class VideoPrint:
    """Fingerprint of one video.

    Attributes:
        hashes: uint8 (frame, 8, 32), PDQ in each of pdqhash's orientations, a frame every EVERY_S; of one that was
            kept (frame, 1, 32).
        tells: bool (frame,), where a frame has detail and differs from the last that tells.
    """

    hashes: NDArray[np.uint8]
    tells: NDArray[np.bool_]


def print_video(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> VideoPrint:
    """Fingerprint a video, frame by frame.

    Raises:
        InputError: if it is none, or cannot be read.
    """
    slots: dict[int, tuple[NDArray[np.uint8], int]] = {}
    for frame in read_frames(path, EVERY_S, SIDE, bounds=bounds):
        slots[round(frame.time_s / EVERY_S)] = hash_picture(frame.pixels)
    if not slots:
        return VideoPrint(hashes=np.zeros((0, 8, BITS // 8), np.uint8), tells=np.zeros(0, bool))
    hashes, quality = np.zeros((max(slots) + 1, 8, BITS // 8), np.uint8), np.zeros(max(slots) + 1, np.int64)
    for slot, (found, how_good) in slots.items():
        hashes[slot], quality[slot] = found, how_good
    return VideoPrint(hashes=hashes, tells=_tells(hashes[:, 0], quality >= PLAIN))


def _tells(hashes: NDArray[np.uint8], is_detailed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    told, last = np.zeros(len(hashes), bool), None
    for slot in np.flatnonzero(is_detailed):
        if last is None or bits_apart(hashes[slot], hashes[last]) > STILL_BITS:
            told[slot], last = True, slot
    return told


class VideoIndex:
    """Videos by the number in which they were added."""

    def __init__(self) -> None:
        self._postings, self._shelf = Postings(), Shelf()
        self._starts = np.zeros(0, np.int64)
        self._end = 0

    def look_up(self, video: VideoPrint) -> dict[int, Match]:
        """Say of which videos a new one holds a copy, or is one, by their numbers; then add it."""
        found = self.find(video)
        self.add(video)
        return found

    def find(self, video: VideoPrint) -> dict[int, Match]:
        """Say of which videos a new one holds a copy, or is one, by their numbers."""
        found: dict[int, Match] = {}
        for owner, match in self._copies(video):
            if owner not in found or match.distance < found[owner].distance:
                found[owner] = match
        return found

    def add(self, video: VideoPrint) -> None:
        """Add one, of which the first hash of each frame is needed."""
        self._starts = np.append(self._starts, self._end)
        self._shelf.put(video.hashes[:, 0], video.tells)
        told = np.flatnonzero(video.tells)
        keys = hash_keys(video.hashes[told, 0])[:, :KEYS]
        self._postings.add(keys.ravel(), np.repeat(self._end + told, KEYS).astype(np.uint32))
        self._end += len(video.tells)

    def _copies(self, video: VideoPrint) -> Iterator[tuple[int, Match]]:
        told = np.flatnonzero(video.tells)
        for turn in range(ORIENTATIONS):
            keys = hash_keys(video.hashes[told, turn])[:, :KEYS]
            places, rows = self._postings.find(keys.ravel())
            owners = np.searchsorted(self._starts, rows, "right") - 1
            offsets = rows - self._starts[owners] - told[places // KEYS] if len(places) else np.zeros(0, np.int64)
            for owner, offset in _most_frequent(owners, offsets):
                match = self._compare(video, owner, offset, turn)
                if match:
                    yield owner, match

    def _compare(self, video: VideoPrint, owner: int, offset: int, turn: int) -> Match | None:
        held, tells = self._shelf.get(owner)
        begin, end = max(0, -offset), min(len(video.tells), len(held) - offset)
        if end <= begin:
            return None
        padded = np.pad(held, ((SLACK, SLACK), (0, 0)))[begin + offset : end + offset + 2 * SLACK]
        beside = np.lib.stride_tricks.sliding_window_view(padded, 2 * SLACK + 1, axis=0)  # (frame, byte, near)
        apart = bits_apart(video.hashes[begin:end, turn, :, None].swapaxes(1, 2), beside.swapaxes(1, 2)).min(1)
        told = apart[video.tells[begin:end] | tells[begin + offset : end + offset].astype(bool)]
        near = told <= NEAR_BITS
        if near.sum() < FEWEST_FRAMES or near.mean() < LEAST_SHARE:
            return None
        return Match(
            what=f"{near.sum()} of {len(told)} frames that run side by side (PDQ)",
            distance=float(np.median(told[near])),
            unit=f"bits of {BITS}, the median of frames that match",
            threshold=NEAR_BITS,
            transform=TURNED[turn],
            offset_s=offset * EVERY_S,
            rate=RATE,
        )


def _most_frequent(owners: NDArray[np.int64], offsets: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    if not len(owners):
        return []
    pairs, votes = np.unique(np.stack([owners, offsets]), axis=1, return_counts=True)
    return [(int(pairs[0, best]), int(pairs[1, best])) for best in np.argsort(-votes)[:CANDIDATES]]
