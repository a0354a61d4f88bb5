"""Contours and segmentations of files as label volumes: laid over pictures, or written as NIfTI with their names."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.stream import Channel, Geometry, Stream
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_fill import Plane, Planes
from mainstem.data.medical.dicom_masks import Lost, OtherSeriesError, Structure, each_mask
from mainstem.data.medical.dicom_series import Series, find_series
from mainstem.data.medical.dicom_volume import volume_geometry
from mainstem.data.medical.nifti import write_labels
from mainstem.data.spreadsheets import csv_bytes

ORIGIN = "contours in the file, not by a model"
USE = "research use only, not a medical device"
HALF = 0.5  # share of a voxel from which on it belongs to a structure
MOST_LABELS = 255  # of one volume: 8 bits
MOST_LAYERS = 64  # volumes of one file: what may lie over one another; a plan of radiotherapy has some 20
MOST_LAID = 1 << 30  # bytes of slices that hold something, of all files that mark one series
TABLE = "names.csv"
Slices = dict[int, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """Structures that share no voxel, as one volume.

    Attributes:
        structures: of labels 1, 2 ...; without their planes.
        planes: (y, x) by slice, 0 for none of them; a slice without one holds nothing.
    """

    structures: list[Structure] = field(default_factory=list)
    planes: Slices = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of labels 1, 2 ..."""
        return tuple(one.name for one in self.structures)

    @property
    def colours(self) -> tuple[str, ...]:
        """That their file recommends, "" of none."""
        return tuple(one.colour for one in self.structures)

    @property
    def values(self) -> NDArray[np.uint8]:
        """All of it as a volume (z, y, x)."""
        found = np.zeros(self.structures[0].shape, np.uint8)
        for index, plane in self.planes.items():
            found[index] = plane
        return found

    def take(self, one: Structure, inside: Planes) -> bool:
        """Take a structure where there is room for it; False where another is."""
        if len(self.structures) == MOST_LABELS:
            return False
        laid = [(self.planes[index][plane.box], plane) for index, plane in inside.items() if index in self.planes]
        if any(values[plane.values].any() for values, plane in laid):
            return False
        self.structures.append(replace(one, planes={}))
        for index, plane in inside.items():
            values = self.planes.setdefault(index, np.zeros(one.shape[1:], np.uint8))
            values[plane.box][plane.values] = len(self.structures)
        return True

    @property
    def num_bytes(self) -> int:
        """That it takes."""
        return sum(plane.nbytes for plane in self.planes.values())


def layered(structures: Iterable[Structure], room: int = MOST_LAID) -> tuple[Labels, ...]:
    """Put each structure into the first volume where it takes no other's voxels.

    Raises:
        InputError: if too many lie over one another, or all take more bytes than there is room for.
    """
    layers: list[Labels] = []
    for one in structures:
        inside = {
            index: Plane(plane.top, plane.left, np.asarray(plane.values, np.float32) >= HALF)
            for index, plane in one.planes.items()
        }
        if not any(each.take(one, inside) for each in layers):
            if len(layers) == MOST_LAYERS:
                raise InputError(f"more than {MOST_LAYERS} structures lie over one another; split the file")
            layers.append(Labels())
            layers[-1].take(one, inside)
        if sum(each.num_bytes for each in layers) > room:
            raise InputError(f"its structures take more than {room} bytes as volumes of labels; split the file")
    return tuple(layers)


def labels_on(series: Series, masks: Sequence[Place]) -> tuple[tuple[Labels, ...], tuple[str, ...]]:
    """What files of masks hold of a series, and why those that may be of it, or structures, cannot be laid over it."""
    found: list[Labels] = []
    faults: list[str] = []
    for place in masks:
        try:
            sound = _sound(each_mask(place, series), faults)
            found += layered(sound, MOST_LAID - sum(one.num_bytes for one in found))
        except OtherSeriesError:
            continue
        except InputError as error:
            faults.append(str(error))
    return tuple(found), tuple(dict.fromkeys(faults))


def _sound(structures: Iterable[Structure | Lost], faults: list[str]) -> Iterator[Structure]:
    """Structures that are read; what is to be said of them and of the others is added to the faults."""
    for one in structures:
        if isinstance(one, Lost):
            faults.append(f"{one.name}: {one.reason}")
            continue
        if one.num_open:
            faults.append(f"{one.name}: {one.num_open} open contours, which enclose nothing, are not shown")
        yield one


def write_masks(path: Path, out: Path) -> dict[str, Any]:
    """Write every RTSTRUCT and SEG of a file, folder or zip as label volumes on the series it was drawn on, with names.

    All of it is written, or nothing.

    Raises:
        ArtifactError: if there is something at the folder to write already.
        InputError: if there is no mask, or none fits a series.
    """
    with new_folder(out) as made:
        found = find_series(path)
        images = [part for one in found.series if not one.is_mask for part in one.parts()]
        if not found.masks or not images:
            lacking = "no structure set or segmentation" if not found.masks else "no series of images that masks lie on"
            raise InputError(f"{path.name} holds {lacking}; give the folder that holds both")
        rows: list[dict[str, Any]] = []
        refused: list[str] = []
        for series in images:
            labels, faults = labels_on(series, found.masks)
            refused += faults
            rows += _written(series, labels, made, len({row["file"] for row in rows}))
        if not rows:
            raise InputError(f"no mask fits a series: {refused[0] if refused else 'each was drawn on another one'}")
        write_atomically(made / TABLE, csv_bytes(pd.DataFrame(rows)))
    return {"written": rows, "refused": refused, "origin": ORIGIN, "note": USE}


def _written(series: Series, labels: Sequence[Labels], out: Path, before: int) -> Iterator[dict[str, Any]]:
    """Write label volumes of a series, and give a row a structure."""
    if not labels:
        return
    geometry = volume_geometry(series.placement, series.spacing_mm)
    voxel_ml = abs(float(np.linalg.det(geometry.affine[:3, :3]))) / 1000 if len(series) > 1 else None
    for number, one in enumerate(labels, before + 1):
        file, values = f"mask-{number:02d}.nii.gz", one.values
        write_labels(out / file, values, _like(values.shape, geometry), f"{ORIGIN}; {USE}")
        counts = np.bincount(values.ravel(), minlength=len(one.structures) + 1)
        for label, told in enumerate(one.structures, 1):
            yield {
                "file": file, "label": label, "name": told.name, "voxels": int(counts[label]),
                "volume_ml": None if voxel_ml is None else round(float(counts[label]) * voxel_ml, 4),
                "outside": told.outside, "open": told.num_open, "series_uid": series.uid, "origin": ORIGIN, "use": USE,
            }  # fmt: skip


def _like(shape: tuple[int, ...], geometry: Geometry) -> Stream:
    values = np.broadcast_to(np.float32(0), (1, *shape))
    return Stream(kind="volume", values=values, channels=(Channel(name="labels", unit="1"),), geometry=geometry)
