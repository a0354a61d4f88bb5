"""Dated scenes of one grid: GeoTIFFs whose bands say their name and unit, turned into pixel series."""

import datetime
import itertools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.pixels import PLACE, REFLECTANCE, UNITS
from mainstem.data.raster import Grid, Source, open_geotiff, same_grid

DAY_S = 86_400.0
IN_NAME = re.compile(r"(?<!\d)(19|20)(\d{2})[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
STAMP = "%Y:%m:%d %H:%M:%S"
MISSED_OFFSET = 0.1  # reflectance: -1000 of 10,000 (Sentinel-2 Products Specification Document, baseline 04.00)
FEWEST_TO_COMPARE, FEWEST_BANDS = 2, 3
LOOK = 256  # pixels a side of a coarse look


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
    name (`B4`, `VV`, `temperature_2m` ...), its unit type its unit; whole numbers need a scale.

    Raises:
        InputError: naming the file and what it lacks; nothing is guessed.
    """
    pairs = zip(paths, same_grid(paths), strict=True)
    found = sorted(((_time(path), source) for path, source in pairs), key=_by_time)
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
    _check_offset(scenes)
    return scenes


def _is_simulated(paths: Sequence[Path]) -> bool:
    told = []
    for path in paths:
        with open_geotiff(path) as dataset:
            told.append(dataset.tags().get("SIMULATED") == "yes")
    if any(told) and not all(told):
        raise InputError(f"{paths[told.index(False)].name} is not tagged as simulated, others are; give one kind")
    return all(told)


def _check_offset(scenes: Scenes) -> None:
    """Refuse a scene whose every band is MISSED_OFFSET above or below the others': an offset applied twice, or never.

    Nothing on the ground moves all bands alike: plants darken red and brighten near infrared, water darkens all in
    proportion. Compared are medians of pixels clear in both, on a coarse grid.
    """
    bands = [index for index, channel in enumerate(scenes.channels) if channel.name in REFLECTANCE]
    if len(scenes.sources) < FEWEST_TO_COMPARE or len(bands) < FEWEST_BANDS:
        return
    looks = np.stack([_look(source) for source in scenes.sources]).astype(np.float64)
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


def _look(source: Source) -> NDArray[np.float32]:
    """A coarse look at a scene (band, y, x), NaN where missing."""
    with open_geotiff(source.path) as dataset:
        sides = (min(source.grid.height, LOOK), min(source.grid.width, LOOK))
        found: NDArray[np.float32] = dataset.read(out_shape=(source.num_bands, *sides)).astype(np.float32)
    if source.nodata is not None:
        found[found == np.float32(source.nodata)] = np.nan
    return found


def _by_time(pair: tuple[datetime.datetime, Source]) -> datetime.datetime:
    return pair[0]


def _time(path: Path) -> datetime.datetime:
    with open_geotiff(path) as dataset:
        stamp = dataset.tags().get("TIFFTAG_DATETIME", "")
    try:
        if stamp:
            return datetime.datetime.strptime(stamp, STAMP)
    except ValueError as error:
        raise InputError(f"{path.name} is stamped {stamp!r}, want YYYY:MM:DD HH:MM:SS (TIFFTAG_DATETIME)") from error
    match = IN_NAME.search(path.stem)
    if match is None:
        raise InputError(f"{path.name} has no date; set TIFFTAG_DATETIME, or put YYYY-MM-DD in its name")
    return datetime.datetime(int(match[1] + match[2]), int(match[3]), int(match[4]))


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


Known = Callable[[NDArray[np.intp], NDArray[np.intp]], Sequence[Mapping[str, Stream]]]  # of rows and columns


def origin_of(first: datetime.datetime) -> str:
    """What times count from: 1 January of the first one's year."""
    return f"{first.year}-01-01T00:00:00Z"


def seconds_of(scenes: Scenes) -> NDArray[np.float64]:
    """Seconds of each scene from 1 January of the first one's year."""
    first = datetime.datetime(scenes.times[0].year, 1, 1)
    return np.array([(time - first).total_seconds() for time in scenes.times])


def pixel_samples(
    scenes: Scenes,
    values: NDArray[np.floating[Any]],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    name: str,
    known: Known | None = None,
) -> list[Sample]:
    """Samples of pixels: stored values (pixels, date, band), NaN where missing, at rows and columns of the grid.

    Each has the streams `pixel` and `place`, and what is `known` of it besides, and counts its times from 1 January of
    the first scene's year.
    """
    times = seconds_of(scenes)
    physical = values.astype(np.float64) * scenes.scales + scenes.offsets
    where = places(scenes.grid, rows, columns)
    source = Provenance(data=name, item=name, group=name)
    origin = origin_of(scenes.times[0])
    more: Sequence[Mapping[str, Stream]] = known(rows, columns) if known is not None else [{}] * len(values)
    return [
        Sample(
            streams={
                "pixel": Stream(kind="series", values=series, channels=scenes.channels, times=times),
                "place": Stream(kind="scalar", values=place, channels=PLACE),
                **streams,
            },
            target=None,
            source=source,
            origin=origin,
        )
        for series, place, streams in zip(physical, where, more, strict=True)
    ]
