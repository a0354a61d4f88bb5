"""Poses as rows of numbers: position, and rotation where it is told; what lies between two, and steps from one."""

import numpy as np

from mainstem.core.rotations import Array, conjugate, exp, log, multiply


def away_from(poses: Array, others: Array, axes: int) -> Array:
    """Return how to come from `others` to `poses` (cases, num): m, and then rad about the earth's axes.

    In the plane rotations are about z alone.

    Args:
        poses: (cases, axes), or (cases, axes + 4) with quaternions.
        others: as many.
        axes: of the position: 2 or 3.
    """
    moved: Array = poses[..., :axes] - others[..., :axes]
    if poses.shape[-1] == axes:
        return moved
    turned = log(multiply(poses[..., axes:], conjugate(others[..., axes:])))
    return np.concatenate([moved, turned[..., 2:] if axes == 2 else turned], axis=-1)


def moved_by(poses: Array, steps: Array, axes: int) -> Array:
    """Return poses (cases, axes or axes + 4) after steps as `away_from` gives them."""
    place: Array = poses[..., :axes] + steps[..., :axes]
    if poses.shape[-1] == axes:
        return place
    turn = steps[..., axes:]
    if axes == 2:
        turn = np.concatenate([np.zeros((*turn.shape[:-1], 2)), turn], axis=-1)
    return np.concatenate([place, multiply(exp(turn), poses[..., axes:])], axis=-1)
