"""Shots of a video, found in one pass over its frames: cuts, dissolves, and fades through one colour.

A cut is where every frame just before differs from every frame just after, far more than frames of either side differ
among themselves: a flash, after which the same picture is back, is none. A dissolve is where frames run along the
straight line from one picture to another, which frames of a moving camera do not; a fade is one to a plain picture.

Source of the line: Hanjalic, 2002, Shot-boundary detection: unraveled and resolved?, IEEE Trans. CSVT (its model of a
dissolve, frames as weighted sums of two). The limits were set on made videos, tests/benchmarks/shots.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.videos import Frame, read_frames

Kind = Literal["start", "cut", "dissolve", "fade"]
SIDE = 64  # pixels that frames are read at
GRID = (18, 32)  # (y, x) that they are averaged to: noise is gone, and small movements
REACH_S = 2.0  # to either side of a frame that is held
SPANS = (0.16, 0.3, 0.45, 0.65, 0.9, 1.25)  # that are tried, as seconds to either side
CUT_REACH = 3  # frames to either side: flashes last at most two
CUT_LEAST, CUT_RATIO = 6.0, 2.2  # of 255; of the difference among frames of either side
LINE_LEAST, STRENGTH_LEAST = 11.0, 10.5  # of 255 between both ends of a transition; and of that on the line
DIMMED = 1.2  # times the detail that two blended pictures have; under a moving camera all is left, 1.41 times that
OFF_LINE, ON_LINE = 0.3, 0.1  # of the ends' difference, that 80 % of the frames between are nearer to the line
BLOCKS = (6, 8)  # (y, x) of the grid, that are looked at where a camera moves under a dissolve
BLOCKS_LEAST, BLOCKS_OFF = 13.0, 0.3  # as above, of blocks
BETWEEN = (0.15, 0.85)  # of the way
FEWEST_BETWEEN = 3  # frames
ENDS_S = 0.1  # by which the ends of a transition are wrong
PLAIN = 3.0  # of 255: spread within a picture below which it is one colour
Pictures = NDArray[np.float32]  # (frame, value) of 255


@dataclass(frozen=True)
class Shot:
    """A part of a video that one camera took without a break.

    Attributes:
        start_s: from the video's first instant; where it begins by a transition, the middle of that.
        end_s: where the next begins, or the video ends.
        kind: how it begins.
    """

    start_s: float
    end_s: float
    kind: Kind


@dataclass(frozen=True)
class Boundary:
    """A transition from one shot to the next; a cut begins and ends on the same instant."""

    start_s: float
    end_s: float
    kind: Kind
    strength: float
    is_plain_before: bool
    is_plain_after: bool


def find_shots(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> list[Shot]:
    """Find a video's shots.

    Raises:
        InputError: if it is no video, or cannot be read.
    """
    times: list[float] = []

    def told() -> Iterator[Frame]:
        for frame in read_frames(path, longest_side=SIDE, bounds=bounds):
            times.append(frame.time_s)
            yield frame

    found = find_boundaries(told())
    starts = [times[0], *((boundary.start_s + boundary.end_s) / 2 for boundary in found)]
    kinds: list[Kind] = ["start", *(boundary.kind for boundary in found)]
    last_s = times[-1] - times[-2] if len(times) > 1 else 0.0  # how long the last frame is shown: as the one before
    ends = [*starts[1:], times[-1] + last_s]
    return [Shot(*each) for each in zip(starts, ends, kinds, strict=True)]


def find_boundaries(frames: Iterable[Frame]) -> list[Boundary]:
    """Find the transitions in frames of a steady rate, of which only those of 4 s are held at once."""
    return _through_plain(_apart([found for window in _windows(frames) for found in _at_middle(window)]))


@dataclass(frozen=True)
class _Window:
    """Frames about a middle one; those beyond the video's ends are its first and last."""

    pictures: Pictures
    times: NDArray[np.float64]
    middle: int
    rate: float


def _windows(frames: Iterable[Frame]) -> Iterator[_Window]:
    held: list[tuple[float, Pictures]] = []
    source = iter(frames)
    for frame in source:
        held.append((frame.time_s, _small(frame.pixels)))
        if held[-1][0] - held[0][0] > REACH_S:
            break
    if len(held) < 2:
        return
    rate = (len(held) - 1) / max(held[-1][0] - held[0][0], 1e-3)
    reach = max(CUT_REACH + 1, round(REACH_S * rate))
    held = [held[0]] * reach + held
    ahead = ((frame.time_s, _small(frame.pixels)) for frame in source)
    while len(held) > reach:
        while len(held) <= 2 * reach:
            held.append(next(ahead, held[-1]))
        yield _Window(np.stack([p for _, p in held]), np.array([t for t, _ in held]), reach, rate)
        if held[reach + 1 :] and all(later[0] <= held[reach][0] for later in held[reach + 1 :]):
            return
        held.pop(0)


def _small(pixels: NDArray[np.uint8]) -> Pictures:
    """A frame as means over a grid: (value,)."""
    rows = np.linspace(0, len(pixels), GRID[0] + 1).astype(int)[:-1]
    columns = np.linspace(0, pixels.shape[1], GRID[1] + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, 0, dtype=np.float32), columns, 1)
    sizes = np.diff([*rows, len(pixels)])[:, None, None] * np.diff([*columns, pixels.shape[1]])[None, :, None]
    return np.asarray(sums / np.maximum(sizes, 1), np.float32).ravel()


def _at_middle(window: _Window) -> Iterator[Boundary]:
    cut = _cut(window)
    if cut:
        yield cut
        return
    lines = (_line(window, max(3, round(span * window.rate))) for span in SPANS)
    yield from (line for line in lines if line)


def _cut(window: _Window) -> Boundary | None:
    """A cut between the middle frame and the one before."""
    middle, pictures = window.middle, window.pictures
    before, after = pictures[middle - CUT_REACH : middle], pictures[middle : middle + CUT_REACH]
    if abs(before[-1] - after[0]).mean() < CUT_LEAST:
        return None
    across = np.abs(before[:, None] - after[None]).mean(-1).min()
    within = max(np.median(np.abs(side[1:] - side[:-1]).mean(-1)) for side in (before, after))
    if across < max(CUT_LEAST, CUT_RATIO * within):
        return None
    at_s = float(window.times[middle])
    return Boundary(at_s, at_s, "cut", float(across), _is_plain(before[-1]), _is_plain(after[0]))


def _line(window: _Window, span: int) -> Boundary | None:
    """A dissolve or fade whose middle is the middle frame, between frames `span` to either side."""
    middle = window.middle
    run, times = window.pictures[middle - span : middle + span + 1], window.times[middle - span : middle + span + 1]
    found = _way(run, _FINE) or _way(_in_blocks(run), _COARSE)
    if found is None or (found.away > found.scale.on_line and _detail_left(run) > DIMMED):
        return None
    is_plain = (any(map(_is_plain, run[:span])), any(map(_is_plain, run[span:])))  # a fade may turn within the span
    start, end = _ends(found.share, times)
    return Boundary(start, end, "fade" if any(is_plain) else "dissolve", found.strength, *is_plain)


@dataclass(frozen=True)
class _Scale:
    """Limits of a line: of 255 between its ends, and of that on the line; of what 80 % of frames are off it.

    Up to `on_line` frames run so near to it that nothing else is asked; beyond, detail must be dimmed.
    """

    least: float
    strength: float
    off_line: float
    on_line: float


@dataclass(frozen=True)
class _Way:
    """How far each frame of a run is from the first to the last, 0 to 1, and how far off the line between them."""

    share: NDArray[np.float32]
    away: float
    strength: float
    scale: _Scale


_FINE = _Scale(LINE_LEAST, STRENGTH_LEAST, OFF_LINE, ON_LINE)
_COARSE = _Scale(BLOCKS_LEAST, BLOCKS_LEAST, BLOCKS_OFF, 0.0)


def _way(run: Pictures, scale: _Scale) -> _Way | None:
    """Return how frames run steadily from the first to the last, None where they do not."""
    way = run[-1] - run[0]
    size = float(np.abs(way).mean())
    if size < scale.least:
        return None
    share = (run - run[0]) @ way / float(way @ way)
    between = np.flatnonzero((share > BETWEEN[0]) & (share < BETWEEN[1]))
    if len(between) < FEWEST_BETWEEN or abs(float(share[len(run) // 2]) - 0.5) > 0.2 or (np.diff(share) < -0.1).any():
        return None
    if np.diff(share).max() > 0.4 or between[-1] - between[0] + 1 > 1.25 * len(between):
        return None
    off = np.abs(run - run[0] - share[:, None] * way)[between].mean(-1) / size
    away, strength = float(np.quantile(off, 0.8)), size * (1 - float(off.mean()))
    return None if away > scale.off_line or strength < scale.strength else _Way(share, away, strength, scale)


def _in_blocks(run: Pictures) -> Pictures:
    """Means over blocks of the grid: a moving camera changes these less than what it moves over."""
    (rows, columns), (height, width) = BLOCKS, (GRID[0] // BLOCKS[0], GRID[1] // BLOCKS[1])
    found: Pictures = run.reshape(len(run), rows, height, columns, width, 3).mean((2, 4)).reshape(len(run), -1)
    return found


def _detail_left(run: Pictures) -> float:
    """Detail half way, of what two pictures laid over one another at half strength have: the root of half squares."""
    places = (slice(0, 2), slice(len(run) // 2 - 1, len(run) // 2 + 2), slice(-2, None))
    first, middle, last = (float(np.mean([_detail(picture) for picture in run[place]])) for place in places)
    return middle / max(float(np.hypot(first, last)) / 2, 1e-3)


def _detail(picture: Pictures) -> float:
    """Spread of the steps between neighbours."""
    image = picture.reshape(*GRID, 3)
    return float(np.sqrt((np.diff(image, axis=0) ** 2).mean() + (np.diff(image, axis=1) ** 2).mean()))


def _ends(share: NDArray[np.float32], times: NDArray[np.float64]) -> tuple[float, float]:
    """When a transition begins and ends, by the pace of its middle."""
    inside = np.flatnonzero((share > BETWEEN[0]) & (share < BETWEEN[1]))
    first, last = inside[0], inside[-1]
    pace = max((share[last] - share[first]) / max(times[last] - times[first], 1e-3), 1e-3)
    start, end = times[first] - share[first] / pace, times[last] + (1 - share[last]) / pace
    return float(max(start, times[0])), float(min(end, times[-1]))


def _is_plain(picture: Pictures) -> bool:
    return float(picture.reshape(-1, 3).std(0).mean()) < PLAIN


def _apart(found: list[Boundary]) -> list[Boundary]:
    """Of transitions that overlap the strongest, in order of time; a cut goes before what only resembles one."""
    kept: list[Boundary] = []
    for one in sorted(found, key=lambda each: (each.kind != "cut", -each.strength)):
        if not any(_is_within(one, other) or _is_within(other, one) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda each: each.start_s)


def _is_within(one: Boundary, other: Boundary) -> bool:
    """True where the middle of one lies within the other, or both last, and share more than their ends' error."""
    middle, shared = (one.start_s + one.end_s) / 2, min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return other.start_s - ENDS_S <= middle <= other.end_s + ENDS_S or shared > ENDS_S


def _through_plain(found: list[Boundary]) -> list[Boundary]:
    """Join what leads to a plain picture and what leads away from it; leave out what opens or closes the video so."""
    joined: list[Boundary] = []
    for one in found:
        if joined and joined[-1].is_plain_after and one.is_plain_before:
            last = joined.pop()
            kind: Kind = "cut" if last.kind == one.kind == "cut" else "fade"
            joined.append(replace(one, start_s=last.start_s, kind=kind, is_plain_before=last.is_plain_before))
        else:
            joined.append(one)
    if joined and joined[0].is_plain_before:
        joined.pop(0)
    if joined and joined[-1].is_plain_after:
        joined.pop()
    return joined
