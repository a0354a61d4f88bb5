"""A crop around the hippocampus from DICOM: one MR series as a volume, its axes in the order of training's."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Geometry, Stream
from mainstem.data.medical.dicom_series import Series, find_series

RAS = np.array([-1.0, -1.0, 1.0])  # signs along x, y and z of LPS that run to right, anterior and superior


def read_series(path: Path) -> Stream:
    """The one MR series of a file, a folder or a zip as a volume whose axes run nearest to right, anterior, superior.

    Raises:
        InputError: if it holds none or several, or no MR, or no volume of even gaps.
    """
    found = find_series(path)
    series = [part for one in found.series for part in one.parts()]
    if not series:
        why = found.refused[0].reason if found.refused else "it holds no file"
        raise InputError(f"{path.name} holds no series of DICOM images ({why}); name one, or a NIfTI volume")
    if len(series) > 1:
        held = ", ".join(f"{one.modality or 'unknown'} of {len(one)}" for one in series[:4])
        raise InputError(f"{path.name} holds {len(series)} series of images ({held}); put one into a folder of its own")
    return turned(volume_of(series[0]))


def volume_of(series: Series) -> Stream:
    """An MR series as a volume.

    Raises:
        InputError: if it is none, or its slices are no volume of even gaps.
    """
    if len(series) == 1:
        raise InputError("a single picture, and no volume")
    if series.modality != "MR":
        raise InputError(f"modality is {series.modality}, the adapter was trained on MR alone")
    if series.samples != 1:
        raise InputError("a volume of colours, want one value a voxel")
    return replace(series.stream(), channels=(Channel(name="intensity", unit="1"),))


def turned(stream: Stream) -> Stream:
    """The same voxels (1, z, y, x) at the same places, in the order nearest to RAS; nothing is resampled."""
    assert stream.geometry is not None
    affine = stream.geometry.affine
    nearest = np.abs(affine[:3, :3] / stream.geometry.spacing()).argmax(0)
    if len(set(nearest.tolist())) < 3:
        return stream  # oblique: the scope says so
    order = [int(np.flatnonzero(nearest == axis)[0]) for axis in range(3)]
    values, columns, origin = stream.values[0].T.transpose(order), affine[:3, order].copy(), affine[:3, 3].copy()
    for axis in range(3):
        if columns[axis, axis] * RAS[axis] < 0:
            origin += columns[:, axis] * (values.shape[axis] - 1)
            columns[:, axis] *= -1
            values = np.flip(values, axis)
    placed = np.eye(4)
    placed[:3, :3], placed[:3, 3] = columns, origin
    geometry = Geometry(affine=placed, unit=stream.geometry.unit, frame=stream.geometry.frame)
    return replace(stream, values=np.ascontiguousarray(values.T)[None], geometry=geometry)
