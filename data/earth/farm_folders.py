"""Farms of one's own: folders of scenes, fields with harvests, weather and soil, read as samples."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.earth.fields import SUFFIXES, Fields, open_fields, overlays, sowing_days
from mainstem.data.earth.raster import Grid, Source, missing_as_nan, open_layer, window_reader
from mainstem.data.earth.scenes import Scenes, open_scenes, pixel_samples, places
from mainstem.data.earth.weather import check_season, open_weather

HARVEST = "yield_t_ha"
RASTERS, LAYERS = (".tif", ".tiff"), ("soil", "yield")  # suffixes, and the names of what is no scene; in any case
PIXELS_A_FIELD = 16
MOSTLY = 0.99  # of a pixel in the field: what lies on its border mixes two
MOST_YIELD_T_HA, MOST_WATER_CM_M = 250.0, 100.0  # sugar cane's best; nothing but water
SOIL = (Channel(name="available_water", unit="cm/m"),)
MANAGEMENT = (Channel(name="sowing_day", unit="d"),)  # from 1 January of the origin's year, which is 0
OWN = "the user's own"
Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]  # rows, columns


def is_farm(folder: Path) -> bool:
    """True for a folder with scenes and a fields file."""
    return folder.is_dir() and bool(_rasters(folder, "scene")) and bool(_fields_files(folder))


def raster_kind(name: str) -> str:
    """Return what a raster is by its name: "soil", "yield" or "scene"; "" where it is no GeoTIFF's name."""
    path = Path(name.lower())
    return "" if path.suffix not in RASTERS else path.stem if path.stem in LAYERS else "scene"


def _rasters(folder: Path, kind: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if raster_kind(path.name) == kind and path.is_file())


def _fields_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.stem.lower() == "fields" and path.suffix.lower() in SUFFIXES and path.is_file()
    )


def _only(found: Sequence[Path], what: str) -> Path | None:
    """The one file of a kind, None where there is none.

    Raises:
        InputError: if there are several: which is meant is not guessed.
    """
    if len(found) > 1:
        raise InputError(
            f"{found[0].parent.name} holds {found[0].name} and {found[1].name}, want one {what}; leave the other out"
        )
    return found[0] if found else None


def open_farm_folders(folder: Path) -> SampleSet:
    """Read one farm, or every farm in a folder of farms.

    A farm is `fields.gpkg` (or .geojson, .shp, .kml) with the columns `crop`, `sowing` (dates) and `yield_t_ha`, the
    season's scenes as GeoTIFFs, `weather.csv` or NetCDF, and if there are any `soil.tif` (available water, cm/m) and
    `yield.tif` (a harvester's map, t/ha). With a yield map samples are pixels; without one each field is a sample of
    its mean reflectance. Groups are a season's farms, or a season's fields of a single farm.

    Raises:
        InputError: if there is no farm, or one lacks what it needs.
    """
    farms = [folder] if is_farm(folder) else sorted(path for path in folder.iterdir() if is_farm(path))
    if not farms:
        raise InputError(f"{folder} holds no farm; want a folder with scenes (.tif), fields.gpkg and weather.csv")
    samples = [sample for farm in farms for sample in _farm(farm, is_alone=len(farms) == 1)]
    return SampleSet(
        name=folder.name, samples=tuple(samples), flagged={}, attribution=OWN, licence=OWN,
        simulated=all(sample.source.simulated for sample in samples),
    )  # fmt: skip


def _farm(folder: Path, is_alone: bool) -> Iterator[Sample]:
    scenes = open_scenes(_rasters(folder, "scene"))
    described = _only(_fields_files(folder), "file of fields")
    assert described is not None  # `is_farm` saw one
    fields = open_fields(described).on(scenes.grid)
    year, grid = scenes.times[0].year, scenes.grid
    middle = places(grid, np.array([grid.height // 2]), np.array([grid.width // 2]))[0]
    daily = [path for suffix in ("csv", "nc") for path in sorted(folder.glob(f"weather*.{suffix}"))]
    weather = open_weather(daily, (float(middle[0]), float(middle[1])), year)
    check_season(weather, [time.year for time in scenes.times])
    harvest = _layer(_only(_rasters(folder, "yield"), "yield map"), scenes, "t/ha", MOST_YIELD_T_HA)
    if "crop" not in fields.table:
        raise InputError(f"the fields of {folder.name} have no column crop; add it, it is not guessed")
    if harvest is None and HARVEST not in fields.table:
        raise InputError(
            f"{folder.name} has neither yield.tif nor fields with a column {HARVEST}; add what was harvested"
        )
    _check_columns(fields, folder.name)
    soil = _layer(_only(_rasters(folder, "soil"), "soil raster"), scenes, "cm/m", MOST_WATER_CM_M)
    sowing = sowing_days(fields, year)
    for row, num, (rows, columns) in _pixels(fields, scenes):
        known: dict[str, Stream] = {"weather": weather}
        if np.isfinite(sowing[row]):
            known["management"] = Stream(kind="scalar", values=sowing[row : row + 1], channels=MANAGEMENT)
        name, crop = (fields.table[column].iloc[row] for column in ("field", "crop"))
        group = f"field {name}, {year}" if is_alone else f"{folder.name}, {year}"
        source = Provenance(
            data=folder.name, item=f"{folder.name}/{name}", group=group,
            licence=OWN, attribution=OWN, simulated=scenes.is_simulated,
            facts={"crop": str(crop), "farm": folder.name,
                   "field": f"{folder.name}/{name}, {year}", "year": float(year),
                   **({} if harvest is None else {"samples_of_field": float(num)})},
        )  # fmt: skip
        yield from _samples(scenes, (rows, columns), known, source, (harvest, soil, _harvested(fields, row)))


def _check_columns(fields: Fields, where: str) -> None:
    """Refuse a field without its crop, or with a harvest that cannot be."""
    import pandas as pd

    table = fields.table
    for name, crop in zip(table["field"], table["crop"], strict=True):
        if not isinstance(crop, str):
            raise InputError(f"field {name!r} of {where} has no crop; add it, it is not guessed")
    if HARVEST not in table:
        return
    harvested = pd.to_numeric(table[HARVEST], errors="coerce")
    is_odd = (harvested.isna() & table[HARVEST].notna()) | table[HARVEST].map(lambda told: isinstance(told, bool))
    wrong = is_odd | (harvested < 0) | (harvested > MOST_YIELD_T_HA)
    if wrong.any():
        name, found = table.loc[wrong, ["field", HARVEST]].iloc[0]
        raise InputError(
            f"field {name!r} of {where} has the {HARVEST} {str(found)[:40]!r}, want 0 to {MOST_YIELD_T_HA:g}; mend it"
        )


def _harvested(fields: Fields, row: int) -> float:
    found = fields.table[HARVEST].iloc[row] if HARVEST in fields.table else None
    return float("nan") if found is None else float(found)


def _samples(
    scenes: Scenes,
    at: Pixels,
    known: dict[str, Stream],
    source: Provenance,
    layers: tuple[Source | None, Source | None, float],
) -> Iterator[Sample]:
    """Samples of one field's pixels, or, without a yield map, of their mean."""
    harvest, soil, harvested = layers
    rows, columns = at
    pixels = np.moveaxis(np.stack([_at(found, rows, columns) for found in scenes.sources]), -1, 0)
    water = np.full(len(rows), np.nan) if soil is None else _at(soil, rows, columns)[0]
    if harvest is None:
        with np.errstate(invalid="ignore"):
            seen = np.isfinite(pixels)
            mean = np.where(seen, pixels, 0.0).sum(0) / np.where(seen.any(0), seen.sum(0), np.nan)
        pixels, water = mean[None], np.array([np.nanmean(water) if np.isfinite(water).any() else np.nan])
        rows, columns = rows[:1], columns[:1]
    targets = [harvested] if harvest is None else _at(harvest, rows, columns)[0].tolist()
    for sample, target, content in zip(
        pixel_samples(scenes, pixels, rows, columns, source.data), targets, water.tolist(), strict=True
    ):
        streams = {**sample.streams, **known}
        if np.isfinite(content):
            streams["soil"] = Stream(kind="scalar", values=np.array([content]), channels=SOIL)
        yield replace(sample, streams=streams, source=source, target=float(target) if np.isfinite(target) else None)


def _pixels(fields: Fields, scenes: Scenes) -> Iterator[tuple[int, int, Pixels]]:
    """Row of the table, number of pixels, and PIXELS_A_FIELD of them at most, drawn evenly over rows and columns."""
    for row, polygon in enumerate(fields.table.geometry):
        chosen, num = _evenly(scenes.grid, polygon)
        if not len(chosen):
            raise InputError(f"field {fields.table['field'].iloc[row]!r} holds no whole pixel; it is too small")
        yield row, num, (chosen // scenes.grid.width, chosen % scenes.grid.width)


def _evenly(grid: Grid, polygon: Any) -> tuple[NDArray[np.intp], int]:  # noqa: ANN401 - shapely's
    """Numbers, by rows over the grid, of pixels of a field, and its count: counted first, so that memory stays flat."""
    counts = [len(band) for band in _bands(grid, polygon)]
    if not sum(counts):
        return np.zeros(0, np.intp), 0
    wanted = np.unique(np.linspace(0, sum(counts) - 1, PIXELS_A_FIELD).astype(np.intp))
    chosen, first = [], 0
    for band, count in zip(_bands(grid, polygon), counts, strict=True):
        chosen.append(band[wanted[(wanted >= first) & (wanted < first + count)] - first])
        first += count
    return np.concatenate(chosen), sum(counts)


def _bands(grid: Grid, polygon: Any) -> Iterator[NDArray[np.intp]]:  # noqa: ANN401 - shapely's
    """Numbers of the pixels that lie in a field, rising, for some hundred rows at a time."""
    for _, windows in itertools.groupby(overlays(grid, polygon), key=lambda laid: laid.rows.start):
        numbers = []
        for laid in windows:
            rows, columns = np.nonzero(laid.share >= MOSTLY)
            numbers.append((rows + laid.rows.start) * grid.width + columns + laid.columns.start)
        yield np.sort(np.concatenate(numbers))


def _at(source: Source, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Stored values (band, pixel) of single pixels, NaN where missing."""
    with window_reader(source.path) as read:
        found = [
            read(slice(row, row + 1), slice(column, column + 1))[:, 0, 0]
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    return missing_as_nan(source, np.stack(found, 1))


def _layer(path: Path | None, scenes: Scenes, unit: str, largest: float) -> Source | None:
    """A raster on the scenes' grid, or None where there is none.

    Raises:
        InputError: if its grid, unit or values differ.
    """
    return None if path is None else open_layer(path, scenes.grid, unit, largest)
