"""What DICOM files hold, and those of NIfTI beside them, as JSON and as lines: series, geometry, faults, and no person.

Every picture is decoded once, so that what cannot be is told here and not at a later screen.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, part_of, silent
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_geometry import Placement, letters, place, plane, sorted_along
from mainstem.data.medical.dicom_header import Picture
from mainstem.data.medical.dicom_series import Series
from mainstem.data.medical.holdings import held_by
from mainstem.data.medical.nifti import read_volume

NOTE = "Research use only, not a medical device."
NIFTI = "a volume of NIfTI, which names neither patient nor modality"


def describe(path: Path, progress: Progress = silent) -> dict[str, Any]:
    """Series of a file, folder or zip, and every file that is refused.

    Raises:
        InputError: if there is nothing at the path.
    """
    found = held_by(path, part_of(progress, 0.0, 0.5))
    refused = [{"name": one.name, "reason": one.reason} for one in found.refused]
    told = []
    each: list[Series | Place] = [*found.series, *found.volumes]
    for index, one in enumerate(each):
        progress(f"series {index + 1} of {len(each)}", 0.5 + 0.5 * index / len(each))
        try:
            told.append(_series(one) if isinstance(one, Series) else _volume(one))
        except InputError as error:
            file = one if isinstance(one, Place) else one.slices[0].place
            refused.append({"name": file.name, "reason": str(error).removeprefix(f"{file.name}: ")})
    return {"series": told, "refused": refused, "note": NOTE}


def _series(series: Series) -> dict[str, Any]:
    refused = [{"name": one.name, "reason": one.reason} for one in series.refused]
    failed = [found for index in range(len(series)) if (found := _failure(series, index)) is not None]
    return {
        "series_uid": series.uid,
        "study_uid": series.study_uid,
        "modality": series.modality,
        "num_slices": len(series) - len(failed),
        "num_refused": len(refused) + len(failed),
        "rows": series.rows,
        "columns": series.columns,
        "spacing_mm": None if series.spacing_mm is None else list(series.spacing_mm),
        **_where(series.placement),
        "rescale": _rescale(series),
        "window": [
            {"name": one.name, "center": one.center, "width": one.width, "function": one.function}
            for one in series.own_windows()
        ],
        "facts": dict(series.facts),
        "flags": list(series.flags),
        "refused": refused + failed,
    }


def _failure(series: Series, index: int) -> dict[str, str] | None:
    """Why a picture cannot be decoded; None where it can."""
    one = series.slices[index]
    try:
        series.frame(index)
    except InputError as error:
        name = one.place.name if len(one.header.pictures) == 1 else f"{one.place.name}, picture {one.index + 1}"
        return {"name": name, "reason": str(error).removeprefix(f"{one.place.name}: ")}
    return None


def _volume(file: Place) -> dict[str, Any]:
    """A volume of NIfTI as a series of its slices.

    Raises:
        InputError: if it cannot be read.
    """
    stream = read_volume(file)
    assert stream.geometry is not None
    affine, spacing = stream.geometry.affine, stream.geometry.spacing()
    orientation = tuple((affine[:3, :2] / spacing[:2]).T.ravel().tolist())
    slices = [
        Picture(frame=index, position=tuple((affine @ (0, 0, index, 1))[:3].tolist()), orientation=orientation)
        for index in range(stream.values.shape[1])
    ]
    order = sorted_along(slices)
    _, _, rows, columns = stream.values.shape
    return {
        "series_uid": "", "study_uid": "", "modality": None, "num_slices": len(slices), "num_refused": 0,
        "rows": rows, "columns": columns, "spacing_mm": [spacing[1], spacing[0]],
        **_where(None if order is None else place([slices[index] for index in order])),
        "rescale": None, "window": [], "facts": {}, "flags": [NIFTI], "refused": [],
    }  # fmt: skip


def _where(placement: Placement | None) -> dict[str, Any]:
    """Gaps, tilt and orientation; None where they are not known."""
    if placement is None:
        return {"gaps_mm": None, "gantry_tilt_deg": None, "orientation": None}
    cosines = placement.orientation.tolist()
    return {
        "gaps_mm": [round(gap, 4) for gap in placement.gaps_mm.tolist()],
        "gantry_tilt_deg": round(placement.tilt_deg, 3) if len(placement.positions) > 1 else None,
        "orientation": {
            "plane": plane(cosines), "row": letters(cosines[:3]), "column": letters(cosines[3:]), "cosines": cosines,
        },
    }  # fmt: skip


def _rescale(series: Series) -> dict[str, Any] | None:
    """Slope and intercept of all pictures; None where the files name none, and no numbers where they differ."""
    pairs = {(one.picture.slope, one.picture.intercept) for one in series.slices}
    slope, intercept = pairs.pop() if len(pairs) == 1 else (None, None)
    if slope is None and not pairs:
        return None
    return {"slope": slope, "intercept": intercept, "unit": series.unit, "is_by_frame": bool(pairs)}


def lines_of(told: dict[str, Any]) -> Iterator[str]:
    """What `describe` found, for a person to read."""
    for one in told["series"]:
        yield f"{one['modality'] or 'no modality'}, series {one['series_uid'] or 'without UID'}"
        yield f"  {one['num_slices']} pictures of {one['rows']} x {one['columns']}, {_millimetres(one)}"
        if one["orientation"] is not None:
            where = one["orientation"]
            yield f"  {where['plane']}: rows run to {where['row']}, columns to {where['column']}"
        if one["gantry_tilt_deg"] is not None:
            yield f"  gantry tilt {one['gantry_tilt_deg']:.1f} degrees"
        if one["rescale"] is not None and not one["rescale"]["is_by_frame"]:
            rescale = one["rescale"]
            yield f"  stored values x {rescale['slope']:g} + {rescale['intercept']:g} = {rescale['unit']}"
        for window in one["window"]:
            yield f"  {window['name']}: center {window['center']:g}, width {window['width']:g}"
        yield from (f"  note: {flag}" for flag in one["flags"])
        yield from (f"  refused {each['name']}: {each['reason']}" for each in one["refused"])
    of_series = [each for one in told["series"] for each in one["refused"]]
    yield from (f"refused {each['name']}: {each['reason']}" for each in told["refused"] if each not in of_series)
    yield told["note"]


def _millimetres(one: dict[str, Any]) -> str:
    if one["spacing_mm"] is None:
        return "millimetres not known"
    size = f"{one['spacing_mm'][0]:.4g} x {one['spacing_mm'][1]:.4g} mm"
    return f"{size}, gaps {_gaps(one['gaps_mm'])} mm" if one["gaps_mm"] else size


def _gaps(gaps: Sequence[float]) -> str:
    runs = [(f"{gap:.2f}", len(list(same))) for gap, same in groupby(gaps, key=lambda gap: round(gap, 2))]
    shown = [f"{count} x {gap}" for gap, count in runs]
    return ", ".join(shown) if len(shown) <= 8 else f"{min(gaps):.2f} to {max(gaps):.2f}"
