"""Prithvi's own inputs from samples: monthly composites of Sentinel-2, without gaps, in whole patches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import ChannelError, InputError
from mainstem.core.openmodels.composites import grid_of, in_order, latlon_of, monthly, one_size
from mainstem.core.stream import Channel, Sample

BANDS = ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2")
MAX_FRAMES = 24
SENTINEL = tuple(  # HLS S30's bands in the order of BANDS
    Channel(name=name, unit="1") for name in ("B2", "B3", "B4", "B8A", "B11", "B12")
)
MID_MONTH = 15


def inputs_of(samples: Sequence[Sample], patch_size: int, *, has_time: bool, has_place: bool) -> dict[str, Any]:
    """The original's inputs from samples with one image series each, and time and place for models that take them.

    Dates are composed by month; a pixel under cloud is filled from its own nearest months, as the model has no mask.
    Windows are padded by their edge to whole patches.

    Raises:
        ChannelError: if samples show other bands than each other.
        InputError: if a pixel is never clear, samples differ in months, or lack a place that the model takes.
    """
    streams = [grid_of(sample, "Prithvi") for sample in samples]
    one_size(streams)
    shown = [frozenset(channel.name for channel in stream.channels) for stream in streams]
    if len(set(shown)) != 1:
        odd = samples[next(row for row, names in enumerate(shown) if names != shown[0])].source.item
        raise ChannelError(
            f"{odd} shows other bands than {samples[0].source.item}, which Prithvi cannot mask; part them"
        )
    given = [index for index, band in enumerate(SENTINEL) if band.name in shown[0]]
    found = [monthly(stream, sample.origin, MAX_FRAMES) for stream, sample in zip(streams, samples, strict=True)]
    if len({len(months.values) for months in found}) != 1:
        raise InputError("samples show different numbers of months, which Prithvi cannot mask; give whole series")
    parts = []
    for sample, stream, months in zip(samples, streams, found, strict=True):
        values = _filled(in_order(months.values, stream.channels, SENTINEL)[:, given], sample.source.item)
        parts.append(_padded(values, patch_size).swapaxes(0, 1))
    inputs: dict[str, Any] = {"reflectance": np.stack(parts), "bands": [BANDS[index] for index in given]}
    if has_time:
        inputs["temporal_coords"] = np.stack([_year_and_day(months.months) for months in found])
    if has_place:
        places = [latlon_of(sample) for sample in samples]
        if None in places:
            raise InputError("this model takes the place; give samples a stream place, or take a variant without TL")
        inputs["location_coords"] = np.array(places)
    return inputs


def _filled(values: NDArray[np.float64], item: str) -> NDArray[np.float64]:
    """Fill missing pixels (month, band, y, x) from the nearest month that shows them."""
    seen = np.isfinite(values)
    if not seen.any(0).all():
        raise InputError(f"{item} holds a pixel that no month shows, and Prithvi cannot mask it; leave it out")
    months = np.arange(len(values))
    away = np.abs(months[:, None] - months[None]).reshape(len(months), len(months), 1, 1, 1)
    nearest = np.where(seen[None], away, len(months)).argmin(1)
    found: NDArray[np.float64] = np.take_along_axis(values, nearest, 0)
    return found


def _padded(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    rows, columns = (-side % size for side in values.shape[2:])
    return np.pad(values, [(0, 0), (0, 0), (0, rows), (0, columns)], mode="edge")


def _year_and_day(months: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Year and day of the year of the middle of months (time, 2)."""
    years = months.astype("datetime64[Y]")
    days = (months.astype("datetime64[D]") - years.astype("datetime64[D]")).astype(np.float64) + MID_MONTH
    return np.stack([years.astype(np.int64) + 1970.0, days], 1)
