"""Pixel series of Sentinel-1, Sentinel-2 and ERA5 with a label a place and date: fuel moisture, or tables."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.earth.open_regions import licensed
from mainstem.data.table import read_samples

MOISTURE = "fuel-moisture"
STEP_DAYS = 30  # of the set's composites
DAY_S = 86_400.0
NO_COVER = 9  # Dynamic World: none
REFLECTANCE = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
UNITS = {
    "VV": "dB", "VH": "dB", **dict.fromkeys(REFLECTANCE, "1"), "temperature_2m": "degC", "total_precipitation": "mm",
    "elevation": "m", "slope": "deg", "NDVI": "1",
}  # fmt: skip
RAW = ("VV", "VH", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12", "temperature_2m",
       "total_precipitation", "elevation", "slope", "NDVI")  # fmt: skip
PIXEL = tuple(Channel(name=name, unit=unit) for name, unit in UNITS.items())
PLACE = (Channel(name="latitude", unit="deg"), Channel(name="longitude", unit="deg"))
COVER = (Channel(name="dynamic_world", unit="class"),)
KELVIN, MM = 273.15, 1e3
LIMITS = {  # of a channel in its unit, and what values beyond look like; bright snow and glint pass 1
    **{(name, "1"): (2.0, "reflectance times 10000") for name in REFLECTANCE},
    ("NDVI", "1"): (1.5, "NDVI times 10000, or a byte"),
    ("temperature_2m", "degC"): (70.0, "kelvin"),
}


def open_pixels(data: str, mirror: Path | None = None) -> SampleSet:
    """Read pixel series by name, or from a table of one's own (`data.table`) with dated rows, bands and place.

    Raises:
        InputError: if there is no such set or table, or it lacks dates, latitude or longitude.
    """
    if data == MOISTURE:
        data_set = find_data_set(data)
        return licensed(load_fuel_moisture(pull(data, mirror), data_set.attribution), data_set.licence)
    if not data.endswith((".csv", ".parquet")):
        raise InputError(f"got {data!r}, which holds no pixel series; use {MOISTURE}, or a .csv or .parquet table")
    found = read_samples(Path(data))
    return replace(found, samples=tuple(_split(sample) for sample in found.samples))


def _split(sample: Sample) -> Sample:
    """A table's one series as the streams of a pixel: bands, place, land cover."""
    stream = sample.streams.get("table")
    if stream is None or stream.kind != "series" or not sample.origin:
        raise InputError(f"sample {sample.source.item!r} has no dated rows; add a column time with dates")
    columns = {channel.name: index for index, channel in enumerate(stream.channels)}
    missing = [channel.name for channel in PLACE if channel.name not in columns]
    if missing:
        raise InputError(f"sample {sample.source.item!r} lacks {missing[0]}; add the column {missing[0]} [deg]")
    places = stream.values[:, [columns[channel.name] for channel in PLACE]]
    place = places[0]
    if not np.isfinite(place).all() or (places != place).any() or (np.abs(place) > (90, 180)).any():
        raise InputError(
            f"sample {sample.source.item!r} has no one place: latitude, longitude run from {places.min(0).tolist()} to "
            f"{places.max(0).tolist()}; give every row the pixel's own, in degrees"
        )
    _check_units(sample, stream)
    bands = [index for name, index in columns.items() if name not in ("latitude", "longitude", "dynamic_world")]
    streams = {
        "pixel": replace(
            stream, values=stream.values[:, bands], channels=tuple(stream.channels[index] for index in bands)
        ),
        "place": Stream(kind="scalar", values=place, channels=PLACE),
    }
    if "dynamic_world" in columns:
        cover = stream.values[:, [columns["dynamic_world"]]]
        streams["land_cover"] = Stream(kind="series", values=cover, channels=COVER, times=stream.times)
    return replace(sample, streams=streams)


def _check_units(sample: Sample, stream: Stream) -> None:
    """Refuse bands whose values another unit than the column's own would explain."""
    for channel, values in zip(stream.channels, stream.values.T, strict=True):
        largest = float(np.nanmax(values, initial=-np.inf))
        limit, likely = LIMITS.get((channel.name, channel.unit), (np.inf, ""))
        if largest > limit:
            raise InputError(
                f"sample {sample.source.item!r}: {channel.name} [{channel.unit}] reaches {largest:g}, want at most "
                f"{limit:g}; this looks like {likely}: convert it"
            )


def load_fuel_moisture(folder: Path, attribution: str) -> SampleSet:
    """Read live-fuel moisture (percent of dry mass) of 150 sites, each with the three 30-day composites before it.

    The arrays give months alone; dates are those of the label of the same site, value and months. Where several
    labels agree in all of these, the first is taken and the sample's fact `date` says so.
    """
    names = ("s1_s2_era5_srtm", "latlon", "dynamic_world", "month", "target", "site", "is_test")
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in names}
    labels = _labels(folder / "single_file_labels.geojson")
    samples, test = [], set()
    for row, site in enumerate(arrays["site"].tolist()):
        starts = _starts(labels.get((site, round(float(arrays["target"][row]), 6)), ()), arrays["month"][row])
        if not starts:
            raise InputError(f"{folder}: no label of {site} fits row {row}; pull {MOISTURE} again")
        streams = _streams(arrays["s1_s2_era5_srtm"][row], arrays["latlon"][row], arrays["dynamic_world"][row])
        item = f"{site} {starts[0][1]} {row}"
        date = starts[0][1] if len(starts) == 1 else f"{starts[0][1]} or {starts[1][1]}"
        source = Provenance(
            data=MOISTURE, item=item, group=site, attribution=attribution, facts={"site": site, "date": date}
        )
        samples.append(
            Sample(
                streams=streams, target=float(arrays["target"][row]), source=source, origin=f"{starts[0][0]}T00:00:00Z"
            )
        )
        if arrays["is_test"][row]:
            test.add(site)
    return SampleSet(
        name=MOISTURE, samples=tuple(samples), flagged={}, attribution=attribution, test_groups=frozenset(test)
    )


def _labels(path: Path) -> dict[tuple[str, float], tuple[datetime.date, ...]]:
    """Dates by site and value."""
    found: dict[tuple[str, float], set[datetime.date]] = {}
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        facts = feature["properties"]
        key = (facts["site"], round(float(facts["percent(t)"]), 6))
        found.setdefault(key, set()).add(datetime.date.fromisoformat(facts["date"][:10]))
    return {key: tuple(sorted(dates)) for key, dates in found.items()}


def _starts(dates: Sequence[datetime.date], months: NDArray[np.int64]) -> list[tuple[str, str]]:
    """First composite's start and label's date, ISO, of the dates whose composites begin in these months.

    Composites are 30 days long and end with the label; the export rounds the first start by up to two days.
    """
    found = []
    for date in dates:
        for days in (3 * STEP_DAYS, 3 * STEP_DAYS - 1, 3 * STEP_DAYS + 1, 3 * STEP_DAYS + 2):
            start = date - datetime.timedelta(days=days)
            begins = [start + datetime.timedelta(days=STEP_DAYS * step) for step in range(len(months))]
            if [begin.month - 1 for begin in begins] == months.tolist():
                found.append((start.isoformat(), date.isoformat()))
                break
    return found


def _streams(bands: NDArray[np.float64], latlon: NDArray[np.float64], cover: NDArray[np.uint8]) -> dict[str, Stream]:
    """Raw bands of one sample in physical units."""
    raw = {name: bands[:, index] for index, name in enumerate(RAW)}
    raw |= {name: raw[name] / 1e4 for name in REFLECTANCE}
    raw["temperature_2m"] = raw["temperature_2m"] - KELVIN
    raw["total_precipitation"] = MM * raw["total_precipitation"]
    times = DAY_S * STEP_DAYS * np.arange(len(bands), dtype=np.float64)
    classes = np.where(cover == NO_COVER, np.nan, cover).astype(np.float64)[:, None]
    return {
        "pixel": Stream(
            kind="series", values=np.column_stack([raw[c.name] for c in PIXEL]), channels=PIXEL, times=times
        ),
        "place": Stream(kind="scalar", values=latlon.astype(np.float64), channels=PLACE),
        "land_cover": Stream(kind="series", values=classes, channels=COVER, times=times),
    }
