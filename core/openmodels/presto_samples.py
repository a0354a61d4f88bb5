"""Presto's own inputs from samples: pixel series by calendar month, in the units and the order of the original."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.layout import channel_places
from mainstem.core.stream import Channel, Sample, Stream

BANDS = ("VV", "VH", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12",
         "temperature_2m", "total_precipitation", "elevation", "slope", "NDVI")  # fmt: skip
IN_ANY_UNIT = tuple(Channel(name=band, unit="") for band in BANDS)
KEPT = tuple(index for index, band in enumerate(BANDS) if band != "B9")  # the 17 that the model reads
MISSING_COVER = 9  # stands for no Dynamic World class of 0-8
MAX_MONTHS = 24
MONTHLY_SUMS = ("total_precipitation",)
SHORTEST_MONTH, LONGEST_MONTH = 28, 31  # days between steps that are months already
UNITS = {  # of a stream's channels -> (factor, offset) to the model's raw values: 1e4 reflectance, K, m of water
    "dB": (1.0, 0.0), "1": (1e4, 0.0), "degC": (1.0, 273.15), "K": (1.0, 0.0), "mm": (1e-3, 0.0), "m": (1.0, 0.0),
    "deg": (1.0, 0.0),
}  # fmt: skip
BAND_UNITS = {
    "VV": ("dB",), "VH": ("dB",), "temperature_2m": ("degC", "K"), "total_precipitation": ("mm", "m"),
    "elevation": ("m",), "slope": ("deg",),
}  # fmt: skip


def inputs_of(samples: Sequence[Sample]) -> dict[str, np.ndarray[Any, Any]]:
    """Presto's inputs from samples with streams `pixel` (series of bands) and `place` (latitude, longitude).

    Bands may be absent, samples of unequal length (padded, hidden); `land_cover` (series, class) is optional. Channels
    are known by name and converted from their units. Steps are composed by calendar month, which their times say,
    counted from the sample's origin; a month between two others that no date shows is hidden, not left out.

    Raises:
        ChannelError: if a channel is no band of Presto's, or its unit cannot be converted.
        InputError: if a sample lacks its place or its clock.
    """
    if isinstance(samples, Cases) and _is_plain(samples):
        return _inputs_of_cases(samples)
    found = [_months_of(sample) for sample in samples]
    num, steps = len(samples), max((len(months) for months, _ in found), default=1)
    bands = np.full((num, steps, len(BANDS)), np.nan)
    month, cover = np.zeros((num, steps), np.int64), np.full((num, steps), MISSING_COVER)
    latlon = np.zeros((num, 2))
    for row, (sample, (months, place_of_step)) in enumerate(zip(samples, found, strict=True)):
        where = sample.streams["place"]
        latlon[row] = [_channel(where, "latitude", "deg"), _channel(where, "longitude", "deg")]
        month[row, : len(months)] = months % 12
        bands[row, : len(months)] = _bands_by_month(sample, place_of_step, len(months))
        land = sample.streams.get("land_cover")
        if land is not None:
            cover[row, : len(months)] = _cover_by_month(land, sample, months, place_of_step)
    return {"bands": bands, "latlon": latlon, "month": month, "dynamic_world": cover}


def _is_plain(samples: Cases) -> bool:
    """True where cases share their dates, all have a series and a place, and none a land cover."""
    pixel, where = samples.streams.get("pixel"), samples.streams.get("place")
    if pixel is None or where is None or "land_cover" in samples.streams or not len(samples):
        return False
    is_one_clock = pixel.times is not None and pixel.times.ndim == 1 and isinstance(samples.origin, str)
    return is_one_clock and pixel.has is None and where.has is None


def _inputs_of_cases(samples: Cases) -> dict[str, np.ndarray[Any, Any]]:
    """The same of many cases on one clock, month by month for all of them."""
    first, pixel, num = samples[0], samples.streams["pixel"], len(samples)
    months, place_of_step = _months_of(first)
    given, starts = np.unique(place_of_step, return_index=True)
    seen, bands = pixel.observed(), np.full((num, len(months), len(BANDS)), np.nan)
    for column, band, channel in _read(pixel.channels):
        factor, offset = _conversion(channel)
        here = seen[..., column]
        count = np.add.reduceat(here, starts, 1, dtype=np.int64)
        _check_sums(first, channel, int(count.max(initial=0)))
        total = np.add.reduceat(np.where(here, factor * pixel.values[..., column] + offset, 0.0), starts, 1)
        bands[:, given, band] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    where = samples.streams["place"]
    latlon = np.column_stack([where.values[:, _column(where, name, "deg")] for name in ("latitude", "longitude")])
    shape = (num, len(months))
    return {
        "bands": bands, "latlon": latlon, "month": np.broadcast_to(months % 12, shape),
        "dynamic_world": np.full(shape, MISSING_COVER),
    }  # fmt: skip


def num_months(sample: Sample) -> int:
    """How many of the months of `inputs_of` are a sample's own; the others only fill up beside a longer one.

    Raises:
        InputError: if it lacks its series, place or clock, or spans more months than Presto reads.
    """
    return len(_months_of(sample)[0])


def _calendar_months(stream: Stream, origin: str) -> np.ndarray[Any, Any]:
    """Months since January 1970 (step,) of a stream's steps."""
    assert stream.times is not None
    dates = np.datetime64(origin.removesuffix("Z"), "s") + stream.times.astype("timedelta64[s]")
    numbers: np.ndarray[Any, Any] = dates.astype("datetime64[M]").astype(np.int64)
    return numbers


def _months_of(sample: Sample) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A sample's calendar months, first to last without a gap, and the index among them of each step.

    Steps a month apart are composites already, and each keeps its own place: two of 30 days may begin in one month.

    Raises:
        InputError: if it lacks its series, place or clock, or spans more months than Presto reads.
    """
    pixel, where = sample.streams.get("pixel"), sample.streams.get("place")
    if pixel is None or where is None or pixel.times is None or not sample.origin or not len(pixel.times):
        raise InputError(f"{sample.source.item} lacks its pixel series, its place or its clock; Presto needs all")
    numbers = _calendar_months(pixel, sample.origin)
    days = np.diff(pixel.times) / 86400
    if ((days >= SHORTEST_MONTH) & (days <= LONGEST_MONTH)).all():
        return numbers, np.arange(len(numbers))
    span = int(numbers[-1] - numbers[0]) + 1
    if span > MAX_MONTHS:
        raise InputError(f"{sample.source.item} spans {span} months, Presto reads 1 to {MAX_MONTHS}; cut the series")
    return numbers[0] + np.arange(span), numbers - numbers[0]


def _bands_by_month(sample: Sample, step_month: np.ndarray[Any, Any], num: int) -> np.ndarray[Any, Any]:
    """Raw bands (month, 18): the mean of a month's dates that show a band, NaN where none does.

    Raises:
        ChannelError: if a channel is no band of Presto's, its unit cannot be converted, or a month holds several sums.
    """
    pixel = sample.streams["pixel"]
    seen = pixel.observed()
    bands = np.full((num, len(BANDS)), np.nan)
    for column, band, channel in _read(pixel.channels):
        factor, offset = _conversion(channel)
        here = seen[:, column]
        count = np.bincount(step_month[here], minlength=num)
        _check_sums(sample, channel, int(count.max(initial=0)))
        total = np.bincount(step_month[here], factor * pixel.values[here, column] + offset, minlength=num)
        bands[:, band] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return bands


def _check_sums(sample: Sample, channel: Channel, most: int) -> None:
    if channel.name in MONTHLY_SUMS and most > 1:
        raise ChannelError(
            f"{sample.source.item} gives {channel.name} on several dates of a month, of days or of the month; give its "
            "sum once a month"
        )


def _cover_by_month(
    land: Stream, sample: Sample, months: np.ndarray[Any, Any], step_month: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The commonest land cover class of each month (month,), MISSING_COVER where none is seen.

    Land cover on the clock of the series keeps the places of its steps; on another it is placed by calendar month.
    """
    pixel = sample.streams["pixel"]
    assert pixel.times is not None
    if np.array_equal(np.asarray(land.times), pixel.times):
        numbers, wanted = step_month, np.arange(len(months))
    else:
        numbers, wanted = _calendar_months(land, sample.origin), months
    classes = np.where(land.observed()[:, 0], land.values[:, 0], MISSING_COVER).astype(np.int64)
    if classes.min(initial=0) < 0 or classes.max(initial=0) > MISSING_COVER:
        raise InputError(f"{sample.source.item} has Dynamic World class {classes.max()}, want 0-8, or 9 where missing")
    found = np.full(len(months), MISSING_COVER)
    for index, month in enumerate(wanted.tolist()):
        here = classes[(numbers == month) & (classes != MISSING_COVER)]
        if len(here):
            found[index] = np.bincount(here).argmax()
    return found


def _channel(stream: Stream, name: str, unit: str) -> float:
    return float(stream.values[_column(stream, name, unit)])


def _column(stream: Stream | Block, name: str, unit: str) -> int:
    for index, channel in enumerate(stream.channels):
        if channel.name == name and channel.unit == unit:
            return index
    raise ChannelError(f"a place needs {name} in {unit}; it has {', '.join(c.name for c in stream.channels)}")


def _read(channels: Sequence[Channel]) -> Iterator[tuple[int, int, Channel]]:
    """Give in turn the channels that are read, in any of their units: column, place among BANDS, and channel."""
    places = channel_places([replace(channel, unit="") for channel in channels], IN_ANY_UNIT)
    for column, (band, channel) in enumerate(zip(places, channels, strict=True)):
        if band is not None:
            yield column, band, channel


def _conversion(channel: Channel) -> tuple[float, float]:
    allowed = BAND_UNITS.get(channel.name, ("1",))
    if channel.unit not in allowed:
        raise ChannelError(f"got {channel.name} in {channel.unit!r}, want {' or '.join(allowed)}; convert it first")
    return (1.0, 0.0) if channel.name == "NDVI" else UNITS[channel.unit]
