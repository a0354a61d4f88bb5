"""Which way the axes of a volume run in the patient, and the same voxels with axes that run another way.

An axis is named by the letter of the side that it runs nearest to: right, left, anterior, posterior, inferior,
superior. Nothing is resampled, so that a mask of the turned volume goes back, voxel by voxel, to where it was asked.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Sample, Stream

RAS = "RAS"
OBLIQUE = "oblique"  # no axis runs nearest to a side of its own
SIDES = ("RL", "AP", "IS")  # LPS: negative x is right, negative y anterior, negative z inferior
STORED = "stored_axes"  # a fact of a sample that was turned: of the study's own grid


def axes_of(stream: Stream, steepest_deg: float = 90.0) -> str:
    """Letters of x, y and z of a volume in LPS; OBLIQUE where one is further than this from all sides, or two share."""
    assert stream.geometry is not None
    cosines = stream.geometry.affine[:3, :3] / stream.geometry.spacing()
    nearest = np.abs(cosines).argmax(0)
    if len(set(nearest.tolist())) < 3 or np.abs(cosines).max(0).min() < np.cos(np.deg2rad(steepest_deg)):
        return OBLIQUE
    return "".join(SIDES[axis][int(cosines[axis, column] > 0)] for column, axis in enumerate(nearest.tolist()))


def turned(stream: Stream, axes: str = RAS) -> Stream:
    """The same voxels (channel, z, y, x) at the same places, their axes in this order; one that is oblique as it is."""
    have = axes_of(stream)
    if OBLIQUE in (have, axes) or have == axes:
        return stream
    assert stream.geometry is not None
    affine = stream.geometry.affine.copy()
    sides, before = stream.values.shape[:0:-1], stream.geometry.affine
    for column, axis in enumerate(_order(have, axes)):
        is_flipped = have[axis] != axes[column]
        affine[:3, column] = -before[:3, axis] if is_flipped else before[:3, axis]
        affine[:3, 3] += before[:3, axis] * (sides[axis] - 1) * is_flipped
    return replace(
        stream, values=reordered(stream.values, have, axes), geometry=replace(stream.geometry, affine=affine)
    )


def reordered(values: NDArray[Any], have: str, axes: str) -> NDArray[Any]:
    """Values (..., z, y, x) whose axes run to some sides, with axes that run to others."""
    if OBLIQUE in (have, axes) or have == axes:
        return values
    order, first = _order(have, axes), values.ndim - 3
    flipped = tuple(first + 2 - column for column, axis in enumerate(order) if have[axis] != axes[column])
    moved = values.transpose(*range(first), *(first + 2 - axis for axis in reversed(order)))
    return np.ascontiguousarray(np.flip(moved, tuple(flipped)))


def _order(have: str, axes: str) -> list[int]:
    """Of each axis that is wanted, which one runs along it now."""
    along = [_side(letter) for letter in have]
    return [along.index(_side(letter)) for letter in axes]


def _side(letter: str) -> int:
    return next(index for index, side in enumerate(SIDES) if letter in side)


def to_model(stream: Stream) -> tuple[Stream, dict[str, str]]:
    """A study's volume as models are given it, and the fact that brings what they say of it back."""
    return turned(stream), {STORED: axes_of(stream)}


def on_own_grid(stream: Stream, sample: Sample) -> Stream:
    """A volume that lies as a sample's does, on the study's own grid."""
    axes = sample.source.facts.get(STORED)
    return stream if axes is None else turned(stream, str(axes))


def as_stored(values: NDArray[Any], sample: Sample, name: str = "image") -> NDArray[Any]:
    """What a model says of the voxels (..., z, y, x) of a sample's volume, on the study's own grid."""
    axes = sample.source.facts.get(STORED)
    return values if axes is None else reordered(values, axes_of(sample.streams[name]), str(axes))
