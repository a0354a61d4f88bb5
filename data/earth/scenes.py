"""Dated scenes of one grid: GeoTIFFs whose bands say their name and unit, turned into pixel series."""

import datetime
import itertools
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance
from mainstem.data.earth.crs import to_wgs84
from mainstem.data.earth.pixels import PLACE, REFLECTANCE, UNITS
from mainstem.data.earth.raster import LOOK, Grid, Source, missing_as_nan, open_geotiff, same_grid

DAY_S = 86_400.0
IN_NAME = re.compile(r"(?<!\d)(19|20)(\d{2})[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
STAMP = "%Y:%m:%d %H:%M:%S"
MISSED_OFFSET = 0.1  # reflectance: -1000 of 10,000 (Sentinel-2 Products Specification Document, baseline 04.00)
FEWEST_TO_COMPARE, FEWEST_BANDS = 2, 3
FIRST_SATELLITE = datetime.datetime(1972, 7, 23)  # Landsat 1; an earlier stamp is an unset clock
AHEAD = datetime.timedelta(days=2)  # of this machine's clock, whose zone may be another
# What a pixel, and what the median of a band, can be in its unit: packing undone wrongly lies beyond. Of reflectance a
# pixel of a sunlit cloud's edge exceeds 1 (16 bits by 1e-4 end at 6.6), a median does not: fresh snow has .9 in blue.
# Of all bands of a scene that shows land at least one reaches DARKEST: the darkest soil has .05 in near infrared.
PIXEL_LIMITS = {
    "1": (-1.0, 10.0), "dB": (-100.0, 60.0), "degC": (-100.0, 80.0), "mm": (0.0, 20_000.0), "m": (-500.0, 9_000.0),
    "deg": (0.0, 90.0),
}  # fmt: skip
MEDIAN_LIMITS = {**PIXEL_LIMITS, "1": (-0.5, 1.2)}
DARKEST = 2e-3
SIMULATED = {"yes": True, "no": False, "": False}


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """Dated rasters in order of time, their channels, and what turns stored numbers into the channels' units.

    Attributes:
        scales, offsets: (date, band); a value is stored * scale + offset.
        is_simulated: a scene is tagged SIMULATED=yes.
    """

    sources: tuple[Source, ...]
    times: tuple[datetime.datetime, ...]
    channels: tuple[Channel, ...]
    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]
    is_simulated: bool

    @property
    def dates(self) -> tuple[datetime.date, ...]:
        """The day of each scene."""
        return tuple(time.date() for time in self.times)

    @property
    def source(self) -> Provenance:
        """Where pixels of these scenes come from."""
        return Provenance(data="scenes", item="map", group="map", simulated=self.is_simulated)

    @property
    def grid(self) -> Grid:
        """The grid that all share."""
        return self.sources[0].grid


def open_scenes(paths: Sequence[Path]) -> Scenes:
    """Read dates, bands and units of scenes that share a grid.

    A time is the tag TIFFTAG_DATETIME, or a date YYYY-MM-DD or YYYYMMDD in the file's name. A band's description is its
    name (`B4`, `VV`, `temperature_2m` ...), its unit type its unit; whole numbers need a scale. What a coarse look at
    each scene shows has to be possible in these units.

    Raises:
        InputError: naming the file and what it lacks; nothing is guessed.
    """
    pairs = zip(paths, same_grid(paths), strict=True)
    found = sorted(((_time(path), source) for path, source in pairs), key=itemgetter(0))
    times = [time for time, _ in found]
    twice = [time for before, time in itertools.pairwise(times) if before == time]
    if twice:
        raise InputError(f"two scenes are of {twice[0]}; join them first, or leave one out")
    described = [_channels(source) for _, source in found]
    for (_, source), (channels, _, _) in zip(found, described, strict=True):
        if channels != described[0][0]:
            raise InputError(
                f"{source.path.name} has other bands than {found[0][1].path.name}; give the same, in one order"
            )
    scenes = Scenes(
        sources=tuple(source for _, source in found),
        times=tuple(times),
        channels=described[0][0],
        scales=np.array([scales for _, scales, _ in described]),
        offsets=np.array([offsets for _, _, offsets in described]),
        is_simulated=_is_simulated([source.path for _, source in found]),
    )
    looks = [_look(source) for source in scenes.sources]
    for index, look in enumerate(looks):
        _check_values(scenes, index, look)
    _check_offset(scenes, looks)
    return scenes


def _is_simulated(paths: Sequence[Path]) -> bool:
    told = []
    for path in paths:
        with open_geotiff(path) as dataset:
            tag = dataset.tags().get("SIMULATED", "")
        if tag.lower() not in SIMULATED:
            raise InputError(f"{path.name} is tagged SIMULATED={tag[:20]!r}, want yes or no")
        told.append(SIMULATED[tag.lower()])
    if any(told) and not all(told):
        raise InputError(f"{paths[told.index(False)].name} is not tagged as simulated, others are; give one kind")
    return all(told)


def _check_values(scenes: Scenes, index: int, look: NDArray[np.float64]) -> None:
    """Refuse a scene whose values (band, y, x) cannot be what its bands say: a wrong scale, offset or unit."""
    name, bright = scenes.sources[index].path.name, 0.0
    for band, channel in enumerate(scenes.channels):
        values = look[band][np.isfinite(look[band])] * scenes.scales[index, band] + scenes.offsets[index, band]
        if not values.size:
            bright = np.inf  # of a scene of nothing nothing is said
            continue
        _check_span(f"{channel.name} of {name}", values, PIXEL_LIMITS[channel.unit], "one holds", channel.unit)
        median = np.atleast_1d(np.median(values))
        _check_span(f"{channel.name} of {name}", median, MEDIAN_LIMITS[channel.unit], "half lie beyond", channel.unit)
        bright = max(bright, float(values.max()) if channel.name in REFLECTANCE else np.inf)
    if bright < DARKEST:
        raise InputError(f"no pixel of {name} reaches a reflectance of {DARKEST:g} in any band; its scale is wrong")


def _check_span(what: str, values: NDArray[np.float64], limits: tuple[float, float], how: str, unit: str) -> None:
    low, high = float(values.min()), float(values.max())
    if low < limits[0] or high > limits[1]:
        worst = low if low < limits[0] else high
        raise InputError(
            f"{what}: {how} {worst:g} [{unit}], want {limits[0]:g} to {limits[1]:g}; set its scale, offset, unit or "
            "nodata right"
        )


def _check_offset(scenes: Scenes, seen: Sequence[NDArray[np.float64]]) -> None:
    """Refuse a scene whose every band is MISSED_OFFSET above or below the others': an offset applied twice, or never.

    Nothing on the ground moves all bands alike: plants darken red and brighten near infrared, water darkens all in
    proportion. Compared are medians of pixels clear in both, on a coarse grid.
    """
    bands = [index for index, channel in enumerate(scenes.channels) if channel.name in REFLECTANCE]
    if len(scenes.sources) < FEWEST_TO_COMPARE or len(bands) < FEWEST_BANDS:
        return
    looks = np.stack(seen)
    looks = looks[:, bands] * scenes.scales[:, bands, None, None] + scenes.offsets[:, bands, None, None]
    for index, source in enumerate(scenes.sources):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a pixel that no other date shows
            others = np.nanmedian(np.delete(looks, index, 0), 0)
            shift = np.nanmedian(looks[index] - others, (1, 2))
        for missed in (MISSED_OFFSET, -MISSED_OFFSET):
            if np.isfinite(shift).all() and np.abs(shift - missed).max() < MISSED_OFFSET / 4:
                raise InputError(
                    f"{source.path.name} lies {missed:+.1f} from the other dates in every band: the offset of its "
                    "processing baseline (-0.1 from 04.00 on) is missed or applied twice; set its offset"
                )


def _look(source: Source) -> NDArray[np.float64]:
    """A coarse look at a scene (band, y, x), NaN where missing."""
    with open_geotiff(source.path) as dataset:
        sides = (min(source.grid.height, LOOK), min(source.grid.width, LOOK))
        found: NDArray[Any] = dataset.read(out_shape=(source.num_bands, *sides))
    looked = missing_as_nan(source, found)
    looked[~np.isfinite(looked)] = np.nan
    return looked


def _time(path: Path) -> datetime.datetime:
    with open_geotiff(path) as dataset:
        stamp = dataset.tags().get("TIFFTAG_DATETIME", "").strip("\0 ")
    match = None if stamp else IN_NAME.search(path.stem)
    if not stamp and match is None:
        raise InputError(f"{path.name} has no date; set TIFFTAG_DATETIME, or put YYYY-MM-DD in its name")
    try:
        found = (
            datetime.datetime.strptime(stamp, STAMP)
            if match is None
            else datetime.datetime(int(match[1] + match[2]), int(match[3]), int(match[4]))
        )
    except ValueError as error:
        told = f"is stamped {stamp[:40]!r}" if match is None else f"is named after {match[0]}"
        raise InputError(
            f"{path.name} {told}, which is no date; want YYYY:MM:DD HH:MM:SS in TIFFTAG_DATETIME, or YYYY-MM-DD in its "
            "name"
        ) from error
    return real_time(found, path.name)


def real_time(time: datetime.datetime, name: str) -> datetime.datetime:
    """Return a scene's time (UTC, no zone) if a satellite can have seen it.

    Raises:
        InputError: if it lies before the first satellite or is to come.
    """
    if time < FIRST_SATELLITE:
        raise InputError(
            f"{name} is of {time:%Y-%m-%d}, before the first satellite ({FIRST_SATELLITE:%Y-%m-%d}); date it"
        )
    if time > datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + AHEAD:
        raise InputError(f"{name} is of {time:%Y-%m-%d}, which is to come; date it right, or set this machine's clock")
    return time


def _channels(source: Source) -> tuple[tuple[Channel, ...], list[float], list[float]]:
    with open_geotiff(source.path) as dataset:
        names, units = dataset.descriptions, dataset.units
        scales, offsets = [float(scale) for scale in dataset.scales], [float(offset) for offset in dataset.offsets]
    file = source.path.name
    channels: list[Channel] = []
    for index, (name, unit, packing) in enumerate(zip(names, units, zip(scales, offsets, strict=True), strict=True)):
        if not name or name not in UNITS:
            raise InputError(
                f"band {index + 1} of {file} is called {(name or 'nothing')[:40]!r}, want one of {', '.join(UNITS)}; "
                "set its description (gdal_edit.py -d)"
            )
        if name in [channel.name for channel in channels]:
            raise InputError(f"{file} has two bands called {name}; name each once, or drop one (gdal_translate -b)")
        if unit != UNITS[name]:
            told = f"comes in {unit[:40]!r}" if unit else "has no unit"
            raise InputError(f"{name} of {file} {told}, want {UNITS[name]!r}; convert it and set its unit type")
        _check_packing(f"{name} of {file}", source.dtype, packing, unit)
        channels.append(Channel(name=name, unit=unit))
    return tuple(channels), scales, offsets


def _check_packing(what: str, dtype: str, packing: tuple[float, float], unit: str) -> None:
    scale, offset = packing
    if not (math.isfinite(scale) and math.isfinite(offset) and scale > 0):
        raise InputError(f"{what} has scale {scale:g} and offset {offset:g}, want numbers, the scale above 0; set them")
    if np.dtype(dtype).kind in "ui" and scale == 1.0 and unit == "1":
        raise InputError(f"{what} is {dtype} without a scale; set it (0.0001 of Sentinel-2)")


def places(grid: Grid, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Latitude and longitude, degrees WGS 84, of pixel centres (pixels, 2)."""
    a, _, c, _, e, f = grid.transform
    x, y = c + a * (columns + 0.5), f + e * (rows + 0.5)
    longitude, latitude = to_wgs84(grid.crs, "the grid").transform(x, y)
    return np.column_stack([latitude, longitude])


KnownOf = Callable[[NDArray[np.intp], NDArray[np.intp]], Mapping[str, Block]]  # of rows and columns


def origin_of(first: datetime.datetime) -> str:
    """What times count from: 1 January of the first one's year."""
    return f"{first.year}-01-01T00:00:00Z"


def seconds_of(scenes: Scenes) -> NDArray[np.float64]:
    """Seconds of each scene from 1 January of the first one's year."""
    first = datetime.datetime(scenes.times[0].year, 1, 1)
    return np.array([(time - first).total_seconds() for time in scenes.times])


def in_units(scenes: Scenes, stored: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Stored values (..., date, band) in the channels' units, NaN where missing or infinite.

    Raises:
        InputError: if a value is beyond what its channel can be.
    """
    values: NDArray[np.float64] = stored.astype(np.float64) * scenes.scales + scenes.offsets
    values[~np.isfinite(values)] = np.nan
    limits = np.array([PIXEL_LIMITS[channel.unit] for channel in scenes.channels])
    beyond = (values < limits[:, 0]) | (values > limits[:, 1])
    if beyond.any():
        date, band = np.argwhere(beyond)[0][-2:].tolist()
        what = f"{scenes.channels[band].name} of {scenes.sources[date].path.name}"
        unit = scenes.channels[band].unit
        _check_span(what, values[..., date, band][beyond[..., date, band]], PIXEL_LIMITS[unit], "one holds", unit)
    return values


def pixel_samples(
    scenes: Scenes,
    values: NDArray[np.floating[Any]],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    name: str,
    known: KnownOf | None = None,
) -> Cases:
    """Samples of pixels: stored values (pixels, date, band), NaN where missing, at rows and columns of the grid.

    Each has the streams `pixel` and `place`, and what is `known` of it besides, and counts its times from 1 January of
    the first scene's year.
    """
    pixel = Block(kind="series", values=in_units(scenes, values), channels=scenes.channels, times=seconds_of(scenes))
    place = Block(kind="scalar", values=places(scenes.grid, rows, columns), channels=PLACE)
    more = known(rows, columns) if known is not None else {}
    return Cases(
        num=len(values),
        streams={"pixel": pixel, "place": place, **more},
        source=Provenance(data=name, item=name, group=name),
        origin=origin_of(scenes.times[0]),
    )
