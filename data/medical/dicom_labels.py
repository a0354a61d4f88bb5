"""Contours and segmentations of files as label volumes: laid over pictures, or written as NIfTI with their names."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.stream import Channel, Geometry, Stream
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_masks import OTHER_SERIES, Structure, each_mask
from mainstem.data.medical.dicom_series import Series, find_series
from mainstem.data.medical.dicom_volume import volume_geometry
from mainstem.data.medical.nifti import write_labels
from mainstem.data.spreadsheets import csv_bytes

ORIGIN = "contours in the file, not by a model"
USE = "research use only, not a medical device"
HALF = 0.5  # share of a voxel from which on it belongs to a structure
MOST_LABELS = 255  # of one volume: 8 bits
TABLE = "names.csv"


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """Structures that share no voxel, as one volume.

    Attributes:
        names: of labels 1, 2 ...
        values: (z, y, x), 0 for none of them.
        outside: of each, contours or frames that lie on no slice.
    """

    names: tuple[str, ...]
    values: NDArray[np.uint8]
    outside: tuple[int, ...]


def layered(structures: Iterable[Structure]) -> tuple[Labels, ...]:
    """Put each structure into the first volume where it takes no other's voxels."""
    layers: list[tuple[list[Structure], NDArray[np.uint8]]] = []
    for one in structures:
        inside = one.values >= HALF
        known = next((each for each in layers if _has_room(each, inside)), None)
        if known is None:
            known = ([], np.zeros(inside.shape, np.uint8))
            layers.append(known)
        told, values = known
        told.append(Structure(number=one.number, name=one.name, values=np.empty(0, np.float32), outside=one.outside))
        values[inside] = len(told)
    return tuple(
        Labels(names=tuple(_name(one) for one in told), values=values, outside=tuple(one.outside for one in told))
        for told, values in layers
    )


def _has_room(layer: tuple[list[Structure], NDArray[np.uint8]], inside: NDArray[np.bool_]) -> bool:
    told, values = layer
    return len(told) < MOST_LABELS and not values[inside].any()


def _name(one: Structure) -> str:
    return one.name or f"structure {one.number}"


def labels_on(series: Series, masks: Sequence[Place]) -> tuple[tuple[Labels, ...], tuple[str, ...]]:
    """What files of masks hold of a series, and why those that are of it cannot be laid over it."""
    found: list[Labels] = []
    faults: list[str] = []
    for place in masks:
        try:
            found += layered(each_mask(place, series))
        except InputError as error:
            faults += [] if OTHER_SERIES in str(error) else [str(error).removeprefix(f"{place.name} ")]
    return tuple(found), tuple(dict.fromkeys(faults))


def write_masks(path: Path, out: Path) -> dict[str, Any]:
    """Write every RTSTRUCT and SEG of a file, folder or zip as label volumes on the series it was drawn on, with names.

    Raises:
        InputError: if the folder to write is not empty, or there is no mask, or none fits a series.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty; name a new folder")
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
        rows += _written(series, labels, out, len({row["file"] for row in rows}))
    if not rows:
        raise InputError(f"no mask fits a series: {refused[0] if refused else 'each was drawn on another one'}")
    write_atomically(out / TABLE, csv_bytes(pd.DataFrame(rows)))
    return {"written": rows, "refused": refused, "origin": ORIGIN, "note": USE}


def _written(series: Series, labels: Sequence[Labels], out: Path, before: int) -> Iterator[dict[str, Any]]:
    """Write label volumes of a series, and give a row a structure."""
    if not labels:
        return
    geometry = volume_geometry(series.placement, series.spacing_mm)
    voxel_ml = abs(float(np.linalg.det(geometry.affine[:3, :3]))) / 1000 if len(series) > 1 else None
    out.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(labels, before + 1):
        file = f"mask-{number:02d}.nii.gz"
        write_labels(out / file, one.values, _like(one.values.shape, geometry), f"{ORIGIN}; {USE}")
        counts = np.bincount(one.values.ravel(), minlength=len(one.names) + 1)
        for label, (name, outside) in enumerate(zip(one.names, one.outside, strict=True), 1):
            yield {
                "file": file, "label": label, "name": name, "voxels": int(counts[label]),
                "volume_ml": None if voxel_ml is None else round(float(counts[label]) * voxel_ml, 4),
                "outside": outside, "series_uid": series.uid, "origin": ORIGIN, "use": USE,
            }  # fmt: skip


def _like(shape: tuple[int, ...], geometry: Geometry) -> Stream:
    values = np.broadcast_to(np.float32(0), (1, *shape))
    return Stream(kind="volume", values=values, channels=(Channel(name="labels", unit="1"),), geometry=geometry)
