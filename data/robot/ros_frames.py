"""The tree of frames of /tf_static, and where each frame lies in the body's. Source: REP-103, REP-105."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mainstem.core.rotations import normalise, to_matrix
from mainstem.core.schema import printable
from mainstem.data.robot.recording import Array

BODIES = ("base_link", "base_footprint")  # names of the body's frame, REP-105, the better known first
MOST_FRAMES = 10_000
FURTHEST_M = 1e6  # from a frame to its parent
SHORTEST = 0.5  # of a quaternion: one that is no unit is a rounding off it, never half


def frame_name(name: str) -> str:
    """Return a frame's name without the slash that ROS 1 let stand before it."""
    return name.lstrip("/")


def pose(translation: Iterable[float], rotation: Iterable[float]) -> Array:
    """Return the pose (4, 4) of a translation (3,), m, and a rotation (4,), w x y z."""
    matrix = np.eye(4)
    matrix[:3, :3] = to_matrix(normalise(np.array([*rotation], dtype=np.float64)))
    matrix[:3, 3] = [*translation]
    return matrix


@dataclass
class Frames:
    """Poses of frames in their parents' frames, as they were told.

    Attributes:
        parents: of each frame: its parent, and its pose (4, 4) in it.
        doubts: what was told twice, otherwise, or as no pose, in one line each.
    """

    parents: dict[str, tuple[str, Array]] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)

    def note(self, transforms: Sequence[Any]) -> None:
        """Keep a message's transforms; of two for the same frame the later counts, and that they differ is said."""
        for each in transforms:
            child, parent = frame_name(each.child_frame_id), frame_name(each.header.frame_id)
            move, turn = each.transform.translation, each.transform.rotation
            length, distance = math.hypot(turn.w, turn.x, turn.y, turn.z), math.hypot(move.x, move.y, move.z)
            if not (SHORTEST < length < 1 / SHORTEST and distance < FURTHEST_M) or child == parent:
                self.doubts[f"/tf_static: {printable(child)} in {printable(parent)} is no pose, and is not used"] = None
                continue
            found = (parent, pose((move.x, move.y, move.z), (turn.w, turn.x, turn.y, turn.z)))
            before = self.parents.get(child)
            if before and (before[0] != parent or not np.allclose(before[1], found[1], atol=1e-6)):
                self.doubts[f"/tf_static: {printable(child)} is told twice, otherwise; the later counts"] = None
            if before or len(self.parents) < MOST_FRAMES:
                self.parents[child] = found

    def body(self, moving: Sequence[str], mounted: Sequence[str]) -> str:
        """Return the body's frame: base_link or base_footprint where one is named anywhere, else what odometry moves.

        Args:
            moving: frames that odometry tells the motion of.
            mounted: frames that sensors are mounted in.
        """
        known = {*self.parents, *(parent for parent, _ in self.parents.values()), *moving, *mounted}
        for name in BODIES:
            if name in known:
                return name
        return next((name for name in moving if name), BODIES[0])

    def extrinsics(self, body: str, mounted: Iterable[str]) -> dict[str, Array]:
        """Return the pose (4, 4) of each frame in the body's, where the tree joins them."""
        root, from_body = self._root(body)
        found = {}
        for name in sorted({*mounted} - {""}):
            other, placed = self._root(name)
            if other == root:
                found[name] = np.linalg.inv(from_body) @ placed
        return found

    def _root(self, name: str) -> tuple[str, Array]:
        """The root of a frame's tree, and the frame's pose in it; a circle ends where it closes."""
        placed, seen = np.eye(4), {name}
        while name in self.parents:
            parent, step = self.parents[name]
            if parent in seen:
                self.doubts[f"/tf_static: {printable(name)} hangs in a circle"] = None
                break
            seen.add(parent)
            name, placed = parent, step @ placed
        return name, placed


def lacking(extrinsics: Mapping[str, Array], frames: Iterable[str]) -> list[str]:
    """Return the frames, in order of name, that no pose is known of."""
    return sorted({*frames} - {*extrinsics})
