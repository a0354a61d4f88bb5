"""Dated scenes of one grid: GeoTIFFs whose bands say their name and unit, turned into pixel series."""

import datetime
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.pixels import PLACE, UNITS
from mainstem.data.raster import Grid, Source, open_geotiff, same_grid

DAY_S = 86_400.0
IN_NAME = re.compile(r"(?<!\d)(19|20)(\d{2})[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
STAMP = "%Y:%m:%d %H:%M:%S"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """Dated rasters in order of time, their channels, and what turns stored numbers into the channels' units.

    Attributes:
        scales, offsets: (date, band); a value is stored * scale + offset.
        is_simulated: a scene is tagged SIMULATED=yes.
    """

    sources: tuple[Source, ...]
    dates: tuple[datetime.date, ...]
    channels: tuple[Channel, ...]
    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]
    is_simulated: bool

    @property
    def grid(self) -> Grid:
        """The grid that all share."""
        return self.sources[0].grid


def open_scenes(paths: Sequence[Path]) -> Scenes:
    """Read dates, bands and units of scenes that share a grid.

    A date is the tag TIFFTAG_DATETIME, or YYYY-MM-DD or YYYYMMDD in the file's name. A band's description is its name
    (`B4`, `VV`, `temperature_2m` ...), its unit type its unit; whole numbers need a scale.

    Raises:
        InputError: naming the file and what it lacks; nothing is guessed.
    """
    found = sorted(((_date(path), source) for path, source in zip(paths, same_grid(paths), strict=True)), key=_by_date)
    dates = [date for date, _ in found]
    twice = [date for before, date in itertools.pairwise(dates) if before == date]
    if twice:
        raise InputError(f"two scenes are of {twice[0]}; join them first, or leave one out")
    described = [_channels(source) for _, source in found]
    for (_, source), (channels, _, _) in zip(found, described, strict=True):
        if channels != described[0][0]:
            raise InputError(
                f"{source.path.name} has other bands than {found[0][1].path.name}; give the same, in one order"
            )
    return Scenes(
        sources=tuple(source for _, source in found),
        dates=tuple(dates),
        channels=described[0][0],
        scales=np.array([scales for _, scales, _ in described]),
        offsets=np.array([offsets for _, _, offsets in described]),
        is_simulated=any(_is_simulated(source.path) for _, source in found),
    )


def _is_simulated(path: Path) -> bool:
    with open_geotiff(path) as dataset:
        return bool(dataset.tags().get("SIMULATED") == "yes")


def _by_date(pair: tuple[datetime.date, Source]) -> datetime.date:
    return pair[0]


def _date(path: Path) -> datetime.date:
    with open_geotiff(path) as dataset:
        stamp = dataset.tags().get("TIFFTAG_DATETIME", "")
    try:
        if stamp:
            return datetime.datetime.strptime(stamp, STAMP).date()
    except ValueError as error:
        raise InputError(f"{path.name} is stamped {stamp!r}, want YYYY:MM:DD HH:MM:SS (TIFFTAG_DATETIME)") from error
    match = IN_NAME.search(path.stem)
    if match is None:
        raise InputError(f"{path.name} has no date; set TIFFTAG_DATETIME, or put YYYY-MM-DD in its name")
    return datetime.date(int(match[1] + match[2]), int(match[3]), int(match[4]))


def _channels(source: Source) -> tuple[tuple[Channel, ...], list[float], list[float]]:
    with open_geotiff(source.path) as dataset:
        names, units = dataset.descriptions, dataset.units
        scales, offsets = [float(scale) for scale in dataset.scales], [float(offset) for offset in dataset.offsets]
    channels = []
    for index, (name, unit, scale) in enumerate(zip(names, units, scales, strict=True)):
        if not name or name not in UNITS:
            raise InputError(
                f"band {index + 1} of {source.path.name} is called {name!r}, want one of {', '.join(UNITS)}; "
                "set its description (gdal_edit.py -d)"
            )
        if not unit:
            raise InputError(f"{name} of {source.path.name} has no unit, want {UNITS[name]!r}; set its unit type")
        if np.dtype(source.dtype).kind in "ui" and scale == 1.0 and UNITS[name] == "1":
            raise InputError(
                f"{name} of {source.path.name} is {source.dtype} without a scale; set it (0.0001 of Sentinel-2)"
            )
        channels.append(Channel(name=name, unit=unit))
    return tuple(channels), scales, offsets


def places(grid: Grid, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Latitude and longitude, degrees WGS 84, of pixel centres (pixels, 2)."""
    from pyproj import CRS, Transformer

    a, _, c, _, e, f = grid.transform
    x, y = c + a * (columns + 0.5), f + e * (rows + 0.5)
    longitude, latitude = Transformer.from_crs(CRS.from_wkt(grid.crs), "EPSG:4326", always_xy=True).transform(x, y)
    return np.column_stack([latitude, longitude])


def pixel_samples(
    scenes: Scenes, values: NDArray[np.floating[Any]], rows: NDArray[np.intp], columns: NDArray[np.intp], name: str
) -> list[Sample]:
    """Samples of pixels: stored values (pixels, date, band), NaN where missing, at rows and columns of the grid.

    Each has the streams `pixel` and `place` and counts its times from 1 January of the first scene's year.
    """
    first = datetime.date(scenes.dates[0].year, 1, 1)
    times = DAY_S * np.array([(date - first).days for date in scenes.dates], np.float64)
    physical = values.astype(np.float64) * scenes.scales + scenes.offsets
    where = places(scenes.grid, rows, columns)
    source = Provenance(data=name, item=name, group=name)
    origin = f"{first.isoformat()}T00:00:00Z"
    return [
        Sample(
            streams={
                "pixel": Stream(kind="series", values=series, channels=scenes.channels, times=times),
                "place": Stream(kind="scalar", values=place, channels=PLACE),
            },
            target=None,
            source=source,
            origin=origin,
        )
        for series, place in zip(physical, where, strict=True)
    ]
