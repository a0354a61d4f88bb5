"""A crop around the hippocampus from DICOM: one MR series as a volume."""

from dataclasses import replace
from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Stream
from mainstem.data.medical.dicom_series import Series, find_series


def read_series(path: Path) -> Stream:
    """The one MR series of a file, a folder or a zip as a volume.

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
    return volume_of(series[0])


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
