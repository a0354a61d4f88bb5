"""What DICOM files hold, as JSON and as lines: series, their geometry and what is wrong with them, and no person.

Every picture is decoded once, so that what cannot be is told here and not at a later screen.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, part_of, silent
from mainstem.data.medical.dicom_geometry import letters, plane
from mainstem.data.medical.dicom_series import Series, find_series

NOTE = "Research use only, not a medical device."


def describe(path: Path, progress: Progress = silent) -> dict[str, Any]:
    """Series of a file, folder or zip, and every file that is refused.

    Raises:
        InputError: if there is nothing at the path.
    """
    found = find_series(path, part_of(progress, 0.0, 0.5))
    told = []
    for index, series in enumerate(found.series):
        share = 0.5 + 0.5 * index / len(found.series)
        progress(f"series {index + 1} of {len(found.series)}", share)
        told.append(_series(series))
    refused = [{"name": one.name, "reason": one.reason} for one in found.refused]
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
        "gaps_mm": None if series.gaps_mm is None else [round(gap, 4) for gap in series.gaps_mm],
        "gantry_tilt_deg": None if series.gantry_tilt_deg is None else round(series.gantry_tilt_deg, 3),
        "orientation": _orientation(series),
        "rescale": _rescale(series),
        "window": [
            {"name": one.name, "center": one.center, "width": one.width, "function": one.function}
            for one in series.slices[0].picture.windows
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


def _orientation(series: Series) -> dict[str, Any] | None:
    if series.placement is None:
        return None
    cosines = series.placement.orientation.tolist()
    return {
        "plane": plane(cosines), "row": letters(cosines[:3]), "column": letters(cosines[3:]), "cosines": cosines,
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
