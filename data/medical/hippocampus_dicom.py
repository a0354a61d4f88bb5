"""A crop around the hippocampus from DICOM: one MR series as a volume."""

from dataclasses import replace
from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Stream
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_series import Series
from mainstem.data.medical.holdings import held_by, why_none
from mainstem.data.medical.nifti import check_angles, read_volume


def read_series(path: Path) -> Stream:
    """The one MR series, or volume of NIfTI, of a file, a folder or a zip.

    Raises:
        InputError: if it holds none or several, or no MR, or no volume of even gaps.
    """
    found = held_by(path)
    held: list[Series | Place] = [*(part for one in found.images for part in one.parts()), *found.volumes]
    if not held:
        why = why_none(found)
        raise InputError(f"{path.name} holds no series of DICOM images ({why}); name one, or a NIfTI volume")
    if len(held) > 1:
        told = ", ".join(map(_told, held[:4]))
        raise InputError(f"{path.name} holds {len(held)} series of images ({told}); put one into a folder of its own")
    return volume_of_series(held[0]) if isinstance(held[0], Series) else read_volume(held[0])


def _told(one: Series | Place) -> str:
    return f"{one.modality or 'unknown'} of {len(one)}" if isinstance(one, Series) else "a volume of NIfTI"


def volume_of_series(series: Series) -> Stream:
    """An MR series as a volume.

    Raises:
        InputError: if it is none, or its slices are no volume of even gaps at right angles.
    """
    if len(series) == 1:
        raise InputError("a single picture, and no volume")
    if series.modality != "MR":
        raise InputError(f"modality is {series.modality}, the adapter was trained on MR alone")
    if series.samples != 1:
        raise InputError("a volume of colours, want one value a voxel")
    stream = series.stream()
    if stream.geometry is not None:
        check_angles(stream.geometry, "the series")
    return replace(stream, channels=(Channel(name="intensity", unit="1"),))
