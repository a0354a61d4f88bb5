"""The track of a whole log: as the filter knew it at each instant, or smoothed by what came later.

Rauch, Tung and Striebel 1965, Maximum likelihood estimates of linear dynamic systems, on the error state: gains from
the covariances and the passage of errors that the filter kept between its corrections.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_filter import Start, ahead, init_state, retract, take
from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import TURN, Array, Pose, PoseModel, PoseState
from mainstem.core import rotations

MOVING = ("gyroscope", "accelerometer")  # readings that correct nothing by themselves, but for gravity


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """The state before and after a correction or at a query, and how errors went there from the node before."""

    before: PoseState
    after: PoseState
    passage: Array
    is_query: bool


def filtered(model: PoseModel, readings: Sequence[Reading], times: Array, start: Start | None = None) -> Pose:
    """Return the pose at ascending times, each from what was read until then; none before the first reading."""
    return _pose([node.after for node in _nodes(model, readings, times, start, keeps=False) if node.is_query])


def smooth(model: PoseModel, readings: Sequence[Reading], times: Array, start: Start | None = None) -> Pose:
    """Return the pose at ascending times, each from all readings; at the last instant it is the filter's.

    While the heading was not yet known, the filter's own pose is returned.
    """
    nodes = _nodes(model, readings, times, start, keeps=True)
    late = nodes[-1].after
    found = [late] if nodes[-1].is_query else []
    for node, later in zip(nodes[-2::-1], nodes[:0:-1], strict=True):
        late = _back(node.after, later, late) if node.after.alignment is None else node.after
        if node.is_query:
            found.append(late)
    return _pose(found[::-1])


def _nodes(model: PoseModel, readings: Sequence[Reading], times: Array, start: Start | None, keeps: bool) -> list[Node]:
    """Run the filter and keep its queries, and for a smoother its corrections too."""
    state = init_state(model, start)
    if keeps:
        state = replace(state, passage=np.eye(model.dim))
    nodes: list[Node] = []
    waiting = [float(time) for time in times][::-1]
    for reading in readings:
        while waiting and waiting[-1] < reading.time:
            state = _query(model, state, waiting.pop(), nodes)
        if not keeps or not np.isfinite(state.time) or reading.kind in MOVING:
            state = take(model, state, reading)
            continue
        before = ahead(model, state, reading.time)
        passage = before.passage
        assert passage is not None
        fresh = replace(before, passage=np.eye(model.dim))
        state = take(model, fresh, reading)
        nodes.append(Node(before=before, after=state, passage=passage, is_query=False))
    for time in waiting[::-1]:
        state = _query(model, state, time, nodes)
    return nodes


def _query(model: PoseModel, state: PoseState, time: float, nodes: list[Node]) -> PoseState:
    """Add a node at a time without a reading; the filter goes on from it where a smoother needs it to."""
    if not np.isfinite(state.time):
        return state
    there = ahead(model, state, time)
    if state.passage is None:
        nodes.append(Node(before=there, after=there, passage=np.eye(model.dim), is_query=True))
        return state
    assert there.passage is not None
    after = replace(there, passage=np.eye(model.dim))
    nodes.append(Node(before=there, after=after, passage=there.passage, is_query=True))
    return after


def _back(state: PoseState, later: Node, late: PoseState) -> PoseState:
    """The smoothed state at a node, from the smoothed one at the next."""
    predicted = later.before
    gain = np.linalg.solve(predicted.covariance, later.passage @ state.covariance).T
    surprise = late.mean - predicted.mean
    surprise[TURN] = rotations.log(rotations.multiply(late.attitude, rotations.conjugate(predicted.attitude)))
    moved = retract(state, gain @ surprise)
    covariance = state.covariance + gain @ (late.covariance - predicted.covariance) @ gain.T
    return replace(moved, covariance=(covariance + covariance.T) / 2)


def _pose(states: Sequence[PoseState]) -> Pose:
    """Gather poses of states."""
    rows = np.r_[0:3, 6:9]
    return Pose(
        times=np.array([state.time for state in states]),
        position=np.array([state.mean[:3] for state in states]).reshape(-1, 3),
        attitude=np.array([state.attitude for state in states]).reshape(-1, 4),
        covariance=np.array([state.covariance[np.ix_(rows, rows)] for state in states]).reshape(-1, 6, 6),
    )
