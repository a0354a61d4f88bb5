"""From a study's series or volume to what the reader shows: stored pixels, windows, directions, overlays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Stream
from mainstem.dashboards.components.reader import Overlay, Picture, Slice, Window, content_key
from mainstem.data.medical.dicom_header import Window as Preset
from mainstem.data.medical.dicom_series import Series

KEYS = {"brain": "1", "lung": "2", "soft tissue": "3", "bone": "4", "liver": "5"}  # the file's own: 0
Laid = tuple[str, Sequence[str], NDArray[np.uint8]]  # title, names of labels (none of a heatmap), values (z, y, x)
INT16 = np.iinfo(np.int16)
STEPS = 65535  # that values which are no whole numbers are shown in
OFTEN = (1.0, 99.0)  # percentiles of a slice, where the file names no window


def picture_of_series(series: Series, study: str, masks: Sequence[Laid]) -> Picture:
    """Return a series of DICOM images as the reader shows it, decoded slice by slice, in the files' own orientation."""
    middle = len(series) // 2
    picture, placement = series.slices[middle].picture, series.placement
    own = series.own_windows(middle)
    known = None if picture.orientation is None or (placement is None and len(series) > 1) else picture.orientation
    return Picture(
        key=content_key(study), rows=series.rows, columns=series.columns, num_slices=len(series),
        read=lambda index: _slice_of(series, index), unit="" if series.unit == "1" else series.unit,
        spacing_mm=series.spacing_mm,
        positions_mm=() if placement is None or len(series) == 1 else tuple(placement.distances_mm.tolist()),
        directions=None if known is None else _directions(known),
        windows=windows_of(series.window_presets(middle), len(own), series.frame(middle)),
        is_inverted=series.is_inverted, is_exact=bool(own) and own[0].function == "LINEAR_EXACT",
        overlays=tuple(overlay_of(title, names, planes_of(values)) for title, names, values in masks),
    )  # fmt: skip


def _directions(orientation: Sequence[float]) -> NDArray[np.float64]:
    along, down = np.reshape(orientation, (2, 3)).astype(np.float64)
    return np.stack([along, down, np.cross(along, down)], 1)


def _slice_of(series: Series, index: int) -> Slice:
    """A slice as stored; of more than 16 bits in as many steps as 16 hold, of colour 8 bits each."""
    if series.slices[index].header.bits_allocated > 16:
        stored, slope, intercept, _ = _stored(series.frame(index))
        return Slice(stored=stored, slope=slope, intercept=intercept)
    stored = series.stored(index)
    if stored.ndim == 3:
        return Slice(stored=(stored >> 8 if stored.max(initial=0) > 255 else stored).astype(np.uint8))
    return Slice(stored=stored, slope=series.slope(index), intercept=series.intercept(index))


def windows_of(presets: Sequence[Preset], num_own: int, middle: NDArray[Any]) -> tuple[Window, ...]:
    """Windows to choose from: the file's own, or else what most of the middle slice lies in; then the usual ones."""
    named = [_window(preset, index if index < num_own else -1) for index, preset in enumerate(presets)]
    return tuple(named if num_own else [_often(middle), *named])


def _window(preset: Preset, own: int) -> Window:
    """A window; `own` is its place among the file's own, below 0 for none of them."""
    name = preset.name if own < 0 else f"file's own{f' {own + 1}' if own else ''}"
    key = "0" if own == 0 else KEYS.get(name, "")
    return Window(name=name, width=preset.width, level=preset.center, key=key, greys=preset.greys)


def _often(values: NDArray[Any]) -> Window:
    known = values[np.isfinite(values)]
    low, high = (float(end) for end in np.percentile(known, OFTEN)) if known.size else (0.0, 1.0)
    if high <= low:
        low, high = (float(known.min()), float(known.max()) + 1) if known.size else (0.0, 1.0)
    return Window(name="usual range", width=high - low, level=(high + low) / 2, key="0")


def picture_of_volume(stream: Stream, study: str, masks: Sequence[Laid]) -> Picture:
    """Return a volume (1, z, y, x) as the reader shows it, its slices turned as radiologists look at them.

    Args:
        stream: with its geometry in mm.
        study: what names its contents.
        masks: laid over it.
    """
    volume = stream.values[0]
    geometry = stream.geometry
    directions = None if geometry is None else geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    turned, directions = _turned(directions)
    stored, slope, intercept, is_exact = _stored(volume[turned])
    spacing = None if geometry is None or geometry.unit is None else [1e3 * size for size in geometry.spacing_m()]
    middle = volume[len(volume) // 2]
    return Picture(
        key=content_key(study), rows=volume.shape[1], columns=volume.shape[2], num_slices=len(volume),
        read=lambda index: Slice(stored=stored[index], slope=slope, intercept=intercept),
        spacing_mm=None if spacing is None else (spacing[1], spacing[0]),
        positions_mm=() if spacing is None else tuple(spacing[2] * index for index in range(len(volume))),
        directions=directions, windows=(_often(middle),), is_exact=is_exact,
        overlays=tuple(overlay_of(title, names, planes_of(values[turned])) for title, names, values in masks),
    )  # fmt: skip


def planes_of(values: NDArray[np.uint8]) -> dict[int, NDArray[np.uint8]]:
    """Slices of a volume (z, y, x) that hold something."""
    return {index: plane for index, plane in enumerate(values) if plane.any()}


def overlay_of(
    title: str, names: Sequence[str], planes: Mapping[int, NDArray[np.uint8]], *, is_told: bool = True
) -> Overlay:
    """What is laid over slices (y, x), told by a model or else marked in the study's own files."""
    contents = [part for index in sorted(planes) for part in (str(index), planes[index].tobytes())]
    return Overlay(key=content_key(title, *contents), title=title, planes=planes, names=tuple(names), is_told=is_told)


def _stored(values: NDArray[Any]) -> tuple[NDArray[Any], float, float, bool]:
    """Values in 16 bits, slope and intercept back, and whether they are no whole numbers."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    filled = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    if low >= INT16.min and high <= INT16.max and np.array_equal(filled, np.round(filled)):
        return filled.astype(np.int16), 1.0, 0.0, False
    slope = max(high - low, 1e-12) / STEPS
    return np.round((filled - low) / slope).astype(np.uint16), slope, low, True


def _turned(directions: NDArray[np.float64] | None) -> tuple[tuple[slice, slice, slice], NDArray[np.float64] | None]:
    """How to turn rows and columns so that left is on the right, and back or feet are below; and the directions then.

    Only flips: nothing is resampled, and no axis changes its place.
    """
    both = slice(None), slice(None), slice(None)
    if directions is None:
        return both, None
    wanted_x, wanted_y = (1.0, 1.0, 1.0), (1.0, 1.0, -1.0)  # by the axis of LPS that x and y mostly run along
    x, y = (int(np.argmax(np.abs(directions[:, axis]))) for axis in (0, 1))
    flips = [directions[x, 0] * wanted_x[x] < 0, directions[y, 1] * wanted_y[y] < 0]
    signs = np.array([-1.0 if flips[0] else 1.0, -1.0 if flips[1] else 1.0, 1.0])
    back = slice(None, None, -1)
    return (slice(None), back if flips[1] else slice(None), back if flips[0] else slice(None)), directions * signs
