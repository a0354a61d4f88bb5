"""Zones of fields from rasters of several years: drawn, judged in words, and written as table, polygons and raster."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.field_exports import areas_ha, field_bytes
from mainstem.apps.fields.season_years import check_copies, doubt_of, doubted, year_of
from mainstem.apps.map_places import MAP, last_parts, map_folders
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.chance import Agreement
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.field_grids import FieldGrid, degrees_of, field_grid, is_meeting, metric_crs, on_grid
from mainstem.data.earth.fields import open_fields
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.raster import Grid, describe, load_rasterio, open_geotiff
from mainstem.data.earth.zone_polygons import filled, near_values, polygonal, zone_polygons
from mainstem.data.earth.zones import LEAST_SEEN, LEAST_STABLE, Zones, ZoneSpec, draw_zones

if TYPE_CHECKING:
    import geopandas as gpd

SMALLEST_CELL_M = 2.0  # finer rasters are averaged: no machine's rate changes faster
MOST_RASTER_CELLS = 25_000_000  # of zones.tif, all fields together
LONGEST_SEASON, MOST_NAMED = 40, 5
SHARED = 0.02  # of what one raster shows of a field that another of its season may show too: fields side by side
NOT_A_PRESCRIPTION = "zones are drawn from data; what to do in them is yours to decide"


@dataclass(frozen=True, kw_only=True)
class Season:
    """The rasters of a season, apart from one another: its name, units, and what goes with it into every export."""

    paths: tuple[Path, ...]
    name: str
    unit: str
    attribution: str
    training: str
    grids: tuple[Grid, ...]

    @property
    def file(self) -> str:
        """What the rasters are called, for tables."""
        names = [path.name if len(self.paths) == 1 else last_parts(path) for path in self.paths]
        return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))

    def on(self, grid: Grid, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Its values (y, x) on a grid, of whichever raster has one.

        Raises:
            InputError: if two rasters show the same part of a field, `inside` (y, x): nobody told which is meant.
        """
        found, first = on_grid(self.paths[0], grid), self.paths[0]
        for path in self.paths[1:]:
            more = on_grid(path, grid)
            seen, its = np.isfinite(found) & inside, np.isfinite(more) & inside
            if (seen & its).sum() > SHARED * max(min(seen.sum(), its.sum()), 1):
                raise InputError(
                    f"{last_parts(first)} and {last_parts(path)} are both of {self.name}, and overlap in it; give one "
                    "raster a season and field"
                )
            found, first = np.where(np.isfinite(found), found, more), path if its.any() else first
        return found


def make_zones(
    rasters: Sequence[Path], fields: Path, out: Path, spec: ZoneSpec, progress: Progress = silent
) -> dict[str, Any]:
    """Draw zones of every field; write zones.gpkg, .geojson, .shp.zip, .csv, .tif and .json into the new folder `out`.

    A field that cannot be drawn is listed with the reason, the others are taken.

    Raises:
        InputError: if a raster or the fields cannot be read, or no field could be drawn.
    """
    seasons = read_seasons(rasters)
    known = open_fields(fields)
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    laid: list[tuple[FieldGrid, NDArray[np.int64]]] = []
    for number, name in enumerate(known.table["field"]):
        progress(f"zones of field {number + 1} of {len(known)}", number / len(known))
        try:
            grid, years = _years(seasons, known.table.geometry.iloc[[number]], name)
            grid = replace(grid, share=np.where(near_values(years), grid.share, 0.0))
            zones = draw_zones(years, grid.share >= 0.5, grid.cell_m, spec)
            doubt = doubt_of([season.name for season in seasons], years, zones.labels > 0)
            rows += [doubted(row, doubt) for row in _rows(name, grid, zones, years, seasons)]
        except InputError as error:
            told.append({"field": name, "drawn": False, "why": str(error)})
            continue
        told.append({"field": name, "drawn": True, **doubted(_of_field(zones), doubt), "seen": _seen(zones, seasons)})
        laid.append((grid, filled(zones.labels, grid.share)))
    if not rows:
        raise InputError(f"no zones of any field: {told[0]['field']!r:.60}: {told[0]['why']}")
    table = load_geopandas().GeoDataFrame(rows, geometry="geometry", crs="EPSG:4326")
    return _write(table, told, laid, seasons, out, spec)


def read_seasons(rasters: Sequence[Path]) -> list[Season]:
    """Describe rasters, named by the year of the last of their DATES, of the file's or its folders' name, else by name.

    A folder stands for its map.tif, or for those of the folders in it. Several rasters of one season are one.

    Raises:
        InputError: if one cannot be read, or two of several seasons hold the same values.
    """
    paths = [path for given in rasters for path in (_maps_in(given) if given.is_dir() else [given])]
    if not paths:
        raise InputError("got no raster, want one a season: of yield, or of vigour")
    found: dict[str, Season] = {}
    for season in map(_season, paths):
        held = found.get(season.name)
        found[season.name] = season if held is None else _together(held, season)
    check_copies({season.name: season.paths for season in found.values()})
    return sorted(found.values(), key=lambda season: season.name)


def _maps_in(folder: Path) -> list[Path]:
    return [found / MAP for found in map_folders(folder)]


def _together(held: Season, more: Season) -> Season:
    """Rasters of one season as one."""
    told = {
        name: "; ".join(dict.fromkeys(filter(None, (getattr(held, name), getattr(more, name)))))
        for name in ("unit", "attribution", "training")
    }
    return replace(held, paths=(*held.paths, *more.paths), grids=(*held.grids, *more.grids), **told)


def _season(path: Path) -> Season:
    source = describe(path)
    with open_geotiff(path) as dataset:
        tags = {key: plain(value) for key, value in dataset.tags().items()}
        unit = plain(dataset.units[0] or tags.get("UNITS", ""))[:20]
    named = path.resolve().parent.name if path.stem == "map" else path.stem  # mainstem's own are all named map.tif
    return Season(
        paths=(path,),
        name=year_of(path, tags.get("DATES", "")) or plain(named)[:LONGEST_SEASON],
        unit=unit,
        attribution=tags.get("ATTRIBUTION", "")[:500],
        training=tags.get("TRAINING", "")[:40],
        grids=(source.grid,),
    )


def _years(seasons: Sequence[Season], shape: "gpd.GeoSeries", name: str) -> tuple[FieldGrid, NDArray[np.float64]]:
    """A field's grid, and each season (year, y, x) on it."""
    rasterio = load_rasterio()
    grids = [grid for season in seasons for grid in season.grids]
    bounds = shape.to_crs("EPSG:4326").total_bounds
    near = [grid for grid in grids if is_meeting(degrees_of(grid), bounds)] or grids[:1]
    own = rasterio.crs.CRS.from_wkt(near[0].crs)
    first = near[0].transform
    is_metric = own.is_projected and abs(own.linear_units_factor[1] - 1) < 1e-9
    to = near[0].crs if is_metric else metric_crs(shape.iloc[0], shape.crs)
    moved = shape.to_crs(to).iloc[0]
    cell = max([SMALLEST_CELL_M, *(_cell_m(one, moved, to) for one in near)])
    grid = field_grid(moved, name, to, cell, (first[2], first[5]) if is_metric else (0.0, 0.0))
    years = np.stack([season.on(grid.grid, grid.share > 0) for season in seasons])
    for season, year in zip(seasons, years, strict=True):
        if not np.isfinite(year[grid.share > 0]).any():
            raise InputError(f"the raster of {season.name} shows nothing of the field; leave it out, or the field")
    return grid, years


def _cell_m(grid: Grid, polygon: Any, crs: str) -> float:  # noqa: ANN401 - shapely's
    """Width of a raster's pixel in metres, at a field."""
    rasterio = load_rasterio()
    own = rasterio.crs.CRS.from_wkt(grid.crs)
    if own.is_projected:
        return float(grid.transform[0] * own.linear_units_factor[1])
    from pyproj import Transformer

    north = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(polygon.centroid.x, polygon.centroid.y)[1]
    return float(max(grid.transform[0] * np.cos(np.radians(north)), -grid.transform[4]) * 111_320)


def _verdict(zones: Zones) -> dict[str, Any]:
    """Whether zones are better than chance, and stay where they are, in words."""
    found = zones.agreement
    if found is None:
        words = "one season alone: whether these zones last cannot be told"
        return {"zones": zones.num_zones, "claim": "none", "reason": words, "stable_pct": None}
    told = f"correlation {found.r:.2f}, p {max(found.p, 0.001):.3f}" + (" or less" if found.p < 0.001 else "")
    stable, claim = zones.usual_stable_share(), "none"
    stay = f"whichever season is left out, {stable:.0%} of the median zone's land stays in its zone"
    if not np.isfinite(stable):
        words = f"no two seasons saw {LEAST_SEEN:.0%} of one zone's land: whether these zones last cannot be told"
    elif not found.is_better_than_chance:
        words = (
            f"no better than chance at foretelling a season left out ({told}); {stay}; do not vary rates by these zones"
        )
    elif stable < LEAST_STABLE:
        words = (
            f"zones drawn without a season foretell it better than chance ({told}), but {stay}, "
            f"want {LEAST_STABLE:.0%}: their borders do not last; do not vary rates by these zones"
        )
    else:
        words, claim = f"zones drawn without a season foretell it better than chance ({told}); {stay}", "stated"
    told_pct = round(100 * stable, 1) if np.isfinite(stable) else None
    return {"zones": zones.num_zones, "claim": claim, "reason": words, "stable_pct": told_pct, **_rounded(found)}


def _of_field(zones: Zones) -> dict[str, Any]:
    """The verdict, and which zones no two seasons can judge: with such the field as a whole has no claim."""
    verdict = _verdict(zones)
    unjudged = [str(zone) for zone in np.unique(zones.labels[zones.labels > 0]).tolist() if not zones.judges(zone)]
    if not unjudged or verdict["stable_pct"] is None:
        return verdict
    words = f"{verdict['reason']}; not judged, as fewer than two seasons saw half of it: zone {', '.join(unjudged)}"
    return {**verdict, "claim": "none", "reason": words}


def _seen(zones: Zones, seasons: Sequence[Season]) -> dict[str, dict[str, float]]:
    """Share of each zone that each season shows, in percent."""
    return {
        str(zone): {
            season.name: round(100 * float(share), 1)
            for season, share in zip(seasons, zones.seen_shares(zone), strict=True)
        }
        for zone in np.unique(zones.labels[zones.labels > 0]).tolist()
    }


def _rounded(found: Agreement) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in asdict(found).items()}


def _rows(
    name: str, grid: FieldGrid, zones: Zones, years: NDArray[np.float64], seasons: Sequence[Season]
) -> list[dict[str, Any]]:
    """A row a zone of a field, its polygon in EPSG:4326."""
    gpd = load_geopandas()
    polygons = zone_polygons(zones.labels, grid)
    shapes = gpd.GeoDataFrame({"zone": list(polygons)}, geometry=list(polygons.values()), crs=grid.grid.crs)
    west, _, east, _ = shapes.to_crs("EPSG:4326").total_bounds
    if east - west > 180:
        raise InputError("it crosses the antimeridian, where no file's degrees go on; draw each side as a field")
    areas, verdict = areas_ha(shapes), _verdict(zones)
    rows = []
    for zone, area, shape in zip(shapes["zone"], areas, shapes.to_crs("EPSG:4326").geometry, strict=True):
        row = {"field": name, "zone": int(zone), "area_ha": area, "share_pct": 100 * area / sum(areas)}
        row |= _in_years(int(zone), zones, years, seasons)
        row |= _claim(int(zone), zones, verdict, seasons)
        row |= {"units": "; ".join(sorted({season.unit for season in seasons if season.unit}))}
        for fact in ("training", "attribution"):
            row[fact] = "; ".join(sorted({getattr(season, fact) for season in seasons} - {""}))
        rows.append({**row, "geometry": polygonal(shape)})
    return rows


def _claim(zone: int, zones: Zones, verdict: dict[str, Any], seasons: Sequence[Season]) -> dict[str, str]:
    """The field's claim and reason; none of its own for a zone that fewer than two seasons saw by half."""
    if zone and len(seasons) > 1 and not zones.judges(zone):
        return {"claim": "none", "reason": f"zone {zone} {_unjudged(zone, zones, seasons)}"}
    return {"claim": verdict["claim"] if zone else "none", "reason": verdict["reason"]}


def _unjudged(zone: int, zones: Zones, seasons: Sequence[Season]) -> str:
    seen = zip(seasons, zones.seen_shares(zone), strict=True)
    told = ", ".join(f"{share:.0%} in {season.name}" for season, share in seen)
    return f"is not judged: fewer than two seasons saw half of it ({told})"


def _in_years(zone: int, zones: Zones, years: NDArray[np.float64], seasons: Sequence[Season]) -> dict[str, Any]:
    """A zone's mean in each season, in percent of the field's, and how it did in seasons it was not drawn from."""
    own, inside = zones.labels == zone, zones.labels > 0
    if not zone:
        return {"level_pct": np.nan, "above": 0, "judged": 0, "words": "in no zone: no value there", "stable_pct": 0.0}
    found: dict[str, Any] = {}
    levels = []
    for season, year, share in zip(seasons, years, zones.seen_shares(zone), strict=True):
        found[f"mean_{season.name}"] = float(np.nanmean(year[own])) if np.isfinite(year[own]).any() else np.nan
        found[f"seen_pct_{season.name}"] = 100 * float(share)
        levels.append(100 * found[f"mean_{season.name}"] / float(np.nanmean(year[inside])))
    judges = zones.judges(zone) if len(zones.folds) else []
    (above, judged), stable = _above(zone, zones, years, judges), zones.stable_share(zone)
    words = "not judged: one season alone"
    if judges:
        words = f"above the field's mean in {above} of {judged} seasons that it was drawn without"
    elif len(zones.folds):
        words = _unjudged(zone, zones, seasons).removeprefix("is ")
    if np.isfinite(stable):
        words += f"; {stable:.0%} of it stays in it whichever is left out"
    return {
        "level_pct": float(np.nanmean(levels)), "above": above, "judged": judged, "words": words,
        "stable_pct": 100 * stable,
    } | found  # fmt: skip


def _above(zone: int, zones: Zones, years: NDArray[np.float64], judges: Sequence[int]) -> tuple[int, int]:
    """In how many of the seasons that judge it the zone, drawn without the season, lay above the field's mean; of how
    many.
    """
    above = judged = 0
    for number in judges:
        fold, year = zones.folds[number], years[number]
        own, whole = year[fold == zone], year[fold > 0]
        if np.isfinite(own).any():
            judged += 1
            above += int(np.nanmean(own) > np.nanmean(whole))
    return above, judged


def _write(
    table: "gpd.GeoDataFrame",
    told: list[dict[str, Any]],
    laid: Sequence[tuple[FieldGrid, NDArray[np.int64]]],
    seasons: Sequence[Season],
    out: Path,
    spec: ZoneSpec,
) -> dict[str, Any]:
    table["made"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    with new_folder(out) as folder:
        for kind in ("gpkg", "geojson", "shp.zip", "csv"):
            write_atomically(folder / f"zones.{kind}", field_bytes(table, kind))
        facts = {
            "seasons": [{"name": season.name, "file": season.file, "unit": season.unit} for season in seasons],
            "fields": told,
            "spec": asdict(spec),
            "note": NOT_A_PRESCRIPTION,
            "raster": _write_raster(laid, seasons, folder / "zones.tif"),
        }
        write_atomically(folder / "zones.json", json.dumps(facts, indent=1).encode())
    return {"out": str(out), **facts}


def _write_raster(
    laid: Sequence[tuple[FieldGrid, NDArray[np.int64]]], seasons: Sequence[Season], path: Path
) -> str | None:
    """Write all fields' zones as one COG; None where they are of several CRSs or cell sizes, or too far apart."""
    grids = [grid.grid for grid, _ in laid]
    cell, crs = grids[0].transform[0], grids[0].crs
    if any((grid.transform[0], grid.crs) != (cell, crs) for grid in grids):
        return None
    left, top = min(grid.transform[2] for grid in grids), max(grid.transform[5] for grid in grids)
    corners = [(round((grid.transform[2] - left) / cell), round((top - grid.transform[5]) / cell)) for grid in grids]
    width = max(at[0] + grid.width for at, grid in zip(corners, grids, strict=True))
    height = max(at[1] + grid.height for at, grid in zip(corners, grids, strict=True))
    if width * height > MOST_RASTER_CELLS:
        return None
    values = np.full((1, height, width), np.nan, dtype=np.float32)
    for (column, row), (_, labels) in zip(corners, laid, strict=True):
        window = values[0, row : row + labels.shape[0], column : column + labels.shape[1]]
        window[labels > 0] = labels[labels > 0]
    grid = Grid(width=width, height=height, crs=crs, transform=(cell, 0.0, left, 0.0, -cell, top))
    tags = {"UNITS": "1", "SEASONS": ", ".join(season.name for season in seasons)}
    tags |= {"ATTRIBUTION": "; ".join(sorted({season.attribution for season in seasons} - {""}))}
    write_cog(iter([(0, 0, values)]), path, grid, ["zone"], tags, is_category=True)
    return path.name
